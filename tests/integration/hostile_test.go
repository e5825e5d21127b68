package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The image is the attacker: at every path that set-up touches, each trick is planted. Whether the container starts
// then or not, nothing outside of its rootfs may change, and a failure is told in one line.

// canary is a tree of the host's that no container may reach.
type canary struct {
	t      *testing.T
	folder string
	before map[string]string
}

// secret is what a container must not be able to print.
const secret = "the canary's secret"

func newCanary(t *testing.T, c *container) *canary {
	t.Helper()
	w := &canary{t: t, folder: filepath.Join(filepath.Dir(c.bundle), "canary")}
	for _, d := range []string{"", "/folder", "/dev", "/proc", "/sys"} {
		if err := os.Mkdir(w.folder+d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"/file", "/folder/file", "/passwd"} {
		if err := os.WriteFile(w.folder+f, []byte(secret+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	w.before = w.look()
	return w
}

// look describes every file of the canary, in all that a runtime could change.
func (w *canary) look() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for path := range listTree(w.t, w.folder) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			w.t.Fatalf("lstat %s: %v", path, err)
		}
		all[path] = fmt.Sprintf("inode %d mode %o owner %d:%d size %d links %d changed %d.%d", st.Ino, st.Mode, st.Uid, st.Gid,
			st.Size, st.Nlink, st.Ctim.Sec, st.Ctim.Nsec)
	}
	return all
}

// check fails the test when anything of the canary is not as it was.
func (w *canary) check(what string) {
	w.t.Helper()
	now := w.look()
	for path, state := range now {
		if w.before[path] != state {
			w.t.Errorf("%s: %s on the host is now %s, was %q", what, path, state, w.before[path])
		}
	}
	for path := range w.before {
		if now[path] == "" {
			w.t.Errorf("%s: %s on the host is gone", what, path)
		}
	}
	w.before = now
}

// trick plants something at path, a file of the rootfs that is not there yet.
type trick struct {
	name  string
	plant func(w *canary, path string) error
}

func linkTo(target string) func(*canary, string) error {
	return func(w *canary, path string) error {
		return os.Symlink(strings.ReplaceAll(target, "CANARY", w.folder), path)
	}
}

func node(mode uint32, major, minor uint32) func(*canary, string) error {
	return func(_ *canary, path string) error { return unix.Mknod(path, mode, int(unix.Mkdev(major, minor))) }
}

func tricks() []trick {
	return []trick{
		{"link to a folder", linkTo("/elsewhere")},
		{"relative link", linkTo("elsewhere/deep")},
		{"dangling link", linkTo("/missing/deep/target")},
		{"loop", func(_ *canary, path string) error { return os.Symlink(filepath.Base(path), path) }},
		{"loop of two", func(_ *canary, path string) error {
			if err := os.Symlink(filepath.Base(path)+".other", path); err != nil {
				return err
			}
			_ = os.Remove(path + ".other") // of an earlier round
			return os.Symlink(filepath.Base(path), path+".other")
		}},
		{"link to a folder of the host's", linkTo("CANARY")},
		{"link to a file of the host's", linkTo("CANARY/file")},
		{"link to what is missing on the host", linkTo("CANARY/missing")},
		{"link out by ..", linkTo("../../../../../../../../../../../../../../CANARY/folder")},
		{"link to ..", linkTo("../../../../../../../..")},
		{"magic link to the root", linkTo("/proc/self/root")},
		{"magic link to init's root", linkTo("/proc/1/root/CANARY/folder")},
		{"magic link to a descriptor", linkTo("/proc/self/fd/3")},
		{"magic link to the folder", linkTo("/proc/self/cwd/folder")},
		{"magic link to the program", linkTo("/proc/self/exe")},
		{"link into proc", linkTo("/proc/sys/kernel/core_pattern")},
		{"link to sysrq", linkTo("/proc/sysrq-trigger")},
		{"FIFO", node(unix.S_IFIFO|0o666, 0, 0)},
		{"socket", node(unix.S_IFSOCK|0o666, 0, 0)},
		{"device", node(unix.S_IFCHR|0o666, 1, 5)},
		{"block device", node(unix.S_IFBLK|0o666, 7, 200)},
		{"file", func(_ *canary, path string) error { return os.WriteFile(path, []byte("text\n"), 0o666) }},
		{"empty file", func(_ *canary, path string) error { return os.WriteFile(path, nil, 0o666) }},
		{"folder", func(_ *canary, path string) error { return os.MkdirAll(path+"/below", 0o777) }},
		{"unreadable folder", func(_ *canary, path string) error { return os.Mkdir(path, 0) }},
		{"mount", func(_ *canary, path string) error {
			if err := os.Mkdir(path, 0o777); err != nil {
				return err
			}
			return unix.Mount("tmpfs", path, "tmpfs", 0, "size=64k")
		}},
	}
}

// place is a path that set-up touches.
type place struct {
	name   string
	at     string   // where in the rootfs the trick is planted
	says   []string // one of these is in the error when the container does not start
	spec   option   // what makes set-up go there
	flags  []string // of run
	prints string   // files to print from inside; none of them may lead to the secret
}

// ownDev takes the mounts on /dev and below out: the image's own /dev is used.
func ownDev(s *specs.Spec) {
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return strings.HasPrefix(m.Destination, "/dev") })
}

func mountPlaces() []place {
	tmpfs := func(target string, options ...string) option {
		return withMounts(specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	bind := func(source, target string) option {
		return withMounts(specs.Mount{Destination: target, Source: source, Options: []string{"bind", "ro"}})
	}
	says := []string{"mounts[5]"}
	return []place{
		{name: "tmpfs", at: "target", says: says, spec: tmpfs("/target")},
		{name: "folder above a tmpfs", at: "above", says: says, spec: tmpfs("/above/it/target")},
		{name: "tmpfs through ..", at: "above", says: says, spec: tmpfs("/above/../above/./target")},
		{name: "tmpfs with tmpcopyup", at: "target", says: says, spec: tmpfs("/target", "tmpcopyup"), prints: "/target /target/file"},
		{name: "tmpfs by mount(2)", at: "target", says: says, spec: tmpfs("/target", "silent")},
		{name: "folder above a tmpfs by mount(2)", at: "above", says: says, spec: tmpfs("/above/it/target", "silent")},
		{name: "bound folder", at: "target", says: says, spec: bind("/usr/share", "/target")},
		{name: "bound file", at: "target", says: says, spec: bind("/etc/hostname", "/target")},
		{name: "folder above a bound file", at: "above", says: says, spec: bind("/etc/hostname", "/above/it/target")},
		{name: "resolv.conf", at: "etc/resolv.conf", says: says, spec: bind("/etc/hostname", "/etc/resolv.conf")},
		{name: "proc", at: "proc", says: []string{"mounts[0] (/proc)"}, spec: func(*specs.Spec) {}},
		{name: "proc by mount(2)", at: "proc", says: []string{"mounts[0] (/proc)"}, spec: func(s *specs.Spec) { s.Mounts[0].Options = []string{"silent"} }},
		{name: "sys", at: "sys", says: []string{"mounts[4] (/sys)"}, spec: func(*specs.Spec) {}},
		{name: "dev", at: "dev", says: []string{"mounts[1] (/dev)", "default devices"}, spec: func(*specs.Spec) {}},
		{name: "cgroup", at: "cgroup", says: says, spec: withMounts(specs.Mount{Destination: "/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro"}})},
		{name: "the image's dev/pts", at: "dev/pts", says: []string{"mounts["}, spec: func(s *specs.Spec) {
			s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev" })
		}},
		{name: "the image's dev/shm", at: "dev/shm", says: []string{"mounts["}, spec: func(s *specs.Spec) {
			s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev" })
		}},
	}
}

func devicePlaces() []place {
	var all []place
	for _, name := range []string{"null", "zero", "full", "tty", "random", "urandom", "ptmx", "fd", "stdin", "stdout", "stderr", "core"} {
		all = append(all, place{name: "dev/" + name, at: "dev/" + name, says: []string{"default devices"}, spec: ownDev})
	}
	return append(all,
		place{name: "the image's dev", at: "dev", says: []string{"default devices"}, spec: ownDev},
		place{name: "a device of the config", at: "dev/net/tun", says: []string{"linux.devices[0]"}, spec: func(s *specs.Spec) {
			ownDev(s)
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200}}
		}},
		place{name: "folder of a device", at: "dev/net", says: []string{"linux.devices[0]"}, spec: func(s *specs.Spec) {
			ownDev(s)
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, UID: ptr(uint32(77))}}
		}},
		place{name: "a device beside dev", at: "box", says: []string{"linux.devices[0]"}, spec: func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/box/deep/null", Type: "c", Major: 1, Minor: 3}}
		}},
	)
}

func otherPlaces() []place {
	masked := func(paths ...string) option {
		return withLinux(func(l *specs.Linux) { l.MaskedPaths = append(l.MaskedPaths, paths...) })
	}
	readonly := func(paths ...string) option {
		return withLinux(func(l *specs.Linux) { l.ReadonlyPaths = append(l.ReadonlyPaths, paths...) })
	}
	cwd := func(path string) option { return withProcess(func(p *specs.Process) { p.Cwd = path }) }
	return []place{
		{name: "masked path", at: "hidden", says: []string{"linux.maskedPaths[3]"}, spec: masked("/hidden"), prints: "/hidden /hidden/file"},
		{name: "folder above a masked path", at: "above", says: []string{"linux.maskedPaths[3]"}, spec: masked("/above/file"), prints: "/above/file"},
		{name: "read-only path", at: "fixed", says: []string{"linux.readonlyPaths[2]"}, spec: readonly("/fixed"), prints: "/fixed /fixed/file"},
		{name: "folder above a read-only path", at: "above", says: []string{"linux.readonlyPaths[2]"}, spec: readonly("/above/file"), prints: "/above/file"},
		{name: "null of the masks", at: "dev/null", says: []string{"default devices"}, prints: "/etc/group", spec: func(s *specs.Spec) {
			ownDev(s)
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/etc/group")
		}},
		{name: "cwd", at: "work", says: []string{"process.cwd"}, spec: cwd("/work")},
		{name: "cwd below", at: "work", says: []string{"process.cwd"}, spec: cwd("/work/deep/er")},
		{name: "passwd", at: "etc/passwd", spec: func(s *specs.Spec) { s.Process.Env = []string{"PATH=/bin"} }, prints: "/etc/passwd"},
		{name: "etc", at: "etc", spec: func(s *specs.Spec) { s.Process.Env = []string{"PATH=/bin"} }, prints: "/etc/passwd"},
		// Without a mount on /proc: what is written for the config must not go to the image's.
		{name: "proc of sysctl", at: "proc", says: []string{"linux.sysctl"}, spec: func(s *specs.Spec) {
			s.Mounts = s.Mounts[1:]
			s.Linux.ReadonlyPaths, s.Linux.MaskedPaths = nil, nil
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
			s.Process.OOMScoreAdj = ptr(100)
		}},
		{name: "the program", at: "bin/program", says: []string{"process.args", "exec"}, spec: withArgs("/bin/program")},
		{name: "a folder of PATH", at: "opt", says: []string{"process.args", "exec"}, spec: func(s *specs.Spec) {
			s.Process.Env[0] = "PATH=/opt:/bin"
		}},
	}
}

// thinned leaves a quarter of a list under emulation (-short): which one turns with n, so that a test which goes
// through two lists has each entry of both.
func thinned[T any](list []T, n int) []T {
	if !testing.Short() {
		return list
	}
	return slices.DeleteFunc(list, func(T) bool { n++; return n%4 != 0 })
}

// stride is 3 under emulation (-short), else 1: the way through numbers of descriptors of which any might be the one
// that is open.
func stride() int {
	if testing.Short() {
		return 3
	}
	return 1
}

func TestHostileRootfs(t *testing.T) {
	// Where /dev is a link out of the rootfs, it makes links on the host; it waits for a FIFO at /etc/passwd.
	newerThanReference(t, "links and FIFOs that are not followed or waited for")
	for i, p := range slices.Concat(mountPlaces(), devicePlaces(), otherPlaces()) {
		list := thinned(tricks(), i)
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withScript("for f in "+p.prints+"; do [ -f $f ] && cat $f 2>&1; done; echo ran"), p.spec)
			w := newCanary(t, c)
			started := 0
			for _, k := range list {
				if p.plantAndRun(t, c, w, k) {
					started++
				}
			}
			t.Logf("%d of %d started", started, len(list))
		})
	}
}

// A tmpfs with tmpcopyup has the image's files, and neither those of a mount that the folder has in it, nor, where
// the image made the folder a link to its root, those of /proc.
func TestCopyUpStaysInTheRootfs(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "tmpcopyup that stops at mounts")
	c := newContainer(t)
	w := newCanary(t, c)
	c.writeFile("data/own", "own\n", 0o644)
	for _, name := range []string{"/data/folder", "/data/file"} {
		option := withMounts(
			specs.Mount{Destination: name, Source: w.folder + strings.TrimPrefix(name, "/data"), Options: []string{"bind"}},
			specs.Mount{Destination: "/data", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}})
		c.reconfigure(option, withScript("cat /data/own; find /data -type f | sort; cat /data/file /data/folder/file"))
		r := c.run()
		wantContains(t, "output", r.stdout, "own\n/data/")
		if strings.Contains(r.stdout, secret) {
			t.Errorf("%s was copied: %s", name, r.stdout)
		}
	}
	clearPath(t, filepath.Join(c.rootfs, "data"))
	symlink(t, "..", filepath.Join(c.rootfs, "data"))
	c.reconfigure(withMounts(specs.Mount{Destination: "/data", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup"}}),
		withScript("ls /proc/self/status; echo ran"))
	want(t, "output", c.run().ok(t).stdout, "/proc/self/status\nran\n")
	w.check("tmpcopyup")
}

// The image's own /dev serves a container in a user namespace again and again: where it cannot make the devices, it
// mounts the host's on files that are still there the next time.
func TestOwnDevInUserNamespace(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "it: what was made the first time is not a device")
	c := newContainer(t, ownDev, withScript("echo x > /dev/null && head -c 4 /dev/zero | wc -c; stat -c '%F %t:%T' /dev/null"),
		withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace}), withLinux(func(l *specs.Linux) {
			l.UIDMappings = []specs.LinuxIDMapping{{Size: 65536}}
			l.GIDMappings = l.UIDMappings
		}))
	for range 2 {
		want(t, "output", c.run().ok(t).stdout, "4\ncharacter special file 1:3\n")
	}
	info, err := os.Lstat(filepath.Join(c.rootfs, "dev/null"))
	if err != nil || !info.Mode().IsRegular() || info.Size() != 0 {
		t.Errorf("/dev/null in the rootfs is now %v, %v", info, err)
	}
}

// plantAndRun tries one trick and tells whether the container started all the same.
func (p place) plantAndRun(t *testing.T, c *container, w *canary, k trick) bool {
	t.Helper()
	path := filepath.Join(c.rootfs, p.at)
	clearPath(t, path)
	for _, d := range []string{filepath.Dir(path), filepath.Join(c.rootfs, "elsewhere/deep")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.plant(w, path); err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	r := c.run(p.flags...)
	what := p.name + " is a " + k.name
	w.check(what)
	if strings.Contains(r.stdout+r.stderr, secret) {
		t.Errorf("%s: the container printed the secret", what)
	}
	clearPath(t, path)
	if strings.Contains(r.stdout, "ran\n") {
		return true
	}
	if r.code == 0 {
		t.Errorf("%s: exit code 0, and the process did not run: %s", what, r.stderr)
	}
	p.checkError(t, what, r)
	return false
}

// checkError looks at the words for a container that did not start.
func (p place) checkError(t *testing.T, what string, r result) {
	t.Helper()
	if !isBerth() || p.at == "bin/program" && r.stderr == "" {
		return // another runtime's words, or the trick itself was run, and printed nothing
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "berth: ") || strings.Contains(r.stderr, "EOF") {
		t.Errorf("%s: not one line on standard error: %q", what, r.stderr)
	}
	named := func(field string) bool { return strings.Contains(r.stderr, field) }
	if !slices.ContainsFunc(p.says, named) {
		t.Errorf("%s: no field of %q is named: %s", what, p.says, r.stderr)
	}
}

// clearPath removes what a trick, or the set-up, left at a path of the rootfs.
func clearPath(t *testing.T, path string) {
	t.Helper()
	for unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
	}
	if err := os.Remove(path + ".other"); err != nil && !os.IsNotExist(err) && !isNotDir(err) {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func isNotDir(err error) bool { return strings.Contains(err.Error(), syscall.ENOTDIR.Error()) }

package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The published attacks on runc and crun, each as it was described, and that nothing comes of it. Where the reference
// is older than the fix, its tests are skipped by newerThanReference.

// volume makes a folder of the host's that containers share, with files in it.
func volume(t *testing.T, c *container, files map[string]string) string {
	t.Helper()
	folder := filepath.Join(filepath.Dir(c.bundle), "volume")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func bindAt(source, target string) option {
	return withMounts(specs.Mount{Destination: target, Source: source, Type: "bind", Options: []string{"rbind", "rw"}})
}

// symlink makes a link in place of what is there.
func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// reconfigure writes the base configuration with other options.
func (c *container) reconfigure(options ...option) {
	c.t.Helper()
	spec := baseSpec(c.id)
	for _, o := range options {
		o(spec)
	}
	c.writeConfig(spec)
}

// refused expects that the container does not start, with berth's words about it.
func refused(t *testing.T, what string, r result, says ...string) {
	t.Helper()
	if r.code == 0 {
		t.Errorf("%s: the container started: %s", what, r.stdout)
	}
	if isBerth() {
		want(t, what+": lines on stderr", strings.Count(r.stderr, "\n"), 1)
		wantContains(t, what, r.stderr, says...)
	}
}

// CVE-2019-5736: who execs /proc/self/exe in a container, or just enters it, shows the runtime's own program to the
// container's root, which overwrites it on the host.
func TestCVE_2019_5736(t *testing.T) {
	t.Parallel()
	all := []string{"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_FOWNER"}
	c := newContainer(t, withCapabilities(all...), withScript(`echo ready
		while :; do for p in /proc/[0-9]*; do
			case $(readlink $p/exe) in /bin/busybox|"") ;; *) (echo pwned > $p/exe) 2>/dev/null && echo wrote $p ;; esac
		done; done`))
	symlink(t, "/proc/self/exe", filepath.Join(c.rootfs, "bin/victim"))
	c.writeFile("bin/script", "#!/proc/self/exe\n", 0o755)
	program, err := os.ReadFile(host.runtime)
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(filepath.Dir(c.bundle), host.name)
	if err := os.WriteFile(victim, program, 0o755); err != nil {
		t.Fatal(err)
	}
	c.startSleeping()
	run := func(args ...string) result { return call{program: victim}.run(t, c.args(args...)...) }
	for range 5 {
		for _, command := range []string{"/bin/true", "/bin/victim", "/bin/script", "/proc/self/exe"} {
			run("exec", c.id, command)
		}
	}
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	c.delete().ok(t)
	for _, command := range []string{"/bin/victim", "/bin/script", "/proc/self/exe"} {
		c.reconfigure(withArgs(command))
		run("run", "--bundle", c.bundle, c.id)
	}
	now, err := os.ReadFile(victim)
	if err != nil || !bytes.Equal(now, program) {
		t.Errorf("the runtime's file was changed: %d bytes, %v", len(now), err)
	}
	if out := c.output(); strings.Contains(out, "wrote") {
		t.Errorf("the container could write to a program that is not its own:\n%s", out)
	}
}

// fakeProc is a folder that looks like /proc, as far as a runtime writes to it.
func fakeProc() map[string]string {
	return map[string]string{
		"self/attr/exec": "fake", "self/attr/apparmor/exec": "fake", "self/oom_score_adj": "fake", "thread-self/attr/exec": "fake",
		"sys/net/ipv4/ip_forward": "fake", "sys/kernel/core_pattern": "fake", "self/status": "fake", "1/oom_score_adj": "fake",
	}
}

// CVE-2019-16884: an image whose VOLUME is /proc has what is written for the process's security go to its own files.
func TestCVE_2019_16884(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	proc := volume(t, c, fakeProc())
	c.reconfigure(bindAt(proc, "/proc"), withProcInUse())
	refused(t, "a volume over /proc", c.run(), "mounts[5] (/proc)", "lies in a procfs")
	// In place of the kernel's it covers nothing; still nothing is written to it.
	c.reconfigure(inPlaceOfProc(proc), withProcInUse(), withSleep())
	checkProcWrites(t, c, proc)
}

// inPlaceOfProc mounts a folder where the kernel's /proc would be.
func inPlaceOfProc(folder string) option {
	return func(s *specs.Spec) {
		s.Mounts[0] = specs.Mount{Destination: "/proc", Source: folder, Type: "bind", Options: []string{"rbind", "rw"}}
		s.Linux.MaskedPaths = nil
	}
}

// withProcInUse has the runtime write to /proc.
func withProcInUse() option {
	return func(s *specs.Spec) {
		s.Process.OOMScoreAdj = ptr(123)
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
		s.Linux.ReadonlyPaths = nil
	}
}

// checkProcWrites starts a container and sees that what withProcInUse asks for has reached the kernel, and nothing
// the files that stood in its way. To refuse to start is as good.
func checkProcWrites(t *testing.T, c *container, fake string) {
	t.Helper()
	r := c.create()
	for name, text := range fakeProc() {
		got, err := os.ReadFile(filepath.Join(fake, name))
		if err != nil || string(got) != text {
			t.Errorf("%s was written to: %q, %v", name, got, err)
		}
	}
	if r.code != 0 && !isBerth() {
		return
	}
	r.ok(t)
	pid := itoa(c.state().Pid)
	score, err := os.ReadFile("/proc/" + pid + "/oom_score_adj")
	if err != nil || strings.TrimSpace(string(score)) != "123" {
		t.Errorf("oom_score_adj of the process: %q, %v", score, err)
	}
	out := runProgram(t, "nsenter", "-t", pid, "-n", "cat", "/proc/sys/net/ipv4/ip_forward")
	want(t, "ip_forward of the container's network", strings.TrimSpace(out), "1")
}

// CVE-2019-19921, and CVE-2023-27561, which brought it back: /proc is a link into a volume, where another container
// puts what it likes in place of the kernel's files.
func TestCVE_2019_19921(t *testing.T) { procThroughLink(t, "/vol/proc") }

// See TestCVE_2019_19921; here the link goes up before it goes down.
func TestCVE_2023_27561(t *testing.T) { procThroughLink(t, "../vol/./proc") }

func procThroughLink(t *testing.T, link string) {
	t.Helper()
	t.Parallel()
	c := newContainer(t)
	files := map[string]string{}
	for name, text := range fakeProc() {
		files["proc/"+name] = text
	}
	folder := volume(t, c, files)
	before := listTree(t, folder)
	for name, order := range map[string]option{
		"volume after proc":  bindAt(folder, "/vol"),
		"volume before proc": func(s *specs.Spec) { bindAt(folder, "/vol")(s); s.Mounts = append(s.Mounts[5:], s.Mounts[:5]...) },
	} {
		symlink(t, link, filepath.Join(c.rootfs, "proc"))
		c.reconfigure(order, withProcInUse())
		refused(t, name, c.run(), "(/proc)", "it must be a folder in the rootfs, not a link")
		for path := range listTree(t, folder) {
			want(t, name+": was there before: "+path, before[path], true)
		}
	}
}

// CVE-2023-28642: with /proc a link inside of the rootfs, AppArmor and SELinux were passed by. /sys is the same.
func TestCVE_2023_28642(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"proc", "sys"} {
		c := newContainer(t)
		for file, text := range fakeProc() {
			c.writeFile("elsewhere/"+file, text, 0o666)
		}
		symlink(t, "/elsewhere", filepath.Join(c.rootfs, name))
		refused(t, name, c.run(), "(/"+name+")", "it must be a folder in the rootfs, not a link")
	}
}

// swapping exchanges two names of a folder, at full speed, until the test ends.
func swapping(t *testing.T, folder, a, b string) {
	t.Helper()
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if err := <-done; err != nil {
			t.Errorf("swap %s and %s: %v", a, b, err)
		}
		unix.Close(fd)
	})
}

// raced runs containers for some seconds while a folder of their volume, /vol/dir, is swapped with a link to the
// canary. The mounts are below it; files are what a container may print of the canary if it gets there.
func raced(t *testing.T, link func(*canary) string, mounts ...specs.Mount) {
	t.Helper()
	t.Parallel()
	newerThanReference(t, "mount points that are opened once")
	c := newContainer(t)
	w := newCanary(t, c)
	folder := volume(t, c, map[string]string{"dir/mine": "mine\n"})
	symlink(t, link(w), filepath.Join(folder, "link"))
	c.reconfigure(bindAt(folder, "/vol"), withMounts(mounts...),
		withScript("cat /vol/dir/file /vol/dir/folder/file /vol/dir/target/file /vol/link/file 2>/dev/null; echo ran"))
	swapping(t, folder, "dir", "link")
	started, refusals := 0, 0
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline) && !t.Failed(); {
		r := c.run()
		if strings.Contains(r.stdout, secret) {
			t.Errorf("the container printed the secret: %s", r.stdout)
		}
		switch {
		case strings.Contains(r.stdout, "ran\n"):
			started++
		case isBerth():
			refusals++
			refused(t, "race", r, "mounts[")
		}
		w.check("race")
	}
	t.Logf("%d started, %d were refused", started, refusals)
	if started+refusals == 0 && isBerth() {
		t.Error("nothing happened")
	}
}

func fileMount(target string) specs.Mount {
	return specs.Mount{Destination: target, Source: "/etc/hostname", Type: "bind", Options: []string{"bind"}}
}

func tmpfsMount(target string) specs.Mount {
	return specs.Mount{Destination: target, Source: "tmpfs", Type: "tmpfs"}
}

// CVE-2021-30465: the mount's target is exchanged for a link between the check and the mount.
func TestCVE_2021_30465(t *testing.T) {
	raced(t, func(w *canary) string { return w.folder }, tmpfsMount("/vol/dir/folder"), fileMount("/vol/dir/file"))
}

// The same with a link that goes up, which an absolute path's check would not see.
func TestCVE_2021_30465_relative(t *testing.T) {
	raced(t, func(w *canary) string { return strings.Repeat("../", 30) + w.folder }, tmpfsMount("/vol/dir/folder"))
}

// CVE-2024-45310: missing parts of a target are made, and made on the host where a folder was exchanged for a link.
func TestCVE_2024_45310(t *testing.T) {
	raced(t, func(w *canary) string { return w.folder + "/folder" }, tmpfsMount("/vol/dir/new/deep/target"), fileMount("/vol/dir/another/file"))
}

// CVE-2024-21626: the working folder is reached through a descriptor that the runtime, or its caller, has open.
func TestCVE_2024_21626(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "the fix: it makes a folder through /proc/self/fd")
	c := newContainer(t)
	w := newCanary(t, c)
	folder, err := os.Open(w.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	symlink(t, "/proc/self/fd/3", filepath.Join(c.rootfs, "work"))
	var cwds []string
	for fd := 0; fd < 24; fd += stride() {
		cwds = append(cwds, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/self/fd/%d/folder", fd))
	}
	cwds = append(cwds, "/work", "/work/folder", "/work/made", "/proc/self/fd/3/made", "/proc/1/cwd", "/proc/1/root"+w.folder)
	script := withScript("cat file 2>/dev/null; cat ../file 2>/dev/null; ls -l /proc/self/fd/ | grep canary; echo ran")
	for _, cwd := range cwds {
		for _, flags := range [][]string{nil, {"--preserve-fds", "1"}} {
			c.reconfigure(script, withProcess(func(p *specs.Process) { p.Cwd = cwd }))
			r := call{extraFiles: []*os.File{folder}}.run(t, c.args(c.command("run", flags)...)...)
			if strings.Contains(r.stdout, secret) || flags == nil && strings.Contains(r.stdout, "canary") {
				t.Errorf("cwd %s, %v: the container has the host's folder: %s", cwd, flags, r.stdout)
			}
			if !strings.Contains(r.stdout, "ran") {
				refused(t, "cwd "+cwd, r, "process.cwd")
			}
			w.check(cwd)
		}
	}
}

// The same by exec, which enters a container whose processes had time to prepare.
func TestCVE_2024_21626_exec(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	w := newCanary(t, c)
	folder, err := os.Open(w.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for fd := 0; fd < 24; fd += stride() {
		for _, cwd := range []string{fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/self/fd/%d/folder", fd)} {
			for _, flags := range [][]string{{"--cwd", cwd}, {"--cwd", cwd, "--preserve-fds", "1"}} {
				args := c.args(c.execArgs(flags, "/bin/sh", "-c", "cat file ../file 2>/dev/null; echo ran")...)
				r := call{extraFiles: []*os.File{folder}}.run(t, args...)
				if strings.Contains(r.stdout, secret) {
					t.Errorf("%v: the process has the host's folder: %s", flags, r.stdout)
				}
				if !strings.Contains(r.stdout, "ran") {
					refused(t, "exec in "+cwd, r, "process.cwd")
				}
				w.check(cwd)
			}
		}
	}
}

// CVE-2022-29162: capabilities of exec were inheritable, so that a program with file capabilities gained them.
func TestCVE_2022_29162(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	out := c.exec([]string{"--cap", "CAP_SYS_TIME"}, "cat", "/proc/self/status").ok(t).stdout
	want(t, "CapInh", statusField(t, out, "CapInh"), "0000000000000000")
	want(t, "CapAmb", statusField(t, out, "CapAmb"), "0000000000000000")
}

// CVE-2025-31133: masks are made of the container's /dev/null, which is a link to a file to write to, or gone, and
// with it the masks.
func TestCVE_2025_31133(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "the fix")
	for name, null := range map[string]string{"link to core_pattern": "/proc/sys/kernel/core_pattern", "link to a file": "/etc/passwd", "missing": ""} {
		c := newContainer(t)
		dev := volume(t, c, map[string]string{"random": ""})
		if null != "" {
			symlink(t, null, filepath.Join(dev, "null"))
		}
		c.reconfigure(ownDev, bindAt(dev, "/dev"), withLinux(func(l *specs.Linux) { l.MaskedPaths = []string{"/etc/group", "/proc/keys"} }),
			withScript("for f in /etc/group /proc/keys; do stat -c '%F %t:%T' $f; wc -c < $f; done; wc -l < /etc/passwd; grep -c ' /proc/sys/kernel' /proc/self/mounts"))
		r := c.run()
		want(t, name+": the masks", r.stdout, "character special file 1:3\n0\ncharacter special file 1:3\n0\n2\n0\n")
	}
}

// CVE-2025-52565: the terminal is mounted on /dev/console, which is a link to a file that is then not read-only or
// masked any more.
func TestCVE_2025_52565(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "the fix")
	for _, link := range []string{"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/etc/group", "/proc/self/fd/0", "console", "/sys/kernel"} {
		c := newContainer(t, withTerminal(), withScript("for f in /etc/group /proc/sys/kernel/core_pattern; do [ -c $f ] && echo moved to $f; done; tty; echo ran"),
			func(s *specs.Spec) {
				s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev" })
			})
		symlink(t, link, filepath.Join(c.rootfs, "dev/console"))
		term := newTerminal(t, 24, 80)
		r := term.start(c.args(c.command("run", nil)...)...).wait(t)
		waitFor(t, "the last word", func() bool { return r.code != 0 || strings.Contains(term.shown(), "ran") })
		if shown := term.shown(); r.code != 0 || !strings.Contains(shown, "ran") || strings.Contains(shown, "moved") {
			t.Errorf("link to %s: exit code %d, shown: %s", link, r.code, shown)
		}
		if to, err := os.Readlink(filepath.Join(c.rootfs, "dev/console")); err != nil || to != link {
			t.Errorf("link to %s is now %s, %v", link, to, err)
		}
	}
}

// CVE-2025-52881: what is written to /proc is sent to another file, by links or mounts in a /proc that is not, or not
// only, the kernel's.
func TestCVE_2025_52881(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	w := newCanary(t, c)
	proc := volume(t, c, fakeProc())
	for _, name := range []string{"2/oom_score_adj", "sys/net/ipv4/conf"} {
		symlink(t, w.folder+"/file", filepath.Join(proc, name))
	}
	c.reconfigure(withProcInUse(), inPlaceOfProc(proc), withSleep())
	checkProcWrites(t, c, proc)
	w.check("links in /proc")
	c.delete("--force").ok(t)

	// A true procfs in the rootfs, with another file mounted on the one that is written.
	inner := filepath.Join(c.rootfs, "proc")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", inner, "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(inner, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"sys/net/ipv4/ip_forward", "self/oom_score_adj"} {
		if err := unix.Mount(w.folder+"/file", filepath.Join(inner, name), "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	c.reconfigure(withProcInUse(), withSleep(), func(s *specs.Spec) { s.Mounts = s.Mounts[1:]; s.Linux.MaskedPaths = nil })
	checkProcWrites(t, c, proc)
	w.check("a mount in /proc")
}

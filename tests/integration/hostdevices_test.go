package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The host's devices are nobody's to give away: neither set-up nor what a container may do with its masks, devices and
// standard descriptors changes their owner or mode.

// hostDevices makes nodes as the host has them in /dev, where a failing test does no harm.
func hostDevices(t *testing.T, c *container) map[string]string {
	t.Helper()
	folder := filepath.Join(filepath.Dir(c.bundle), "devices")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	// systemd mounts /tmp nodev, and there the nodes would not open.
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	nodes := map[string]string{}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7} {
		nodes[name] = filepath.Join(folder, name)
		if err := unix.Mknod(nodes[name], unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(nodes[name], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// inodeState is all about a file that a chown or chmod leaves its mark on.
func inodeState(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("owner %d:%d mode %o changed %d.%09d", st.Uid, st.Gid, st.Mode, st.Ctim.Sec, st.Ctim.Nsec)
}

// onNodes is a call with the node as standard input, and another as output and error.
func onNodes(t *testing.T, stdin, stdout string) call {
	t.Helper()
	in, err := os.OpenFile(stdin, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(stdout, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return call{stdin: in, stdout: out}
}

func withUser(uid, gid uint32) option {
	return withProcess(func(p *specs.Process) { p.User = specs.User{UID: uid, GID: gid} })
}

// inUserns maps the ids of a user namespace to the same of the host: its root has power over what root owns there.
func inUserns(s *specs.Spec) {
	withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace})(s)
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

// An image that starts with a chown of /dev/stdout, as many do, has its own /dev/null there, and not the host's.
func TestStandardNullIsTheContainers(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "it in exec, where the host's stays")
	const script = "chown 77:88 /dev/stdin /dev/stderr; chmod 600 /dev/stdin /dev/stderr; stat -L -c %t:%T:%u /dev/stdin /dev/stderr >> /report; echo x >&2; head -c 1 /dev/stdin"
	dev := func(name, link string, minor uint32) option {
		return func(s *specs.Spec) {
			ownDev(s)
			folder := t.TempDir()
			var err error
			switch {
			case link != "":
				err = os.Symlink(link, folder+"/"+name)
			case name != "":
				err = unix.Mknod(folder+"/"+name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor)))
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, to := range []string{"stdin", "stdout", "stderr"} {
				if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", i), folder+"/"+to); err != nil {
					t.Fatal(err)
				}
			}
			bindAt(folder, "/dev")(s)
		}
	}
	for _, k := range []struct {
		name string
		spec option
		want string
	}{
		{"usual", func(*specs.Spec) {}, "1:3:77\n"},
		{"user namespace", inUserns, "1:3:0\n"},
		{"a user", withUser(77, 88), "1:3:0\n"},
		{"a /dev without null", dev("", "", 0), "1:3:77\n"},
		{"null is a link to the standard input", dev("null", "/proc/self/fd/0", 0), "1:3:77\n"},
		{"null is another device", dev("null", "", 5), "1:3:77\n"},
		{"the volume's null", dev("null", "", 3), "1:3:77\n"},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := newContainer(t, withScript(script+"; echo ready >> /report; exec sleep 600"), k.spec)
			report := c.writeFile("report", "", 0o666)
			if err := os.Chmod(report, 0o666); err != nil {
				t.Fatal(err)
			}
			nodes := hostDevices(t, c)
			before := inodeState(t, nodes["null"])
			null := onNodes(t, nodes["null"], nodes["null"])
			want(t, "exit code of create", null.run(t, c.args(c.command("create", nil)...)...).code, 0)
			c.start().ok(t)
			read := func() string {
				text, err := os.ReadFile(report)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			waitFor(t, "the script's end", func() bool { return strings.Contains(read(), "ready") })
			want(t, "the host's null", inodeState(t, nodes["null"]), before)
			want(t, "exit code of exec", null.run(t, c.args(c.execArgs(nil, "/bin/sh", "-c", script)...)...).code, 0)
			want(t, "the host's null after exec", inodeState(t, nodes["null"]), before)
			want(t, "what the container has", read(), k.want+k.want+"ready\n"+k.want+k.want)
		})
	}
}

// A process that is not root gets its standard descriptors, so that it can open /dev/stdout, but no device.
func TestStandardDevicesAreNotGivenAway(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "it: whatever is not null is given to the user")
	for _, option := range []option{withUser(77, 88), func(s *specs.Spec) { inUserns(s); withUser(77, 88)(s) }} {
		c := newContainer(t, option)
		nodes := hostDevices(t, c)
		before := inodeState(t, nodes["zero"]) + inodeState(t, nodes["full"])
		onNodes(t, nodes["zero"], nodes["full"]).run(t, c.args(c.command("run", nil)...)...).ok(t)
		want(t, "the host's devices", inodeState(t, nodes["zero"])+inodeState(t, nodes["full"]), before)
		log := filepath.Join(filepath.Dir(c.bundle), "log")
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c.oci("delete", "--force", c.id)
		onNodes(t, nodes["zero"], log).run(t, c.args(c.command("run", nil)...)...).ok(t)
		wantContains(t, "a file", inodeState(t, log), "owner 77:0 mode 100600")
	}
}

// Masked files are the host's /dev/null, and where no device can be made, so are those of /dev: the container may write
// to them, and not change whose they are.
func TestHostNullKeepsItsOwner(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "it: it makes masks of the container's own /dev/null")
	caps := withCapabilities("CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID")
	script := func(files string) option {
		return withScript("for f in " + files + "; do for change in 'chown 0:0' 'chmod 666' 'touch -d @1'; do $change $f 2>/dev/null && echo $change $f; done; done; " +
			"for f in " + files + "; do echo x > $f || echo cannot write to $f; wc -c < $f; done | sort -u; echo ran")
	}
	masks := withLinux(func(l *specs.Linux) { l.MaskedPaths = []string{"/proc/keys", "/proc/timer_list", "/etc/group"} })
	c := newContainer(t, caps, masks, script("/proc/keys /proc/timer_list /etc/group"))
	want(t, "masked files", c.run().ok(t).stdout, "0\nran\n")
	c.reconfigure(caps, masks, inUserns, script("/proc/keys /proc/timer_list /etc/group /dev/null"))
	want(t, "in a user namespace", c.run().ok(t).stdout, "0\nran\n")
}

// Masked and read-only paths are so on a kernel without mount_setattr(2) too (before 5.12).
func TestMasksOnOldKernel(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "mount_setattr(2)") // which it does not know: it is the old way itself
	c := newContainer(t, withCapabilities("CAP_FOWNER", "CAP_SYS_ADMIN"), withLinux(func(l *specs.Linux) {
		l.MaskedPaths = []string{"/proc/keys", "/proc/timer_list", "/bin"}
		l.ReadonlyPaths = []string{"/proc/sys", "/etc/group"}
	}), withArgs("/busybox", "sh", "-c", "for f in /proc/keys /proc/timer_list; do /busybox chmod 666 $f; done; echo x > /etc/group; "+
		"echo x > /proc/sys/kernel/domainname; /busybox ls /bin; echo ran"))
	if err := os.Rename(filepath.Join(c.rootfs, "bin/busybox"), filepath.Join(c.rootfs, "busybox")); err != nil {
		t.Fatal(err)
	}
	r := call{noSyscall: unix.SYS_MOUNT_SETATTR}.run(t, c.args(c.command("run", nil)...)...).ok(t)
	want(t, "standard output", r.stdout, "ran\n")
	want(t, "refusals", strings.Count(r.stderr, "Read-only file system"), 4)
}

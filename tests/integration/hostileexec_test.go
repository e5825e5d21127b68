package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tricks of hostile_test.go where the terminal is set up, where exec goes in a container that has had time to
// prepare, and where the program is found.

// The terminal of a container whose image's own /dev is used, each trick at each path that it touches.
func TestHostileTerminal(t *testing.T) {
	newerThanReference(t, "links that are not followed")
	for i, at := range []string{"dev/console", "dev/pts", "dev/ptmx", "dev/tty"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withTerminal(), withScript("[ -t 0 ] && cat /dev/console/file /dev/pts/file 2>/dev/null; echo ran"), func(s *specs.Spec) {
				s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev" || m.Destination == "/dev/shm" })
			})
			w := newCanary(t, c)
			path := filepath.Join(c.rootfs, at)
			for _, k := range thinned(tricks(), i) {
				clearPath(t, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := k.plant(w, path); err != nil {
					t.Fatal(err)
				}
				term := newTerminal(t, 24, 80)
				r := term.start(c.args(c.command("run", nil)...)...).wait(t)
				what := at + " is a " + k.name
				w.check(what)
				waitFor(t, "some words", func() bool { return strings.Contains(term.shown(), "\n") })
				shown := term.shown()
				if strings.Contains(shown, secret) {
					t.Errorf("%s: the secret is shown: %s", what, shown)
				}
				if r.code == 0 {
					term.waitShown("ran\n")
				}
				if r.code != 0 && (strings.Count(strings.TrimSpace(shown), "\n") != 0 || !strings.HasPrefix(shown, "berth: ")) {
					t.Errorf("%s: not one line: %q", what, shown)
				}
				clearPath(t, path)
			}
		})
	}
}

// What exec touches in a container that runs: its working folder, passwd, the null and the terminal's folder.
func TestHostileExec(t *testing.T) {
	newerThanReference(t, "FIFOs that are not waited for")
	for i, k := range tricks() {
		if k.name == "mount" {
			continue // another mount namespace's; the container's own are set-up's business
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			c, state := sleeping(t)
			w := newCanary(t, c)
			for _, at := range thinned([]string{"etc/passwd", "work", "dev/null", "dev/pts", "etc", "dev"}, i) {
				path := filepath.Join(fmt.Sprintf("/proc/%d/root", state.Pid), at)
				for unix.Unmount(path, unix.MNT_DETACH) == nil {
				}
				if err := os.Rename(path, path+".was"); err != nil && !os.IsNotExist(err) {
					if at == "dev" || at == "dev/pts" { // a mount of the container's
						continue
					}
					t.Fatal(err)
				}
				if err := k.plant(w, path); err != nil {
					t.Fatal(err)
				}
				for _, flags := range [][]string{{"--cwd", "/work"}, {"--cwd", "/work/deep"}, {"--cwd", "/", "--user", "1000"}} {
					if strings.HasPrefix(at, "dev") { // where the container's null is looked for
						onNodes(t, os.DevNull, os.DevNull).run(t, c.args(c.execArgs(flags, "/bin/sh", "-c", "echo ran")...)...)
					}
					r := c.exec(flags, "/bin/sh", "-c", "for f in /etc/passwd file; do [ -f $f ] && timeout -s KILL 5 cat $f 2>&1; done; echo ran")
					w.check(fmt.Sprintf("%s is a %s, %v", at, k.name, flags))
					if strings.Contains(r.stdout+r.stderr, secret) {
						t.Errorf("%s: the secret is shown", at)
					}
					if !strings.Contains(r.stdout, "ran") && (strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "berth: ")) {
						t.Errorf("%s is a %s, %v: neither ran nor one line: %q", at, k.name, flags, r.stderr)
					}
				}
			}
		})
	}
}

// CVE-2024-21626 again: the program, or its interpreter, is named by way of a descriptor that is open while it is
// executed. No way leads to a program of the host's.
func TestProgramThroughDescriptor(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "the fix")
	c := newContainer(t)
	w := newCanary(t, c)
	program := filepath.Join(w.folder, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho pwned\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.before = w.look()
	up := strings.Repeat("../", 30) + strings.TrimPrefix(program, "/")
	source := filepath.Join(filepath.Dir(c.bundle), "canary/folder")
	for i, option := range []option{func(*specs.Spec) {}, inUserns, withMounts(specs.Mount{Destination: "/data", Source: source, Options: []string{"bind"}})} {
		for fd := i; fd < 20; fd += stride() {
			symlink(t, fmt.Sprintf("/proc/self/fd/%d/%s", fd, up), filepath.Join(c.rootfs, "bin/linked"))
			c.writeFile("bin/script", fmt.Sprintf("#!/proc/self/fd/%d/%s\n", fd, up), 0o755)
			for _, args := range [][]string{{fmt.Sprintf("/proc/self/fd/%d/%s", fd, up)}, {"/bin/linked"}, {"/bin/script"}} {
				c.reconfigure(option, withArgs(args...))
				r := c.run()
				if r.code == 0 || strings.Contains(r.stdout, "pwned") {
					t.Errorf("%q ran: exit code %d, %s", args, r.code, r.stdout)
				}
			}
		}
	}
	w.check("programs")
}

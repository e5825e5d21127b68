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

// The published attacks, continued: those about rights that a container gets and was not to have, and those on other
// runtimes than runc.

// CVE-2021-43784: a configuration whose mounts, or mappings, are longer than a length field of the message to the
// process in the container wrote fields of its own into that message.
func TestCVE_2021_43784(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	long := strings.Repeat("x", 200)
	mounts := func(n int) option {
		return func(s *specs.Spec) {
			for i := range n {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: fmt.Sprintf("/%s/%d", long, i), Source: "/etc/hostname", Type: "bind", Options: []string{"bind", "ro"}})
			}
		}
	}
	c.reconfigure(mounts(400), withScript("grep -c xxx /proc/self/mountinfo"))
	want(t, "mounts of 80 KB of names", strings.TrimSpace(c.run().ok(t).stdout), "400")
}

// CVE-2022-27650, crun's part of CVE-2022-29162: without process.capabilities.inheritable nothing is inheritable, so a
// program with inheritable file capabilities gains none.
func TestCVE_2022_27650(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("cat", "/proc/self/status"))
	out := c.run().ok(t).stdout
	want(t, "CapInh", statusField(t, out, "CapInh"), "0000000000000000")
	want(t, "CapAmb", statusField(t, out, "CapAmb"), "0000000000000000")
}

// CVE-2023-25809: without a cgroup namespace of its own a rootless container had the cgroups of who started it
// writable, where /sys/fs/cgroup is mounted read-only, and where /sys is an rbind mount with ro.
func TestCVE_2023_25809(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "it where /sys is bound: what is below stays writable")
	all := withCapabilities("CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER")
	name := "made-by-" + host.token
	// No such file: a cgroup of another test's that ended meanwhile.
	script := withScript("cd /sys/fs/cgroup && for d in . *; do mkdir $d/" + name + " 2>&1; echo 1 2>/dev/null > $d/cgroup.procs && echo wrote $d; done | grep -v -i -e read-only -e 'not a dir' -e nonexistent -e 'no such file'; echo ran")
	withoutSys := func(s *specs.Spec) { s.Mounts = s.Mounts[:4] }
	for what, mounts := range map[string]option{
		"cgroup": withMounts(specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro"}},
			specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}),
		"rbind": withMounts(specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}),
	} {
		c := newContainer(t, all, inUserns, withoutSys, mounts, script)
		want(t, what, c.run().ok(t).stdout, "ran\n")
		made, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
		if err != nil || len(made) > 0 {
			t.Errorf("%s: on the host: %q, %v", what, made, err)
			for _, folder := range made {
				_ = unix.Rmdir(folder)
			}
		}
	}
}

// CVE-2025-24965, of crun: for containers in a virtual machine (the krun handler) it wrote the configuration to
// /.krun_config.json in the rootfs, where that led. berth knows no such handler and writes no such file.
func TestCVE_2025_24965(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo ran"), func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.handler": "krun"} })
	w := newCanary(t, c)
	for _, target := range []string{w.folder + "/file", w.folder + "/missing", strings.Repeat("../", 30) + w.folder + "/missing"} {
		for _, name := range []string{".krun_config.json", "krun-sev.json", ".krun_vm.json"} {
			symlink(t, target, filepath.Join(c.rootfs, name))
		}
		r := c.run()
		want(t, "output", r.stdout, "ran\n")
		w.check("link to " + target)
	}
}

// CVE-2025-54867, of youki: /proc or /sys of the image was a link, and what was mounted lay where it led; runc's
// CVE-2019-19921 once more. The links go out of the rootfs here.
func TestCVE_2025_54867(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"proc", "sys"} {
		c := newContainer(t)
		w := newCanary(t, c)
		for _, target := range []string{w.folder + "/" + name, strings.Repeat("../", 30) + w.folder, "/proc/self/root", "../" + name} {
			symlink(t, target, filepath.Join(c.rootfs, name))
			refused(t, name+" to "+target, c.run(), "(/"+name+")")
			w.check(name + " to " + target)
		}
	}
}

// CVE-2026-30892, of crun: exec --user 1 was user 0.
func TestCVE_2026_30892(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	for user, ids := range map[string]string{"1": "1:0", "1:1": "1:1", "0": "0:0", "01": "1:0", "10": "10:0", "1000": "1000:0", "2147483647:7": "2147483647:7"} {
		want(t, "--user "+user, c.execScript("echo $(id -u):$(id -g)", "--user", user).ok(t).stdout, ids+"\n")
	}
	if !isBerth() {
		return // the reference takes "+1", and 4294967296 for 0
	}
	// What is no number in full is not taken for a part of one, nor for root.
	for _, user := range []string{"", " 1", "1 ", "-1", "+1", "1x", "0x0", "4294967295", "4294967296", "1:", ":1", "1:-1", "18446744073709551616"} {
		r := c.execScript("echo $(id -u):$(id -g)", "--user", user)
		if r.code == 0 && !(user == "" && r.stdout == "0:0\n") {
			t.Errorf("--user %q: accepted, and is %s", user, r.stdout)
		}
	}
}

// CVE-2026-41579 (crun's is CVE-2026-47766): /dev of the image is a link to a folder of the host's, where ptmx was
// removed and the device links were made.
func TestCVE_2026_41579(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "the fix")
	c := newContainer(t)
	w := newCanary(t, c)
	ptmx := filepath.Join(w.folder, "dev/ptmx")
	if err := os.WriteFile(ptmx, []byte("the host's\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	w.before = w.look()
	for _, target := range []string{w.folder + "/dev", strings.Repeat("../", 30) + w.folder + "/dev", "/proc/1/root" + w.folder + "/dev"} {
		for name, spec := range map[string]option{"the image's /dev": ownDev, "a tmpfs": func(*specs.Spec) {}, "devpts alone": func(s *specs.Spec) {
			ownDev(s)
			withMounts(specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance"}})(s)
		}} {
			symlink(t, target, filepath.Join(c.rootfs, "dev"))
			c.reconfigure(spec, withScript("echo ran"))
			r := c.run()
			w.check(name + ", link to " + target)
			if r.code != 0 {
				refused(t, name+", link to "+target, r, "/dev")
			}
			for _, command := range [][]string{{"create", "--bundle", c.bundle, c.id}, {"start", c.id}, {"delete", "--force", c.id}} {
				c.oci(command...)
				w.check(name + ", " + command[0])
			}
		}
	}
}

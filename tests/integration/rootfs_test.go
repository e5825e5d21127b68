package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// root.path may be relative to the bundle, absolute, or a symlink to a folder.
func TestRootPath(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"relative", "absolute", "symlink", "with .."} {
		if kind == "symlink" && !isBerth() {
			continue // runc takes a folder only
		}
		c := newContainer(t)
		path := "rootfs"
		switch kind {
		case "absolute":
			path = c.rootfs
		case "symlink":
			path = "link"
			if err := os.Symlink("rootfs", filepath.Join(c.bundle, path)); err != nil {
				t.Fatal(err)
			}
		case "with ..":
			path = "../bundle/./rootfs"
		}
		spec := baseSpec(c.id)
		spec.Root.Path = path
		withScript("cat /marker; cd ..; pwd; ls -d /bundle /../state 2>/dev/null")(spec)
		c.writeConfig(spec)
		c.writeFile("marker", kind+"\n", 0o644)
		r := c.run()
		want(t, "output", r.stdout, kind+"\n/\n")
	}
}

// A read-only root cannot be written, mounts on it can; mount points that are missing are made all the same.
func TestReadonlyRoot(t *testing.T) {
	t.Parallel()
	c := newContainer(t, func(s *specs.Spec) { s.Root.Readonly = true },
		withMounts(specs.Mount{Destination: "/made/for/it", Type: "tmpfs", Source: "tmpfs"}),
		withScript(`touch /file 2>&1; mkdir /dir 2>&1; touch /made/for/it/file /dev/shm/file && echo written; cat /proc/self/mountinfo`))
	out := c.run().ok(t).stdout
	want(t, "refused writes", strings.Count(out, "Read-only file system"), 2)
	wantContains(t, "output", out, "\nwritten\n")
	root := mountAt(t, parseMountinfo(out), "/")
	want(t, "option ro of /", root.has("ro"), true)
}

// The root is writable where the config does not say otherwise, and what is written stays in the bundle.
func TestWritableRoot(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo text > /file"))
	c.run().ok(t)
	text, err := os.ReadFile(filepath.Join(c.rootfs, "file"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "file", string(text), "text\n")
}

// Nothing of the host's mounts is left in the container: its root has no parent to go back to, with pivot_root and
// without.
func TestHostMountsAreGone(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--no-pivot"}} {
		c := newContainer(t, withScript("cat /proc/self/mountinfo; ls -a /; ls -di / /.. /../.."))
		r := c.run(flags...).ok(t)
		if strings.Contains(r.stdout, host.scratch+"/") && strings.Contains(r.stdout, "/state") {
			t.Errorf("flags %v: the state folder is visible:\n%s", flags, r.stdout)
		}
		for _, m := range parseMountinfo(r.stdout) {
			if strings.HasPrefix(m.target, "/run/") || m.fstype == "cgroup" || strings.Contains(m.target, host.scratch) {
				t.Errorf("flags %v: a mount of the host's is left: %s", flags, m.target)
			}
		}
		var inodes []string
		for line := range strings.Lines(r.stdout) {
			if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[1], "/") {
				inodes = append(inodes, fields[0])
			}
		}
		if len(inodes) != 3 || inodes[0] != inodes[1] || inodes[1] != inodes[2] {
			t.Errorf("flags %v: inodes of /, /.., /../..: %v", flags, inodes)
		}
	}
}

// Without pivot_root the host's procfs and sysfs must not stay in the mount namespace: as long as they do, whoever makes
// a user namespace may mount their own, without masks. The host's stay where they are, shared or not.
func TestNoPivotKernelMounts(t *testing.T) {
	t.Parallel()
	for _, propagation := range []string{"", "rshared"} {
		t.Run(propagation, func(t *testing.T) {
			t.Parallel()
			if propagation != "" {
				newerThanReference(t, "a root that is shared: it is left private, or refused")
			}
			c := newContainer(t, withScript("busybox unshare -Urmpf busybox sh -c 'echo inside; mount -t proc proc /proc && echo procfs; mount -t sysfs sysfs /sys && echo sysfs'; true"), withUser(1000, 1000),
				withLinux(func(l *specs.Linux) { l.RootfsPropagation = propagation }))
			before, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			want(t, "output", c.run("--no-pivot").ok(t).stdout, "inside\n")
			after, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(before)) {
				fields := strings.Fields(line)
				if (strings.HasPrefix(fields[4], "/proc") || strings.HasPrefix(fields[4], "/sys")) && !strings.Contains(string(after), line) {
					t.Errorf("a mount of the host's is gone: %s", line)
				}
			}
		})
	}
}

// rootfsPropagation is the propagation type of the container's root.
func TestRootfsPropagation(t *testing.T) {
	t.Parallel()
	for value, wanted := range map[string][]string{
		"":         {"private", "slave"}, // the default: never shared with the host
		"private":  {"private"},
		"rprivate": {"private"},
		"slave":    {"slave"},
		"rslave":   {"slave"},
		// It is shared with mounts inside; that it gets no events from the host's mounts is the next test's.
		"shared":     {"shared", "shared+slave"},
		"rshared":    {"shared", "shared+slave"},
		"unbindable": {"unbindable"},
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			if strings.HasSuffix(value, "shared") || value == "unbindable" {
				newerThanReference(t, "a root that is shared or unbindable: it is left private, or refused")
			}
			c := newContainer(t, withArgs("cat", "/proc/self/mountinfo"), withLinux(func(l *specs.Linux) { l.RootfsPropagation = value }))
			got := mountAt(t, parseMountinfo(c.run().ok(t).stdout), "/").propagation()
			if !strings.Contains("|"+strings.Join(wanted, "|")+"|", "|"+got+"|") {
				t.Errorf("propagation of /: %s, want one of %v", got, wanted)
			}
		})
	}
}

// A mount that the container makes on a shared root does not appear on the host.
func TestSharedRootKeepsMountsInside(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t, withCapabilities("CAP_SYS_ADMIN"), withLinux(func(l *specs.Linux) { l.RootfsPropagation = "shared" }),
		withScript("mkdir -p /mnt && mount -t tmpfs inner /mnt && echo ready; exec sleep 600"))
	c.startSleeping()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parseMountinfo(string(text)) {
		if m.source == "inner" {
			t.Errorf("the container's mount is on the host at %s", m.target)
		}
	}
}

// An unknown rootfsPropagation is refused with the field.
func TestBadRootfsPropagation(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t, withLinux(func(l *specs.Linux) { l.RootfsPropagation = "sometimes" }))
	r := c.run().exits(t, 1)
	if isBerth() {
		wantContains(t, "error", r.stderr, "linux.rootfsPropagation", "sometimes")
	}
}

// Masked files read as empty, masked folders are empty, neither can be written; what does not exist is passed over.
func TestMaskedPaths(t *testing.T) {
	t.Parallel()
	c := newContainer(t,
		withLinux(func(l *specs.Linux) {
			l.MaskedPaths = []string{"/secret/file", "/secret/folder", "/no/such/path", "/proc/keys", "/sys/firmware"}
		}),
		withScript(`wc -c < /secret/file; ls -A /secret/folder | wc -l; wc -c < /proc/keys; ls -A /sys/firmware | wc -l
			touch /secret/folder/new 2>&1; ls /no 2>&1; cat /secret/beside`))
	c.writeFile("secret/file", "a secret", 0o644)
	c.writeFile("secret/folder/file", "a secret", 0o644)
	c.writeFile("secret/beside", "no secret\n", 0o644)
	out := c.run().ok(t).stdout
	lines := strings.Split(out, "\n")
	want(t, "sizes", strings.Join(lines[:4], " "), "0 0 0 0")
	wantContains(t, "output", out, "Read-only file system", "No such file or directory", "no secret\n")
	text, err := os.ReadFile(filepath.Join(c.rootfs, "secret/file"))
	if err != nil || string(text) != "a secret" {
		t.Errorf("the masked file in the bundle: %q, %v", text, err)
	}
}

// Read-only paths can be read and not written; their other mount flags stay; what does not exist is passed over.
func TestReadonlyPaths(t *testing.T) {
	t.Parallel()
	c := newContainer(t,
		withLinux(func(l *specs.Linux) {
			l.ReadonlyPaths = []string{"/data", "/one-file", "/no/such/path", "/proc/sys", "/dev/shm"}
		}),
		withScript(`cat /data/file /one-file; echo x 2>&1 > /data/file; echo x 2>&1 > /one-file; touch /data/new 2>&1
			echo 1 2>&1 > /proc/sys/net/ipv4/ip_forward; cat /proc/self/mountinfo`))
	c.writeFile("data/file", "text\n", 0o644)
	c.writeFile("one-file", "one\n", 0o644)
	r := c.run().ok(t)
	wantContains(t, "output", r.stdout, "text\none\n")
	want(t, "refused writes", strings.Count(r.stdout+r.stderr, "Read-only file system"), 4)
	mounts := parseMountinfo(r.stdout)
	for _, path := range []string{"/data", "/one-file", "/proc/sys", "/dev/shm"} {
		want(t, "option ro of "+path, mountAt(t, mounts, path).has("ro"), true)
	}
	for _, option := range []string{"nosuid", "nodev", "noexec"} {
		want(t, "option "+option+" of /dev/shm", mountAt(t, mounts, "/dev/shm").has(option), true)
	}
}

// A relative path where the runtime-spec wants an absolute one is taken from the container's root, as runc does; berth
// warns of it with its place in the config.
func TestRelativePathsInTheConfig(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withLinux(func(l *specs.Linux) {
		l.MaskedPaths, l.ReadonlyPaths = []string{"secret"}, []string{"data"}
	}), withScript("cat /secret; touch /data/new 2>&1; exit 0"))
	c.writeFile("secret", "a secret", 0o644)
	c.writeFile("data/file", "", 0o644)
	r := c.run().ok(t)
	if isBerth() {
		want(t, "output", r.stdout, "touch: /data/new: Read-only file system\n")
		wantContains(t, "warnings", r.stderr, "linux.maskedPaths[0]", "linux.readonlyPaths[0]")
	}
}

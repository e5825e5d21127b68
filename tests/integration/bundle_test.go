package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// option changes the base configuration of a test's bundle.
type option func(*specs.Spec)

// defaultCgroupsPath is a linux.cgroupsPath of the form that the cgroup driver takes.
func defaultCgroupsPath(id string) string {
	if host.systemd {
		return "system.slice::" + id
	}
	return "/" + id
}

// baseSpec is a configuration as engines write it: usual mounts, new namespaces, few capabilities, a cgroup of the
// container's own name. Its process succeeds at once.
func baseSpec(id string) *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version:  "1.0.2",
		Hostname: "inside",
		Process: &specs.Process{
			Args:            []string{"/bin/true"},
			Env:             []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=xterm"},
			Cwd:             "/",
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Root: &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs",
				Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
				Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
				Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: defaultCgroupsPath(id),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
			},
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func withArgs(args ...string) option {
	return func(s *specs.Spec) { s.Process.Args = args }
}

// withScript makes the process a shell that runs the text.
func withScript(text string) option {
	return withArgs("/bin/sh", "-c", text)
}

// withReport makes the process print each command's output under its name, which section reads.
func withReport(commands map[string]string) option {
	var script strings.Builder
	for name, command := range commands {
		fmt.Fprintf(&script, "echo '== %s =='\n%s\n", name, command)
	}
	return withScript(script.String())
}

// withSleep makes the process say ready and wait to be killed.
func withSleep() option {
	return withScript("echo ready; exec sleep 600")
}

func withEnv(env ...string) option {
	return func(s *specs.Spec) { s.Process.Env = env }
}

func withMounts(mounts ...specs.Mount) option {
	return func(s *specs.Spec) { s.Mounts = append(s.Mounts, mounts...) }
}

func withProcess(change func(*specs.Process)) option {
	return func(s *specs.Spec) { change(s.Process) }
}

func withLinux(change func(*specs.Linux)) option {
	return func(s *specs.Spec) { change(s.Linux) }
}

// withNamespace adds a namespace, or replaces the one of its type.
func withNamespace(namespace specs.LinuxNamespace) option {
	return func(s *specs.Spec) {
		withoutNamespace(namespace.Type)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, namespace)
	}
}

// withoutNamespace leaves the container in the host's namespace of that type.
func withoutNamespace(kind specs.LinuxNamespaceType) option {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces,
			func(n specs.LinuxNamespace) bool { return n.Type == kind })
	}
}

// withCapabilities sets the three sets that root needs.
func withCapabilities(names ...string) option {
	return withProcess(func(p *specs.Process) {
		p.Capabilities = &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names}
	})
}

// busybox reads the host's static busybox, once.
var busybox = sync.OnceValue(func() []byte {
	path, err := exec.LookPath("busybox")
	if err != nil {
		panic("busybox (Debian's busybox-static) is missing: make deps-integration")
	}
	program, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return program
})

// applets are those of busybox that a rootfs has as programs. Not all: hundreds of links in each of a thousand rootfs took
// five times the processor time of the runtime under test.
const applets = `[ ash cat chgrp chmod chown cp cut dd echo env expr fallocate false find free grep head hostname httpd id
	ip kill ln ls mkdir mkfifo mknod mktemp mount mv nc nproc nsenter od pivot_root printf ps pwd readlink renice rm rmdir
	sed seq setpriv sh sleep sort stat strings stty swapoff sync sysctl tail tar taskset test timeout touch tr true tty
	umount uname unshare wc wget which yes`

// makeRootfs fills a folder as a small image would: busybox as the applets that the tests use, a few users, no mount points.
func makeRootfs(t *testing.T, folder string) {
	t.Helper()
	for _, d := range []string{"bin", "etc", "root", "home/alice"} {
		if err := os.MkdirAll(filepath.Join(folder, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// MkdirAll's mode is subject to the umask, and 1777 is not a mode that it takes.
	if err := os.Mkdir(filepath.Join(folder, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(folder, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	// Not as the file on the host is: Debian's may be run by root only.
	if err := os.WriteFile(filepath.Join(folder, "bin/busybox"), busybox(), 0o755); err != nil {
		t.Fatal(err)
	}
	// One symbolic link by all their names: a new inode is what costs.
	first := ""
	for applet := range strings.FieldsSeq(applets) {
		path, err := filepath.Join(folder, "bin", applet), error(nil)
		if first == "" {
			first, err = path, os.Symlink("busybox", path)
		} else {
			err = os.Link(first, path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n",
		"etc/group":  "root:x:0:\ntty:x:5:\nalice:x:1000:\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// writeFile puts a file into the rootfs, its folders as needed.
func (c *container) writeFile(path, text string, mode os.FileMode) string {
	c.t.Helper()
	full := filepath.Join(c.rootfs, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		c.t.Fatal(err)
	}
	return full
}

// ptr is for the optional numbers of specs.
func ptr[T any](value T) *T { return &value }

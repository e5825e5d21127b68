package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// An open TCP connection is kept where that is asked for, however the network is locked meanwhile; or closed.
func TestCRIUTCP(t *testing.T) {
	needsCRIU(t)
	c := newContainer(t, withScript(`exec </dev/null >/errors 2>&1
		nc -l -p 77 -e cat & sleep 1
		n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done | nc 127.0.0.1 77 >/count; echo ended >/ended; sleep 600`))
	c.startCounting()
	c.refused("--tcp-established")
	for _, lock := range []string{"", "iptables", "nftables", "skip"} {
		flags := []string{"--tcp-established", "--tcp-skip-in-flight"}
		if lock != "" {
			flags = append(flags, "--network-lock", lock)
		}
		before := c.counted()
		c.checkpointed(flags, []string{"--tcp-established"})
		waitFor(t, "the connection goes on after the lock "+lock, func() bool { return c.counted() > before+3 })
	}
	c.checkpointed([]string{"--tcp-established"}, []string{"--tcp-close"})
	waitFor(t, "the connection ends", func() bool {
		_, err := os.Stat(filepath.Join(c.rootfs, "ended"))
		return err == nil
	})
	c.delete("--force").ok(t)
}

// freePort is a port of the loopback device that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Memory goes to a page server, on top of a pre-dump's, and pages that are there twice are dropped.
func TestCRIUPageServer(t *testing.T) {
	needsCRIU(t)
	images := t.TempDir()
	first, second := filepath.Join(images, "first"), filepath.Join(images, "second")
	for _, folder := range []string{first, second} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	server := func(folder string, flags ...string) (string, *running) {
		port := freePort(t)
		criu := call{program: "criu"}.start(t, append([]string{"page-server", "--images-dir", folder, "--address", "127.0.0.1", "--port", port}, flags...)...)
		waitFor(t, "the page server", func() bool {
			text, err := os.ReadFile("/proc/net/tcp")
			n, _ := strconv.Atoi(port)
			return err == nil && strings.Contains(string(text), fmt.Sprintf("0100007F:%04X 00000000:0000 0A", n))
		})
		return "127.0.0.1:" + port, criu
	}
	c := newContainer(t, withCount())
	c.startCounting()
	address, criu := server(first)
	c.oci("checkpoint", "--pre-dump", "--page-server", address, "--image-path", first, c.id).ok(t)
	criu.wait(t).ok(t)
	address, criu = server(second, "--prev-images-dir", "../first", "--auto-dedup")
	c.oci("checkpoint", "--parent-path", "../first", "--auto-dedup", "--page-server", address, "--image-path", second, c.id).ok(t)
	criu.wait(t).ok(t)
	before := c.counted()
	c.oci("restore", "--detach", "--image-path", second, "--bundle", c.bundle, c.id).ok(t)
	waitFor(t, "the container counts on", func() bool { return c.counted() > before+3 })
	c.delete("--force").ok(t)
}

// With lazy pages the memory follows when it is asked for: the checkpoint, which tells by --status-fd that it is ready,
// serves it until the restored container has it all.
func TestCRIULazyPages(t *testing.T) {
	needsCRIU(t)
	if _, err := outputOf("criu", "check", "--feature", "uffd-noncoop"); err != nil {
		t.Skipf("the kernel has no userfaultfd for this: %.200s", err)
	}
	images, work := t.TempDir(), t.TempDir()
	c := newContainer(t, withCount())
	c.startCounting()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	port := freePort(t)
	source := c.call()
	source.extraFiles = []*os.File{write}
	dump := source.start(t, c.args("checkpoint", "--lazy-pages", "--page-server", "127.0.0.1:"+port, "--status-fd", "3",
		"--image-path", images, c.id)...)
	write.Close()
	ready := make([]byte, 1)
	if n, err := read.Read(ready); n != 1 || ready[0] != 0 {
		dump.wait(t).ok(t)
		t.Fatalf("status-fd gave %q (%v)", ready[:n], err)
	}
	// The original waits until it is ended; its place is another's.
	other := newContainer(t, withCount())
	text := contentsOf(t, filepath.Join(c.rootfs, "count"))
	other.writeFile("count", text, 0o644)
	before := other.counted()
	pages := call{program: "criu", dir: work}.start(t, "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", port,
		"--images-dir", images, "--work-dir", work)
	waitFor(t, "the lazy-pages daemon", func() bool { _, err := os.Stat(filepath.Join(work, "lazy-pages.socket")); return err == nil })
	other.oci("restore", "--detach", "--lazy-pages", "--image-path", images, "--work-path", work, "--bundle", other.bundle, other.id).ok(t)
	waitFor(t, "the container counts on", func() bool { return other.counted() > before+3 })
	pages.wait(t).ok(t)
	dump.wait(t).ok(t)
	c.oci("state", c.id).exits(t, 1)
	other.delete("--force").ok(t)
}

// A restored process gets another AppArmor profile where one is named.
func TestCRIUAppArmorProfile(t *testing.T) {
	needsCRIU(t)
	profile, other := host.token+"-before", host.token+"-after"
	loadProfile(t, profile)
	loadProfile(t, other)
	c := newContainer(t, withCount(), withProfile(profile))
	c.startCounting()
	c.checkpointed(nil, []string{"--lsm-profile", "apparmor:" + other})
	want(t, "profile", contentsOf(t, fmt.Sprintf("/proc/%d/attr/current", c.state().Pid)), other+" (enforce)\n")
	c.checkpointed(nil, nil)
	want(t, "profile", contentsOf(t, fmt.Sprintf("/proc/%d/attr/current", c.state().Pid)), other+" (enforce)\n")
	c.delete("--force").ok(t)
}

// A process with an SELinux label comes back with it, or not at all: Debian's CRIU is built without SELinux.
func TestCRIUConfinement(t *testing.T) {
	needsCRIU(t)
	if !hasSELinux() {
		t.Skip("SELinux is not enabled here")
	}
	label := knownLabel(t, "system_u:system_r:container_t:s0:c1,c2", "system_u:system_r:getty_t:s0")
	images := t.TempDir()
	c := newContainer(t, withCount(), withProcess(func(p *specs.Process) { p.SelinuxLabel = label }))
	c.startCounting()
	c.oci("checkpoint", "--image-path", images, c.id).ok(t)
	r := c.oci("restore", "--detach", "--image-path", images, "--bundle", c.bundle, c.id)
	if r.code != 0 {
		wantContains(t, "error", r.stderr, "process.selinuxLabel", label)
		c.oci("state", c.id).exits(t, 1)
		return
	}
	want(t, "label", strings.TrimRight(contentsOf(t, fmt.Sprintf("/proc/%d/attr/current", c.state().Pid)), "\x00\n"), label)
	c.delete("--force").ok(t)
}

// CRIU mounts the cgroup hierarchies by itself unless it is told where they are, and by that takes the options of the
// host's cgroup v2 away (see TestHierarchyKeepsOptions).
func TestCheckpointKeepsOptions(t *testing.T) {
	if !isBerth() {
		t.Skip("runc and crun leave it to CRIU")
	}
	needsCRIU(t)
	before := needsUnifiedOptions(t)
	mount := withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
	for _, test := range []struct {
		name    string
		options []option
	}{
		{"no mount", nil},
		{"own cgroup namespace", []option{mount, withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace})}},
		{"host's cgroup namespace", []option{mount}},
	} {
		t.Run(test.name, func(t *testing.T) {
			images := t.TempDir()
			c := newContainer(t, append(test.options, withCount())...)
			c.startCounting()
			c.oci("checkpoint", "--pre-dump", "--image-path", filepath.Join(images, "pre"), c.id).ok(t)
			want(t, "options after a pre-dump", unifiedOptions(t), before)
			c.oci("checkpoint", "--image-path", filepath.Join(images, "whole"), c.id).ok(t)
			want(t, "options after a checkpoint", unifiedOptions(t), before)
			c.oci("restore", "--detach", "--image-path", filepath.Join(images, "whole"), "--bundle", c.bundle, c.id).ok(t)
			want(t, "options after a restore", unifiedOptions(t), before)
			_, err := os.Stat(filepath.Join(c.stateRoot, c.id, "criu-cgroups"))
			want(t, "the folder for CRIU is gone", os.IsNotExist(err), true)
			c.oci("delete", "--force", c.id).ok(t)
		})
	}
}

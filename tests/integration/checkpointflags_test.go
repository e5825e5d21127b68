package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// checkpointed takes a container through a checkpoint and a restore into the background, with flags for each.
func (c *container) checkpointed(checkpoint, restore []string) {
	c.t.Helper()
	images := c.t.TempDir()
	c.oci(append(append([]string{"checkpoint", "--image-path", images}, checkpoint...), c.id)...).ok(c.t)
	c.oci(append(append([]string{"restore", "--detach", "--image-path", images, "--bundle", c.bundle}, restore...), c.id)...).ok(c.t)
	want(c.t, "status", c.state().Status, "running")
}

// refused says what a checkpoint without a flag that it needs gives; the container runs on.
func (c *container) refused(says ...string) {
	c.t.Helper()
	pid, images := c.state().Pid, c.t.TempDir()
	wantContains(c.t, "error", c.oci("checkpoint", "--image-path", images, c.id).exits(c.t, 1).stderr, append(says, "criu failed: ")...)
	s := c.state()
	if s.Status != "running" || s.Pid != pid {
		c.t.Errorf("after a checkpoint that failed the container is %s with pid %d, not running with %d; CRIU's log:\n%s",
			s.Status, s.Pid, pid, contentsOf(c.t, filepath.Join(images, "dump.log")))
	}
}

// A paused container can be kept: it stays paused where it is left, and else comes back running.
func TestCRIUPaused(t *testing.T) {
	needsCRIU(t)
	c := newContainer(t, withCount())
	c.startCounting()
	c.oci("pause", c.id).ok(t)
	c.oci("checkpoint", "--leave-running", "--image-path", t.TempDir(), c.id).ok(t)
	want(t, "status of one left as it was", c.state().Status, "paused")
	before := c.counted()
	c.checkpointed(nil, nil)
	waitFor(t, "the container counts on", func() bool { return c.counted() > before+3 })
	c.delete("--force").ok(t)
}

// Mounts that were added, and what is mounted below a source, are the host's too: a restore finds them again, twice.
func TestCRIUAddedMounts(t *testing.T) {
	needsCRIU(t)
	newerThanReference(t, "mounts add and remove")
	folder, tree := hostFolder(t), hostFolder(t)
	below := filepath.Join(tree, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("below", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(below, "deep"), []byte("deep\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, withCount(), withMounts(specs.Mount{Destination: "/tree", Source: tree, Options: []string{"rbind"}}))
	c.startCounting()
	list := []specs.Mount{
		{Destination: "/more", Type: "tmpfs", Source: "more"},
		{Destination: "/more/bound", Source: folder, Options: []string{"rbind", "ro"}},
		{Destination: "/file", Source: folder + "/file", Options: []string{"bind"}},
	}
	c.mounts("add", list...).ok(t)
	c.mounts("add", specs.Mount{Destination: "/gone", Source: folder, Options: []string{"bind"}}).ok(t)
	c.mounts("remove", specs.Mount{Destination: "/gone"}).ok(t)
	c.inside("sh", "-c", "echo kept >/more/own")
	for range 2 {
		c.checkpointed(nil, nil)
		want(t, "files", c.inside("cat", "/more/own", "/more/bound/file", "/file", "/tree/file", "/tree/below/deep"),
			"kept\n"+strings.Repeat("from the host\n", 3)+"deep\n")
		mounts := parseMountinfo(c.inside("cat", "/proc/self/mountinfo"))
		want(t, "ro of /more/bound", mountAt(t, mounts, "/more/bound").has("ro"), true)
		want(t, "a mount that was removed", strings.Contains(targets(mounts), "/gone"), false)
	}
	c.mounts("remove", list...).ok(t)
	c.delete("--force").ok(t)

	mapped := newContainer(t, withCount(), withMounts(specs.Mount{Destination: "/owned", Source: folder, Options: []string{"bind", "idmap"},
		UIDMappings: idMapping(0, 100000, 1000), GIDMappings: idMapping(0, 100000, 1000)}))
	mapped.startCounting()
	r := mapped.oci("checkpoint", "--image-path", t.TempDir(), mapped.id).exits(t, 1)
	wantContains(t, "error", r.stderr, "/owned", "mapped ids")
	mapped.delete("--force").ok(t)
}

// An open file whose name is gone, while another is there, is kept where that is asked for.
func TestCRIULinkRemap(t *testing.T) {
	needsCRIU(t)
	c := newContainer(t, withScript(`exec </dev/null >/errors 2>&1
		echo kept >/first; exec 9</first; ln /first /second; rm /first
		echo ready >/ready; while [ ! -e /go ]; do sleep 0.1; done; cat <&9 >/read; sleep 600`))
	c.create().ok(t)
	c.start().ok(t)
	waitFor(t, "the file", func() bool { _, err := os.Stat(filepath.Join(c.rootfs, "ready")); return err == nil })
	c.refused("link-remap")
	c.checkpointed([]string{"--link-remap"}, nil)
	c.writeFile("go", "", 0o644)
	waitFor(t, "the file's text", func() bool {
		text, err := os.ReadFile(filepath.Join(c.rootfs, "read"))
		return err == nil && string(text) == "kept\n"
	})
	c.delete("--force").ok(t)
}

// A lock on a file is kept where that is asked for.
func TestCRIUFileLocks(t *testing.T) {
	needsCRIU(t)
	flock, err := exec.LookPath("flock") // of util-linux, whose program busybox lacks here
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, withHostProgram("/flock", flock), withScript(`exec </dev/null >/errors 2>&1 9>/lock; /flock -x 9 && echo ready >/ready; while :; do sleep 0.1; done`))
	c.create().ok(t)
	c.start().ok(t)
	waitFor(t, "the lock", func() bool { _, err := os.Stat(filepath.Join(c.rootfs, "ready")); return err == nil })
	held := func() bool {
		t.Helper()
		file, err := os.Open(filepath.Join(c.rootfs, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil && err != unix.EWOULDBLOCK {
			t.Fatal(err)
		}
		return err != nil
	}
	want(t, "held before", held(), true)
	c.refused("file-locks")
	c.checkpointed([]string{"--file-locks"}, []string{"--file-locks"})
	want(t, "held after the restore", held(), true)
	c.delete("--force").ok(t)
	want(t, "held after the end", held(), false)
}

// A datagram socket whose other end is outside is kept where that is asked for. The other end has the same path in the
// container, since that is what it is found again by.
func TestCRIUExternalUnixSocket(t *testing.T) {
	needsCRIU(t)
	folder := hostFolder(t)
	outside, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	inside, err := net.DialUnix("unixgram", nil, outside.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	file, err := inside.File()
	inside.Close()
	if err != nil {
		t.Fatal(err)
	}
	heard := func() string {
		text := make([]byte, 100)
		n, err := outside.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(text[:n])
	}
	// CRIU looks for sockets in the container's network namespace.
	c := newContainer(t, withoutNamespace(specs.NetworkNamespace), withMounts(specs.Mount{Destination: folder, Source: folder, Options: []string{"bind"}}),
		withScript("exec </dev/null >/errors 2>&1; echo before >&3; while [ ! -e /go ]; do sleep 0.1; done; echo after >&3; sleep 600"))
	call := c.call()
	call.extraFiles = []*os.File{file}
	call.run(t, c.args("create", "--preserve-fds", "1", "--bundle", c.bundle, c.id)...).ok(t)
	file.Close()
	c.start().ok(t)
	want(t, "heard", heard(), "before\n")
	c.refused("ext-unix-sk")
	c.checkpointed([]string{"--ext-unix-sk"}, []string{"--ext-unix-sk"})
	c.writeFile("go", "", 0o644)
	want(t, "heard", heard(), "after\n")
	c.delete("--force").ok(t)
}

// A process on the caller's own terminal is kept where that is asked for, and comes back on another caller's.
func TestCRIUShellJob(t *testing.T) {
	needsCRIU(t)
	images := t.TempDir()
	c := newContainer(t, withScript("echo before; while [ ! -e /go ]; do sleep 0.1; done; echo after; exit 7"))
	first := newTerminal(t, 24, 80)
	p := first.start(c.args("run", "--bundle", c.bundle, c.id)...)
	first.waitShown("before")
	c.refused("/dev/pts/")
	c.oci("checkpoint", "--shell-job", "--image-path", images, c.id).ok(t)
	p.wait(t).exits(t, 137)
	c.writeFile("go", "", 0o644)
	second := newTerminal(t, 24, 80)
	p = second.start(c.args("restore", "--shell-job", "--image-path", images, "--bundle", c.bundle, c.id)...)
	second.waitShown("after")
	p.wait(t).exits(t, 7)
}

// What is in a network namespace can be left out: it comes back empty.
func TestCRIUEmptyNetwork(t *testing.T) {
	needsCRIU(t)
	c := newContainer(t, withCount())
	c.startCounting()
	runProgram(t, "nsenter", "--net", "--target", strconv.Itoa(c.state().Pid), "ip", "addr", "add", "10.99.0.1/24", "dev", "lo")
	c.checkpointed([]string{"--empty-ns", "network"}, []string{"--empty-ns", "network"})
	link := c.inside("ip", "-o", "addr", "show")
	if strings.Contains(link, "10.99.0.1") {
		t.Errorf("the namespace is not empty: %s", link)
	}
	before := c.counted()
	waitFor(t, "the container counts on", func() bool { return c.counted() > before+3 })
	c.delete("--force").ok(t)
}

// The other ways to handle cgroups end with the processes in the container's.
func TestCRIUCgroupModes(t *testing.T) {
	needsCRIU(t)
	for _, mode := range []string{"soft", "full"} {
		t.Run(mode, func(t *testing.T) {
			c := newContainer(t, withCount())
			c.startCounting()
			cgroup := contentsOf(t, fmt.Sprintf("/proc/%d/cgroup", c.state().Pid))
			c.checkpointed([]string{"--manage-cgroups-mode", mode}, []string{"--manage-cgroups-mode", mode})
			want(t, "cgroup", contentsOf(t, fmt.Sprintf("/proc/%d/cgroup", c.state().Pid)), cgroup)
			wantContains(t, "ps", c.oci("ps", "--format", "json", c.id).ok(t).stdout, strconv.Itoa(c.state().Pid))
			c.delete("--force").ok(t)
		})
	}
}

// The mode that refuses cgroups which are there cannot be had, since the container's own is made first.
func TestCRIUStrictCgroups(t *testing.T) {
	needsCRIU(t)
	berthOnly(t, "its words")
	images := t.TempDir()
	c := newContainer(t, withCount())
	c.startCounting()
	c.oci("checkpoint", "--manage-cgroups-mode", "strict", "--image-path", images, c.id).ok(t)
	r := c.oci("restore", "--detach", "--manage-cgroups-mode", "strict", "--image-path", images, "--bundle", c.bundle, c.id).exits(t, 1)
	wantContains(t, "error", r.stderr, "--manage-cgroups-mode strict", "full")
	c.oci("restore", "--detach", "--manage-cgroups-mode", "full", "--image-path", images, "--bundle", c.bundle, c.id).ok(t)
	c.delete("--force").ok(t)
}

// A container's own file systems come back with another label where one is asked for.
func TestCRIUMountContext(t *testing.T) {
	needsCRIU(t)
	if !hasSELinux() {
		t.Skip("SELinux is not enabled here")
	}
	first := knownLabel(t, "system_u:object_r:container_file_t:s0:c1,c2", "system_u:object_r:tmp_t:s0:c1,c2", "system_u:object_r:tmp_t:s0")
	second := knownLabel(t, "system_u:object_r:container_file_t:s0:c3,c4", "system_u:object_r:var_t:s0:c3,c4", "system_u:object_r:var_t:s0")
	c := newContainer(t, withCount(), withLinux(func(l *specs.Linux) { l.MountLabel = first }))
	c.startCounting()
	wantFileLabels(t, c.state().Pid, first)
	c.checkpointed(nil, []string{"--lsm-mount-context", second})
	wantFileLabels(t, c.state().Pid, second)
	c.delete("--force").ok(t)
}

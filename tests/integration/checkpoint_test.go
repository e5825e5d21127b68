package integration

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// needsCRIU skips the test where there is no CRIU that works with the kernel.
func needsCRIU(t *testing.T) {
	t.Helper()
	needsRoot(t)
	const cache = "/run/criu.kdat" // what CRIU found out about the kernel, for its next start
	if _, err := os.Stat(cache); os.IsNotExist(err) {
		t.Cleanup(func() { os.Remove(cache) })
	}
	if _, err := outputOf("criu", "check"); err != nil {
		t.Skipf("no CRIU that works here: %.200s", err)
	}
}

// withCount makes the process write numbers that go up to /count.
func withCount() option {
	return withScript("exec </dev/null >>/count 2>&1; n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done")
}

// counted is the last number of withCount; it fails the test where one does not follow the other.
func (c *container) counted() int {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.rootfs, "count"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	last := 0
	for _, line := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(line)
		if err != nil || n != last+1 {
			c.t.Fatalf("%q comes after %d: the processes are others, or their memory is", line, last)
		}
		last = n
	}
	return last
}

// startCounting brings a container of withCount to its count.
func (c *container) startCounting() {
	c.t.Helper()
	c.create().ok(c.t)
	c.start().ok(c.t)
	waitFor(c.t, "the container counts", func() bool { return c.counted() > 3 })
}

// A checkpoint removes the container and a restore brings it back: the processes with their memory, mounts, cgroup and
// limits; state, exec, pause and delete then work as after start.
func TestCheckpointAndRestore(t *testing.T) {
	needsCRIU(t)
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "file"), []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	images := t.TempDir()
	c := newContainer(t, withCount(),
		withMounts(specs.Mount{Destination: "/data", Source: data, Type: "bind", Options: []string{"bind"}}),
		withLinux(func(l *specs.Linux) {
			l.MaskedPaths = []string{"/proc/kcore", "/proc/keys", "/proc/uptime", "/sys/firmware"}
			l.ReadonlyPaths = []string{"/proc/sys"}
			l.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(77))}}
		}))
	if err := os.Mkdir(filepath.Join(c.rootfs, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.startCounting()
	cgroup := contentsOf(t, fmt.Sprintf("/proc/%d/cgroup", c.state().Pid))
	c.oci("checkpoint", "--image-path", images, c.id).ok(t)
	wantContains(t, "state after the checkpoint", c.oci("state", c.id).exits(t, 1).stderr, "does not exist")
	before := c.counted()

	pidFile := filepath.Join(c.rootfs, "../pid")
	c.oci("restore", "--detach", "--image-path", images, "--bundle", c.bundle, "--pid-file", pidFile, "-no-subreaper", c.id).ok(t)
	s := c.state()
	want(t, "status", s.Status, "running")
	want(t, "pid file", contentsOf(t, pidFile), strconv.Itoa(s.Pid))
	waitFor(t, "the container counts on", func() bool { return c.counted() > before+3 })
	want(t, "cgroup", contentsOf(t, fmt.Sprintf("/proc/%d/cgroup", s.Pid)), cgroup)
	wantContains(t, "events", c.oci("events", "--stats", c.id).ok(t).stdout, `"limit":77`)
	want(t, "bind mount", c.oci("exec", c.id, "cat", "/data/file").ok(t).stdout, "of the host")
	want(t, "masked file", c.oci("exec", c.id, "cat", "/proc/uptime").ok(t).stdout, "")
	c.oci("pause", c.id).ok(t)
	want(t, "status", c.state().Status, "paused")
	c.oci("resume", c.id).ok(t)
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	c.delete().ok(t)
}

// A pre-dump lets the container run, and is the parent of a later checkpoint's images.
func TestCheckpointPreDump(t *testing.T) {
	needsCRIU(t)
	if _, err := outputOf("criu", "check", "--feature", "mem_dirty_track"); err != nil {
		t.Skipf("the kernel does not track changed memory: %.200s", err)
	}
	images := t.TempDir()
	c := newContainer(t, withCount())
	c.startCounting()
	pid := c.state().Pid
	c.oci("checkpoint", "--pre-dump", "--image-path", filepath.Join(images, "first"), c.id).ok(t)
	want(t, "pid after the pre-dump", c.state().Pid, pid)
	c.oci("checkpoint", "--parent-path", "../first", "--image-path", filepath.Join(images, "second"), c.id).ok(t)
	before := c.counted()
	c.oci("restore", "--detach", "--image-path", filepath.Join(images, "second"), "--bundle", c.bundle, c.id).ok(t)
	waitFor(t, "the container counts on", func() bool { return c.counted() > before+3 })
	c.delete("--force").ok(t)
}

// A container that is left running goes on.
func TestCheckpointLeaveRunning(t *testing.T) {
	needsCRIU(t)
	images := t.TempDir()
	c := newContainer(t, withCount())
	c.startCounting()
	pid := c.state().Pid
	c.oci("checkpoint", "--leave-running", "--image-path", filepath.Join(images, "second"),
		"--work-path", filepath.Join(images, "work"), c.id).ok(t)
	before := c.counted()
	want(t, "pid afterwards", c.state().Pid, pid)
	waitFor(t, "the container counts on", func() bool { return c.counted() > before })
	if _, err := os.Stat(filepath.Join(images, "work/dump.log")); err != nil {
		t.Error(err)
	}
	c.delete("--force").ok(t)
}

// Where CRIU is to leave cgroups alone, the restored processes are in the container's all the same.
func TestRestoreIgnoringCgroups(t *testing.T) {
	needsCRIU(t)
	images := t.TempDir()
	c := newContainer(t, withCount())
	c.startCounting()
	c.oci("checkpoint", "--manage-cgroups-mode", "ignore", "--image-path", images, c.id).ok(t)
	c.oci("restore", "--detach", "--manage-cgroups-mode", "ignore", "--image-path", images, "--bundle", c.bundle, c.id).ok(t)
	wantContains(t, "ps", c.oci("ps", "--format", "json", c.id).ok(t).stdout, strconv.Itoa(c.state().Pid))
	c.delete("--force").ok(t)
}

// In the foreground, what a restored process writes to a pipe arrives, and its exit code is berth's.
func TestRestoreInForeground(t *testing.T) {
	needsCRIU(t)
	images := t.TempDir()
	c := newContainer(t, withScript("exec </dev/null; echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after; exit 7"))
	piped := func(args ...string) (string, int) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		call := c.call()
		call.stdout = write
		p := call.start(t, c.args(args...)...)
		write.Close()
		text, err := io.ReadAll(read)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), p.wait(t).code
	}
	type answer struct {
		out  string
		code int
	}
	first := make(chan answer, 1)
	go func() { out, code := piped("run", "--bundle", c.bundle, c.id); first <- answer{out, code} }()
	waitFor(t, "the container runs", func() bool { return strings.Contains(c.oci("state", c.id).stdout, "running") })
	c.oci("checkpoint", "--image-path", images, c.id).ok(t)
	if a := <-first; a.code != 137 || a.out != "before\n" {
		t.Errorf("run ended with %d and wrote %q", a.code, a.out)
	}
	c.writeFile("go", "", 0o644)
	out, code := piped("restore", "--image-path", images, "--bundle", c.bundle, c.id)
	want(t, "output of restore", out, "after\n")
	want(t, "exit code of restore", code, 7)
	wantContains(t, "state", c.oci("state", c.id).exits(t, 1).stderr, "does not exist")
}

// A restored container has its terminal, whose master goes over the console socket.
func TestRestoreTerminal(t *testing.T) {
	needsCRIU(t)
	images, socket := t.TempDir(), newReceiver(t)
	c := newContainer(t, withTerminal(), withScript("read line; echo got $line; sleep 100"))
	p := c.call().start(t, c.args(c.command("create", []string{"--console-socket", socket.path})...)...)
	first, _ := socket.file()
	p.wait(t).ok(t)
	c.start().ok(t)
	c.oci("checkpoint", "--image-path", images, c.id).ok(t)
	first.Close()
	p = c.call().start(t, c.args("restore", "--detach", "--console-socket", socket.path, "--image-path", images, "--bundle", c.bundle, c.id)...)
	master, _ := socket.file()
	p.wait(t).ok(t)
	if _, err := master.WriteString("this\n"); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4096)
	for n := 0; !strings.Contains(string(text[:n]), "got this"); {
		more, err := master.Read(text[n:])
		if err != nil {
			t.Fatalf("%v after %q", err, text[:n])
		}
		n += more
	}
	c.delete("--force").ok(t)
}

// A network namespace that the config names by path is not in the images: the restored container joins it again.
func TestRestoreJoinsNamespace(t *testing.T) {
	needsCRIU(t)
	owner := newContainer(t, withSleep())
	path := fmt.Sprintf("/proc/%d/ns/net", owner.startSleeping().Pid)
	images := t.TempDir()
	c := newContainer(t, withCount(), withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path}))
	c.startCounting()
	c.oci("checkpoint", "--image-path", images, c.id).ok(t)
	c.oci("restore", "--detach", "--image-path", images, "--bundle", c.bundle, c.id).ok(t)
	namespace := func(path string) string {
		link, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	want(t, "network namespace", namespace(fmt.Sprintf("/proc/%d/ns/net", c.state().Pid)), namespace(path))
	c.delete("--force").ok(t)
}

// A container that is not running, an image that is none, flags that mean nothing and a host without CRIU: a clear line,
// and nothing is changed.
func TestCheckpointErrors(t *testing.T) {
	berthOnly(t, "its words")
	c := newContainer(t, withSleep())
	c.startSleeping()
	for _, bad := range []struct {
		args []string
		says string
	}{
		{[]string{"checkpoint", "--manage-cgroups-mode", "hard", c.id}, "--manage-cgroups-mode: \"hard\" is none of"},
		{[]string{"checkpoint", "--empty-ns", "pid", c.id}, "--empty-ns: \"pid\""},
		{[]string{"checkpoint", "--page-server", "here", c.id}, "--page-server: \"here\" is not of the form"},
		{[]string{"checkpoint", "--parent-path", "/a", c.id}, "--parent-path: /a"},
		{[]string{"checkpoint", "--status-fd", "77", c.id}, "--status-fd 77"},
		{[]string{"checkpoint", "--network-lock", "wall", c.id}, "--network-lock: \"wall\""},
		{[]string{"restore", "--lsm-mount-context"}, "flag needs an argument"},
	} {
		wantContains(t, "error", c.oci(bad.args...).exits(t, 1).stderr, bad.says)
	}
	c.oci("checkpoint", "--help").ok(t)
	without := c.call()
	without.env = append(without.env, "PATH=/nowhere")
	wantContains(t, "error without criu", without.run(t, c.args("checkpoint", c.id)...).exits(t, 1).stderr, "criu is not in $PATH: install CRIU")
	want(t, "status", c.state().Status, "running")
}

// CRIU's own errors are told, and a failed restore leaves nothing.
func TestRestoreFails(t *testing.T) {
	needsCRIU(t)
	berthOnly(t, "its words")
	images := t.TempDir()
	if err := os.WriteFile(filepath.Join(images, "descriptors.json"), []byte(`["/dev/null","/dev/null","/dev/null"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, withCount())
	r := c.oci("restore", "--detach", "--image-path", images, "--bundle", c.bundle, c.id).exits(t, 1)
	wantContains(t, "error", r.stderr, "criu failed: ", "restore.log")
	wantContains(t, "state", c.oci("state", c.id).exits(t, 1).stderr, "does not exist")

	c.reconfigure(withCount(), withMounts(specs.Mount{Destination: "/gone", Source: "/no/such/source", Options: []string{"bind"}}))
	r = c.oci("restore", "--detach", "--image-path", images, "--bundle", c.bundle, c.id).exits(t, 1)
	wantContains(t, "error", r.stderr, "mounts[", "(/gone): source /no/such/source: ")
	wantContains(t, "state", c.oci("state", c.id).exits(t, 1).stderr, "does not exist")
}

func contentsOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

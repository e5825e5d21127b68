package engines

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newPodman sets podman up with storage of the test's own and berth as its runtime.
func newPodman(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t, "podman")
	in := func(name string) string { return filepath.Join(e.folder, name) }
	e.prefix = []string{"podman", "--root", in("root"), "--runroot", in("run"), "--tmpdir", in("tmp"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", berth}
	if r := e.call("import", e.rootfsTar(), "box"); r.code != 0 {
		t.Fatalf("podman import: %s", r.stderr)
	}
	return e
}

func TestPodman(t *testing.T) {
	e := newPodman(t)
	// Podman's default limits are above what a nested machine may set.
	limits := []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--network", "none"}
	run := func(args ...string) []string { return append(append([]string{"run", "--rm"}, limits...), args...) }
	e.run(t, []check{
		{name: "run", args: run("box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: run("box", "sh", "-c", "exit 42"), code: 42},
		{name: "missing executable", args: run("box", "no-such"), code: 127, err: []string{`executable file not found in $PATH`}},
		{name: "executable without permission", args: run("box", "/etc/passwd"), code: 126, err: []string{"permission denied"}},
		{name: "user", args: run("--user", "1000", "box", "id", "-u"), out: []string{"1000\n"}},
		{name: "seccomp", args: run("box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"2"}},
		{name: "read-only", args: run("--read-only", "box", "touch", "/x"), code: 1, err: []string{"Read-only file system"}},
		{name: "terminal", args: run("-t", "box", "tty"), out: []string{"/dev/pts/0"}},
		{name: "user namespace", args: run("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "box", "cat", "/proc/self/uid_map"),
			out: []string{"100000"}},
	})
	t.Run("life", func(t *testing.T) {
		if r := e.call(append(append([]string{"run", "-d", "--name", "life"}, limits...), "box", "sh", "-c", "echo up; exec sleep 600")...); r.code != 0 {
			t.Fatalf("podman run -d: %s", r.stderr)
		}
		waitFor(t, "its output", 20*time.Second, func() bool { return strings.Contains(e.call("logs", "life").stdout, "up") })
		e.run(t, []check{
			{name: "exec", args: []string{"exec", "life", "echo", "inside"}, out: []string{"inside\n"}},
			{name: "exec's exit code", args: []string{"exec", "life", "sh", "-c", "exit 9"}, code: 9},
			{name: "exec of what is missing", args: []string{"exec", "life", "no-such"}, code: 127},
			{name: "pause", args: []string{"pause", "life"}},
			{name: "ps", args: []string{"ps", "-a"}, out: []string{"Paused"}},
			{name: "unpause", args: []string{"unpause", "life"}},
			{name: "stats", args: []string{"stats", "--no-stream", "life"}, out: []string{"life"}},
			{name: "top", args: []string{"top", "life"}, out: []string{"sleep"}},
			{name: "stop", args: []string{"stop", "-t", "1", "life"}},
			{name: "rm", args: []string{"rm", "life"}},
		})
	})
}

package engines

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"berth/tests/manual"
)

// newContainerd starts a containerd of the test's own, set up as docs/engines.md says.
func newContainerd(t *testing.T, name string) *engine {
	t.Helper()
	e := newEngine(t, name, "containerd", "ctr")
	config := fmt.Sprintf("root = %q\nstate = %q\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n", e.in("root"), e.in("state"), e.in("sock"), e.in("sock.ttrpc"))
	// A pod's sandbox is a container too, of an image that a test can make; there is no network plugin; and a nested
	// machine may not lower the score by which the kernel chooses whom to end.
	config += fmt.Sprintf("[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"localhost/box:latest\"\n  restrict_oom_score_adj = true\n"+
		"  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = %q\n    conf_dir = %q\n[plugins.\"io.containerd.internal.v1.opt\"]\n  path = %q\n",
		e.in("cni"), e.in("cni"), e.in("opt"))
	version, rest, found := strings.Cut(manual.EnginesBlock(t, "/etc/containerd/config.toml", berth), "\n")
	if !found || !strings.HasPrefix(version, "version = ") {
		t.Fatalf("docs/engines.md's config.toml begins with %q", version)
	}
	if !inMachine() {
		rest = strings.Replace(rest, "SystemdCgroup = true", "SystemdCgroup = false", 1) // systemd may not be process 1 here
	}
	e.prefix = []string{"ctr", "--address", e.in("sock")}
	e.daemon("containerd", "--config", e.write("config.toml", version+"\n"+config+rest))
	waitFor(t, "containerd", callLimit(), func() bool { return e.call("version").code == 0 })
	return e
}

// ctr runs containers from a plain rootfs, so no image is needed.
func TestContainerd(t *testing.T) {
	e := newContainerd(t, "containerd")
	rootfs := strings.TrimSuffix(e.rootfsTar(), ".tar")
	flags := []string{"--runc-binary", berth, "--cgroup", "/" + e.cgroup + "/one", "--rootfs"}
	run := func(id string, args ...string) []string {
		return append(append(append([]string{"run", "--rm"}, flags...), rootfs, id), args...)
	}
	e.run(t, []check{
		{name: "run", args: run("hello", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: run("code", "sh", "-c", "exit 42"), code: 42},
		{name: "missing executable", args: run("missing", "no-such"), code: 1, oneLine: true, err: []string{"executable file not found in $PATH"}},
		{name: "a bad mount", args: append([]string{"run", "--rm", "--mount", "type=bind,src=/no/such,dst=/x,options=rbind"}, append(flags, rootfs, "bad", "true")...),
			code: 1, oneLine: true, err: []string{"mounts[", "/no/such", "no such file or directory"}},
		{name: "read-only", args: append([]string{"run", "--rm", "--read-only"}, append(flags, rootfs, "fixed", "touch", "/x")...), code: 1, err: []string{"Read-only file system"}},
		{name: "with limits", args: append([]string{"run", "--rm", "--memory-limit", "67108864"}, append(flags, rootfs, "limited", "cat", "/proc/self/cgroup")...)},
		{name: "with seccomp", args: append([]string{"run", "--rm", "--seccomp"}, append(flags, rootfs, "filtered", "grep", "Seccomp:", "/proc/self/status")...), out: []string{"2"}},
	})
	e.test(t, "run -t", func(t *testing.T) {
		x := e.onTerminal(t, append([]string{"run", "--rm", "-t"}, append(flags, rootfs, "tty", "sh")...)...)
		x.sees("# ")
		x.enter("tty; stty size; exit 5\n")
		x.sees("/dev/pts/0")
		x.sees("33 111")
		x.ends(5)
	})
	e.test(t, "the runtime is told of by containerd", func(t *testing.T) {
		out := e.ok(t, "run", "--rm", "--runc-binary", berth, "--runc-root", e.in("state/kept"), "--cgroup", "/"+e.cgroup+"/one", "--rootfs", rootfs, "named", "echo", "hello")
		if out != "hello" {
			t.Errorf("output %q", out)
		}
		if _, err := os.Stat(e.in("state/kept")); err != nil {
			t.Errorf("berth's state is not where --runc-root says: %v", err)
		}
	})
	t.Run("life", func(t *testing.T) {
		containerdLife(t, e, append([]string{"run", "-d"}, append(flags, rootfs, "life")...))
	})
	t.Run("checkpoint", func(t *testing.T) { containerdCheckpoint(t, e) })
	e.test(t, "50 at once", func(t *testing.T) {
		const many = 50
		results := atOnce(many, func(i int) result {
			return e.call("run", "--rm", "--runc-binary", berth, "--cgroup", fmt.Sprintf("/%s/many-%d", e.cgroup, i), "--rootfs", rootfs, fmt.Sprintf("many-%d", i), "echo", "ran")
		})
		for i, r := range results {
			if r.code != 0 || r.stdout != "ran\n" {
				t.Errorf("container %d: exit code %d, %q, %q", i, r.code, r.stdout, r.stderr)
			}
		}
		if left := e.ok(t, "container", "ls", "-q"); left != "" {
			t.Errorf("containers are left: %s", left)
		}
	})
}

// containerdLife is one task from start to end.
func containerdLife(t *testing.T, e *engine, run []string) {
	e.ok(t, append(run, "sh", "-c", "exec sleep 600")...)
	e.run(t, []check{
		{name: "exec", args: []string{"task", "exec", "--exec-id", "e1", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "exec's exit code", args: []string{"task", "exec", "--exec-id", "e2", "life", "sh", "-c", "exit 9"}, code: 9},
		{name: "exec as user", args: []string{"task", "exec", "--exec-id", "e3", "--user", "1000:1000", "--cwd", "/tmp", "life", "sh", "-c", "id -u; pwd"}, out: []string{"1000\n/tmp\n"}},
		{name: "exec of what is missing", args: []string{"task", "exec", "--exec-id", "e4", "life", "no-such"}, code: 1, oneLine: true, err: []string{"executable file not found in $PATH"}},
		{name: "pause", args: []string{"task", "pause", "life"}},
		{name: "list", args: []string{"task", "ls"}, out: []string{"PAUSED"}},
		{name: "resume", args: []string{"task", "resume", "life"}},
		{name: "metrics", args: []string{"task", "metrics", "--format", "json", "life"}, out: []string{`"pids"`, `"memory"`, `"cpu"`}},
		{name: "ps", args: []string{"task", "ps", "life"}, out: []string{"PID"}},
	})
	e.test(t, "exec -t", func(t *testing.T) {
		x := e.onTerminal(t, "task", "exec", "-t", "--exec-id", "e5", "life", "sh")
		x.sees("# ")
		x.enter("tty; exit 6\n")
		x.sees("/dev/pts/")
		x.ends(6)
	})
	e.test(t, "metrics are figures", func(t *testing.T) {
		var metrics struct {
			Pids struct{ Current int }
		}
		text := e.ok(t, "task", "metrics", "--format", "json", "life")
		if err := json.Unmarshal([]byte(text), &metrics); err != nil || metrics.Pids.Current != 1 {
			t.Errorf("pids.current is not 1 (%v) in %s", err, text)
		}
	})
	e.run(t, []check{{name: "kill", args: []string{"task", "kill", "-s", "SIGKILL", "life"}}})
	waitFor(t, "its end", 20*time.Second, func() bool { return strings.Contains(e.call("task", "ls").stdout, "STOPPED") })
	e.run(t, []check{
		{name: "kill of what has ended", args: []string{"task", "kill", "-s", "SIGTERM", "life"}, code: 1, err: []string{"process already finished"}},
		{name: "task delete", args: []string{"task", "delete", "life"}, err: []string{"137"}},
		{name: "container delete", args: []string{"container", "delete", "life"}},
	})
}

// containerdCheckpoint calls checkpoint and restore with the flags that go-runc gives them, on a container that is
// not there: they must be understood, and the error be about the container.
func containerdCheckpoint(t *testing.T, e *engine) {
	images, work, status := e.in("images"), e.in("work"), e.in("status")
	prefix := []string{berth, "--root", e.in("berth"), "--log", e.in("log.json"), "--log-format", "json"}
	for _, c := range []check{
		{name: "checkpoint", args: []string{"checkpoint", "--image-path", images, "--work-path", work, "--leave-running", "--tcp-established", "--ext-unix-sk",
			"--shell-job", "--file-locks", "--empty-ns", "network", "--manage-cgroups-mode", "soft", "--status-fd", "3", "absent"}, code: 1, err: []string{"absent", "does not exist"}},
		{name: "pre-dump", args: []string{"checkpoint", "--image-path", images, "--parent-path", "../parent", "--pre-dump", "--lazy-pages", "--page-server", "127.0.0.1:1", "absent"},
			code: 1, err: []string{"absent", "does not exist"}},
		{name: "restore", args: []string{"restore", "--image-path", images, "--work-path", work, "--bundle", e.in("no-bundle"), "--pid-file", e.in("pid"), "--detach", "--no-pivot",
			"-no-subreaper", "--tcp-established", "--ext-unix-sk", "--shell-job", "--file-locks", "--manage-cgroups-mode", "soft", "absent"}, code: 1, err: []string{"no-bundle"}},
		{name: "checkpoint --help", args: []string{"checkpoint", "--help"}},
		{name: "restore --lsm-mount-context without a value", args: []string{"restore", "--lsm-mount-context"}, code: 1, err: []string{"flag needs an argument"}},
	} {
		e.test(t, c.name, func(t *testing.T) {
			args := append(append([]string{}, prefix...), c.args...)
			if c.name == "checkpoint" { // with the descriptor that --status-fd names
				args = append([]string{"sh", "-c", `exec "$@" 3>` + status, "sh"}, args...)
			}
			c.verify(t, command(t, "", "", args...))
		})
	}
}

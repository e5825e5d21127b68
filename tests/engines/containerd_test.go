package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newContainerd starts a containerd of the test's own.
func newContainerd(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t, "containerd")
	in := func(name string) string { return filepath.Join(e.folder, name) }
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n",
		in("root"), in("state"), in("sock"), in("sock.ttrpc"))
	if err := os.WriteFile(in("config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e.prefix = []string{"ctr", "--address", in("sock")}
	e.daemon("containerd", "--config", in("config.toml"))
	waitFor(t, "containerd", time.Minute, func() bool { return e.call("version").code == 0 })
	return e
}

// ctr runs containers from a plain rootfs, so no image is needed.
func TestContainerd(t *testing.T) {
	e := newContainerd(t)
	rootfs := strings.TrimSuffix(e.rootfsTar(), ".tar")
	run := func(id string, args ...string) []string {
		return append([]string{"run", "--rm", "--runc-binary", berth, "--rootfs", rootfs, id}, args...)
	}
	e.run(t, []check{
		{name: "run", args: run("hello", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: run("code", "sh", "-c", "exit 42"), code: 42},
		{name: "missing executable", args: run("missing", "no-such"), code: 1, err: []string{"executable file not found in $PATH"}},
	})
	t.Run("life", func(t *testing.T) {
		if r := e.call("run", "-d", "--runc-binary", berth, "--rootfs", rootfs, "life", "sleep", "600"); r.code != 0 {
			t.Fatalf("ctr run -d: %s", r.stderr)
		}
		e.run(t, []check{
			{name: "exec", args: []string{"task", "exec", "--exec-id", "e1", "life", "echo", "inside"}, out: []string{"inside\n"}},
			{name: "exec's exit code", args: []string{"task", "exec", "--exec-id", "e2", "life", "sh", "-c", "exit 9"}, code: 9},
			{name: "pause", args: []string{"task", "pause", "life"}},
			{name: "list", args: []string{"task", "ls"}, out: []string{"PAUSED"}},
			{name: "resume", args: []string{"task", "resume", "life"}},
			{name: "metrics", args: []string{"task", "metrics", "life"}, out: []string{"life"}},
			{name: "ps", args: []string{"task", "ps", "life"}, out: []string{"PID"}},
			{name: "kill", args: []string{"task", "kill", "-s", "SIGKILL", "life"}},
		})
		waitFor(t, "its end", 20*time.Second, func() bool { return strings.Contains(e.call("task", "ls").stdout, "STOPPED") })
		e.run(t, []check{
			{name: "task delete", args: []string{"task", "delete", "life"}, err: []string{"137"}},
			{name: "container delete", args: []string{"container", "delete", "life"}},
		})
	})
	t.Run("many at once", func(t *testing.T) {
		const many = 20
		var group sync.WaitGroup
		results := make([]result, many)
		for i := range many {
			group.Add(1)
			go func() {
				defer group.Done()
				results[i] = e.call(run(fmt.Sprintf("many-%d", i), "echo", "ran")...)
			}()
		}
		group.Wait()
		for i, r := range results {
			if r.code != 0 || r.stdout != "ran\n" {
				t.Errorf("container %d: exit code %d, %q, %q", i, r.code, r.stdout, r.stderr)
			}
		}
	})
}

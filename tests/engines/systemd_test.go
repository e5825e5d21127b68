package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/tests/manual"
)

// The tests of this file want systemd as process 1 and cgroup v2, as a virtual machine of tests/vm has them; make
// test-engines leaves them out by name.

// bySystemd makes an engine for a machine that is thrown away: its network is its own already.
func bySystemd(t *testing.T, name string, programs ...string) *engine {
	t.Helper()
	if !inMachine() {
		(&engine{name: name}).skip(t, "it is for a virtual machine: see tests/vm")
	}
	folder, err := os.MkdirTemp("", "be-")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, name: name, folder: folder, namespace: []string{"env"}}
	t.Cleanup(func() { removeTree(t, folder) })
	t.Cleanup(func() { endStrays(t, folder) })
	noteVersion(name, version(t, programs[0]))
	return e
}

// Podman with its own default, the systemd cgroup manager: as root, or as an ordinary user with a user manager.
func TestSystemdPodman(t *testing.T) {
	e := bySystemd(t, "Podman and systemd", "podman", "conmon")
	// The machine is ours: the block of docs/engines.md goes where it says, or to the user's own folder for the same.
	folder := "/etc/containers/containers.conf.d"
	if os.Geteuid() != 0 {
		folder = filepath.Join(os.Getenv("HOME"), ".config/containers/containers.conf.d")
	}
	err := os.MkdirAll(folder, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "berth.conf"), []byte(manual.EnginesBlock(t, "/etc/containers/containers.conf.d/berth.conf", berth)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	e.prefix = []string{"podman", "--storage-driver", "vfs", "--cgroup-manager", "systemd", "--events-backend", "file"}
	if os.Geteuid() != 0 {
		t.Cleanup(func() { endPause(t, filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "libpod/tmp/pause.pid")) })
	}
	e.ok(t, "import", e.rootfsTar(), "box")
	limits := []string{"--network", "none", "--memory", "64m", "--pids-limit", "33"}
	run := func(args ...string) []string { return append(append([]string{"run", "--rm"}, limits...), args...) }
	e.run(t, []check{
		{name: "it is on berth and systemd", args: []string{"info", "--format", "{{.Host.OCIRuntime.Path}} {{.Host.CgroupManager}} {{.Host.Security.Rootless}}"},
			out: []string{fmt.Sprintf("%s systemd %v\n", berth, os.Geteuid() != 0)}},
		{name: "run", args: run("box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: run("box", "sh", "-c", "exit 42"), code: 42},
		{name: "limits", args: run("box", "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max"), out: []string{"67108864\n33\n"}},
		{name: "missing executable", args: run("box", "no-such"), code: 127, oneLine: true, err: []string{"executable file not found in $PATH"}},
		{name: "terminal", args: run("-t", "box", "tty"), out: []string{"/dev/pts/0"}},
	})
	if os.Geteuid() != 0 {
		e.run(t, []check{{name: "keep-id", args: run("--userns", "keep-id", "box", "id", "-u"), out: []string{fmt.Sprintln(os.Geteuid())}}})
	}
	e.test(t, "the container is in a scope", func(t *testing.T) {
		e.ok(t, append(append([]string{"run", "-d", "--name", "life"}, limits...), "box", "sleep", "600")...)
		pid := e.ok(t, "inspect", "-f", "{{.State.Pid}}", "life")
		text, err := os.ReadFile("/proc/" + pid + "/cgroup")
		if err != nil || !strings.Contains(string(text), ".slice/libpod-") || !strings.Contains(string(text), ".scope") {
			t.Errorf("its cgroup is %q (%v)", text, err)
		}
	})
	e.run(t, []check{
		{name: "exec", args: []string{"exec", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "stats", args: []string{"stats", "--no-stream", "life"}, out: []string{"life"}},
		{name: "pause", args: []string{"pause", "life"}},
		{name: "unpause", args: []string{"unpause", "life"}},
		{name: "stop", args: []string{"stop", "-t", "0", "life"}},
		{name: "rm", args: []string{"rm", "life"}},
	})
	e.test(t, "no scope is left", func(t *testing.T) {
		args := []string{"systemctl", "list-units", "--all", "--plain", "--no-legend", "libpod-*.scope"}
		if os.Geteuid() != 0 {
			args = append(args, "--user")
		}
		waitFor(t, "the end of the scopes", 30*time.Second, func() bool {
			return !strings.Contains(strings.ReplaceAll(command(t, "", "", args...).stdout, "libpod-conmon-", ""), "libpod-")
		})
	})
}

// containerd with the systemd driver, which ctr asks for by --runc-systemd-cgroup.
func TestSystemdContainerd(t *testing.T) {
	if !inMachine() {
		(&engine{name: "containerd and systemd"}).skip(t, "it is for a virtual machine: see tests/vm")
	}
	e := newContainerd(t, "containerd and systemd")
	rootfs := strings.TrimSuffix(e.rootfsTar(), ".tar")
	flags := func(id string) []string {
		return []string{"--runc-binary", berth, "--runc-systemd-cgroup", "--cgroup", "system.slice:berth:" + id, "--memory-limit", "67108864", "--rootfs", rootfs, id}
	}
	e.run(t, []check{
		{name: "run", args: append(append([]string{"run", "--rm"}, flags("hello")...), "echo", "hello"), out: []string{"hello\n"}},
		{name: "run in the background", args: append(append([]string{"run", "-d"}, flags("life")...), "sleep", "600")},
	})
	e.test(t, "the container is in a scope", func(t *testing.T) {
		files, err := filepath.Glob("/sys/fs/cgroup/system.slice/berth-life.scope/memory.max")
		if err != nil || len(files) != 1 {
			t.Fatalf("no scope berth-life.scope (%v)", err)
		}
		if text, err := os.ReadFile(files[0]); err != nil || string(text) != "67108864\n" {
			t.Errorf("its memory.max is %q (%v)", text, err)
		}
	})
	e.run(t, []check{
		{name: "exec", args: []string{"task", "exec", "--exec-id", "e1", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "pause", args: []string{"task", "pause", "life"}},
		{name: "resume", args: []string{"task", "resume", "life"}},
		{name: "kill", args: []string{"task", "kill", "-s", "SIGKILL", "life"}},
	})
	waitFor(t, "its end", time.Minute, func() bool { return strings.Contains(e.call("task", "ls").stdout, "STOPPED") })
	e.run(t, []check{
		{name: "task delete", args: []string{"task", "delete", "life"}, err: []string{"137"}},
		{name: "container delete", args: []string{"container", "delete", "life"}},
	})
}

// containerd's CRI with docs/engines.md's config.toml as it stands there: a pod on the handler berth, which has SystemdCgroup.
func TestSystemdCRI(t *testing.T) {
	if !inMachine() {
		(&engine{name: "containerd's CRI and systemd"}).skip(t, "it is for a virtual machine: see tests/vm")
	}
	e := newContainerd(t, "containerd's CRI and systemd")
	e.pod(t, "/kubepods.slice/kubepods-berth.slice")
	e.test(t, "the pod was in scopes", func(t *testing.T) {
		log := command(t, "", "", "journalctl", "--quiet", "--boot", "--output", "cat", "--grep", "^Started .*cri-containerd-.*[.]scope")
		if n := strings.Count(log.stdout, "\n"); n != 4 { // the sandbox and three containers, one of which fails at its start
			t.Errorf("systemd started %d scopes: %s%s", n, log.stdout, log.stderr)
		}
	})
	e.test(t, "no scope is left", func(t *testing.T) {
		left, err := filepath.Glob("/sys/fs/cgroup/kubepods.slice/kubepods-berth.slice/*.scope")
		if err != nil || len(left) > 0 {
			t.Errorf("%v (%v)", left, err)
		}
	})
}

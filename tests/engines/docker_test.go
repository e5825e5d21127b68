package engines

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newDocker starts a dockerd of the test's own whose default runtime is berth.
func newDocker(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t, "dockerd")
	in := func(name string) string { return filepath.Join(e.folder, name) }
	config, err := json.Marshal(map[string]any{
		"runtimes":        map[string]any{"berth": map[string]any{"path": berth}},
		"default-runtime": "berth",
		"data-root":       in("data"), "exec-root": in("exec"), "pidfile": in("pid"),
		"hosts": []string{"unix://" + in("sock")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("daemon.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	e.prefix = []string{"docker", "-H", "unix://" + in("sock")}
	e.daemon("dockerd", "--config-file", in("daemon.json"))
	waitFor(t, "dockerd", time.Minute, func() bool { return e.call("version").code == 0 })
	if r := e.call("import", e.rootfsTar(), "box"); r.code != 0 {
		t.Fatalf("docker import: %s", r.stderr)
	}
	return e
}

func TestDocker(t *testing.T) {
	e := newDocker(t)
	volume := filepath.Join(e.folder, "volume")
	if err := os.MkdirAll(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []string { return append([]string{"run", "--rm"}, args...) }
	e.run(t, []check{
		{name: "the runtime is berth", args: []string{"info"}, out: []string{"Default Runtime: berth"}},
		{name: "run", args: run("box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: run("box", "sh", "-c", "exit 42"), code: 42},
		{name: "missing executable", args: run("box", "no-such"), code: 127,
			err: []string{`exec: "no-such": executable file not found in $PATH`}},
		{name: "executable without permission", args: run("box", "/etc/passwd"), code: 126, err: []string{"permission denied"}},
		{name: "user", args: run("--user", "1000:1000", "box", "id"), out: []string{"uid=1000(user) gid=1000(user)"}},
		{name: "user by name", args: run("--user", "user", "box", "sh", "-c", "echo $HOME; echo x > /dev/stdout"), out: []string{"/home/user\nx\n"}},
		{name: "read-only", args: run("--read-only", "box", "touch", "/x"), code: 1, err: []string{"Read-only file system"}},
		{name: "tmpfs", args: run("--read-only", "--tmpfs", "/t", "box", "touch", "/t/x")},
		{name: "volume", args: run("-v", volume+":/v", "box", "sh", "-c", "echo kept > /v/file; cat /v/file"), out: []string{"kept\n"}},
		{name: "read-only volume", args: run("-v", volume+":/v:ro", "box", "touch", "/v/x"), code: 1, err: []string{"Read-only"}},
		{name: "hostname", args: run("--hostname", "harbour", "box", "hostname"), out: []string{"harbour\n"}},
		{name: "environment", args: run("-e", "A=b", "box", "env"), out: []string{"A=b\n", "HOME=/root\n"}},
		{name: "working folder that is missing", args: run("-w", "/made/for/it", "box", "pwd"), out: []string{"/made/for/it\n"}},
		{name: "capabilities", args: run("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "box", "grep", "CapEff", "/proc/self/status"),
			out: []string{"0000000000001000"}},
		{name: "no new privileges", args: run("--security-opt", "no-new-privileges", "box", "grep", "NoNewPrivs", "/proc/self/status"),
			out: []string{"1"}},
		{name: "default seccomp profile", args: run("box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"2"}},
		{name: "no seccomp", args: run("--security-opt", "seccomp=unconfined", "box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"0"}},
		{name: "privileged", args: run("--privileged", "box", "sh", "-c", "mount -t tmpfs x /tmp && grep ' /tmp ' /proc/mounts"), out: []string{"tmpfs"},
			absent: []string{"berth: warning"}},
		{name: "pids limit", args: run("--pids-limit", "33", "box", "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"), out: []string{"33"}},
		{name: "memory and CPUs", args: run("--memory", "64m", "--cpus", "0.5", "--cpuset-cpus", "0", "box", "nproc"), out: []string{"1\n"}},
		{name: "memory exceeded", args: run("--memory", "16m", "--memory-swap", "16m", "--tmpfs", "/t:size=200m", "box", "dd", "if=/dev/zero", "of=/t/x", "bs=1M", "count=100"), code: 137},
		{name: "device", args: run("--device", "/dev/null:/dev/again", "box", "sh", "-c", "echo x > /dev/again; ls -l /dev/again"), out: []string{"1,   3"}},
		{name: "ulimit", args: run("--ulimit", "nofile=99:100", "box", "sh", "-c", "ulimit -n"), out: []string{"99\n"}},
		{name: "sysctl", args: run("--sysctl", "net.ipv4.ip_forward=1", "box", "cat", "/proc/sys/net/ipv4/ip_forward"), out: []string{"1\n"}},
		{name: "init", args: run("--init", "box", "ps"), out: []string{"docker-init"}},
		{name: "no network", args: run("--network", "none", "box", "sh", "-c", "ip -o link | wc -l; ip -o link show lo"), out: []string{"1\n", "UP"}},
		{name: "bridge network", args: run("box", "ip", "-o", "addr", "show", "eth0"), out: []string{"inet 172."}},
		{name: "host's network", args: run("--network", "host", "box", "hostname")},
		{name: "host's processes", args: run("--pid", "host", "box", "sh", "-c", "ps | grep -c dockerd")},
		{name: "masked", args: run("box", "sh", "-c", "cat /proc/keys; ls /proc/acpi; echo done"), out: []string{"done\n"}},
		{name: "a bad mount", args: run("--mount", "type=tmpfs,destination=/proc/sys", "box", "true"), code: 125,
			err: []string{"/proc/sys"}},
	})
	t.Run("life", func(t *testing.T) { dockerLife(t, e) })
	t.Run("build", func(t *testing.T) { dockerBuild(t, e) })
}

// dockerLife is one container from start to end, with all that is done to it in between.
func dockerLife(t *testing.T, e *engine) {
	if r := e.call("run", "-d", "--name", "life", "box", "sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done"); r.code != 0 {
		t.Fatalf("docker run -d: %s", r.stderr)
	}
	waitFor(t, "its output", 20*time.Second, func() bool { return strings.Contains(e.call("logs", "life").stdout, "up") })
	copied := filepath.Join(e.folder, "copied")
	e.run(t, []check{
		{name: "exec", args: []string{"exec", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "exec as user", args: []string{"exec", "-u", "1000", "-w", "/tmp", "-e", "B=c", "life", "sh", "-c", "id -u; pwd; echo $B"}, out: []string{"1000\n/tmp\nc\n"}},
		{name: "exec's exit code", args: []string{"exec", "life", "sh", "-c", "exit 9"}, code: 9},
		// Docker 20.10's client has 126 for this, with runc too; newer ones 127.
		{name: "exec of what is missing", args: []string{"exec", "life", "no-such"}, code: missingCode(t, e), out: []string{"executable file not found in $PATH"}},
		{name: "exec of what may not be executed", args: []string{"exec", "life", "/etc/passwd"}, code: 126, out: []string{"permission denied"}},
		{name: "top", args: []string{"top", "life"}, out: []string{"sleep 0.1"}},
		{name: "stats", args: []string{"stats", "--no-stream", "life"}, out: []string{"life"}},
		{name: "pause", args: []string{"pause", "life"}},
		{name: "ps while paused", args: []string{"ps"}, out: []string{"Paused"}},
		{name: "unpause", args: []string{"unpause", "life"}},
		{name: "update", args: []string{"update", "--pids-limit", "44", "life"}},
		{name: "the new limit", args: []string{"exec", "life", "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"}, out: []string{"44"}},
		{name: "cp out", args: []string{"cp", "life:/etc/passwd", copied}},
		{name: "cp in", args: []string{"cp", copied, "life:/tmp/in"}},
		{name: "diff", args: []string{"diff", "life"}, out: []string{"/tmp/in"}},
		{name: "commit", args: []string{"commit", "life", "committed"}},
		{name: "run what was committed", args: []string{"run", "--rm", "committed", "head", "-n1", "/tmp/in"}, out: []string{"root:x:0"}},
		{name: "joined namespaces", args: []string{"run", "--rm", "--pid", "container:life", "--network", "container:life", "box", "ps"}, out: []string{"trap"}},
		{name: "restart", args: []string{"restart", "-t", "5", "life"}},
		{name: "kill", args: []string{"kill", "-s", "TERM", "life"}},
		{name: "wait", args: []string{"wait", "life"}, out: []string{"7\n"}},
		{name: "start again", args: []string{"start", "life"}},
		{name: "stop", args: []string{"stop", "-t", "10", "life"}},
		{name: "logs", args: []string{"logs", "life"}, out: []string{"bye"}},
		{name: "rm", args: []string{"rm", "life"}},
		{name: "run to be removed", args: []string{"run", "-d", "--name", "gone", "box", "sleep", "600"}},
		{name: "rm by force", args: []string{"rm", "-f", "gone"}, out: []string{"gone"}},
		{name: "nothing is left", args: []string{"ps", "-aq"}, absent: []string{"e", "a", "0", "1", "2", "3"}},
	})
}

// dockerBuild builds an image whose steps run on berth.
func dockerBuild(t *testing.T, e *engine) {
	folder := filepath.Join(e.folder, "build")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "FROM box\nRUN echo one > /one\nRUN cat /one && echo two >> /one\nCMD [\"cat\", \"/one\"]\n"
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	e.run(t, []check{
		{name: "build", args: []string{"build", "-t", "built", folder}, out: []string{"Successfully"}},
		{name: "run", args: []string{"run", "--rm", "built"}, out: []string{"one\ntwo\n"}},
	})
}

// missingCode is the exit code that this version of Docker gives for exec of a missing program on runc.
func missingCode(t *testing.T, e *engine) int {
	t.Helper()
	if r := e.call("run", "-d", "--runtime", "runc", "--name", "reference", "box", "sleep", "60"); r.code != 0 {
		t.Fatalf("docker run --runtime runc: %s", r.stderr)
	}
	defer e.call("rm", "-f", "reference")
	return e.call("exec", "reference", "no-such").code
}

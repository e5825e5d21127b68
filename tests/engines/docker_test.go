package engines

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/tests/manual"
)

// docker is a dockerd of the test's own whose default runtime is berth.
type docker struct {
	*engine
	process *exec.Cmd
}

// newDocker sets a dockerd up as docs/engines.md says, with more settings where a test needs them, and starts it.
func newDocker(t *testing.T, name string, more map[string]any) *docker {
	t.Helper()
	d := &docker{engine: newEngine(t, name, "dockerd", "docker", "containerd", "iptables")}
	settings := documented(t, "/etc/docker/daemon.json")
	for key, value := range map[string]any{
		"data-root": d.in("data"), "exec-root": d.in("exec"), "pidfile": d.in("pid"), "hosts": []string{"unix://" + d.in("sock")},
		"cgroup-parent": "/" + d.cgroup, "storage-driver": "overlay2",
	} {
		settings[key] = value
	}
	for key, value := range more {
		settings[key] = value
	}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	d.write("daemon.json", string(text))
	d.prefix = []string{dockerClient(), "--config", d.in("client"), "-H", "unix://" + d.in("sock")}
	d.start()
	d.ok(t, "import", d.rootfsTar(), "box")
	return d
}

// start starts the daemon and waits until it answers.
func (d *docker) start() {
	d.t.Helper()
	d.process = d.daemon("dockerd", "--config-file", d.in("daemon.json"))
	waitFor(d.t, "dockerd", time.Minute, func() bool { return d.call("version").code == 0 })
}

// documented is the daemon.json of docs/engines.md, with berth where it was built.
func documented(t *testing.T, block string) map[string]any {
	t.Helper()
	var settings map[string]any
	if err := json.Unmarshal([]byte(manual.EnginesBlock(t, block, berth)), &settings); err != nil {
		t.Fatalf("docs/engines.md: %s: %v", block, err)
	}
	return settings
}

// dockerClient is the client of the package that dockerd comes from, where a machine has another one too.
func dockerClient() string {
	if _, err := os.Stat("/usr/bin/docker"); err == nil {
		return "/usr/bin/docker"
	}
	return "docker"
}

func TestDocker(t *testing.T) {
	d := newDocker(t, "Docker", nil)
	t.Run("run", func(t *testing.T) { dockerRun(t, d) })
	t.Run("errors", func(t *testing.T) { dockerErrors(t, d) })
	t.Run("terminal", func(t *testing.T) { dockerTerminal(t, d) })
	t.Run("life", func(t *testing.T) { dockerLife(t, d) })
	t.Run("supervision", func(t *testing.T) { dockerSupervision(t, d) })
	t.Run("build", func(t *testing.T) { dockerBuild(t, d) })
	d.run(t, []check{{name: "nothing is left", args: []string{"ps", "-aq"}, absent: []string{"e", "a", "0", "1", "2", "3"}}})
}

// dockerRun is `docker run` with each flag that reaches the runtime.
func dockerRun(t *testing.T, d *docker) {
	volume := filepath.Dir(d.write("volume/empty", ""))
	profile := d.write("seccomp.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`)
	d.ok(t, "network", "create", "harbour")
	defer d.ok(t, "network", "rm", "harbour")
	d.run(t, []check{
		{name: "the runtime is berth", args: []string{"info", "--format", "{{.DefaultRuntime}}"}, out: []string{"berth\n"}},
		{name: "run by --runtime", args: dockerArgs("--runtime", "berth", "box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "run", args: dockerArgs("box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: dockerArgs("box", "sh", "-c", "exit 42"), code: 42},
		{name: "user", args: dockerArgs("--user", "1000:1000", "box", "id"), out: []string{"uid=1000(user) gid=1000(user)"}},
		{name: "user by name", args: dockerArgs("--user", "user", "box", "sh", "-c", "echo $HOME; echo x > /dev/stdout"), out: []string{"/home/user\nx\n"}},
		{name: "read-only", args: dockerArgs("--read-only", "box", "touch", "/x"), code: 1, err: []string{"Read-only file system"}},
		{name: "tmpfs", args: dockerArgs("--read-only", "--tmpfs", "/t", "box", "touch", "/t/x")},
		{name: "volume", args: dockerArgs("-v", volume+":/v", "box", "sh", "-c", "echo kept > /v/file; cat /v/file"), out: []string{"kept\n"}},
		{name: "read-only volume", args: dockerArgs("-v", volume+":/v:ro", "box", "touch", "/v/x"), code: 1, err: []string{"Read-only"}},
		{name: "hostname", args: dockerArgs("--hostname", "harbour", "box", "hostname"), out: []string{"harbour\n"}},
		{name: "environment", args: dockerArgs("-e", "A=b", "box", "env"), out: []string{"A=b\n", "HOME=/root\n"}},
		{name: "working folder that is missing", args: dockerArgs("-w", "/made/for/it", "box", "pwd"), out: []string{"/made/for/it\n"}},
		{name: "capabilities", args: dockerArgs("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "box", "grep", "CapEff", "/proc/self/status"),
			out: []string{"0000000000001000"}},
		{name: "no new privileges", args: dockerArgs("--security-opt", "no-new-privileges", "box", "grep", "NoNewPrivs", "/proc/self/status"),
			out: []string{"1"}},
		{name: "default seccomp profile", args: dockerArgs("box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"2"}},
		{name: "no seccomp", args: dockerArgs("--security-opt", "seccomp=unconfined", "box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"0"}},
		{name: "a seccomp profile", args: dockerArgs("--security-opt", "seccomp="+profile, "box", "mkdir", "/tmp/x"), code: 1, err: []string{"not supported"}},
		{name: "privileged", args: dockerArgs("--privileged", "box", "sh", "-c", "mount -t tmpfs x /tmp && grep ' /tmp ' /proc/mounts"), out: []string{"tmpfs"},
			absent: []string{"berth: warning"}},
		{name: "pids limit", args: dockerArgs("--pids-limit", "33", "box", "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"), out: []string{"33"}},
		{name: "memory", args: dockerArgs("--memory", "64m", "box", "sh", "-c", "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; true"), out: []string{"67108864"}},
		{name: "CPUs", args: dockerArgs("--cpus", "0.5", "box", "sh", "-c", "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null; true"), out: []string{"50000"}},
		{name: "CPU set", args: dockerArgs("--cpuset-cpus", "0", "box", "nproc"), out: []string{"1\n"}},
		{name: "shares and weight", args: dockerArgs("--cpu-shares", "512", "box", "sh", "-c", "cd /sys/fs/cgroup; cat cpu/cpu.shares 2>/dev/null || cat cpu.weight"), out: []string{"\n"}},
		{name: "memory exceeded", args: dockerArgs("--memory", "16m", "--memory-swap", "16m", "--tmpfs", "/t:size=200m", "box", "dd", "if=/dev/zero", "of=/t/x", "bs=1M", "count=100"), code: 137},
		{name: "device", args: dockerArgs("--device", "/dev/null:/dev/again", "box", "sh", "-c", "echo x > /dev/again; ls -l /dev/again"), out: []string{"1,   3"}},
		{name: "ulimit", args: dockerArgs("--ulimit", "nofile=99:100", "box", "sh", "-c", "ulimit -n"), out: []string{"99\n"}},
		{name: "sysctl", args: dockerArgs("--sysctl", "net.ipv4.ip_forward=1", "box", "cat", "/proc/sys/net/ipv4/ip_forward"), out: []string{"1\n"}},
		{name: "init", args: dockerArgs("--init", "box", "ps"), out: []string{"docker-init"}},
		{name: "no network", args: dockerArgs("--network", "none", "box", "sh", "-c", "ip -o link | wc -l; ip -o link show lo"), out: []string{"1\n", "UP"}},
		{name: "bridge network", args: dockerArgs("box", "ip", "-o", "addr", "show", "eth0"), out: []string{"inet 172."}},
		{name: "a network of one's own", args: dockerArgs("--network", "harbour", "box", "ip", "-o", "addr", "show", "eth0"), out: []string{"inet 172."}},
		{name: "host's network", args: dockerArgs("--network", "host", "box", "hostname")},
		{name: "host's processes", args: dockerArgs("--pid", "host", "box", "sh", "-c", "ps | grep -c dockerd")},
		{name: "masked", args: dockerArgs("box", "sh", "-c", "cat /proc/keys; ls /proc/acpi; echo done"), out: []string{"done\n"}},
	})
}

// dockerLife is one container from start to end, with all that is done to it in between.
func dockerLife(t *testing.T, d *docker) {
	if r := d.call("run", "-d", "--name", "life", "box", "sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done"); r.code != 0 {
		t.Fatalf("docker run -d: %s", r.stderr)
	}
	waitFor(t, "its output", 20*time.Second, func() bool { return strings.Contains(d.call("logs", "life").stdout, "up") })
	copied := d.in("copied")
	d.run(t, []check{
		{name: "exec", args: []string{"exec", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "exec as user", args: []string{"exec", "-u", "1000", "-w", "/tmp", "-e", "B=c", "life", "sh", "-c", "id -u; pwd; echo $B"}, out: []string{"1000\n/tmp\nc\n"}},
		{name: "exec's exit code", args: []string{"exec", "life", "sh", "-c", "exit 9"}, code: 9},
		// Docker 20.10's client has 126 for this, with runc too; newer ones 127.
		{name: "exec of what is missing", args: []string{"exec", "life", "no-such"}, code: missingCode(t, d), out: []string{"executable file not found in $PATH"}},
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
	})
}

// dockerBuild builds an image whose steps run on berth.
func dockerBuild(t *testing.T, d *docker) {
	text := "FROM box\nARG WORD=one\nENV WORD=$WORD\nWORKDIR /made\nRUN echo $WORD > /one\nRUN cat /one && echo two >> /one\n" +
		"COPY here /made/\nUSER user\nRUN id -un > /tmp/who && cat here\nRUN [\"sh\", \"-c\", \"echo three > /tmp/three\"]\n" +
		"CMD [\"cat\", \"/one\", \"/tmp/who\", \"here\", \"/tmp/three\"]\n"
	folder := filepath.Dir(d.write("build/Dockerfile", text))
	d.write("build/here", "copied\n")
	failing := filepath.Dir(d.write("failing/Dockerfile", "FROM box\nRUN exit 23\n"))
	t.Setenv("DOCKER_BUILDKIT", "0")
	d.run(t, []check{
		{name: "build", args: []string{"build", "-t", "built", folder}, out: []string{"Successfully"}},
		{name: "run", args: []string{"run", "--rm", "built"}, out: []string{"one\ntwo\nuser\ncopied\nthree\n"}},
		{name: "a step that fails", args: []string{"build", "--force-rm", failing}, code: 23, err: []string{"returned a non-zero code: 23"}},
		{name: "no image is left", args: []string{"rmi", "built"}},
	})
}

// dockerArgs is `docker run --rm` of something.
func dockerArgs(args ...string) []string { return append([]string{"run", "--rm"}, args...) }

// missingCode is the exit code that this version of Docker gives for exec of a missing program on runc.
func missingCode(t *testing.T, d *docker) int {
	t.Helper()
	if r := d.call("run", "-d", "--runtime", "runc", "--name", "reference", "box", "sleep", "60"); r.code != 0 {
		t.Fatalf("docker run --runtime runc: %s", r.stderr)
	}
	defer d.call("rm", "-f", "reference")
	return d.call("exec", "reference", "no-such").code
}

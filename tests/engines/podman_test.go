package engines

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth/tests/manual"
)

// podmanLimits are flags for every container.
func (e *engine) podmanLimits() []string {
	return []string{"--cgroup-parent", "/" + e.cgroup}
}

// podmanRun is `podman run --rm` of something.
func (e *engine) podmanRun(args ...string) []string {
	return append(append([]string{"run", "--rm", "--network", "none"}, e.podmanLimits()...), args...)
}

// podmanSettings writes the settings of Podman and Buildah, with what docs/engines.md says of berth, and gives the
// command that has them in its environment.
func (e *engine) podmanSettings() []string {
	e.t.Helper()
	documented := manual.EnginesBlock(e.t, "/etc/containers/containers.conf.d/berth.conf", berth)
	own := "[engine]\nlock_type = \"file\"\nevents_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\nnetwork_config_dir = \"" + e.in("networks") + "\"\n"
	if !strings.HasPrefix(documented, "[engine]\n") {
		e.t.Fatalf("docs/engines.md's containers.conf begins with %q", documented)
	}
	// Podman's default limits are above what a nested machine may set.
	own += strings.TrimPrefix(documented, "[engine]\n") + "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\n[network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"" + e.in("networks") + "\"\n"
	storage := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n[storage.options]\nroot-auto-userns-user = \"containers\"\n", e.in("root"), e.in("run"))
	policy := e.write("policy.json", `{"default": [{"type": "insecureAcceptAnything"}]}`)
	return append(append([]string{}, e.namespace...), "env", "CONTAINERS_CONF="+e.write("containers.conf", own),
		"CONTAINERS_STORAGE_CONF="+e.write("storage.conf", storage), "CONTAINERS_REGISTRIES_CONF="+e.write("registries.conf", ""),
		"CONTAINERS_POLICY="+policy)
}

// newPodman sets podman up with storage and settings of the test's own.
func newPodman(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t, "Podman", "podman", "conmon")
	e.prefix = append(e.podmanSettings(), "podman", "--tmpdir", e.in("tmp"))
	e.ok(t, "import", e.rootfsTar(), "box")
	return e
}

func TestPodman(t *testing.T) {
	e := newPodman(t)
	volume := e.in("volume")
	if err := os.MkdirAll(volume, 0o777); err != nil {
		t.Fatal(err)
	}
	run := e.podmanRun
	e.run(t, []check{
		{name: "the runtime is berth", args: []string{"info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}"}, out: []string{"berth " + berth}},
		{name: "its version", args: []string{"info", "--format", "{{.Host.OCIRuntime.Version}}"}, out: []string{"berth version"}},
		{name: "run", args: run("box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "run by --runtime", args: append([]string{"--runtime", berth}, run("box", "echo", "hello")...), out: []string{"hello\n"}},
		{name: "exit code", args: run("box", "sh", "-c", "exit 42"), code: 42},
		{name: "user", args: run("--user", "1000", "box", "id", "-u"), out: []string{"1000\n"}},
		{name: "seccomp", args: run("box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"2"}},
		{name: "no new privileges", args: run("--security-opt", "no-new-privileges", "box", "grep", "NoNewPrivs", "/proc/self/status"), out: []string{"1"}},
		{name: "capabilities", args: run("--cap-drop", "all", "--cap-add", "net_admin", "box", "grep", "CapEff", "/proc/self/status"), out: []string{"0000000000001000"}},
		{name: "privileged", args: run("--privileged", "box", "sh", "-c", "mount -t tmpfs x /tmp && grep ' /tmp ' /proc/mounts"), out: []string{"tmpfs"}, absent: []string{"warning"}},
		{name: "read-only", args: run("--read-only", "box", "touch", "/x"), code: 1, err: []string{"Read-only file system"}},
		{name: "tmpfs", args: run("--read-only", "--tmpfs", "/t", "box", "touch", "/t/x")},
		{name: "volume", args: run("-v", volume+":/v", "box", "sh", "-c", "echo kept > /v/file; cat /v/file"), out: []string{"kept\n"}},
		{name: "read-only volume", args: run("-v", volume+":/v:ro", "box", "touch", "/v/x"), code: 1, err: []string{"Read-only"}},
		{name: "named volume", args: run("-v", "harbour:/v", "box", "sh", "-c", "echo kept > /v/file; cat /v/file"), out: []string{"kept\n"}},
		{name: "terminal", args: run("-t", "box", "tty"), out: []string{"/dev/pts/0"}},
		{name: "init", args: run("--init", "box", "ps"), out: []string{"podman-init"}},
		{name: "devices", args: run("--device", "/dev/null:/dev/again", "box", "ls", "-l", "/dev/again"), out: []string{"1,   3"}},
		{name: "sysctl", args: run("--sysctl", "net.ipv4.ip_forward=1", "box", "cat", "/proc/sys/net/ipv4/ip_forward"), out: []string{"1\n"}},
		{name: "memory", args: run("--memory", "64m", "box", "sh", "-c", "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; true"), out: []string{"67108864"}},
		{name: "memory exceeded", args: e.podmanRun("--memory", "16m", "--memory-swap", "16m", "--tmpfs", "/t:size=200m", "box", "dd", "if=/dev/zero", "of=/t/x", "bs=1M", "count=100"), code: 137},
		{name: "bridge network", args: append(append([]string{"run", "--rm"}, e.podmanLimits()...), "box", "ip", "-o", "addr", "show", "eth0"), out: []string{"inet 10."}},
		{name: "host's network", args: append(append([]string{"run", "--rm", "--network", "host"}, e.podmanLimits()...), "box", "ip", "-o", "link"), out: []string{"lo"}},
	})
	t.Run("user namespaces", func(t *testing.T) { podmanUsers(t, e, volume) })
	t.Run("errors", func(t *testing.T) { podmanErrors(t, e) })
	t.Run("terminal", func(t *testing.T) { podmanTerminal(t, e) })
	t.Run("life", func(t *testing.T) { podmanLife(t, e) })
	t.Run("pods", func(t *testing.T) { podmanPods(t, e) })
	e.run(t, []check{{name: "nothing is left", args: []string{"ps", "-aq"}, absent: []string{"e", "a", "0", "1", "2", "3"}}})
}

// podmanUsers is what Podman does with user namespaces.
func podmanUsers(t *testing.T, e *engine, volume string) {
	for name, id := range map[string]int{"root": 0, "user": 1000} {
		if err := os.Chown(e.write("volume/"+name, ""), id, id); err != nil {
			t.Fatal(err)
		}
	}
	e.run(t, []check{
		{name: "ids given", args: e.podmanRun("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "box", "cat", "/proc/self/uid_map"), out: []string{"100000"}},
		{name: "files belong to the mapped root", args: e.podmanRun("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "box", "stat", "-c", "%u %g", "/etc/passwd"), out: []string{"0 0\n"}},
		{name: "a volume mapped", args: e.podmanRun("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "-v", volume+":/v:idmap", "box",
			"sh", "-c", "stat -c '%u %g' /v/root /v/user; echo made > /v/made"), out: []string{"0 0\n1000 1000\n"}},
		{name: "what was made in it", args: e.podmanRun("-v", volume+":/v", "box", "stat", "-c", "%u %g", "/v/made"), out: []string{"0 0\n"}},
		{name: "the host's", args: e.podmanRun("--userns", "host", "box", "id", "-u"), out: []string{"0\n"}},
	})
	// Podman takes the ids for --userns=auto from those of the user "containers", which a test may not give them on
	// the host; so it sees files of the test's own, in a mount namespace of its own.
	ids := e.write("subids", "containers:2000000:1000000\n")
	auto := *e
	auto.prefix = append([]string{"unshare", "--mount", "sh", "-c", "mount --bind " + ids + " /etc/subuid && mount --bind " + ids + " /etc/subgid && exec \"$@\"", "sh"}, e.prefix...)
	auto.run(t, []check{
		{name: "auto", args: e.podmanRun("--userns", "auto:size=4096", "box", "cat", "/proc/self/uid_map"), out: []string{"2000000       4096"}},
		{name: "auto as user", args: e.podmanRun("--userns", "auto:size=4096", "--user", "1000", "box", "id", "-u"), out: []string{"1000\n"}},
	})
}

// podmanErrors is what a user of Podman sees of berth's errors.
func podmanErrors(t *testing.T, e *engine) {
	e.run(t, []check{
		{name: "missing executable", args: e.podmanRun("box", "no-such"), code: 127, oneLine: true, err: []string{`executable file not found in $PATH`}},
		{name: "missing executable by path", args: e.podmanRun("box", "/bin/no-such"), code: 127, oneLine: true, err: []string{"/bin/no-such", "no such file or directory"}},
		{name: "executable without permission", args: e.podmanRun("box", "/etc/passwd"), code: 126, oneLine: true, err: []string{"permission denied"}},
		{name: "a folder as executable", args: e.podmanRun("box", "/etc"), code: 126, oneLine: true, err: []string{"/etc"}},
		{name: "a bad mount", args: e.podmanRun("--mount", "type=tmpfs,destination=/proc/sys", "box", "true"), code: 126, oneLine: true, err: []string{"/proc/sys"}},
		{name: "a bad limit", args: e.podmanRun("--ulimit", "nofile=2000000000:2000000000", "box", "true"), code: 126, oneLine: true, err: []string{"process.rlimits[", "2000000000"}},
		{name: "a bad limit of the cgroup", args: e.podmanRun("--cpu-rt-runtime", "900000", "--cpu-rt-period", "1000", "box", "true"), code: 126, oneLine: true, err: []string{"linux.resources.cpu"}},
		{name: "a bad sysctl", args: e.podmanRun("--sysctl", "net.ipv4.ip_forward=many", "box", "true"), code: 126, oneLine: true, err: []string{"net.ipv4.ip_forward", "invalid argument"}},
		{name: "out of memory at the start", args: e.podmanRun("--memory", "4k", "--memory-swap", "4k", "box", "sleep", "1"), code: 126, oneLine: true, err: []string{"memory"}},
	})
}

// podmanTerminal is what a user does with -it.
func podmanTerminal(t *testing.T, e *engine) {
	e.test(t, "run -it", func(t *testing.T) {
		x := e.onTerminal(t, e.podmanRun("-it", "box", "sh")...)
		x.sees("# ")
		x.enter("tty; stty size\n")
		x.sees("/dev/pts/0")
		x.sees("33 111")
		x.resize(44, 122)
		waitForSize(t, x)
		x.enter("exit 5\n")
		x.ends(5)
	})
	e.test(t, "exec -it and attach", func(t *testing.T) {
		start := append([]string{"run", "-dit", "--name", "tty", "--network", "none"}, e.podmanLimits()...)
		e.ok(t, append(start, "box", "sh")...)
		defer e.call("rm", "-ft", "0", "tty")
		x := e.onTerminal(t, "exec", "-it", "--user", "user", "tty", "sh")
		x.sees("$ ")
		x.enter("tty; id -un; exit 6\n")
		x.sees("/dev/pts/1")
		x.sees("user")
		x.ends(6)
		y := e.onTerminal(t, "attach", "tty")
		waitFor(t, "an answer", 20*time.Second, func() bool {
			y.enter("echo $((50+1))\n")
			return strings.Contains(y.text(), "51")
		})
		y.enter("exit 7\n")
		y.ends(0)
		if code := e.ok(t, "wait", "tty"); code != "7" {
			t.Errorf("the container's exit code is %s", code)
		}
	})
	e.run(t, []check{{name: "run -i", args: e.podmanRun("-i", "box", "cat"), stdin: "from here\n", out: []string{"from here\n"}}})
}

// podmanLife is one container from start to end.
func podmanLife(t *testing.T, e *engine) {
	start := append([]string{"run", "-d", "--name", "life", "--network", "none", "--health-cmd", "test -e /tmp/well", "--health-interval", "disable"}, e.podmanLimits()...)
	e.ok(t, append(start, "box", "sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done")...)
	waitFor(t, "its output", 20*time.Second, func() bool { return strings.Contains(e.call("logs", "life").stdout, "up") })
	e.run(t, []check{
		{name: "exec", args: []string{"exec", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "exec as user", args: []string{"exec", "-u", "1000", "-w", "/tmp", "-e", "B=c", "life", "sh", "-c", "id -u; pwd; echo $B"}, out: []string{"1000\n/tmp\nc\n"}},
		{name: "exec's exit code", args: []string{"exec", "life", "sh", "-c", "exit 9"}, code: 9},
		{name: "exec -i", args: []string{"exec", "-i", "life", "cat"}, stdin: "from here\n", out: []string{"from here\n"}},
		{name: "exec -d", args: []string{"exec", "-d", "life", "touch", "/tmp/detached"}},
		{name: "exec of what is missing", args: []string{"exec", "life", "no-such"}, code: 127, oneLine: true, err: []string{"executable file not found in $PATH"}},
		{name: "exec of what may not be executed", args: []string{"exec", "life", "/etc/passwd"}, code: 126, oneLine: true, err: []string{"permission denied"}},
		{name: "ill", args: []string{"healthcheck", "run", "life"}, code: 1},
		{name: "made well", args: []string{"exec", "life", "touch", "/tmp/well"}},
		{name: "well", args: []string{"healthcheck", "run", "life"}},
		{name: "pause", args: []string{"pause", "life"}},
		{name: "ps", args: []string{"ps", "-a"}, out: []string{"Paused"}},
		{name: "unpause", args: []string{"unpause", "life"}},
		{name: "stats", args: []string{"stats", "--no-stream", "life"}, out: []string{"life"}},
		{name: "top", args: []string{"top", "life"}, out: []string{"sleep"}},
		{name: "cp", args: []string{"cp", "life:/etc/passwd", e.in("copied")}},
		{name: "diff", args: []string{"diff", "life"}, out: []string{"/tmp/well"}},
		{name: "commit", args: []string{"commit", "-q", "life", "committed"}},
		{name: "run what was committed", args: e.podmanRun("committed", "ls", "/tmp"), out: []string{"well\n"}},
		{name: "joined namespaces", args: append(append([]string{"run", "--rm", "--pid", "container:life", "--network", "container:life"}, e.podmanLimits()...), "box", "ps"), out: []string{"trap"}},
		{name: "restart", args: []string{"restart", "-t", "5", "life"}},
		{name: "kill", args: []string{"kill", "-s", "TERM", "life"}},
		{name: "wait", args: []string{"wait", "life"}, out: []string{"7\n"}},
		{name: "start again", args: []string{"start", "life"}},
		{name: "stop", args: []string{"stop", "-t", "10", "life"}},
		{name: "logs", args: []string{"logs", "life"}, out: []string{"bye"}},
		{name: "rm", args: []string{"rm", "life"}},
		{name: "run to be removed", args: e.podmanRun("-d", "--name", "gone", "box", "sleep", "600")},
		{name: "rm by force", args: []string{"rm", "-ft", "0", "gone"}},
	})
	e.test(t, "restart policy", func(t *testing.T) {
		e.ok(t, append(append([]string{"run", "-d", "--name", "again", "--network", "none", "--restart", "on-failure:2"}, e.podmanLimits()...), "box", "sh", "-c", "echo ran; exit 3")...)
		defer e.call("rm", "-ft", "0", "again")
		waitFor(t, "two restarts", 40*time.Second, func() bool { return strings.Count(e.call("logs", "again").stdout, "ran") == 3 })
	})
}

// podmanPods is containers that share namespaces, by hand and from Kubernetes' YAML.
func podmanPods(t *testing.T, e *engine) {
	inPod := func(pod string, args ...string) []string {
		return append([]string{"run", "--pod", pod}, args...)
	}
	e.run(t, []check{
		{name: "create", args: []string{"pod", "create", "--name", "quay", "--hostname", "quay", "--share", "pid,ipc,net,uts", "--cgroup-parent", "/" + e.cgroup}},
		{name: "first container", args: inPod("quay", "-d", "--name", "server", "box", "sh", "-c", "echo served > /tmp/page; httpd -f -p 80 -h /tmp")},
	})
	waitFor(t, "the server", 20*time.Second, func() bool {
		return e.call(inPod("quay", "--rm", "box", "wget", "-qO-", "http://127.0.0.1/page")...).code == 0
	})
	e.run(t, []check{
		{name: "shared network", args: inPod("quay", "--rm", "box", "wget", "-qO-", "http://127.0.0.1/page"), out: []string{"served\n"}},
		{name: "shared processes", args: inPod("quay", "--rm", "box", "ps"), out: []string{"httpd"}},
		{name: "shared hostname", args: inPod("quay", "--rm", "box", "hostname"), out: []string{"quay\n"}},
		{name: "pod stats", args: []string{"pod", "stats", "--no-stream", "quay"}, out: []string{"server"}},
		{name: "pod top", args: []string{"pod", "top", "quay"}, out: []string{"httpd"}},
		{name: "pod pause", args: []string{"pod", "pause", "quay"}},
		{name: "pod unpause", args: []string{"pod", "unpause", "quay"}},
	})
	e.test(t, "generate kube", func(t *testing.T) {
		text := e.ok(t, "generate", "kube", "quay")
		if !strings.Contains(text, "kind: Pod") {
			t.Errorf("no pod in %s", text)
		}
		text = regexp.MustCompile(`name: quay\b`).ReplaceAllString(text, "name: pier")
		e.write("generated.yaml", text)
	})
	e.run(t, []check{
		{name: "pod stop", args: []string{"pod", "stop", "-t", "0", "quay"}},
		{name: "pod rm", args: []string{"pod", "rm", "-f", "quay"}},
		{name: "play what was generated", args: []string{"play", "kube", e.in("generated.yaml")}, out: []string{"Pod:"}},
		{name: "it runs", args: []string{"ps", "--format", "{{.Names}} {{.Status}}"}, out: []string{"pier-server", "Up"}},
		{name: "play kube --down", args: []string{"play", "kube", "--down", e.in("generated.yaml")}},
		{name: "play kube", args: []string{"play", "kube", e.write("pod.yaml", podYAML)}},
		{name: "its second container", args: []string{"exec", "wharf-second", "sh", "-c", "cat /shared/word; echo $WORD; id -u"}, out: []string{"from the first\nset\n1000\n"}},
		{name: "down", args: []string{"play", "kube", "--down", e.in("pod.yaml")}},
	})
}

// podYAML is a pod whose containers share a volume, and whose second has limits, a variable and a user.
const podYAML = `apiVersion: v1
kind: Pod
metadata:
  name: wharf
spec:
  hostNetwork: true
  volumes:
  - name: shared
    emptyDir: {}
  containers:
  - name: first
    image: localhost/box:latest
    command: ["sh", "-c", "echo from the first > /shared/word; sleep 600"]
    volumeMounts:
    - {name: shared, mountPath: /shared}
  - name: second
    image: localhost/box:latest
    command: ["sleep", "600"]
    env:
    - {name: WORD, value: set}
    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: ["ALL"]}}
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    volumeMounts:
    - {name: shared, mountPath: /shared}
`

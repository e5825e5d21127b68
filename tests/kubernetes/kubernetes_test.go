package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"berth/tests/manual"
)

// TestKubernetes makes one cluster, whose pods live side by side.
func TestKubernetes(t *testing.T) {
	c := newCluster(t)
	if r := c.kubectlIn(t, manual.EnginesBlock(t, "runtimeclass.yaml", c.berth), "create", "-f", "-"); r.code != 0 {
		t.Fatalf("docs/engines.md's RuntimeClass: %s%s", r.stdout, r.stderr)
	}
	t.Run("restart of the daemons", func(t *testing.T) { checkRestart(t, c) })
	t.Run("pods", func(t *testing.T) {
		for name, check := range map[string]func(*testing.T, *cluster){
			"runtime class":              checkRuntimeClass,
			"no runtime class":           checkDefault,
			"unknown runtime class":      checkUnknownClass,
			"limits":                     checkLimits,
			"resize":                     checkResize,
			"exec":                       checkExec,
			"logs and exit code":         checkLogs,
			"missing executable":         checkMissing,
			"out of memory":              checkOutOfMemory,
			"liveness probe":             checkLiveness,
			"network and readiness":      checkNetwork,
			"init container":             checkInit,
			"security context":           checkSecurity,
			"volumes":                    checkVolumes,
			"hooks and graceful end":     checkHooks,
			"shared processes and debug": checkShared,
			"host namespaces":            checkHost,
			"propagation":                checkPropagation,
			"statistics":                 checkStatistics,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				check(t, c)
			})
		}
	})
	t.Run("nothing is left", func(t *testing.T) {
		var containers, states string
		waitFor(t, "the end of all containers", 3*time.Minute, func() bool { // the kubelet looks once a minute
			containers = c.ok(t, "ctr", "--namespace", "k8s.io", "containers", "list", "--quiet")
			states = c.ok(t, c.berth, "--root", berthState, "list", "--quiet")
			return containers == "" && states == ""
		})
		if left := c.cgroupsNamed(t, "/pod"); len(left) > 0 {
			t.Errorf("cgroups are left: %s", left)
		}
	})
}

// runtimeOf is what containerd says of a container's runtime: its options hold the path of the program.
func (c *cluster) runtimeOf(t *testing.T, id string) string {
	t.Helper()
	var info struct {
		Runtime struct {
			Options struct{ Value string }
		}
	}
	text := c.ok(t, "ctr", "--namespace", "k8s.io", "containers", "info", id)
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		t.Fatal(err)
	}
	options, err := base64.StdEncoding.DecodeString(info.Runtime.Options.Value)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return string(options)
}

func checkRuntimeClass(t *testing.T, c *cluster) {
	c.create(t, "classed", of(box("main", "sleep 600")))
	id := c.running(t, "classed").Status.ContainerStatuses[0].id()
	holds(t, c.runtimeOf(t, id), c.berth)
	c.pid(t, id)
	holds(t, c.ok(t, c.berth, "--root", berthState, "list", "--quiet"), id)
	holds(t, c.must(t, "get", "node", "node", "--output=wide"), "containerd://")
}

func checkDefault(t *testing.T, c *cluster) {
	c.createAs(t, "unclassed", "", of(box("main", "sleep 600")))
	id := c.running(t, "unclassed").Status.ContainerStatuses[0].id()
	if options := c.runtimeOf(t, id); strings.Contains(options, c.berth) {
		t.Errorf("a pod without a class is on berth: %q", options)
	}
	// Its state lies beside those of berth's containers.
	if r := c.call(t, c.berth, "--root", berthState, "delete", "--force", id); r.code == 0 || !strings.Contains(r.stderr, "is another runtime's") {
		t.Errorf("berth deletes it: %d %s%s", r.code, r.stdout, r.stderr)
	}
}

func checkUnknownClass(t *testing.T, c *cluster) {
	r := c.kubectlIn(t, manifest("unknown", "quay", of(box("main", "true"))), "create", "-f", "-")
	if r.code == 0 {
		t.Fatal("a pod of the class quay is taken")
	}
	holds(t, r.stderr, `RuntimeClass "quay" not found`)
}

func checkLimits(t *testing.T, c *cluster) {
	c.create(t, "limited", of(box("main", "sleep 600", "resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 250m, memory: 64Mi}}")))
	p := c.running(t, "limited")
	id := p.Status.ContainerStatuses[0].id()
	pid := c.pid(t, id)
	holds(t, cgroupOf(t, pid, "memory"), "/"+c.cgroup+"/kubepods/burstable/pod"+p.Metadata.UID+"/"+id)
	checkCgroup(t, pid, "67108864", "25000")
	if unified() {
		return
	}
	if shares := limit(t, pid, "cpu.shares", ""); shares != "102" {
		t.Errorf("cpu.shares is %s", shares)
	}
}

// checkCgroup compares the limits of memory and of processor time (of each 100 ms) in a process's cgroup.
func checkCgroup(t *testing.T, pid int, memory, quota string) {
	t.Helper()
	if got := limit(t, pid, "memory.limit_in_bytes", "memory.max"); got != memory {
		t.Errorf("the limit of memory is %s, want %s", got, memory)
	}
	if got, _, _ := strings.Cut(limit(t, pid, "cpu.cfs_quota_us", "cpu.max"), " "); got != quota {
		t.Errorf("the processor's quota is %s, want %s", got, quota)
	}
}

// A kubelet resizes a container in its place by an update of the runtime's.
func checkResize(t *testing.T, c *cluster) {
	resources := func(cpu, memory string) string {
		return "resources: {requests: {cpu: " + cpu + ", memory: " + memory + "}, limits: {cpu: " + cpu + ", memory: " + memory + "}}"
	}
	c.create(t, "resized", of(box("main", "sleep 600", resources("100m", "64Mi"))))
	pid := c.pid(t, c.running(t, "resized").Status.ContainerStatuses[0].id())
	checkCgroup(t, pid, "67108864", "10000")
	c.must(t, "patch", "pod", "resized", "--patch", "spec: {containers: [{name: main, "+resources("200m", "96Mi")+"}]}")
	waitFor(t, "the new limits", podLimit, func() bool {
		return limit(t, pid, "memory.limit_in_bytes", "memory.max") == "100663296" && strings.HasPrefix(limit(t, pid, "cpu.cfs_quota_us", "cpu.max"), "20000")
	})
	if n := c.get(t, "resized").Status.ContainerStatuses[0].RestartCount; n != 0 {
		t.Errorf("it was started anew %d times", n)
	}
}

// missing is berth's line on a program that is not there.
const missing = `process.args: find no-such: exec: "no-such": executable file not found in $PATH`

func checkExec(t *testing.T, c *cluster) {
	c.create(t, "entered", of(box("main", "echo kept > /tmp/file; sleep 600")))
	c.running(t, "entered")
	if out := c.exec(t, "entered", "cat", "/tmp/file"); out != "kept\n" {
		t.Errorf("output %q", out)
	}
	r := c.kubectl(t, "exec", "entered", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
	if r.code != 7 || r.stdout != "out\n" || !strings.HasPrefix(r.stderr, "err\n") {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
	if r := c.kubectlIn(t, "cargo", "exec", "-i", "entered", "--", "wc", "-c"); r.stdout != "5\n" {
		t.Errorf("what is written on its input: %d %q %q", r.code, r.stdout, r.stderr)
	}
	r = c.kubectl(t, "exec", "entered", "--", "no-such")
	if r.code == 0 {
		t.Error("a missing executable runs")
	}
	holds(t, r.stderr, "OCI runtime exec failed: "+missing)
	client := c.programs + "/kubectl --kubeconfig=" + c.in("kubeconfig")
	holds(t, c.ok(t, "script", "-qec", client+" exec -it entered -- tty", "/dev/null"), "/dev/pts/0")
}

func checkLogs(t *testing.T, c *cluster) {
	c.create(t, "logging", of(box("main", "echo out; echo err >&2; echo sunk > /dev/termination-log; exit 42"), "restartPolicy: Never"))
	end := c.ended(t, "logging")
	if end.ExitCode != 42 || end.Reason != "Error" || end.Message != "sunk\n" {
		t.Errorf("it ended so: %+v", end)
	}
	holds(t, c.must(t, "logs", "logging"), "out\n", "err\n")
	c.wait(t, "logging", "the pod has failed", func(p pod) bool { return p.Status.Phase == "Failed" })
}

func checkMissing(t *testing.T, c *cluster) {
	c.create(t, "missing", of("{name: main, image: "+image+", command: [no-such]}", "restartPolicy: Never"))
	end := c.ended(t, "missing")
	if end.Reason != "StartError" || end.ExitCode != 128 {
		t.Errorf("it ended so: %+v", end)
	}
	holds(t, end.Message, "OCI runtime create failed: "+missing)
}

func checkOutOfMemory(t *testing.T, c *cluster) {
	c.create(t, "hungry", of(box("main", "exec tail /dev/zero", "resources: {limits: {memory: 32Mi}}"), "restartPolicy: Never"))
	if end := c.ended(t, "hungry"); end.Reason != "OOMKilled" || end.ExitCode != 137 {
		t.Errorf("it ended so: %+v", end)
	}
}

func checkLiveness(t *testing.T, c *cluster) {
	c.create(t, "alive", of(box("main", "touch /tmp/alive; echo started; sleep 600",
		"livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, initialDelaySeconds: 5, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1}")))
	first := c.running(t, "alive").Status.ContainerStatuses[0].id()
	c.exec(t, "alive", "rm", "/tmp/alive")
	p := c.wait(t, "alive", "it is started anew", func(p pod) bool {
		s := p.Status.ContainerStatuses[0]
		return s.RestartCount > 0 && s.State.Running != nil
	})
	if p.Status.ContainerStatuses[0].id() == first {
		t.Error("it is the same container")
	}
	if last := p.Status.ContainerStatuses[0].LastState.Terminated; last == nil || last.ExitCode != 137 {
		t.Errorf("the first ended so: %+v", last)
	}
	holds(t, c.must(t, "logs", "--previous", "alive"), "started\n")
}

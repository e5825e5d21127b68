package kubernetes

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"berth/tests/daemon"
)

// A pod has an address of its own, where the kubelet's probe and another pod reach it.
func checkNetwork(t *testing.T, c *cluster) {
	c.create(t, "served", of(box("main", "mkdir /tmp/www; echo harbour > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www",
		"readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}")))
	server := c.running(t, "served").Status.PodIP
	if !strings.HasPrefix(server, "10.112.0.") {
		t.Errorf("the pod's address is %q", server)
	}
	c.create(t, "asking", of(box("main", "wget -qO- http://"+server+":8080/; hostname"), "restartPolicy: Never"))
	if end := c.ended(t, "asking"); end.ExitCode != 0 {
		t.Errorf("it ended so: %+v", end)
	}
	if out := c.must(t, "logs", "asking"); out != "harbour\nasking\n" {
		t.Errorf("output %q", out)
	}
}

func checkInit(t *testing.T, c *cluster) {
	mount := "volumeMounts: [{name: hold, mountPath: /hold}]"
	c.create(t, "initiated", of(box("main", "cat /hold/cargo", mount), "restartPolicy: Never", "volumes: [{name: hold, emptyDir: {}}]",
		"initContainers: ["+box("first", "echo loaded > /hold/cargo", mount)+", "+box("second", "echo again >> /hold/cargo", mount)+"]"))
	end := c.ended(t, "initiated")
	out := c.must(t, "logs", "initiated")
	if end.ExitCode != 0 || out != "loaded\nagain\n" {
		t.Errorf("%+v, %q", end, out)
	}
	for _, s := range c.get(t, "initiated").Status.InitContainerStatuses {
		if s.State.Terminated == nil || s.State.Terminated.Reason != "Completed" {
			t.Errorf("%s ended so: %+v", s.Name, s.State.Terminated)
		}
	}
}

// What the strictest of the pod security standards asks for, and more.
func checkSecurity(t *testing.T, c *cluster) {
	c.create(t, "secure", of(box("main", "sleep 600",
		"securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"),
		"securityContext: {runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true, supplementalGroups: [4242], seccompProfile: {type: RuntimeDefault}, "+
			"sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: \"80\"}]}"))
	c.running(t, "secure")
	status := strings.ReplaceAll(c.exec(t, "secure", "cat", "/proc/1/status"), "\t", " ")
	holds(t, status, "Uid: 1000 1000", "Gid: 1000 1000", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2")
	holds(t, c.exec(t, "secure", "id", "-G"), "1000 4242")
	if out := c.exec(t, "secure", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"); out != "80\n" {
		t.Errorf("the sysctl is %q", out)
	}
	if r := c.kubectl(t, "exec", "secure", "--", "touch", "/etc/x"); r.code == 0 || !strings.Contains(r.stderr, "Read-only file system") {
		t.Errorf("the rootfs: %d %s", r.code, r.stderr)
	}
}

func checkVolumes(t *testing.T, c *cluster) {
	c.must(t, "create", "configmap", "chart", "--from-literal=north=up", "--from-literal=south=down")
	c.must(t, "create", "secret", "generic", "log", "--from-literal=captain=Argo")
	c.write(t, "shore/stone", "grey\n")
	c.create(t, "laden", of(box("main", "sleep 600",
		"volumeMounts: [{name: chart, mountPath: /chart}, {name: chart, mountPath: /etc/north, subPath: north}, {name: log, mountPath: /log, readOnly: true}, "+
			"{name: memory, mountPath: /memory}, {name: shore, mountPath: /shore, readOnly: true}, {name: self, mountPath: /self}]",
		"env: [{name: SHIP, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: CAPTAIN, valueFrom: {secretKeyRef: {name: log, key: captain}}}]"),
		"volumes: [{name: chart, configMap: {name: chart}}, {name: log, secret: {secretName: log}}, {name: memory, emptyDir: {medium: Memory, sizeLimit: 8Mi}}, "+
			"{name: shore, hostPath: {path: "+c.in("shore")+"}}, {name: self, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]"))
	c.running(t, "laden")
	script := `cat /chart/south /etc/north /log/captain; echo; cat /shore/stone /self/name; echo; echo $SHIP $CAPTAIN
		touch /shore/x; stat -f -c %T /memory; ls /var/run/secrets/kubernetes.io/serviceaccount`
	r := c.kubectl(t, "exec", "laden", "--", "sh", "-c", script)
	if want := "downupArgo\ngrey\nladen\nladen Argo\ntmpfs\nca.crt\nnamespace\ntoken\n"; r.stdout != want {
		t.Errorf("output %q, want %q", r.stdout, want)
	}
	holds(t, r.stderr, "/shore/x: Read-only file system")
}

func checkHooks(t *testing.T, c *cluster) {
	if err := os.Mkdir(c.in("wake"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.create(t, "hooked", of(box("main", `trap 'echo term >> /wake/log; exit 0' TERM; while :; do sleep 0.1; done`,
		"volumeMounts: [{name: wake, mountPath: /wake}]",
		`lifecycle: {postStart: {exec: {command: [sh, -c, "echo start >> /wake/log"]}}, preStop: {exec: {command: [sh, -c, "echo stop >> /wake/log"]}}}`),
		"volumes: [{name: wake, hostPath: {path: "+c.in("wake")+"}}]", "terminationGracePeriodSeconds: 60"))
	c.running(t, "hooked")
	c.must(t, "delete", "pod", "hooked")
	text, err := os.ReadFile(c.in("wake/log"))
	if err != nil || string(text) != "start\nstop\nterm\n" {
		t.Errorf("%v, %q", err, text)
	}
}

// Containers that share their processes see each other's; so does one that kubectl debug adds.
func checkShared(t *testing.T, c *cluster) {
	c.create(t, "shared", "containers: ["+box("one", "exec sleep 611")+", "+box("two", "exec sleep 612")+"]\nshareProcessNamespace: true")
	c.running(t, "shared")
	holds(t, c.must(t, "exec", "shared", "--container=two", "--", "ps"), "sleep 611", "sleep 612")
	c.create(t, "debugged", of(box("main", "exec sleep 613")))
	c.running(t, "debugged")
	c.must(t, "debug", "debugged", "--image="+image, "--target=main", "--container=probe", "--", "ps")
	c.wait(t, "debugged", "the added container has ended", func(p pod) bool {
		s := p.Status.EphemeralContainerStatuses
		return len(s) == 1 && s[0].State.Terminated != nil
	})
	holds(t, c.must(t, "logs", "debugged", "--container=probe"), "sleep 613", "1 root")
}

// A pod of the host's own namespaces, with all that the host may do.
func checkHost(t *testing.T, c *cluster) {
	c.create(t, "hosted", of(box("main", "sleep 600", "securityContext: {privileged: true}"), "hostNetwork: true", "hostPID: true", "hostIPC: true"))
	c.running(t, "hosted")
	for _, name := range []string{"net", "pid", "ipc"} {
		out := strings.TrimSpace(c.exec(t, "hosted", "readlink", "/proc/self/ns/"+name))
		if own := c.ok(t, "readlink", "/proc/self/ns/"+name); out != own {
			t.Errorf("its %s namespace is %s, the node's %s", name, out, own)
		}
	}
	holds(t, c.exec(t, "hosted", "ls", "/dev"), "kmsg")
}

// What a container mounts below a volume appears on the node, as a storage driver needs, and the other way round.
func checkPropagation(t *testing.T, c *cluster) {
	for _, name := range []string{"up", "down"} {
		if err := os.MkdirAll(c.in("tide/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	volume := "volumes: [{name: tide, hostPath: {path: " + c.in("tide") + "}}]"
	mount := "volumeMounts: [{name: tide, mountPath: /tide, mountPropagation: "
	c.create(t, "driver", of(box("main", "mount -t tmpfs mine /tide/up && sleep 600", mount+"Bidirectional}]", "securityContext: {privileged: true}"), volume))
	c.create(t, "rider", of(box("main", "sleep 600", mount+"HostToContainer}]"), volume))
	c.running(t, "driver")
	c.running(t, "rider")
	waitFor(t, "the container's mount on the node", podLimit, func() bool { return c.call(t, "mountpoint", c.in("tide/up")).code == 0 })
	c.ok(t, "mount", "-t", "tmpfs", "yours", c.in("tide/down"))
	for _, name := range []string{"driver", "rider"} {
		holds(t, c.exec(t, name, "cat", "/proc/mounts"), "mine /tide/up tmpfs", "yours /tide/down tmpfs")
	}
	c.ok(t, "umount", c.in("tide/down"))
	c.ok(t, "umount", c.in("tide/up"))
}

// The kubelet finds a container's cgroup, and the figures in it.
func checkStatistics(t *testing.T, c *cluster) {
	c.create(t, "counted", of(box("main", "exec sleep 600")))
	c.running(t, "counted")
	waitFor(t, "figures of memory and processor time", podLimit, func() bool {
		var summary struct {
			Pods []struct {
				PodRef     struct{ Name string }
				Containers []struct {
					Memory struct{ UsageBytes int64 }
					CPU    struct{ UsageCoreNanoSeconds int64 }
				}
			}
		}
		if err := json.Unmarshal([]byte(c.must(t, "get", "--raw", "/api/v1/nodes/node/proxy/stats/summary")), &summary); err != nil {
			t.Fatal(err)
		}
		for _, p := range summary.Pods {
			if p.PodRef.Name == "counted" && len(p.Containers) == 1 && p.Containers[0].Memory.UsageBytes > 0 && p.Containers[0].CPU.UsageCoreNanoSeconds > 0 {
				return true
			}
		}
		return false
	})
}

// Containers outlive containerd and the kubelet, which find them again.
func checkRestart(t *testing.T, c *cluster) {
	c.create(t, "lasting", of(box("main", "sleep 600")))
	before := c.running(t, "lasting").Status.ContainerStatuses[0].id()
	pid := c.pid(t, before)
	daemon.Stop(t, c.kubelet.cmd)
	daemon.Stop(t, c.containerd.cmd)
	c.containerd.start(t)
	waitFor(t, "containerd", startLimit, func() bool { return c.call(t, "ctr", "version").code == 0 })
	c.kubelet.start(t)
	waitFor(t, "the kubelet", startLimit, func() bool { return c.kubectl(t, "exec", "lasting", "--", "true").code == 0 })
	after := c.running(t, "lasting").Status.ContainerStatuses[0]
	if after.id() != before || after.RestartCount != 0 || c.pid(t, before) != pid {
		t.Errorf("process %d of %s has become %d of %s after %d restarts", pid, before, c.pid(t, after.id()), after.id(), after.RestartCount)
	}
}

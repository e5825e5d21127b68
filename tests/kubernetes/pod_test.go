package kubernetes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// podLimit bounds the time in which a pod comes to what is waited for.
const podLimit = 2 * time.Minute

// pod is what is read of a pod.
type pod struct {
	Metadata struct{ Name, UID string }
	Status   struct {
		Phase, PodIP               string
		ContainerStatuses          []container
		InitContainerStatuses      []container
		EphemeralContainerStatuses []container
	}
}

// container is the status of one of a pod's containers.
type container struct {
	Name, ContainerID string
	Ready             bool
	RestartCount      int
	State, LastState  state
}

type state struct {
	Waiting    *reason
	Running    *struct{}
	Terminated *reason
}

type reason struct {
	Reason, Message string
	ExitCode        int
}

// id is the container's in containerd.
func (c container) id() string { return strings.TrimPrefix(c.ContainerID, "containerd://") }

// box is a container's spec that runs a script in busybox; more is added to it.
func box(name, script string, more ...string) string {
	return fmt.Sprintf("{%s}", strings.Join(append([]string{
		"name: " + name, "image: " + image, fmt.Sprintf("command: [sh, -c, %q]", script)}, more...), ", "))
}

// of is a pod's spec with one container.
func of(container string, more ...string) string {
	return strings.Join(append([]string{"containers: [" + container + "]"}, more...), "\n")
}

// manifest is a pod on the node, of a runtime class if it has a name.
func manifest(name, class, spec string) string {
	if class != "" {
		spec = "runtimeClassName: " + class + "\n" + spec
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  nodeName: node\n  terminationGracePeriodSeconds: 5\n  %s\n",
		name, strings.ReplaceAll(spec, "\n", "\n  "))
}

// create makes a pod of the class berth and removes it at the test's end; its cgroups must go with it.
func (c *cluster) create(t *testing.T, name, spec string) {
	t.Helper()
	c.createAs(t, name, "berth", spec)
}

// createAs makes a pod of a class, or of none.
func (c *cluster) createAs(t *testing.T, name, class, spec string) {
	t.Helper()
	text := manifest(name, class, spec)
	r := c.kubectlIn(t, text, "create", "-f", "-", "--output=jsonpath={.metadata.uid}")
	if r.code != 0 {
		t.Fatalf("create: %s%s\n%s", r.stdout, r.stderr, text)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", c.kubectl(t, "describe", "pod", name).stdout)
		}
		c.must(t, "delete", "pod", name, "--ignore-not-found")
		waitFor(t, "the end of the cgroups of "+name, podLimit, func() bool { return len(c.cgroupsNamed(t, "/pod"+r.stdout)) == 0 })
	})
}

// get reads a pod.
func (c *cluster) get(t *testing.T, name string) pod {
	t.Helper()
	var p pod
	if err := json.Unmarshal([]byte(c.must(t, "get", "pod", name, "--output=json")), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait polls a pod until it is as it should be, and gives it.
func (c *cluster) wait(t *testing.T, name, what string, is func(pod) bool) pod {
	t.Helper()
	var p pod
	waitFor(t, name+": "+what, podLimit, func() bool {
		p = c.get(t, name)
		return is(p)
	})
	return p
}

// running waits until a pod's containers are all ready, and gives the pod.
func (c *cluster) running(t *testing.T, name string) pod {
	t.Helper()
	return c.wait(t, name, "all containers are ready", func(p pod) bool {
		for _, s := range p.Status.ContainerStatuses {
			if !s.Ready {
				return false
			}
		}
		return len(p.Status.ContainerStatuses) > 0
	})
}

// ended waits until a pod's first container has ended, and gives how.
func (c *cluster) ended(t *testing.T, name string) reason {
	t.Helper()
	p := c.wait(t, name, "its container has ended", func(p pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Terminated != nil
	})
	return *p.Status.ContainerStatuses[0].State.Terminated
}

// exec runs a command in a pod's container, which must succeed, and gives its output.
func (c *cluster) exec(t *testing.T, name string, command ...string) string {
	t.Helper()
	return c.must(t, append([]string{"exec", name, "--"}, command...)...)
}

// berthState is where containerd's shim has the runtime keep its containers.
const berthState = "/run/containerd/runc/k8s.io"

// pid is the first process of a container of berth's, by berth's own word.
func (c *cluster) pid(t *testing.T, id string) int {
	t.Helper()
	var state struct {
		Status string
		Pid    int
	}
	text := c.ok(t, c.berth, "--root", berthState, "state", id)
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if state.Status != "running" || state.Pid < 2 {
		t.Fatalf("container %s is not running:\n%s", id, text)
	}
	return state.Pid
}

// holds checks that a text has another in it.
func holds(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in:\n%s", part, text)
		}
	}
}

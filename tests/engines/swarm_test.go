package engines

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cable between the two nodes; the addresses are of a network for documentation (RFC 5737).
const (
	managerAddress = "192.0.2.1"
	workerAddress  = "192.0.2.2"
)

// swarm is a manager and a worker, each a dockerd in a network namespace of its own.
type swarm struct {
	manager, worker *docker
}

// newSwarm starts two dockerds and joins them by a veth.
func newSwarm(t *testing.T) *swarm {
	t.Helper()
	s := &swarm{newDocker(t, "Docker Swarm", nil), newDocker(t, "Docker Swarm", nil)}
	inside := func(d *docker, args ...string) {
		t.Helper()
		if r := command(t, "", "", append(append([]string{}, d.namespace...), args...)...); r.code != 0 {
			t.Fatalf("%s: %s", strings.Join(args, " "), r.stderr)
		}
	}
	// Its other end is put where the worker's namespace is, by the path that nsenter has after --net=.
	_, path, _ := strings.Cut(s.worker.namespace[1], "=")
	holder := strings.Split(path, "/")[2]
	inside(s.manager, "ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", holder)
	for _, end := range []struct {
		node          *docker
		link, address string
	}{{s.manager, "cable0", managerAddress}, {s.worker, "cable1", workerAddress}} {
		inside(end.node, "ip", "address", "add", end.address+"/24", "dev", end.link)
		inside(end.node, "ip", "link", "set", end.link, "up")
	}
	s.manager.ok(t, "swarm", "init", "--advertise-addr", managerAddress, "--listen-addr", managerAddress)
	token := s.manager.ok(t, "swarm", "join-token", "-q", "worker")
	s.worker.ok(t, "swarm", "join", "--token", token, "--advertise-addr", workerAddress, "--listen-addr", workerAddress, managerAddress+":2377")
	return s
}

// A service is scaled, updated, and moved off a node; all of its tasks run on berth.
func TestSwarm(t *testing.T) {
	s := newSwarm(t)
	m := s.manager
	for _, d := range []*docker{s.manager, s.worker} { // each node needs what a task runs, without a registry
		d.ok(t, "tag", "box", "box:1")
		d.ok(t, "tag", "box", "box:2")
	}
	m.run(t, []check{
		{name: "two nodes", args: []string{"node", "ls", "--format", "{{.Status}} {{.Availability}} {{.ManagerStatus}}"}, out: []string{"Ready Active Leader\n", "Ready Active \n"}},
		{name: "a network", args: []string{"network", "create", "--driver", "overlay", "--attachable", "fairway"}},
		{name: "a secret", args: []string{"secret", "create", "word", "-"}, stdin: "open sesame"},
		{name: "a service", args: []string{"service", "create", "--quiet", "--no-resolve-image", "--name", "fleet", "--replicas", "3", "--network", "fairway", "--secret", "word",
			"--limit-memory", "32m", "--update-parallelism", "2", "--update-delay", "100ms", "--stop-grace-period", "1s", "--env", "TASK={{.Task.Slot}}",
			"box:1", "sh", "-c", "cat /run/secrets/word; echo; echo task $TASK; exec sleep 600"}},
	})
	s.hasTasks(t, "created", 3, "box:1")
	m.run(t, []check{{name: "scale up", args: []string{"service", "scale", "--detach", "fleet=6"}}})
	on := s.hasTasks(t, "scaled up", 6, "box:1")
	m.test(t, "both nodes have tasks", func(t *testing.T) {
		if on[0] == 0 || on[1] == 0 {
			t.Errorf("tasks are %d on the manager and %d on the worker", on[0], on[1])
		}
	})
	m.test(t, "every task runs on berth", func(t *testing.T) {
		for _, d := range []*docker{s.manager, s.worker} {
			for _, id := range strings.Fields(d.ok(t, "ps", "-q")) {
				// Docker keeps the state of all runtimes in this folder; only berth can read berth's.
				full := d.ok(t, "inspect", "-f", "{{.Id}}", id)
				if r := command(t, "", "", berth, "--root", d.in("exec/runtime-runc/moby"), "state", full); r.code != 0 || !strings.Contains(r.stdout, `"running"`) {
					t.Errorf("berth does not know %s as running: %s%s", full, r.stdout, r.stderr)
				}
			}
		}
	})
	m.test(t, "logs of all tasks", func(t *testing.T) {
		waitFor(t, "the output of 6 tasks", 30*time.Second, func() bool {
			text := m.call("service", "logs", "--raw", "fleet").stdout
			return strings.Count(text, "open sesame") >= 6 && strings.Contains(text, "task 6")
		})
	})
	m.run(t, []check{{name: "rolling update", args: []string{"service", "update", "--quiet", "--detach", "--no-resolve-image", "--image", "box:2", "--env-add", "ROUND=2", "fleet"}}})
	s.hasTasks(t, "updated", 6, "box:2")
	m.test(t, "the update is complete", func(t *testing.T) {
		waitFor(t, "its end", time.Minute, func() bool {
			return m.ok(t, "service", "inspect", "-f", "{{.UpdateStatus.State}}", "fleet") == "completed"
		})
	})
	worker := s.worker.ok(t, "info", "-f", "{{.Swarm.NodeID}}")
	m.run(t, []check{{name: "drain the worker", args: []string{"node", "update", "--availability", "drain", worker}}})
	m.test(t, "all tasks are on the manager", func(t *testing.T) {
		waitFor(t, "6 tasks there and none here", time.Minute, func() bool { return s.count(t) == [2]int{6, 0} })
	})
	m.run(t, []check{
		{name: "the worker is back", args: []string{"node", "update", "--availability", "active", worker}},
		{name: "scale down", args: []string{"service", "scale", "--detach", "fleet=1"}},
	})
	s.hasTasks(t, "scaled down", 1, "box:2")
	s.dies(t)
	m.run(t, []check{
		{name: "remove the service", args: []string{"service", "rm", "fleet"}},
		{name: "remove the secret", args: []string{"secret", "rm", "word"}},
	})
	waitFor(t, "no task to be left", time.Minute, func() bool { return s.count(t) == [2]int{} })
	m.run(t, []check{{name: "leave by force", args: []string{"swarm", "leave", "--force"}}})
	s.worker.run(t, []check{{name: "leave", args: []string{"swarm", "leave"}}})
}

// dies ends the process of the one task that is left: another one takes its place.
func (s *swarm) dies(t *testing.T) {
	t.Helper()
	s.manager.test(t, "a task that dies is replaced", func(t *testing.T) {
		var before string
		for _, d := range []*docker{s.manager, s.worker} {
			if id := d.ok(t, "ps", "-q"); id != "" {
				before = id
				d.ok(t, "kill", id)
			}
		}
		waitFor(t, "another one", time.Minute, func() bool {
			now := s.manager.ok(t, "ps", "-q") + s.worker.ok(t, "ps", "-q")
			return now != "" && !slices.Contains(strings.Fields(now), before)
		})
	})
}

// count is how many tasks run on the manager and the worker.
func (s *swarm) count(t *testing.T) [2]int {
	t.Helper()
	return [2]int{len(strings.Fields(s.manager.ok(t, "ps", "-q"))), len(strings.Fields(s.worker.ok(t, "ps", "-q")))}
}

// hasTasks checks that the service comes to have so many running tasks of an image, and no other, and gives how many
// are on the manager and the worker.
func (s *swarm) hasTasks(t *testing.T, when string, n int, image string) (on [2]int) {
	t.Helper()
	s.manager.test(t, fmt.Sprintf("%s: %d tasks of %s", when, n, image), func(t *testing.T) {
		want := strings.TrimSpace(strings.Repeat(image+"\n", n))
		waitFor(t, "the tasks", 90*time.Second, func() bool {
			var images []string
			for _, line := range strings.Split(s.manager.ok(t, "service", "ps", "--filter", "desired-state=running", "--format", "{{.Image}} {{.CurrentState}}", "fleet"), "\n") {
				if of, state, _ := strings.Cut(line, " "); strings.HasPrefix(state, "Running") {
					images = append(images, of)
				}
			}
			on = s.count(t)
			return strings.Join(images, "\n") == want && on[0]+on[1] == n
		})
	})
	return on
}

package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// event is a line of events, with the keys that containerd's go-runc reads.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data struct {
		CPU struct {
			Usage struct {
				Total  uint64   `json:"total"`
				PerCPU []uint64 `json:"percpu"`
				Kernel *uint64  `json:"kernel"`
				User   *uint64  `json:"user"`
			} `json:"usage"`
			Throttling struct {
				Periods          uint64 `json:"periods"`
				ThrottledPeriods uint64 `json:"throttledPeriods"`
				ThrottledTime    uint64 `json:"throttledTime"`
			} `json:"throttling"`
			PSI json.RawMessage `json:"psi"`
		} `json:"cpu"`
		Memory struct {
			Usage struct {
				Limit, Usage, Max, Failcnt uint64
			} `json:"usage"`
			Raw map[string]uint64 `json:"raw"`
			PSI json.RawMessage   `json:"psi"`
		} `json:"memory"`
		Pids struct {
			Current, Limit uint64
		} `json:"pids"`
		Blkio   map[string]json.RawMessage `json:"blkio"`
		Hugetlb map[string]json.RawMessage `json:"hugetlb"`
	} `json:"data"`
}

// events parses the lines that events printed.
func parseEvents(t *testing.T, text string) []event {
	t.Helper()
	var list []event
	for line := range strings.Lines(text) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

// events --stats prints the container's figures once.
func TestEventsStats(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 600 & echo ready; wait"),
		withLinux(func(l *specs.Linux) {
			if hasController("pids") {
				l.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(33))}}
			}
		}))
	c.startSleeping()
	r := c.oci("events", "--stats", c.id).ok(t)
	want(t, "stderr", r.stderr, "")
	list := parseEvents(t, r.stdout)
	if len(list) != 1 {
		t.Fatalf("%d events: %s", len(list), r.stdout)
	}
	e := list[0]
	want(t, "type", e.Type, "stats")
	want(t, "id", e.ID, c.id)
	d := e.Data
	want(t, "kernel and user times are there", d.CPU.Usage.Kernel != nil && d.CPU.Usage.User != nil, true)
	if (hasController("cpuacct") || hasController("cpu")) && d.CPU.Usage.Total < uint64(time.Millisecond) {
		t.Errorf("20000 rounds of a shell took %d ns of CPU time", d.CPU.Usage.Total)
	}
	if hasController("memory") {
		if u := d.Memory.Usage; u.Usage < 4096 || u.Usage > 100<<20 || u.Limit == 0 {
			t.Errorf("memory: %+v", u)
		}
		want(t, "raw memory figures are there", len(d.Memory.Raw) > 0, true)
	}
	if hasController("pids") {
		want(t, "processes", d.Pids.Current, 2)
		want(t, "their limit", d.Pids.Limit, 33)
	}
	want(t, "huge pages are there", d.Hugetlb != nil, true)
	want(t, "blkio is there", d.Blkio != nil, true)
	if isBerth() && host.cgroups.v2 != "" {
		for name, psi := range map[string]json.RawMessage{"cpu": d.CPU.PSI, "memory": d.Memory.PSI, "blkio": d.Blkio["psi"]} {
			wantContains(t, "pressure of "+name, string(psi), "avg10", "avg60", "avg300", "total")
		}
	}
}

// A stream of events has the figures at each interval, and ends by itself with the container.
func TestEventsStream(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	s := c.startSleeping()
	p := call{}.start(t, c.args("events", "--interval=100ms", c.id)...)
	waitFor(t, "three events", func() bool { return strings.Count(contents(t, p.stdout), "\n") >= 3 })
	sendSignal(t, s.Pid, unix.SIGKILL)
	if !isBerth() {
		// Others end only once the cgroup is gone.
		c.waitStatus("stopped")
		c.delete().ok(t)
	}
	r := p.wait(t).ok(t)
	for _, e := range parseEvents(t, r.stdout) {
		want(t, "type", e.Type, "stats")
		want(t, "id", e.ID, c.id)
	}
	if isBerth() && !hasController("memory") {
		wantContains(t, "stderr", r.stderr, "no oom events")
	}
}

// The OOM killer at work is an event, for the stream that sees it.
func TestEventsOOM(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needsController(t, "memory")
	const limit = 20 << 20
	c := newContainer(t, withScript("echo ready; read line < /go; tail /dev/zero; echo survived; exec sleep 600"),
		withLinux(func(l *specs.Linux) {
			l.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(limit)), Swap: ptr(int64(limit))}}
		}))
	runProgram(t, "mkfifo", c.rootfs+"/go")
	c.startSleeping()
	p := call{}.start(t, c.args("events", "--interval", "50ms", c.id)...)
	// The watch begins before the first figures.
	waitFor(t, "an event", func() bool { return contents(t, p.stdout) != "" })
	runProgram(t, "sh", "-c", "echo > "+c.rootfs+"/go")
	waitFor(t, "the event oom", func() bool { return strings.Contains(contents(t, p.stdout), `"oom"`) })
	waitFor(t, "the shell goes on", func() bool { return strings.Contains(c.output(), "survived") })
	c.delete("--force").ok(t)
	r := p.wait(t).ok(t)
	for _, e := range parseEvents(t, r.stdout) {
		if e.Type == "oom" {
			want(t, "id of the event", e.ID, c.id)
		}
	}
	wantContains(t, "events", r.stdout, `"limit":20971520`)
}

// That the OOM killer ended the container is told before events ends too, although systemd removes a scope, and what
// the kernel counted there, with its last process.
func TestEventsOOMOfLastProcess(t *testing.T) {
	t.Parallel()
	berthOnly(t, "events ends with the container's process, runc's with the cgroup")
	needsController(t, "memory")
	const limit = 20 << 20
	c := newContainer(t, withScript("echo ready; read line < /go; exec tail /dev/zero"),
		withLinux(func(l *specs.Linux) {
			l.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(limit)), Swap: ptr(int64(limit))}}
		}))
	runProgram(t, "mkfifo", c.rootfs+"/go")
	s := c.startSleeping()
	p := call{}.start(t, c.args("events", "--interval", "20ms", c.id)...)
	waitFor(t, "an event", func() bool { return contents(t, p.stdout) != "" })
	runProgram(t, "sh", "-c", "echo > "+c.rootfs+"/go")
	want(t, "exit code", orphanExit(t, s.Pid), 128+int(unix.SIGKILL))
	wantContains(t, "events", p.wait(t).ok(t).stdout, `"oom"`)
}

// Events of what does not run, or at no sensible interval, are refused in a line.
func TestEventsRefused(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	refused := func(says string, args ...string) {
		t.Helper()
		r := c.oci(append([]string{"events"}, args...)...).exits(t, 1)
		want(t, "stdout", r.stdout, "")
		if isBerth() {
			wantContains(t, "error of events "+strings.Join(args, " "), r.stderr, says)
			want(t, "lines of it", strings.Count(r.stderr, "\n"), 1)
		}
	}
	refused("does not exist", "--stats", c.id)
	refused("does not exist", c.id)
	c.create().ok(t)
	c.oci("events", "--stats", c.id).ok(t)
	refused("--interval", "--interval", "0s", c.id)
	if isBerth() {
		refused("interval", "--interval", "often", c.id)
		refused("container id")
	}
	c.start().ok(t)
	c.waitStatus("stopped")
	refused("not running", "--stats", c.id)
	refused("not running", c.id)
}

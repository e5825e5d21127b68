package libcontainer

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
	"berth/nsenter"
)

// Trace collects what takes how long, in both processes. A nil Trace collects
// nothing and costs nothing.
type Trace struct {
	events []traceEvent
}

// traceEvent is a "complete event" of Chrome's trace format, which
// chrome://tracing and Perfetto open. Times are in microseconds.
type traceEvent struct {
	Name  string            `json:"name"`
	Phase string            `json:"ph"`
	Time  float64           `json:"ts"`
	Dur   float64           `json:"dur"`
	Pid   int               `json:"pid"`
	Tid   int               `json:"tid"`
	Args  map[string]string `json:"args,omitempty"`
}

// monotonic is the time of CLOCK_MONOTONIC in nanoseconds, which the executor
// reads too. time.Now has it, but does not tell.
func monotonic() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return uint64(time.Now().UnixNano())
	}
	return uint64(t.Nano())
}

// Span begins a phase; what it returns ends it.
func (t *Trace) Span(name string) func() {
	if t == nil {
		return func() {}
	}
	begin := monotonic()
	return func() { t.add(name, os.Getpid(), begin, monotonic(), nil) }
}

func (t *Trace) add(name string, pid int, begin, end uint64, args map[string]string) {
	t.events = append(t.events, traceEvent{Name: name, Phase: "X", Time: float64(begin) / 1e3,
		Dur: float64(end-begin) / 1e3, Pid: pid, Tid: pid, Args: args})
}

// executor adds the operations of a plan that an executor has carried out; p is
// nil where none was started.
func (t *Trace) executor(p *nsenter.Process, steps []plan.Step) {
	if t == nil || p == nil {
		return
	}
	for _, s := range p.Times() {
		if s.Step >= len(steps) {
			break
		}
		t.operation(p.Pid, fmt.Sprint(steps[s.Step].Op.Code()), steps[s.Step].Origin.String(), s)
	}
}

func (t *Trace) operation(pid int, name, origin string, s nsenter.StepTime) {
	end := s.End
	if end < s.Begin {
		end = s.Begin // it never returned
	}
	t.add(name, pid, s.Begin, end, map[string]string{"origin": origin})
}

// WriteFile writes the trace as JSON.
func (t *Trace) WriteFile(path string) error {
	data, err := json.Marshal(struct {
		Events []traceEvent `json:"traceEvents"`
	}{t.events})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

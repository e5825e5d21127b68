package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups"
	"berth/cgroups/fs"
	"berth/libcontainer/resctrl"
)

// Event is what events prints, in the form of runc's, which containerd reads.
type Event struct {
	Type string `json:"type"` // EventStats or EventOOM
	ID   string `json:"id"`
	Data *Stats `json:"data,omitempty"` // of EventStats
}

// The types of events.
const (
	EventStats = "stats"
	EventOOM   = "oom" // the kernel's OOM killer struck in the container
)

// Stats are a container's figures.
type Stats struct {
	*cgroups.Stats
	// IntelRdt is always there in runc's form, and empty without Intel RDT.
	IntelRdt resctrl.Stats `json:"intel_rdt"`
	// NetworkInterfaces are those of a network namespace that is not berth's.
	NetworkInterfaces []NetworkInterface `json:"network_interfaces"`
}

// NetworkInterface has the counters of /proc/PID/net/dev since the interface was
// made; Rx is what was received. Engines know the keys as they are.
type NetworkInterface struct {
	Name                                    string
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Stats reads the figures of a container that has not stopped.
func (r *Runtime) Stats(id string) (*Event, error) {
	c, m, err := r.measurable(id)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return c.stats(m)
}

// Events hands emit the container's figures at every interval, and tells when it
// runs out of memory. It returns when the container's first process has ended,
// or with what emit returns.
func (r *Runtime) Events(id string, interval time.Duration, emit func(*Event) error) error {
	c, m, err := r.measurable(id)
	if err != nil {
		return err
	}
	defer m.Close()
	end, err := c.watchEnd()
	if err != nil {
		return err
	}
	defer end.Close()
	var oom <-chan struct{}
	w, oomErr := m.OOM()
	if oomErr != nil { // the statistics go on without
		r.Log("warning", fmt.Sprintf("container %q: no oom events: %v", id, oomErr))
	} else {
		defer w.Close()
		oom = w.Events()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for err == nil {
		select {
		case <-end.done:
			return c.lastOOM(oom, w, emit)
		case _, open := <-oom:
			if !open {
				oom = nil
				continue
			}
			err = emit(&Event{Type: EventOOM, ID: id})
		case <-tick.C:
			err = c.emitStats(m, emit)
		}
	}
	return err
}

// measurable loads a container that has not stopped, and its cgroup.
func (r *Runtime) measurable(id string) (*Container, *fs.Manager, error) {
	c, err := r.Load(id)
	if err != nil {
		return nil, nil, err
	}
	status, err := c.Status()
	if err != nil {
		return nil, nil, err
	}
	if status == specs.StateStopped || status == specs.StateCreating {
		return nil, nil, fmt.Errorf("no figures of container %q: container not running (it is %s)", id, status)
	}
	if c.Cgroup == nil {
		return nil, nil, fmt.Errorf("no figures of container %q: it has no cgroup of its own, which is what counts them", id)
	}
	return c, fs.Load(*c.Cgroup), nil
}

func (c *Container) stats(m *fs.Manager) (*Event, error) {
	counted, err := m.Stats()
	if err != nil {
		return nil, err
	}
	s := &Stats{Stats: counted}
	if c.IntelRdt != nil {
		s.IntelRdt = resctrl.StatsOf(*c.IntelRdt)
	}
	if s.NetworkInterfaces, err = c.interfaces(); err != nil {
		return nil, err
	}
	return &Event{Type: EventStats, ID: c.ID, Data: s}, nil
}

// emitStats leaves out what was read while the container went away.
func (c *Container) emitStats(m *fs.Manager, emit func(*Event) error) error {
	event, err := c.stats(m)
	if alive, aliveErr := c.alive(); aliveErr == nil && !alive {
		return nil
	}
	if err != nil {
		return err
	}
	return emit(event)
}

// oomGrace is how long the news that the OOM killer struck may come after that
// of the death of the process which it struck.
const oomGrace = 100 * time.Millisecond

// lastOOM passes on what may have been the container's end.
func (c *Container) lastOOM(oom <-chan struct{}, w *fs.OOMWatcher, emit func(*Event) error) error {
	if w.Struck() {
		return emit(&Event{Type: EventOOM, ID: c.ID})
	}
	select {
	case _, open := <-oom:
		if open {
			return emit(&Event{Type: EventOOM, ID: c.ID})
		}
	case <-time.After(oomGrace):
	}
	return nil
}

// endWatch tells when a container's first process has ended.
type endWatch struct {
	done  chan struct{} // closed then
	pidfd *os.File
}

// watchEnd begins to watch a process that lives.
func (c *Container) watchEnd() (*endWatch, error) {
	fd, err := unix.PidfdOpen(c.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch container %q: container not running: pidfd_open: %w", c.ID, err)
	}
	w := &endWatch{done: make(chan struct{}), pidfd: os.NewFile(uintptr(fd), "pidfd")}
	conn, err := w.pidfd.SyscallConn()
	if err == nil {
		// The pidfd may be of a process that got the number since.
		var alive bool
		if alive, err = c.alive(); err == nil && !alive {
			close(w.done)
			return w, nil
		}
	}
	if err != nil {
		w.pidfd.Close()
		return nil, fmt.Errorf("cannot watch container %q: %w", c.ID, err)
	}
	go func() {
		// A pidfd can be read when its process has ended. Close ends the wait
		// with an error, when nobody listens any more.
		if conn.Read(hasEnded) == nil {
			close(w.done)
		}
	}()
	return w, nil
}

func hasEnded(pidfd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0
}

// Close ends the watch.
func (w *endWatch) Close() { w.pidfd.Close() }

// interfaces reads the counters of the container's network namespace, if that is
// not the one that berth is in.
func (c *Container) interfaces() ([]NetworkInterface, error) {
	var own, theirs unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		return nil, fmt.Errorf("stat /proc/self/ns/net: %w", err)
	}
	proc := "/proc/" + strconv.Itoa(c.Pid)
	if err := unix.Stat(proc+"/ns/net", &theirs); err != nil || own.Ino == theirs.Ino && own.Dev == theirs.Dev {
		return []NetworkInterface{}, nil // ended, or the host's
	}
	text, err := os.ReadFile(proc + "/net/dev")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return []NetworkInterface{}, nil // it ends: a process gives its namespaces up before it is dead
	}
	if err != nil {
		return nil, fmt.Errorf("network counters of container %q: %w", c.ID, err)
	}
	return parseNetDev(string(text)), nil
}

// parseNetDev reads /proc/PID/net/dev (proc_pid_net(5)): a line an interface,
// after two of headings. Each half has eight numbers, of which the first four
// are told.
func parseNetDev(text string) []NetworkInterface {
	const half = 8
	list := []NetworkInterface{}
	for line := range strings.Lines(text) {
		// A name may have colons in it, the numbers have none.
		colon := strings.LastIndexByte(line, ':')
		if colon < 0 {
			continue
		}
		words := strings.Fields(line[colon+1:])
		if len(words) < 2*half {
			continue
		}
		number := func(i int) uint64 {
			n, _ := strconv.ParseUint(words[i], 10, 64)
			return n
		}
		list = append(list, NetworkInterface{
			Name:    strings.TrimSpace(line[:colon]),
			RxBytes: number(0), RxPackets: number(1), RxErrors: number(2), RxDropped: number(3),
			TxBytes: number(half), TxPackets: number(half + 1), TxErrors: number(half + 2), TxDropped: number(half + 3),
		})
	}
	return list
}

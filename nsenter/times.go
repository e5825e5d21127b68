package nsenter

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
)

// StepTime is when an operation of the plan began and ended, in nanoseconds of
// CLOCK_MONOTONIC. End is 0 for one that never returned, as execve.
type StepTime struct {
	Step       int
	Begin, End uint64
}

// newTimes makes the memory that the executor notes times in.
func newTimes(steps int) (times []byte, fd int, err error) {
	fd, err = unix.MemfdCreate("berth-trace", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, -1, fmt.Errorf("memfd_create berth-trace: %w", err)
	}
	size := steps * plan.TraceEntry
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("size the trace: %w", err)
	}
	times, err = unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("mmap of the trace: %w", err)
	}
	return times, fd, nil
}

// Times returns what the executor has noted so far, in order; nothing without
// Command.Trace.
func (p *Process) Times() []StepTime {
	var out []StepTime
	for at := 0; at+plan.TraceEntry <= len(p.times); at += plan.TraceEntry {
		begin := binary.NativeEndian.Uint64(p.times[at:])
		if begin != 0 {
			out = append(out, StepTime{at / plan.TraceEntry, begin, binary.NativeEndian.Uint64(p.times[at+8:])})
		}
	}
	return out
}

package fs

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// removeTime bounds how long Remove waits for the last processes to leave. The
// kernel takes a killed process out of its cgroup within milliseconds, unless
// it hangs in the kernel or has much memory to give back.
const removeTime = 2 * time.Second

// Remove takes the container's folders away, with the cgroups the container
// made below them, and the parents that were made for it and are not in use by
// others. Folders that are gone already are fine.
//
// A cgroup that still has processes refuses; Remove then waits for them to
// leave, up to two seconds in all, without a fixed sleep: on v2 the kernel tells
// (cgroup.events), on v1 it tries again after 1, 2, 4, … ms. The error after that
// names the processes. The caller ends the processes before (see Kill).
func (m *Manager) Remove() error {
	deadline := time.Now().Add(removeTime)
	var first error
	for i := range m.folders {
		f := &m.folders[i]
		if f.planned {
			// In use means that it is not this container's.
			if err := rmdir(unix.AT_FDCWD, f.Full()); err == nil {
				f.removeParents()
				continue
			} else if busy(err) {
				continue
			}
		}
		if err := f.remove(deadline); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// RemoveEmpty removes the folder whose list of processes stands for all. It is
// false where that refuses, as it does while it has processes in it, or cgroups
// below it; nothing is waited for. Remove does the rest.
func (m *Manager) RemoveEmpty() bool {
	f := m.census()
	return f == nil || rmdir(unix.AT_FDCWD, f.Full()) == nil
}

func (f *folder) remove(deadline time.Time) error {
	full := f.Full()
	err := rmdir(unix.AT_FDCWD, full)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) {
		err = f.removeBusy(deadline)
	}
	f.close()
	if err != nil {
		return fmt.Errorf("remove cgroup %s: %w%s", full, err, f.removeHint(err))
	}
	f.removeParents()
	return nil
}

// rmdir removes one folder; one that is not there is removed.
func rmdir(dir int, name string) error {
	err := interrupted(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// removeBusy removes a folder that has children, or whose last processes are
// still leaving.
func (f *folder) removeBusy(deadline time.Time) error {
	dir, err := f.dir()
	if err != nil {
		if absent(err) {
			return nil
		}
		return err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		if err := removeChildren(dir, 0); err != nil && !busy(err) {
			return err
		}
		err := rmdir(unix.AT_FDCWD, f.Full())
		if err == nil || !busy(err) {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return err
		}
		if !f.Unified || !waitEmpty(dir, min(left, 50*time.Millisecond)) {
			time.Sleep(min(wait, left))
		}
	}
}

// maxDepth bounds how deep a container's own cgroups are followed, so that a
// container cannot make berth recurse without end.
const maxDepth = 256

// removeChildren removes the cgroups below the folder dir, the deepest first.
func removeChildren(dir, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it has cgroups nested deeper than %d: %w", maxDepth, unix.ELOOP)
	}
	var first error
	err := eachChild(dir, func(child int, name string) error {
		err := rmdir(dir, name)
		if busy(err) {
			if err = removeChildren(child, depth+1); err == nil || busy(err) {
				err = rmdir(dir, name)
			}
		}
		if err != nil && first == nil {
			first = err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return first
}

func busy(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY)
}

// waitEmpty waits until no process is left in the v2 folder dir and those below
// it, as its cgroup.events tells by POLLPRI (cgroup-v2.rst). It is false when
// that cannot be told, or the folder is empty: then only time helps.
func waitEmpty(dir int, timeout time.Duration) bool {
	fd, err := openFile(dir, "cgroup.events", unix.O_RDONLY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	events, err := readAll(fd, make([]byte, 0, 64))
	if err != nil || !cgroups.Flag(events, "populated") {
		return false
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
	n, err := unix.Poll(poll, int(max(timeout.Milliseconds(), 1)))
	return err == nil && n > 0
}

func (f *folder) removeHint(err error) string {
	switch {
	case busy(err):
		pids, listErr := f.pids(true, nil)
		defer f.close()
		if listErr != nil || len(pids) == 0 {
			return ": it is still in use"
		}
		return ": it still has " + countPids(pids) + " in it, end them first"
	case denied(err):
		return ": this user may not remove it"
	}
	return ""
}

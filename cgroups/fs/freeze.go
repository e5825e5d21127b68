package fs

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// freezeTime bounds how long Freeze waits for every process to stop: one in an
// uninterruptible sleep (a hung network file system, for one) never does.
const freezeTime = 10 * time.Second

// ErrNoFreezer is returned where a container's cgroup cannot be frozen.
var ErrNoFreezer = errors.New("this host has no cgroup freezer: it needs cgroup v2 or the v1 freezer controller")

// Freeze stops all processes of the container, also those it forks meanwhile,
// and returns when all have stopped. When some do not within ten seconds, it
// thaws the rest again and says so.
//
// v2's freezer is used wherever there is a v2 folder, on hybrid hosts too: the
// processes in it can still be killed, unlike with v1's.
func (m *Manager) Freeze() error {
	if !m.finished() {
		return errors.New("the container's cgroup was never finished: delete the container")
	}
	if f := m.unified(); f != nil {
		return f.freezeV2()
	}
	if f := m.legacy("freezer"); f != nil {
		return f.freezeV1()
	}
	return ErrNoFreezer
}

// Thaw lets the container's processes run again, whichever freezer stopped them.
// Thawing what is not frozen is fine.
func (m *Manager) Thaw() error {
	done := false
	if f := m.unified(); f != nil {
		if err := f.put("cgroup.freeze", "0"); err != nil {
			return err
		}
		done = true
	}
	if f := m.legacy("freezer"); f != nil {
		if err := f.put("freezer.state", "THAWED"); err != nil {
			return err
		}
		done = true
	}
	if !done {
		return ErrNoFreezer
	}
	return nil
}

// Frozen tells whether the container is frozen, or was told to freeze. A cgroup
// that is gone is not.
func (m *Manager) Frozen() (bool, error) {
	var buf [32]byte
	if f := m.unified(); f != nil {
		b, err := f.get("cgroup.freeze", buf[:])
		if err != nil {
			if gone(err) {
				return false, nil
			}
			return false, err
		}
		if trim(b) == "1" {
			return true, nil
		}
	}
	if f := m.legacy("freezer"); f != nil {
		b, err := f.get("freezer.state", buf[:])
		if err != nil {
			if gone(err) {
				return false, nil
			}
			return false, err
		}
		return trim(b) != "THAWED", nil
	}
	return false, nil
}

func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// put writes a control file; the error names it.
func (f *folder) put(file, value string) error {
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if err := writeFile(dir, file, value); err != nil {
		return fmt.Errorf("write %q to %s/%s: %w", value, f.Full(), file, err)
	}
	return nil
}

// get reads a control file; the error names it.
func (f *folder) get(file string, buf []byte) ([]byte, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	b, err := readFile(dir, file, buf)
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", f.Full(), file, err)
	}
	return b, nil
}

// freezeV2 waits for "frozen 1" in cgroup.events, which the kernel tells of by
// POLLPRI.
func (f *folder) freezeV2() error {
	dir, err := f.dir()
	if err != nil {
		return err
	}
	events, err := openFile(dir, "cgroup.events", unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open %s/cgroup.events: %w", f.Full(), err)
	}
	defer unix.Close(events)
	if err := f.put("cgroup.freeze", "1"); err != nil {
		return err
	}
	deadline := time.Now().Add(freezeTime)
	var buf [128]byte
	for {
		if _, err := unix.Seek(events, 0, 0); err != nil {
			return f.unfreeze(fmt.Errorf("read %s/cgroup.events: %w", f.Full(), err))
		}
		b, err := readAll(events, buf[:])
		if err != nil {
			return f.unfreeze(fmt.Errorf("read %s/cgroup.events: %w", f.Full(), err))
		}
		if cgroups.Flag(b, "frozen") {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return f.unfreeze(f.stuck())
		}
		poll := []unix.PollFd{{Fd: int32(events), Events: unix.POLLPRI}}
		if _, err := unix.Poll(poll, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return f.unfreeze(fmt.Errorf("wait for %s/cgroup.events: %w", f.Full(), err))
		}
	}
}

// freezeV1 asks again and again, as v1 does not tell when it is done. A process
// that forks fast can keep it at FREEZING, so that it is thawed for a moment now
// and then, and asked anew.
func (f *folder) freezeV1() error {
	deadline := time.Now().Add(freezeTime)
	var buf [32]byte
	wait := 200 * time.Microsecond
	for try := 1; ; try++ {
		if err := f.put("freezer.state", "FROZEN"); err != nil {
			return f.unfreeze(err)
		}
		b, err := f.get("freezer.state", buf[:])
		if err != nil {
			return f.unfreeze(err)
		}
		if trim(b) == "FROZEN" {
			return nil
		}
		if time.Until(deadline) <= 0 {
			return f.unfreeze(f.stuck())
		}
		if try%50 == 0 {
			if err := f.put("freezer.state", "THAWED"); err != nil {
				return err
			}
		}
		time.Sleep(wait)
		wait = min(2*wait, 10*time.Millisecond)
	}
}

// unfreeze takes a failed freeze back, and returns why it failed.
func (f *folder) unfreeze(cause error) error {
	file, value := "freezer.state", "THAWED"
	if f.Unified {
		file, value = "cgroup.freeze", "0"
	}
	if err := f.put(file, value); err != nil && !gone(err) {
		return fmt.Errorf("%w; and it could not be thawed again: %w", cause, err)
	}
	return cause
}

func (f *folder) stuck() error {
	pids, err := f.pids(true, nil)
	who := "processes"
	if err == nil {
		who = countPids(pids)
	}
	return fmt.Errorf("freeze cgroup %s: not all of its %s stopped within %v, and it was thawed again: look for one in state D (ps -o pid,stat,wchan)", f.Full(), who, freezeTime)
}

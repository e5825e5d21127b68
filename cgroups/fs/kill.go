package fs

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// killTime bounds how long Kill goes on where processes fork as fast as they
// are killed.
const killTime = 5 * time.Second

// Kill sends SIGKILL to every process of the container, also those in cgroups
// below its own, and also when it is frozen. It does not wait for them to be
// gone: Remove does. A cgroup that is gone has none.
//
// Linux 5.14 and newer do it in one step on v2 and hybrid hosts (cgroup.kill).
// Elsewhere the container is frozen, so that nothing forks meanwhile, killed, and
// thawed; where freezing fails, killing is repeated until no process is left, for
// up to five seconds.
func (m *Manager) Kill() error {
	if m.census() == nil {
		return nil
	}
	if f := m.unified(); f != nil {
		err := f.put("cgroup.kill", "1")
		if err == nil {
			return m.thawKilled()
		}
		// A threaded cgroup does not support it (EOPNOTSUPP); an older kernel
		// has no such file, and neither has a removed cgroup.
		if !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	if there, err := m.Exists(); err != nil || !there {
		return err
	}
	frozen := m.Freeze() == nil // where it fails, the loop below makes up for it
	err := m.killLoop(frozen)
	if thawErr := m.thawKilled(); err == nil {
		err = thawErr
	}
	return err
}

// thawKilled lets the killed die: v1's freezer holds them until it is thawed.
func (m *Manager) thawKilled() error {
	f := m.legacy("freezer")
	if f == nil {
		return nil
	}
	if err := f.put("freezer.state", "THAWED"); err != nil && !gone(err) {
		return err
	}
	return nil
}

// killLoop kills all there are. With once, nothing can fork and one round does.
func (m *Manager) killLoop(once bool) error {
	deadline := time.Now().Add(killTime)
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		left, err := m.signalAll(unix.SIGKILL)
		if err != nil || once || left == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill the processes of cgroup %s: %d are left after %v: new ones appear as fast, or one hangs in the kernel", m.census().Full(), left, killTime)
		}
		time.Sleep(wait)
	}
}

// Signal sends a signal to every process of the container once, also to those in
// cgroups below its own. Processes that start meanwhile may miss it; for
// SIGKILL use Kill.
func (m *Manager) Signal(sig unix.Signal) error {
	_, err := m.signalAll(sig)
	return err
}

// signalAll signals all processes, and tells how many there were. Each is held
// by a pidfd and looked for in the cgroup again before the signal goes out, so
// that a process which took over the number of one that ended is never hit.
func (m *Manager) signalAll(sig unix.Signal) (int, error) {
	pids, err := m.Pids(true)
	if err != nil || len(pids) == 0 {
		return 0, err
	}
	// Not more at once than a process may have files open.
	const batch = 256
	total := 0
	for part := range slices.Chunk(pids, batch) {
		n, err := m.signalSome(part, sig)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (m *Manager) signalSome(pids []int, sig unix.Signal) (int, error) {
	fds := make([]int, len(pids))
	for i, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			fd = -1 // it ended: nothing to signal
		}
		fds[i] = fd
	}
	defer func() {
		for _, fd := range fds {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}()
	now, err := m.Pids(true)
	if err != nil {
		return 0, err
	}
	count := 0
	for i, pid := range pids {
		if _, still := slices.BinarySearch(now, pid); !still || fds[i] < 0 {
			continue
		}
		count++
		if err := unix.PidfdSendSignal(fds[i], sig, nil, 0); err != nil && err != unix.ESRCH {
			return count, fmt.Errorf("send signal %d to process %d of cgroup %s: %w", sig, pid, m.census().Full(), err)
		}
	}
	return count, nil
}

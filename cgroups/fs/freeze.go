package fs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// MoveFreeze has v1's freezer hold a frozen container in place of v2's, or the
// other way round, where the host has both. The processes do not run meanwhile.
// CRIU has eyes for v1's on such a host.
func (m *Manager) MoveFreeze(legacy bool) error {
	unified, old := m.unified(), m.legacy("freezer")
	if unified == nil || old == nil {
		return nil
	}
	if legacy {
		if err := old.freezeV1(); err != nil {
			return err
		}
		return unified.put("cgroup.freeze", "0")
	}
	if err := unified.put("cgroup.freeze", "1"); err != nil {
		return err
	}
	return old.put("freezer.state", "THAWED")
}

// Frozen tells whether the container is frozen, or was told to freeze. A cgroup
// that is gone is not.
func (m *Manager) Frozen() (bool, error) {
	s := m.State()
	return s.Frozen(false)
}

// Frozen is Manager.Frozen for a saved state; it opens nothing but the file.
// asleep says that one of the container's processes sleeps, as state S of
// proc_pid_stat(5) has it, which saves reading v1's file where the kernel shows
// a process that this freezer holds in another state.
func (s *State) Frozen(asleep bool) (bool, error) {
	for i := range s.Folders {
		f := &s.Folders[i]
		file := "cgroup.freeze"
		switch {
		case f.Planned:
			continue
		case f.Unified:
		case slices.Contains(f.Controllers, "freezer"):
			if asleep && frozenIsNotAsleep() {
				continue
			}
			file = "freezer.state"
		default:
			continue
		}
		var buf [32]byte
		text, err := glance(f.Full()+"/"+file, buf[:])
		if err != nil {
			if gone(err) {
				return false, nil
			}
			return false, err
		}
		if f.Unified && text[0] == '1' || !f.Unified && text[0] != 'T' { // THAWED
			return true, nil
		}
	}
	return false, nil
}

// frozenIsNotAsleep says whether v1's freezer puts its processes into a state of
// their own, as it does since Linux 6.1 (TASK_FROZEN, which proc_pid_stat(5)
// shows as R or D). Before, one that slept went on to do so. v2's processes
// sleep when they are frozen, with every kernel. A list asks for each container.
func frozenIsNotAsleep() bool {
	taskFrozen.once.Do(func() {
		var name unix.Utsname
		if err := unix.Uname(&name); err == nil { // else the file is read
			taskFrozen.known = atLeast(unix.ByteSliceToString(name.Release[:]), 6, 1)
		}
	})
	return taskFrozen.known
}

// taskFrozen is what frozenIsNotAsleep has found out.
var taskFrozen struct {
	once  sync.Once
	known bool
}

// atLeast compares the first two numbers of a kernel's release.
func atLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	x, err := strconv.Atoi(first)
	y, errMinor := strconv.Atoi(second)
	if err != nil || errMinor != nil {
		return false
	}
	return x > major || x == major && y >= minor
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

// glance reads the start of a control file in three system calls, at least a
// byte. In a cgroup filesystem no symbolic link can stand in the way.
func glance(path string, buf []byte) ([]byte, error) {
	fd, err := openFile(unix.AT_FDCWD, path, unix.O_RDONLY)
	var n int
	if err == nil {
		defer unix.Close(fd)
		err = interrupted(func() (err error) {
			n, err = unix.Read(fd, buf)
			return err
		})
	}
	if err == nil && n == 0 {
		err = unix.ENODEV // removed between the two
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return buf[:n], nil
}

// openControl opens a control file, by its full path where the folder is not open
// yet (see glance).
func (f *folder) openControl(file string, flags int) (int, error) {
	if f.fd >= 0 {
		return openFile(f.fd, file, flags)
	}
	return openFile(unix.AT_FDCWD, f.Full()+"/"+file, flags)
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

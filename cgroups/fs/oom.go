package fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// OOMWatcher tells when the kernel's OOM killer strikes in a container.
type OOMWatcher struct {
	file *os.File
	// control is v1's memory.oom_control, which must stay open, or v2's folder.
	control *os.File
	folder  int     // v2's folder again, -1 on v1
	log     *oomLog // on v2, where there is one
	events  chan struct{}
	done    chan struct{}

	mutex sync.Mutex
	seen  uint64 // v2's count of memory.events, as far as it is known
}

// Events gets a value for each time the container ran out of memory; several in
// quick succession may come as one. It is closed when the cgroup is removed, on
// v2 also when the last process has left it, and after Close.
func (w *OOMWatcher) Events() <-chan struct{} { return w.events }

// Struck looks whether the OOM killer struck and no value was sent for that, nor
// will be: the kernel's notices may come later than the strike. Of v1 it knows
// nothing but the notices, and without a watcher nothing at all.
func (w *OOMWatcher) Struck() bool {
	if w == nil || w.folder < 0 {
		return false
	}
	struck, _ := w.look() // it fails where the cgroup is gone, which Events tells
	return struck
}

// Close ends the watch.
func (w *OOMWatcher) Close() error {
	err := w.file.Close()
	<-w.done
	w.log.close()
	return errors.Join(err, w.control.Close())
}

// OOM begins to watch for the container running out of memory: on v2 by the
// kernel's notices of change to memory.events, and by the kernel's log once that
// is gone; on v1 by an eventfd that is registered for memory.oom_control.
func (m *Manager) OOM() (*OOMWatcher, error) {
	if f := m.legacy("memory"); f != nil {
		return f.oomV1()
	}
	if f := m.unified(); f != nil {
		return f.oomV2()
	}
	return nil, errors.New("watch for lack of memory: the container has no cgroup with the memory controller")
}

func (f *folder) oomV1() (*OOMWatcher, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	fd, err := openFile(dir, "memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("open %s/memory.oom_control: %w", f.Full(), err)
	}
	control := os.NewFile(uintptr(fd), f.Full()+"/memory.oom_control")
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		control.Close()
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if err := f.put("cgroup.event_control", strconv.Itoa(event)+" "+strconv.Itoa(fd)); err != nil {
		unix.Close(event)
		control.Close()
		return nil, err
	}
	w := &OOMWatcher{file: os.NewFile(uintptr(event), "eventfd"), control: control, folder: -1, events: make(chan struct{}, 1), done: make(chan struct{})}
	go w.runV1(f.Full())
	return w, nil
}

// removalGrace is how long after a cgroup is gone from v1's hierarchy the kernel
// may tell of it: it does so from a work queue.
const removalGrace = 100 * time.Millisecond

// runV1 reads the eventfd. The kernel also signals it when the cgroup is removed,
// once: what is signalled beyond that is lack of memory.
func (w *OOMWatcher) runV1(path string) {
	defer close(w.done)
	defer close(w.events)
	var count [8]byte
	for {
		if _, err := w.file.Read(count[:]); err != nil {
			return // closed
		}
		n := binary.NativeEndian.Uint64(count[:])
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			w.send()
			continue
		}
		if n == 1 && w.file.SetReadDeadline(time.Now().Add(removalGrace)) == nil {
			// Was that of the removal, or is that still to come?
			if _, err := w.file.Read(count[:]); err == nil {
				n += binary.NativeEndian.Uint64(count[:])
			}
		}
		if n > 1 {
			w.send()
		}
		return
	}
}

func (w *OOMWatcher) send() {
	select {
	case w.events <- struct{}{}:
	default: // one is waiting to be read already
	}
}

func (f *folder) oomV2() (*OOMWatcher, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an inotify instance: %w: is fs.inotify.max_user_instances reached?", err)
	}
	for _, name := range [2]string{"memory.events", "cgroup.events"} {
		if _, err := unix.InotifyAddWatch(fd, f.Full()+"/"+name, unix.IN_MODIFY|unix.IN_DELETE_SELF); err != nil {
			unix.Close(fd)
			if absent(err) {
				return nil, fmt.Errorf("watch %s/%s: %w: the container is gone, or its cgroup has no memory controller enabled", f.Full(), name, err)
			}
			return nil, fmt.Errorf("watch %s/%s: %w", f.Full(), name, err)
		}
	}
	before, err := readFile(dir, "memory.events", nil)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("read %s/memory.events: %w", f.Full(), err)
	}
	// Its own descriptor: the Manager may be closed before the watcher.
	own, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("duplicate the descriptor of %s: %w", f.Full(), err)
	}
	w := &OOMWatcher{file: os.NewFile(uintptr(fd), "inotify"), control: os.NewFile(uintptr(own), f.Full()), folder: own, log: openOOMLog(f.Path),
		events: make(chan struct{}, 1), done: make(chan struct{}), seen: kills(before)}
	go w.runV2(w.seen)
	return w, nil
}

// look reads v2's memory.events and says whether its count has risen since the
// last look.
func (w *OOMWatcher) look() (bool, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var buf [512]byte
	b, err := readFile(w.folder, "memory.events", buf[:])
	if err != nil {
		return false, err
	}
	n := kills(b)
	if n <= w.seen {
		return false, nil
	}
	w.seen = n
	return true, nil
}

func kills(events []byte) uint64 {
	n, _ := cgroups.Value(events, "oom_kill")
	return n
}

// runV2 looks at each notice; before is what was counted at first.
func (w *OOMWatcher) runV2(before uint64) {
	defer close(w.done)
	defer close(w.events)
	notices := make([]byte, 4096)
	var buf [512]byte
	for {
		if _, err := w.file.Read(notices); err != nil {
			return // closed
		}
		struck, err := w.look()
		if struck {
			w.log.catchUp(w.count() - before)
			w.send()
		}
		var b []byte
		if err == nil {
			b, err = readFile(w.folder, "cgroup.events", buf[:])
		}
		switch {
		case err != nil: // removed: it may be that the end was not yet counted
			if w.log.tellsMore(w.count() - before) {
				w.send()
			}
			return
		case !cgroups.Flag(b, "populated"):
			return
		}
	}
}

func (w *OOMWatcher) count() uint64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.seen
}

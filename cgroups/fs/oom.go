package fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// OOMWatcher tells when the kernel's OOM killer strikes in a container.
type OOMWatcher struct {
	file *os.File
	// control is v1's memory.oom_control, which must stay open; else nil.
	control *os.File
	events  chan struct{}
	done    chan struct{}
}

// Events gets a value for each time the container ran out of memory; several in
// quick succession may come as one. It is closed when the cgroup is removed, on
// v2 also when the last process has left it, and after Close.
func (w *OOMWatcher) Events() <-chan struct{} { return w.events }

// Close ends the watch.
func (w *OOMWatcher) Close() error {
	err := w.file.Close()
	<-w.done
	if w.control != nil {
		err = errors.Join(err, w.control.Close())
	}
	return err
}

// OOM begins to watch for the container running out of memory: on v2 by the
// kernel's notices of change to memory.events, on v1 by an eventfd that is
// registered for memory.oom_control.
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
	w := &OOMWatcher{file: os.NewFile(uintptr(event), "eventfd"), control: control, events: make(chan struct{}, 1), done: make(chan struct{})}
	go w.runV1(f.Full())
	return w, nil
}

// runV1 reads the eventfd. The kernel also signals it when the cgroup is removed.
func (w *OOMWatcher) runV1(path string) {
	defer close(w.done)
	defer close(w.events)
	var count [8]byte
	for {
		if _, err := w.file.Read(count[:]); err != nil {
			return // closed
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if binary.NativeEndian.Uint64(count[:]) > 0 {
			w.send()
		}
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
	w := &OOMWatcher{file: os.NewFile(uintptr(fd), "inotify"), control: os.NewFile(uintptr(own), f.Full()), events: make(chan struct{}, 1), done: make(chan struct{})}
	go w.runV2(own, kills(before))
	return w, nil
}

func kills(events []byte) uint64 {
	n, _ := cgroups.Value(events, "oom_kill")
	return n
}

func (w *OOMWatcher) runV2(dir int, seen uint64) {
	defer close(w.done)
	defer close(w.events)
	notices := make([]byte, 4096)
	var buf [512]byte
	for {
		if _, err := w.file.Read(notices); err != nil {
			return // closed
		}
		b, err := readFile(dir, "memory.events", buf[:])
		if err != nil {
			return // removed
		}
		if n := kills(b); n > seen {
			seen = n
			w.send()
		}
		b, err = readFile(dir, "cgroup.events", buf[:])
		if err != nil || !cgroups.Flag(b, "populated") {
			return
		}
	}
}

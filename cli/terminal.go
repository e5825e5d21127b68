package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"
)

// drainLimit is how much is still shown, in bytes, once the container's process
// has ended: more than a terminal of the kernel's holds (TTYB_DEFAULT_MEM_LIMIT
// is 640 KiB), so that a process which goes on writing holds nobody up.
const drainLimit = 1 << 20

// terminal relays between berth's terminal and the container's.
type terminal struct {
	host   console.Console
	master console.Console
	end    [2]int        // a pipe; the write end is closed when the process has ended
	done   chan struct{} // closed when all it has written is shown
}

// newTerminal takes berth's own terminal; it is left as it is until relay.
// field is what asks for it, and without is how to do without.
func newTerminal(field, without string) (*terminal, error) {
	f, err := ownTerminal()
	if err != nil {
		return nil, fmt.Errorf("%s: berth has no terminal of its own to relay to (%w): %s, or run berth in a terminal (`script -qc 'berth …' /dev/null` makes one)", field, err, without)
	}
	host, err := console.ConsoleFromFile(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return &terminal{host: host, done: make(chan struct{})}, nil
}

// ownTerminal looks for it behind standard error, output and input, one or two
// of which may well be a pipe or a file; and where all are, takes the session's.
func ownTerminal() (*os.File, error) {
	for _, f := range []*os.File{os.Stderr, os.Stdout, os.Stdin} {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			return f, nil
		}
	}
	return os.OpenFile("/dev/tty", os.O_RDWR, 0)
}

// relay puts berth's terminal into raw mode and copies both ways. The master
// is the terminal's from here on.
func (t *terminal) relay(master *os.File) error {
	m, err := console.ConsoleFromFile(master)
	if err != nil {
		master.Close()
		return fmt.Errorf("process.terminal: %w", err)
	}
	t.master = m
	t.resize()
	if err := t.host.SetRaw(); err != nil {
		return fmt.Errorf("process.terminal: raw mode: %w", err)
	}
	if err := unix.Pipe2(t.end[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("process.terminal: pipe: %w", err)
	}
	waitApart(4) // the two here, who attends the process, and signals while hooks run
	go func() { _, _ = io.Copy(t.master, os.Stdin) }()
	go func() {
		t.show(int(master.Fd()))
		close(t.done)
	}()
	return nil
}

// show copies what the container writes until nobody can write any more, or
// its process has ended: what that has left in the background may keep the
// terminal open for as long as it likes.
func (t *terminal) show(master int) {
	wait := []unix.PollFd{{Fd: int32(master), Events: unix.POLLIN}, {Fd: int32(t.end[0])}}
	buf := make([]byte, 32<<10)
	timeout, left := -1, drainLimit
	for left > 0 {
		n, err := unix.Poll(wait, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return
		case wait[1].Revents != 0:
			// From here on, only what is there already: poll(2) looks for
			// that first.
			timeout, wait[1].Fd = 0, -1
			continue
		}
		n, err = unix.Read(master, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return // EIO: the last slave is closed
		}
		if _, err := os.Stdout.Write(buf[:n]); err != nil {
			return
		}
		if timeout == 0 {
			left -= n
		}
	}
}

// resize gives the container's terminal the size of berth's. A terminal that
// does not tell its size leaves it as it is.
func (t *terminal) resize() {
	if t == nil || t.master == nil {
		return
	}
	if size, err := t.host.Size(); err == nil && size.Height > 0 {
		_ = t.master.Resize(size)
	}
}

// drain waits until what the container's process has written before its end is
// out.
func (t *terminal) drain() {
	if t != nil && t.master != nil {
		unix.Close(t.end[1])
		<-t.done
	}
}

// restore gives berth's terminal its mode back.
func (t *terminal) restore() {
	if err := t.host.Reset(); err != nil {
		fmt.Fprintf(os.Stderr, "berth: restore the terminal: %v\n", err)
	}
}

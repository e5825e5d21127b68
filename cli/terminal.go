package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/containerd/console"
)

// terminal relays between berth's terminal and the container's.
type terminal struct {
	host   console.Console
	master console.Console
	done   chan struct{}
}

// newTerminal takes berth's own terminal; it is left as it is until relay.
func newTerminal() (*terminal, error) {
	f, err := stdinTerminal()
	if err != nil {
		return nil, err
	}
	host, err := console.ConsoleFromFile(f)
	if err != nil {
		return nil, fmt.Errorf("process.terminal: %w", err)
	}
	return &terminal{host: host, done: make(chan struct{})}, nil
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
	go func() { _, _ = io.Copy(t.master, os.Stdin) }()
	go func() {
		// EIO is how the kernel tells that the last slave is closed.
		_, _ = io.Copy(os.Stdout, t.master)
		close(t.done)
	}()
	return nil
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

// drain waits until what the container has written is out.
func (t *terminal) drain() {
	if t != nil && t.master != nil {
		<-t.done
	}
}

// restore gives berth's terminal its mode back.
func (t *terminal) restore() {
	if err := t.host.Reset(); err != nil {
		fmt.Fprintf(os.Stderr, "berth: restore the terminal: %v\n", err)
	}
}

// Package selfpipe catches the signals that are sent to berth while it stays
// with a container in the foreground: the self-pipe trick of select(2)'s notes.
// A handler of a few instructions writes each signal's number to a pipe.
//
// os/signal does the same for one signal in two switches of threads. For all of
// them, which a foreground run has to catch before its container begins, that was
// the dearest part of berth's start: 60 signals in about 1.5 ms, on two cores
// that the container's own start could use. It is what other processors than
// those with a handler_GOARCH.s get.
package selfpipe

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipe yields the signals that were sent to this process since Catch.
type Pipe struct {
	read, write int
	buf         [128]byte
}

// Catch has every signal that a process can catch written to a pipe from now on,
// SIGCHLD among them, in place of what it would do. Not caught are SIGURG, which
// Go's scheduler uses, a SIGPIPE that a write of this process's own brings about,
// and what the kernel says of a fault in this process.
//
// There is one pipe in a process, and nobody else may have called
// signal.Notify. It stays until the process ends.
func Catch() (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe for signals: %w", err)
	}
	// The handler must never wait; a reader is meant to.
	if err := unix.SetNonblock(fds[1], true); err != nil {
		return nil, fmt.Errorf("pipe for signals: %w", err)
	}
	if err := catch(fds[1]); err != nil {
		return nil, err
	}
	return &Pipe{read: fds[0], write: fds[1]}, nil
}

// Wake has Next return a signal 0, which there is none of.
func (p *Pipe) Wake() {
	for {
		_, err := unix.Write(p.write, []byte{0})
		switch {
		case errors.Is(err, unix.EAGAIN): // full: whoever is to be woken reads it
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.write), Events: unix.POLLOUT}}, -1)
		case !errors.Is(err, unix.EINTR):
			return
		}
	}
}

// Next waits for signals and returns those that came, in order. A full pipe
// (64 KiB) loses some; what follows from one, such as a child that has ended, is
// to be looked for whenever Next returns.
//
// Unblock was called before, in whichever thread.
func (p *Pipe) Next(signals []unix.Signal) ([]unix.Signal, error) {
	for {
		n, err := unix.Read(p.read, p.buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read signals: %w", err)
		}
		signals = signals[:0]
		for _, number := range p.buf[:n] {
			signals = append(signals, unix.Signal(number))
		}
		return signals, nil
	}
}

// Unblock lets this thread take signals that berth was started with blocked,
// since Go's threads keep a mask that they inherited. One thread is enough for the
// whole process, and Go keeps its threads: it need not be the one that reads.
func Unblock() error {
	var set unix.Sigset_t
	for n := range set.Val {
		set.Val[n] = ^set.Val[n]
	}
	if err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil); err != nil {
		return fmt.Errorf("unblock signals: %w", err)
	}
	return nil
}

// caught says whether Catch catches a signal.
func caught(s syscall.Signal) bool {
	switch s {
	case unix.SIGKILL, unix.SIGSTOP, unix.SIGURG:
		return false
	}
	return true
}

// lastSignal is the kernel's _NSIG on all processors but MIPS: SIGRTMAX.
const lastSignal = 64

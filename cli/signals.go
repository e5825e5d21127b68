package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"berth/cli/selfpipe"
)

// signals are those that are sent to berth while a process runs in its
// foreground.
type signals struct{ pipe *selfpipe.Pipe }

// catchSignals begins before the process exists, so that none is lost.
func catchSignals() (*signals, error) {
	pipe, err := selfpipe.Catch()
	if err != nil {
		return nil, err
	}
	return &signals{pipe}, nil
}

// attend stays with a child until it has ended: it passes signals on, and reaps
// whatever ends meanwhile. One goroutine does both, since a child's end is a signal
// too. It needs no thread of its own (runtime.LockOSThread, which starts one more
// in reserve): any thread that takes a signal writes it to the pipe.
func (s *signals) attend(pid int, tty *terminal) (unix.WaitStatus, error) {
	if err := selfpipe.Unblock(); err != nil {
		return 0, err
	}
	var came []unix.Signal
	for {
		// It may have ended before this process could tell.
		status, ended, err := reap(pid)
		if ended || err != nil {
			return status, err
		}
		if came, err = s.pipe.Next(came); err != nil {
			return 0, err
		}
		for _, number := range came {
			passOn(number, pid, tty)
		}
	}
}

// meanwhile passes signals on to the process while work is done that has
// children of its own. Whoever ends in that time is reaped by the work, or
// later by attend.
func (s *signals) meanwhile(pid int, tty *terminal, work func() error) error {
	waitApart(2)
	passed := make(chan error, 1)
	go func() { passed <- s.passOnUntilWoken(pid, tty) }()
	err := work()
	s.pipe.Wake()
	return errors.Join(err, <-passed)
}

// waitApart is for n goroutines that wait in system calls at the same time: each
// keeps a processor of Go's meanwhile. If there were fewer, one that has something
// to do would wait until Go's monitor takes another's away, which may be 10 ms
// later (docs/decisions/017-timer-slack.md). What the user says (GOMAXPROCS) holds.
func waitApart(n int) {
	if n > runtime.GOMAXPROCS(0) && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n)
	}
}

func (s *signals) passOnUntilWoken(pid int, tty *terminal) error {
	if err := selfpipe.Unblock(); err != nil {
		return err
	}
	var came []unix.Signal
	for {
		var err error
		if came, err = s.pipe.Next(came); err != nil {
			return err
		}
		woken := false
		for _, number := range came {
			if number == 0 {
				woken = true
				continue
			}
			passOn(number, pid, tty)
		}
		if woken {
			return nil
		}
	}
}

// passOn hands a signal to the process. The window's size goes through the
// terminal, and that a child has ended is berth's own affair.
func passOn(number unix.Signal, pid int, tty *terminal) {
	switch {
	case number == unix.SIGCHLD:
	case number == unix.SIGWINCH && tty != nil:
		tty.resize()
	default:
		// ESRCH: it has just ended, which is what we wait for anyway.
		_ = unix.Kill(pid, number)
	}
}

// reap takes notice of all children that have ended, until pid is among them.
func reap(pid int) (unix.WaitStatus, bool, error) {
	for {
		var status unix.WaitStatus
		reaped, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, false, fmt.Errorf("wait for the container's process: %w", err)
		case reaped == 0:
			return 0, false, nil
		case reaped == pid && (status.Exited() || status.Signaled()):
			return status, true, nil
		}
	}
}

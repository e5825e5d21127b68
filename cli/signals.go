package cli

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals collects what is sent to berth while a container runs in its
// foreground.
type signals struct{ c chan os.Signal }

// catchSignals begins before the container exists, so that none is lost.
func catchSignals() *signals {
	s := &signals{c: make(chan os.Signal, 128)}
	signal.Notify(s.c)
	return s
}

// passTo hands them on to the container's process. The window's size goes
// through the terminal, and the ones of berth's own doing stay here.
func (s *signals) passTo(pid int, tty *terminal) {
	go func() {
		for sig := range s.c {
			number, ok := sig.(unix.Signal)
			switch {
			case !ok, number == unix.SIGCHLD, number == unix.SIGURG, number == unix.SIGPIPE:
			case number == unix.SIGWINCH && tty != nil:
				tty.resize()
			default:
				// ESRCH: it has just ended, which is what we wait for anyway.
				_ = unix.Kill(pid, number)
			}
		}
	}()
}

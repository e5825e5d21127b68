//go:build !amd64 && !arm64

package selfpipe

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func catch(write int) error {
	c := make(chan os.Signal, 128)
	signal.Notify(c)
	go func() {
		for s := range c {
			// Whether a SIGPIPE is of this process's own making, Go does not tell.
			if number, ok := s.(unix.Signal); ok && caught(number) && number != unix.SIGPIPE {
				// A full pipe loses signals: Next says so.
				_, _ = unix.Write(write, []byte{byte(number)})
			}
		}
	}()
	return nil
}

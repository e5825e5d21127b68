package libcontainer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// handTerminal hands the terminal's master on: to the console socket, or to who
// relays it.
func handTerminal(master int, socket string, relay func(*os.File) error) error {
	if master < 0 {
		return errors.New("process.terminal: the executor sent no terminal")
	}
	if socket != "" {
		if err := sendFD(socket, "/dev/ptmx", master); err != nil {
			return fmt.Errorf("--console-socket: %w", err)
		}
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(master), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("process.terminal: %w", err)
	}
	return relay(os.NewFile(uintptr(fd), "/dev/ptmx"))
}

// sendPidfd sends a pidfd of the process to the pidfd socket, if there is one.
func sendPidfd(socket string, pidfd int) error {
	if socket == "" {
		return nil
	}
	if err := sendFD(socket, "pidfd", pidfd); err != nil {
		return fmt.Errorf("--pidfd-socket: %w", err)
	}
	return nil
}

// sendFD sends a descriptor and its name over a unix stream socket.
func sendFD(path, name string, fd int) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(s)
	if err := unix.Connect(s, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("connect to %s: %w", path, err)
	}
	if err := unix.Sendmsg(s, []byte(name), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("send a descriptor to %s: %w", path, err)
	}
	return nil
}

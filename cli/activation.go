package cli

import (
	"fmt"
	"os"
	"strconv"

	"berth/libcontainer"
)

// activation takes what systemd has passed to berth for the container:
// descriptors by socket activation (sd_listen_fds(3)), which come before those
// of --preserve-fds, and where to tell that the service is ready (sd_notify(3)).
func activation(opt *libcontainer.CreateOptions) error {
	opt.NotifySocket = os.Getenv("NOTIFY_SOCKET")
	if len(opt.NotifySocket) > 0 && opt.NotifySocket[0] != '/' && opt.NotifySocket[0] != '@' {
		return fmt.Errorf("NOTIFY_SOCKET=%s: is neither an absolute path nor an abstract name: unset it", opt.NotifySocket)
	}
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil // they are meant for another process
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return fmt.Errorf("LISTEN_FDS=%s: is no number of descriptors: unset LISTEN_PID", os.Getenv("LISTEN_FDS"))
	}
	opt.ListenFDs, opt.ListenNames = n, os.Getenv("LISTEN_FDNAMES")
	if n > maxPreserved-opt.PreserveFDs {
		return fmt.Errorf("LISTEN_FDS=%d: at most %d descriptors are handed on, --preserve-fds among them", n, maxPreserved)
	}
	opt.PreserveFDs += n
	if fd := firstClosed(opt.PreserveFDs); fd >= 0 {
		return fmt.Errorf("LISTEN_FDS=%d: descriptor %d is not open (those of --preserve-fds come after them): open it, or unset LISTEN_PID", n, fd)
	}
	return nil
}

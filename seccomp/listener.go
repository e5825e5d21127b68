package seccomp

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// listenerTimeout is how long connecting to the agent may take, and then sending:
// an agent that does not accept must not hold a container forever.
const listenerTimeout = 10 * time.Second

// ProcessState gives what the agent is told about a container's process
// (runtime-spec 1.3.0, config-linux.md#containerprocessstate). pid is the
// process that the filter is on, as berth sees it: the container's, or the one
// that exec makes.
func ProcessState(p *specs.LinuxSeccomp, pid int, state specs.State) *specs.ContainerProcessState {
	return &specs.ContainerProcessState{
		Version:  state.Version,
		Fds:      []string{specs.SeccompFdName},
		Pid:      pid,
		Metadata: p.ListenerMetadata,
		State:    state,
	}
}

// SendNotifyFD connects to the agent's socket (linux.seccomp.listenerPath) and
// sends st with the notify descriptor by SCM_RIGHTS, then closes the connection:
// one state for each, as the specification wants. The caller keeps fd and closes
// it: a copy left open would keep the container waiting when the agent dies.
//
// Connecting may take 10 s, and sending as much. The errors begin with
// linux.seccomp.listenerPath.
func SendNotifyFD(path string, fd int, st *specs.ContainerProcessState) error {
	return sendNotifyFD(path, fd, st, listenerTimeout)
}

func sendNotifyFD(path string, fd int, st *specs.ContainerProcessState, timeout time.Duration) error {
	if path == "" {
		return fmt.Errorf("linux.seccomp.listenerPath: missing, but SCMP_ACT_NOTIFY is used: set it to the socket of an agent")
	}
	if len(st.Fds) != 1 {
		return fmt.Errorf("linux.seccomp.listenerPath: the state names %d descriptors, and one is sent", len(st.Fds))
	}
	message, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: write the container process state: %w", err)
	}
	conn, err := dial(path, timeout)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: connect to %s: %w: %s", path, err, dialAdvice(err))
	}
	if err := send(conn, message, fd, timeout); err != nil {
		unix.Close(conn)
		return fmt.Errorf("linux.seccomp.listenerPath: send the notify descriptor to %s: %w: see what the agent logs", path, err)
	}
	if err := unix.Close(conn); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: close the connection to %s: %w", path, err)
	}
	return nil
}

func dialAdvice(err error) string {
	switch err {
	case unix.ENOENT, unix.ECONNREFUSED, unix.EAGAIN, unix.ETIMEDOUT:
		return "is the agent running?"
	case unix.EPROTOTYPE, unix.ENOTSOCK:
		return "it must be a SOCK_STREAM socket"
	}
	return "check the path"
}

// dial connects to a stream socket. The timeout of a unix socket's sends is that
// of its connect too (unix(7) and the kernel's unix_stream_connect).
func dial(path string, timeout time.Duration) (int, error) {
	conn, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	address := &unix.SockaddrUnix{Name: path}
	socket := -1
	if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		// sun_path holds 107 bytes; a longer path is opened, and reached by its
		// descriptor.
		socket, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			unix.Close(conn)
			return -1, err
		}
		address.Name = "/proc/self/fd/" + strconv.Itoa(socket)
	}
	deadline := time.Now().Add(timeout)
	for {
		if err = limit(conn, deadline); err != nil {
			break
		}
		if err = unix.Connect(conn, address); err != unix.EINTR {
			break
		}
	}
	if socket >= 0 {
		unix.Close(socket)
	}
	if err != nil {
		unix.Close(conn)
		return -1, err
	}
	return conn, nil
}

// limit gives the socket the time until deadline for what it does next.
func limit(conn int, deadline time.Time) error {
	left := time.Until(deadline)
	if left <= 0 {
		return unix.ETIMEDOUT
	}
	tv := unix.NsecToTimeval(int64(max(left, time.Millisecond))) // 0 would mean no limit
	return unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
}

// send writes message, its first part together with the descriptor.
func send(conn int, message []byte, fd int, timeout time.Duration) error {
	rights := unix.UnixRights(fd)
	deadline := time.Now().Add(timeout)
	for len(message) > 0 {
		if err := limit(conn, deadline); err != nil {
			return err
		}
		n, err := unix.SendmsgN(conn, message, rights, nil, unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			message, rights = message[n:], nil
		case unix.EINTR:
		case unix.EAGAIN:
			return unix.ETIMEDOUT
		default:
			return err
		}
	}
	return nil
}

package libcontainer

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// hookTail is how much of a failed hook's standard error is told, in bytes.
const hookTail = 1024

// hookOutput is where a hook's standard output and error go: nowhere and to
// the tail that an error tells, or, as crun's users have it, to the files that
// the annotations run.oci.hooks.stdout and run.oci.hooks.stderr name.
type hookOutput struct {
	stdout int
	stderr int    // file that gets a copy, or -1
	pipe   [2]int // standard error: read end, write end
	last   []byte // what it ends with
}

func openHookOutput(annotations map[string]string) (*hookOutput, error) {
	o := &hookOutput{stdout: -1, stderr: -1, pipe: [2]int{-1, -1}}
	var err error
	if o.stdout, err = openHookFile(annotations, "run.oci.hooks.stdout"); err == nil && o.stdout < 0 {
		o.stdout, err = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		o.stderr, err = openHookFile(annotations, "run.oci.hooks.stderr")
	}
	if err == nil {
		err = unix.Pipe2(o.pipe[:], unix.O_CLOEXEC)
	}
	if err == nil {
		err = unix.SetNonblock(o.pipe[0], true)
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// openHookFile opens the file that an annotation names for appending; -1 where
// there is no such annotation.
func openHookFile(annotations map[string]string, name string) (int, error) {
	path := annotations[name]
	if path == "" {
		return -1, nil
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, fmt.Errorf("annotations[%q]: open %s: %w", name, path, err)
	}
	return fd, nil
}

func (o *hookOutput) close() {
	for _, fd := range []int{o.stdout, o.stderr, o.pipe[0], o.pipe[1]} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// drain takes what is in the pipe, and says whether more may come.
func (o *hookOutput) drain() (more bool, err error) {
	var buf [4096]byte
	for {
		n, err := unix.Read(o.pipe[0], buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("read the hook's standard error: %w", err)
		case n == 0:
			return false, nil
		}
		o.last = append(o.last, buf[:n]...)
		if over := len(o.last) - hookTail; over > 0 {
			o.last = append(o.last[:0], o.last[over:]...)
		}
		if o.stderr >= 0 {
			if _, err := unix.Write(o.stderr, buf[:n]); err != nil {
				return false, fmt.Errorf("annotations[%q]: %w", "run.oci.hooks.stderr", err)
			}
		}
	}
}

// wait waits for the hook to end. What it has left in the background is not
// waited for. At the deadline, unless that is zero, its whole process group is
// killed.
func (p *hookProcess) wait(o *hookOutput, deadline time.Time) (killed bool, err error) {
	// The hook is to be the pipe's only writer.
	unix.Close(o.pipe[1])
	o.pipe[1] = -1
	poll := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}, {Fd: int32(o.pipe[0]), Events: unix.POLLIN}}
	for {
		timeout := -1
		if !deadline.IsZero() {
			timeout = max(int(time.Until(deadline).Milliseconds()+1), 0)
		}
		n, err := unix.Poll(poll, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return killed, fmt.Errorf("wait for the hook: %w", err)
		case n == 0:
			killed, deadline = true, time.Time{}
			if err := unix.Kill(-p.pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return killed, fmt.Errorf("kill the hook at its timeout: %w", err)
			}
			continue
		}
		more, err := o.drain()
		if err != nil || poll[0].Revents != 0 {
			return killed, err
		}
		if !more {
			poll[1].Fd = -1 // ignored from here on
		}
	}
}

// reap returns how the hook has ended.
func (p *hookProcess) reap() (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(p.pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for the hook: %w", err)
		}
		return status, nil
	}
}

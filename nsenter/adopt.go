package nsenter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
)

// A plan with plan.Fork goes on in a second process, which is this process's
// child too (CLONE_PARENT) and lives in the pid namespace that the first has
// joined. Its number here comes as the credentials of whatever it sends first;
// unix(7), SCM_CREDENTIALS.

// forks says whether the plan has a Fork.
func forks(p *plan.Plan) bool {
	for i := range p.Steps {
		if p.Steps[i].Op.Code() == plan.CodeFork {
			return true
		}
	}
	return false
}

// expectFork has the kernel tell who sends.
func (p *Process) expectFork() error {
	if err := unix.SetsockoptInt(p.socket, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return fmt.Errorf("setsockopt SO_PASSCRED: %w", err)
	}
	return nil
}

// adopt takes pid for the process, once it has spoken, and reaps the first.
func (p *Process) adopt(pid int) error {
	if pid == p.Pid || pid == 0 {
		return nil
	}
	// It is a child that nobody else reaps: the number is its own until then.
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	_, err = p.Wait()
	unix.Close(p.PidFD)
	p.Pid, p.PidFD, p.reaped = pid, fd, false
	return err
}

// control is what came along with a report.
type control struct {
	fd     int // -1 for none
	sender int // its pid, 0 when the kernel was not asked
}

func parseControl(oob []byte) (control, error) {
	c := control{fd: -1}
	if len(oob) == 0 {
		return c, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return c, fmt.Errorf("receive from the executor: %w", err)
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch messages[i].Header.Type {
		case unix.SCM_RIGHTS:
			fds, err := unix.ParseUnixRights(&messages[i])
			if err != nil || len(fds) != 1 || c.fd >= 0 {
				// They are open here by now, whatever else is wrong.
				for _, fd := range fds {
					unix.Close(fd)
				}
				return c, fmt.Errorf("receive a descriptor from the executor: %w", errors.Join(err, unix.EPROTO))
			}
			c.fd = fds[0]
		case unix.SCM_CREDENTIALS:
			who, err := unix.ParseUnixCredentials(&messages[i])
			if err != nil {
				return c, fmt.Errorf("receive from the executor: %w", err)
			}
			c.sender = int(who.Pid)
		}
	}
	return c, nil
}

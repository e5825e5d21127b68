package libcontainer

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
)

// Kill sends a signal to the container's init, or with all to every process in
// its cgroup.
func (r *Runtime) Kill(id string, signal int, all bool) error {
	c, err := r.Load(id)
	if err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	if all && c.Cgroup != nil {
		return c.killAll(status, signal)
	}
	if status == specs.StateStopped || status == specs.StateCreating {
		// Engines take "container not running" to mean that it is gone.
		return fmt.Errorf("cannot kill container %q: container not running (it is %s)", id, status)
	}
	return c.signal(signal)
}

// signal goes through a pidfd, so that it cannot hit another process that got
// init's number meanwhile.
func (c *Container) signal(signal int) error {
	fd, err := unix.PidfdOpen(c.Pid, 0)
	if err == nil {
		defer unix.Close(fd)
		var alive bool
		alive, err = c.alive()
		if err == nil && !alive {
			err = unix.ESRCH
		}
		if err == nil {
			err = unix.PidfdSendSignal(fd, unix.Signal(signal), nil, 0)
		}
	}
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot kill container %q: container not running: %w", c.ID, err)
	}
	if err != nil {
		return fmt.Errorf("send signal %d to container %q: %w", signal, c.ID, err)
	}
	return nil
}

func (c *Container) killAll(status specs.ContainerState, signal int) error {
	m := fs.Load(*c.Cgroup)
	defer m.Close()
	pids, err := m.Pids(true)
	if err != nil {
		return err
	}
	if len(pids) == 0 && status == specs.StateStopped {
		return fmt.Errorf("cannot kill container %q: container not running", c.ID)
	}
	var errs []error
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.Signal(signal)); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("send signal %d to process %d of container %q: %w", signal, pid, c.ID, err))
		}
	}
	return errors.Join(errs...)
}

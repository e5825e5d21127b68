package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
)

// Kill sends a signal to the container's init, or with all to every process in
// its cgroup, or where it has none in its pid namespace; with all, a container that has none any more is fine.
//
// SIGKILL is for the whole container: where init's death does not take the
// others with it, since the pid namespace is not its own, they are killed too,
// also when init is gone already.
func (r *Runtime) Kill(id string, signal int, all bool) error {
	c, err := r.Load(id)
	if err != nil {
		return err
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	whole, err := c.killsWhole(status, signal)
	if err != nil {
		return err
	}
	if (all || whole) && c.Cgroup != nil && status != specs.StateCreating {
		found, err := c.signalAll(signal)
		if err != nil || found {
			return err
		}
	}
	if all && status == specs.StateStopped {
		return nil
	}
	if status == specs.StateStopped || status == specs.StateCreating {
		// Engines take "container not running" to mean that it is gone.
		return fmt.Errorf("cannot kill container %q: container not running (it is %s)", id, status)
	}
	if all && c.Cgroup == nil {
		own, err := c.ownsPidNamespace()
		if err != nil {
			return err
		}
		if own {
			return c.signalNamespace(signal)
		}
	}
	return c.signal(signal)
}

// killsWhole says whether a signal for init alone would leave processes behind.
// A paused one is among them: with v1's freezer, SIGKILL has no effect before
// the container is thawed.
func (c *Container) killsWhole(status specs.ContainerState, signal int) (bool, error) {
	if signal != int(unix.SIGKILL) || c.Cgroup == nil {
		return false, nil
	}
	if status == specs.StateStopped || status == StatePaused {
		return true, nil
	}
	own, err := c.ownsPidNamespace()
	return !own, err
}

// ownsPidNamespace says whether init is process 1 of its pid namespace, so that
// the kernel ends the whole namespace with it; pid_namespaces(7).
func (c *Container) ownsPidNamespace() (bool, error) {
	data, err := readFile("/proc/" + strconv.Itoa(c.Pid) + "/status")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return true, nil // it has just ended: signal says so
	}
	if err != nil {
		return false, fmt.Errorf("kill container %q: %w", c.ID, err)
	}
	_, line, _ := bytes.Cut(data, []byte("\nNSpid:"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	ids := bytes.Fields(line)
	return len(ids) > 0 && string(ids[len(ids)-1]) == "1", nil
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

// signalAll signals every process in the container's cgroup, and tells whether
// there was one.
func (c *Container) signalAll(signal int) (found bool, err error) {
	m := fs.Load(*c.Cgroup)
	defer m.Close()
	pids, err := m.Pids(true)
	if err != nil || len(pids) == 0 {
		return false, err
	}
	if signal == int(unix.SIGKILL) {
		err = m.Kill()
	} else {
		err = m.Signal(unix.Signal(signal))
	}
	if err != nil {
		return true, fmt.Errorf("kill container %q: %w", c.ID, err)
	}
	return true, nil
}

package libcontainer

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups/fs"
)

// Pause freezes all processes of a container that is created or running, with
// the cgroup freezer: cgroup.freeze of cgroup-v2.rst, or freezer.state of v1.
// When it returns without an error, all have stopped.
func (r *Runtime) Pause(id string) error {
	return r.locked(id, func(c *Container) error {
		status, err := c.Status()
		if err != nil {
			return err
		}
		switch status {
		case specs.StateCreated, specs.StateRunning:
		case StatePaused:
			return fmt.Errorf("cannot pause container %q: it is paused already", id)
		default:
			return fmt.Errorf("cannot pause container %q: container not running (it is %s)", id, status)
		}
		if c.Cgroup == nil {
			return fmt.Errorf("cannot pause container %q: it has no cgroup of its own, which is what pausing works by", id)
		}
		m := fs.Load(*c.Cgroup)
		defer m.Close()
		if err := m.Freeze(); err != nil {
			return fmt.Errorf("pause container %q: %w", id, err)
		}
		return nil
	})
}

// Resume lets the processes of a paused container run again.
func (r *Runtime) Resume(id string) error {
	return r.locked(id, func(c *Container) error {
		status, err := c.Status()
		if err != nil {
			return err
		}
		if status != StatePaused {
			return fmt.Errorf("cannot resume container %q: container not paused (it is %s)", id, status)
		}
		m := fs.Load(*c.Cgroup)
		defer m.Close()
		if err := m.Thaw(); err != nil {
			return fmt.Errorf("resume container %q: %w", id, err)
		}
		return nil
	})
}

// frozen says whether the container is paused. It reads one small file, or two
// where v1's freezer is mounted beside v2: state is asked for often. state is
// init's, as proc_pid_stat(5) has it.
func (c *Container) frozen(state byte) (bool, error) {
	if c.Cgroup == nil {
		return false, nil
	}
	frozen, err := c.Cgroup.Frozen(state == 'S')
	if err != nil {
		return false, fmt.Errorf("state of container %q: %w", c.ID, err)
	}
	return frozen, nil
}

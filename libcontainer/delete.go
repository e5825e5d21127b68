package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
)

// dieDeadline bounds the wait for a killed init to be gone.
const dieDeadline = 10 * time.Second

// Delete removes a stopped container: its cgroup and its state. One that was
// created and not started is ended first; with force, one that runs is too,
// and one that does not exist, or whose state cannot be read, is fine.
func (r *Runtime) Delete(id string, force bool) error {
	err := r.locked(id, func(c *Container) error { return c.delete(force) })
	var missing *NotExistError
	if force && errors.As(err, &missing) && checkID(id) == nil {
		// A delete that was killed half-way may have left its state aside.
		if err := os.RemoveAll(r.dir(id) + trash); err != nil {
			return fmt.Errorf("remove the state of container %q: %w", id, err)
		}
		return nil
	}
	var damaged *damagedError
	if force && errors.As(err, &damaged) {
		return r.forget(id)
	}
	return err
}

// forget removes the state of a container of which nothing else is known.
func (r *Runtime) forget(id string) error {
	c := &Container{State: State{ID: id}, runtime: r, dir: r.dir(id)}
	if err := c.acquire(); err != nil {
		return err
	}
	defer c.release()
	if err := c.removeState(); err != nil {
		return err
	}
	r.Log("warning", fmt.Sprintf("the state of container %q was damaged: its processes and its cgroup, if there are any, were not found", id))
	return nil
}

func (c *Container) delete(force bool) error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	switch status {
	case specs.StateStopped:
	case specs.StateCreated:
		err = c.end()
	default:
		if !force {
			return fmt.Errorf("cannot delete container %q that is not stopped: it is %s: stop it with kill, or use delete --force", c.ID, status)
		}
		err = c.end()
	}
	if err != nil {
		return err
	}
	return c.destroy()
}

// end kills init and waits until it is gone. A process of its pid namespace
// goes with it; one of the host's is found in the cgroup.
func (c *Container) end() error {
	fd, err := unix.PidfdOpen(c.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill container %q: pidfd_open: %w", c.ID, err)
	}
	defer unix.Close(fd)
	if alive, err := c.alive(); err != nil || !alive {
		return err
	}
	if c.Cgroup != nil {
		m := fs.Load(*c.Cgroup)
		defer m.Close()
		if err := m.Kill(); err != nil {
			return fmt.Errorf("kill container %q: %w", c.ID, err)
		}
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill container %q: %w", c.ID, err)
	}
	return c.awaitDeath(fd)
}

func (c *Container) awaitDeath(pidfd int) error {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	deadline := time.Now().Add(dieDeadline)
	for {
		n, err := unix.Poll(poll, int(time.Until(deadline).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for the end of container %q: %w", c.ID, err)
		case n == 0:
			return fmt.Errorf("container %q: process %d has not ended %s after SIGKILL: it hangs in the kernel, see /proc/%d/stack", c.ID, c.Pid, dieDeadline, c.Pid)
		}
		return nil
	}
}

// destroy takes away what is left of a container whose processes are gone.
func (c *Container) destroy() error {
	if err := c.stopScope(); err != nil {
		return err
	}
	if c.Cgroup != nil {
		m := fs.Load(*c.Cgroup)
		defer m.Close()
		if !m.RemoveEmpty() {
			if err := c.killLeftovers(m); err != nil {
				return err
			}
		}
		if err := m.Remove(); err != nil {
			return err
		}
	}
	if err := c.removeRdt(); err != nil {
		return err
	}
	if !c.Poststop {
		return c.removeState()
	}
	s, specErr := c.Spec()
	if err := c.removeState(); err != nil {
		return err
	}
	if specErr != nil {
		return nil // it was killed before its configuration was kept
	}
	c.poststop(s)
	return nil
}

// trash ends the names of state folders that are being removed; no id can.
const trash = "~"

// removeState removes the container's folder. It gets out of sight in one step:
// else others would find a container without a state, as one that is being made.
func (c *Container) removeState() error {
	out := c.dir + trash
	err := os.Rename(c.dir, out)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		// A delete was killed half-way.
		if err = os.RemoveAll(out); err == nil {
			err = os.Rename(c.dir, out)
		}
	}
	switch {
	case err == nil:
		err = removeFolder(out)
	case errors.Is(err, unix.ENAMETOOLONG):
		err = os.RemoveAll(c.dir)
	}
	if err != nil {
		return fmt.Errorf("remove the state of container %q: %w", c.ID, err)
	}
	return nil
}

// removeFolder removes a state folder. What is usually in it is not looked for.
func removeFolder(dir string) error {
	for _, name := range [...]string{stateFile, configFile, fifoFile, reportFile} {
		// What is not there is no matter, and rmdir tells of the rest.
		_ = unix.Unlink(filepath.Join(dir, name))
	}
	if unix.Rmdir(dir) == nil {
		return nil
	}
	return os.RemoveAll(dir)
}

// killLeftovers ends processes that outlived init, which is possible without a
// pid namespace of the container's own.
func (c *Container) killLeftovers(m *fs.Manager) error {
	pids, err := m.Pids(true)
	if err != nil || len(pids) == 0 {
		return err
	}
	if err := m.Kill(); err != nil {
		return fmt.Errorf("kill what container %q left: %w", c.ID, err)
	}
	return nil
}

// poststop runs the hooks that come after deletion. As runtime.md says, one
// that fails is logged and the others still run.
func (c *Container) poststop(s *specs.Spec) {
	if s.Hooks == nil {
		return
	}
	k := c.runtimeHooks("hooks.poststop", s.Hooks.Poststop, c.OCIState(specs.StateStopped), "")
	for i := range k.list {
		if err := k.runAt(i); err != nil {
			c.runtime.Log("warning", err.Error())
		}
	}
}

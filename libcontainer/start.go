package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
	"berth/nsenter"
	"berth/spec"
)

// Start lets a created container's process go on. It returns when the process
// has been executed, or with what kept it from that. Where a hook fails, the
// container is stopped and removed; runtime.md, Lifecycle, steps 7 and 9.
func (r *Runtime) Start(id string) error {
	var started *Container
	var s *specs.Spec
	err := r.locked(id, func(c *Container) error {
		status, err := c.Status()
		if err != nil {
			return err
		}
		if status != specs.StateCreated {
			return fmt.Errorf("cannot start container %q: it is %s, not created: %s", id, status, insteadOfStart(status))
		}
		if s, err = c.Spec(); err != nil {
			return err
		}
		if s.Hooks != nil && len(s.Hooks.StartContainer) > 0 {
			if err := c.beforeStart(s); err != nil {
				return errors.Join(err, c.end(), c.destroy())
			}
		}
		started = c
		return c.signalStart()
	})
	if err != nil {
		return err
	}
	// Without the lock: a hook may well ask for the container's state to change.
	return r.Poststart(started, s)
}

// insteadOfStart says what to do with a container that is not created.
func insteadOfStart(status specs.ContainerState) string {
	switch status {
	case StatePaused:
		return "resume it first"
	case specs.StateStopped:
		return "its process has ended: delete it, and create it again"
	}
	return "it was started before"
}

// beforeStart runs the startContainer hooks.
func (c *Container) beforeStart(s *specs.Spec) error {
	pidfd, err := unix.PidfdOpen(c.Pid, 0)
	if err != nil {
		return fmt.Errorf("hooks.startContainer: pidfd_open: %w", err)
	}
	defer unix.Close(pidfd)
	return c.startContainerHooks(s, pidfd)
}

// Spec returns the configuration as it was at create.
func (c *Container) Spec() (*specs.Spec, error) {
	data, err := readFile(filepath.Join(c.dir, configFile))
	if err != nil {
		return nil, fmt.Errorf("configuration of container %q: %w", c.ID, err)
	}
	return spec.Parse(data)
}

// signalStart writes the byte that the executor waits for. The report FIFO is
// opened first: its end of file tells that the process has been executed.
func (c *Container) signalStart() error {
	report, err := unix.Open(filepath.Join(c.dir, reportFile), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start container %q: open %s: %w", c.ID, reportFile, err)
	}
	defer unix.Close(report)
	fifo, err := unix.Open(filepath.Join(c.dir, fifoFile), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start container %q: open %s: %w", c.ID, fifoFile, err)
	}
	defer unix.Close(fifo)
	if _, err := unix.Write(fifo, []byte{0}); err != nil {
		return fmt.Errorf("start container %q: write to %s: %w", c.ID, fifoFile, err)
	}
	if err := c.startReport(report); err != nil {
		return err
	}
	for _, name := range []string{fifoFile, reportFile} {
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil {
			return fmt.Errorf("start container %q: %w", c.ID, err)
		}
	}
	return nil
}

func (c *Container) startReport(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(poll, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("start container %q: wait for the process: %w", c.ID, err)
		}
		break
	}
	buf := make([]byte, plan.ReportSize)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return fmt.Errorf("start container %q: read %s: %w", c.ID, reportFile, err)
	}
	if n == 0 {
		return nil
	}
	return nsenter.DecodeFailure(buf[:n])
}

// Poststart runs the hooks that come after the process was started. Where one
// fails, the container is stopped and removed.
func (r *Runtime) Poststart(c *Container, s *specs.Spec) error {
	if s.Hooks == nil || len(s.Hooks.Poststart) == 0 {
		return nil
	}
	err := c.runtimeHooks("hooks.poststart", s.Hooks.Poststart, c.OCIState(specs.StateRunning), "").run()
	if err != nil {
		return errors.Join(err, r.Delete(c.ID, true))
	}
	return nil
}

package libcontainer

import (
	"errors"
	"fmt"
	"io"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/libcontainer/facts"
	"berth/libcontainer/facts/probe"
	"berth/libcontainer/plan"
	"berth/nsenter"
	"berth/spec"
)

// AddMounts makes mounts in a container that has not stopped: all, or none where
// one is refused. They are kept beside its configuration, not in it.
func (r *Runtime) AddMounts(id string, mounts []specs.Mount) error {
	return r.changeMounts(id, func(c *mountChange) error {
		problems, warnings := spec.CheckMounts(c.spec, mounts)
		if err := problems.Err(); err != nil {
			return err
		}
		out, err := compile.AddMounts(c.input(), c.Bundle, mounts)
		if err != nil {
			return err
		}
		for _, w := range append(warnings, out.Warnings...) {
			r.Log("warning", w)
		}
		made := 0
		if err = c.carryOut(out); err == nil {
			made, err = len(mounts), c.noteAdded(mounts)
		} else if step, ok := errors.AsType[*nsenter.StepError](err); ok && step.Origin.Field == "mounts" {
			made = max(step.Origin.Index, 0)
		}
		if err == nil || made == 0 {
			return err
		}
		return errors.Join(err, c.remove(mounts[:made]))
	})
}

// RemoveMounts detaches what is mounted at the destinations, the last one first.
// It stops at the first that cannot be.
func (r *Runtime) RemoveMounts(id string, mounts []specs.Mount) error {
	return r.changeMounts(id, func(c *mountChange) error {
		err := c.remove(mounts)
		if err == nil {
			return c.noteRemoved(mounts)
		}
		if step, ok := errors.AsType[*nsenter.StepError](err); ok && step.Origin.Field == "mounts" && step.Origin.Index >= 0 {
			// Those behind it are gone.
			err = errors.Join(err, c.noteRemoved(mounts[step.Origin.Index+1:]))
		}
		return err
	})
}

// mountChange is a change of the mounts of a container that has not stopped.
type mountChange struct {
	*Container
	spec *specs.Spec
	in   *entrance
	host *facts.Host
}

func (r *Runtime) changeMounts(id string, change func(*mountChange) error) error {
	return r.locked(id, func(c *Container) error {
		status, err := c.Status()
		if err != nil {
			return err
		}
		if status == specs.StateStopped || status == specs.StateCreating {
			return fmt.Errorf("cannot change the mounts of container %q: container not running (it is %s)", id, status)
		}
		m := &mountChange{Container: c}
		if m.spec, err = c.Spec(); err != nil {
			return err
		}
		if compile.JoinFlags(m.spec)&unix.CLONE_NEWNS == 0 {
			return fmt.Errorf("cannot change the mounts of container %q: it has no mount namespace of its own", id)
		}
		if m.host, err = probe.Host(); err != nil {
			return err
		}
		label := ""
		if m.spec.Linux != nil {
			label = m.spec.Linux.MountLabel
		}
		if err := probeLabels(m.host, &specs.Process{}, label); err != nil {
			return err
		}
		pidfd, err := unix.PidfdOpen(c.Pid, 0)
		if err != nil {
			return fmt.Errorf("cannot change the mounts of container %q: container not running: pidfd_open: %w", id, err)
		}
		defer unix.Close(pidfd)
		// Only now is it sure that the number is not another process's by then.
		if alive, err := c.alive(); err != nil {
			return err
		} else if !alive {
			return fmt.Errorf("cannot change the mounts of container %q: container not running (it is %s)", id, specs.StateStopped)
		}
		if m.in, err = newEntrance(m.spec, c.Pid, pidfd, nil, nil); err != nil {
			return err
		}
		defer m.in.close()
		return change(m)
	})
}

func (m *mountChange) input() compile.ExecInput {
	return compile.ExecInput{Spec: m.spec, ID: m.ID, Host: m.host, Rootfs: m.Rootfs, Namespaces: m.in.flags}
}

func (m *mountChange) remove(mounts []specs.Mount) error {
	out, err := compile.RemoveMounts(m.input(), mounts)
	if err != nil {
		return err
	}
	return m.carryOut(out)
}

// carryOut runs an executor in the container up to the plan's end, and ends it
// there.
func (m *mountChange) carryOut(out *compile.Output) (err error) {
	fds, err := openSources(out.Sources, m.host)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	cmd := &nsenter.Command{Plan: &out.Plan, Stdio: [3]int{0, 1, 2}, CgroupFD: -1, KeepCaps: -1,
		Slots: []nsenter.SlotFD{{Slot: plan.SlotPidfd, FD: m.in.pidfd}}}
	for i, fd := range fds {
		cmd.Slots = append(cmd.Slots, nsenter.SlotFD{Slot: out.Sources[i].Slot, FD: fd})
	}
	p, err := cmd.Start()
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, p.Kill())
		p.Close()
	}()
	report, err := p.Recv()
	if errors.Is(err, io.EOF) {
		return errors.New("the process that changes the mounts has ended early: did the container stop meanwhile?")
	}
	if err == nil && report.FD >= 0 {
		unix.Close(report.FD)
	}
	return err
}

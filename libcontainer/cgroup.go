package libcontainer

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/cgroups/devices"
	"berth/cgroups/devices/bpf"
	"berth/cgroups/fs"
	"berth/cgroups/systemd"
	"berth/libcontainer/facts"
)

// CgroupManager says who makes containers' cgroups.
type CgroupManager string

// The cgroup managers.
const (
	Cgroupfs CgroupManager = "cgroupfs" // berth itself
	Systemd  CgroupManager = "systemd"  // systemd, in a transient scope
	NoCgroup CgroupManager = "disabled" // nobody: the container stays in berth's own
)

// place decides where a container's cgroup is, and in which unit of systemd's.
// Nothing is connected to or made. A lenient placement leaves out what this user
// may not make.
func (r *Runtime) place(s *specs.Spec, id string, host *facts.Host, controlGroup string, lenient bool) (*cgroups.Placement, *systemd.Unit, error) {
	if host.Cgroups == nil || r.CgroupManager == NoCgroup {
		return nil, nil, nil
	}
	place := cgroups.Place
	if lenient {
		place = cgroups.PlaceWherePossible
	}
	path := cgroupsPath(s)
	var unit *systemd.Unit
	if r.CgroupManager == Systemd {
		u, err := systemd.ParsePath(path, id, s.Annotations, r.UserSystemd)
		if err != nil {
			return nil, nil, err
		}
		unit, path = &u, u.CgroupPath(controlGroup)
	}
	p, err := place(host.Cgroups, path, id)
	if err != nil {
		return nil, nil, err
	}
	if lenient {
		fs.Permit(p, host.Cgroups, unit != nil)
	}
	return p, unit, nil
}

// connectSystemd connects to the manager that is to make the scope.
func (r *Runtime) connectSystemd() (*systemd.Conn, error) {
	conn, err := systemd.Connect(systemd.Options{User: r.UserSystemd})
	if err != nil {
		return nil, fmt.Errorf("--systemd-cgroup: %w", err)
	}
	return conn, nil
}

func cgroupsPath(s *specs.Spec) string {
	if s.Linux == nil {
		return ""
	}
	return s.Linux.CgroupsPath
}

// planCgroup writes down where the cgroup will be before it is made, so that
// delete finds what a killed create left.
func (m *creation) planCgroup() error {
	if m.placed() {
		planned := fs.Plan(m.place)
		m.Cgroup, m.Unit = &planned, m.unit
	}
	return m.save()
}

// placed says whether the container has a cgroup of its own anywhere.
func (m *creation) placed() bool { return m.place != nil && len(m.place.Folders) > 0 }

// beginCgroup makes that part of the cgroup into which the process is cloned.
// resident is a process of the container's that is in it already, or 0.
func (m *creation) beginCgroup(resident int) error {
	if !m.placed() {
		return nil
	}
	cgroup, err := fs.Begin(m.place, m.cgroupOptions(resident))
	if err != nil {
		m.Cgroup = nil // it is refused or undone: not ours to remove
		return m.limitAtFault(err)
	}
	m.cgroup = cgroup
	if m.unified = cgroup.UnifiedFD(); m.unified < 0 {
		return nil // nothing is made yet
	}
	// From here on a killed create leaves a cgroup that is the container's,
	// perhaps with a process in it that is about to end.
	m.Cgroup.Begun(cgroup)
	return m.save()
}

// limitAtFault names the limit that needs a controller which cannot be had.
func (m *creation) limitAtFault(err error) error {
	var refused *fs.ControllerError
	if !errors.As(err, &refused) {
		return err
	}
	for i := range m.compile.Limits.Writes {
		w := &m.compile.Limits.Writes[i]
		if w.Unified && !w.Optional && w.Controller == refused.Controller {
			return fmt.Errorf("%s: %w", w.Origin, refused)
		}
	}
	return err
}

func (m *creation) cgroupOptions(resident int) fs.CreateOptions {
	return fs.CreateOptions{Controllers: cgroups.Needed(m.compile.Limits.Writes), Resident: resident}
}

// finishCgroup makes the rest of the cgroup and sets its limits, while the
// process begins.
func (m *creation) finishCgroup(resident int) error {
	if !m.placed() {
		return nil
	}
	defer m.runtime.Trace.Span("make cgroup")()
	limits := &m.compile.Limits
	if err := m.cgroup.Complete(m.place, m.cgroupOptions(resident)); err != nil {
		return err
	}
	state := m.cgroup.State()
	m.Cgroup = &state
	if err := m.save(); err != nil {
		return err
	}
	if err := m.cgroup.Apply(limits.Writes); err != nil {
		return err
	}
	if err := m.delegate(); err != nil {
		return err
	}
	var err error
	m.join, err = m.cgroup.JoinFiles()
	if err != nil || limits.Devices == nil {
		return err
	}
	if err := bpf.Apply(m.join.Unified, limits.Devices); err != nil {
		return fmt.Errorf("linux.resources.devices: %w", err)
	}
	return nil
}

// makeScope has systemd put a process, which waits at plan.PointCgroup or is
// CRIU, into a scope; what systemd has no property for is set there afterwards.
func (m *creation) makeScope(pid int) error {
	scope := &systemd.Scope{
		Unit:        *m.unit,
		ID:          m.ID,
		Pid:         pid,
		Writes:      m.compile.Limits.Writes,
		Annotations: m.Annotations,
	}
	if !m.unit.User {
		filter, err := devices.New(deviceRules(m.opt.Bundle.Spec))
		if err != nil {
			return err
		}
		scope.Devices = filter
	}
	properties, err := systemd.Properties(scope)
	if err != nil {
		return err
	}
	if err := m.systemd.Start(*m.unit, properties); err != nil {
		return err
	}
	m.scoped = true
	if h := m.host.Cgroups.Unified(); h != nil {
		if err := m.unit.EnterSubgroup(h.Mountpoint, m.systemd.ControlGroup(), pid); err != nil {
			return err
		}
	}
	if err := m.beginCgroup(pid); err != nil {
		return err
	}
	return m.finishCgroup(pid)
}

func deviceRules(s *specs.Spec) []specs.LinuxDeviceCgroup {
	if s.Linux == nil || s.Linux.Resources == nil {
		return nil
	}
	return s.Linux.Resources.Devices
}

// stopScope ends a container's scope, if it has one.
func (c *Container) stopScope() error {
	if c.Unit == nil {
		return nil
	}
	conn, err := systemd.Connect(systemd.Options{User: c.Unit.User})
	if err != nil {
		return fmt.Errorf("remove the scope of container %q: %w", c.ID, err)
	}
	return errors.Join(conn.Stop(*c.Unit), conn.Close())
}

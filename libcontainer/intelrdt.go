package libcontainer

import (
	"cmp"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/resctrl"
)

// findResctrl finds the host's resctrl where the config has intelRdt, before
// anything is made.
func (m *creation) findResctrl() (err error) {
	if m.compile.IntelRdt == nil {
		return nil
	}
	if m.resctrl, err = resctrl.Find(); err != nil {
		return fmt.Errorf("linux.intelRdt: %w", err)
	}
	return nil
}

// makeRdt makes the container's group of Intel RDT. The state is written before,
// so that delete finds it; a group that another container made meanwhile under
// the same name is that one's.
func (m *creation) makeRdt() error {
	if m.resctrl == nil {
		return nil
	}
	g := m.resctrl.Plan(m.compile.IntelRdt, m.ID)
	if g.Own {
		if _, err := os.Stat(g.Dir); err == nil {
			// Not written down: it is not for this container's delete to remove.
			return m.resctrl.Make(g, m.compile.IntelRdt)
		}
	}
	m.IntelRdt = &g
	if err := m.save(); err != nil {
		return err
	}
	return m.resctrl.Make(g, m.compile.IntelRdt)
}

// joinRdt moves a process into the container's group, if it has one.
func (c *Container) joinRdt(pid int) error {
	if c.IntelRdt == nil {
		return nil
	}
	t, err := resctrl.Find()
	if err != nil {
		return fmt.Errorf("linux.intelRdt: %w", err)
	}
	return t.Join(*c.IntelRdt, pid)
}

// removeRdt removes what was made of groups for the container.
func (c *Container) removeRdt() error {
	if c.IntelRdt == nil {
		return nil
	}
	return resctrl.Remove(*c.IntelRdt)
}

// changeRdt changes the schemata of the container's group of Intel RDT, in the
// kernel and in s. An empty line stays. What it returns takes the change back.
func (c *Container) changeRdt(s *specs.Spec, change *specs.LinuxIntelRdt) (undo func() error, err error) {
	nothing := func() error { return nil }
	lines := resctrl.Lines(change)
	if len(lines) == 0 {
		return nothing, nil
	}
	if c.IntelRdt == nil || s.Linux.IntelRdt == nil {
		return nil, fmt.Errorf("cannot update container %q: --l3-cache-schema and --mem-bw-schema need a group of Intel RDT, and it has none: create it with linux.intelRdt", c.ID)
	}
	t, err := resctrl.Find()
	if err != nil {
		return nil, fmt.Errorf("cannot update container %q: %w", c.ID, err)
	}
	before, err := t.Change(*c.IntelRdt, lines)
	if err != nil {
		return nil, fmt.Errorf("cannot update container %q: %w", c.ID, err)
	}
	rdt := *s.Linux.IntelRdt
	rdt.L3CacheSchema = cmp.Or(change.L3CacheSchema, rdt.L3CacheSchema)
	rdt.MemBwSchema = cmp.Or(change.MemBwSchema, rdt.MemBwSchema)
	s.Linux.IntelRdt = &rdt
	return func() error { return t.Write(*c.IntelRdt, before) }, nil
}

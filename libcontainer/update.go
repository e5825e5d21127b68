package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/cgroups/fs"
	"berth/cgroups/systemd"
	"berth/libcontainer/resctrl"
	"berth/spec"
)

// Update changes the limits of a container that has not stopped, and the schemata
// of its group of Intel RDT: all that change and rdt have, or none where one is
// refused. What they leave out stays as it is; what is changed is kept with the
// container's configuration. Errors name the field as in config.json. Of rdt,
// l3CacheSchema and memBwSchema are looked at.
//
// Rules for devices are not changed, and where they differ from the container's,
// that is warned of: engines send along those that they once gave, and tools
// between them and the runtime have often added devices since (runc passes them
// over too).
func (r *Runtime) Update(id string, change *specs.LinuxResources, rdt *specs.LinuxIntelRdt) error {
	return r.locked(id, func(c *Container) error {
		status, err := c.Status()
		if err != nil {
			return err
		}
		if status == specs.StateStopped || status == specs.StateCreating {
			return fmt.Errorf("cannot update container %q: container not running (it is %s)", id, status)
		}
		s, err := c.Spec()
		if err != nil {
			return err
		}
		if s.Linux == nil {
			s.Linux = &specs.Linux{}
		}
		if change.Devices != nil && !sameRules(change.Devices, deviceRules(s)) {
			r.Log("warning", fmt.Sprintf("container %q: devices: update does not change the rules for devices", id))
		}
		before := s.Linux.Resources
		merged := mergeResources(before, change)
		writes, err := c.updateWrites(before, merged, change)
		if err != nil {
			return err
		}
		undo, err := c.changeRdt(s, rdt)
		if err != nil || len(writes)+len(resctrl.Lines(rdt)) == 0 {
			return err
		}
		s.Linux.Resources = merged
		if err := c.apply(s, writes); err != nil {
			return errors.Join(err, undo())
		}
		return nil
	})
}

// sameRules compares rules, where none may be an empty list too.
func sameRules(a, b []specs.LinuxDeviceCgroup) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

// updateWrites compiles the sections of the merged limits that are to change.
func (c *Container) updateWrites(before, merged, change *specs.LinuxResources) ([]cgroups.Write, error) {
	touched := touchedResources(merged, change)
	if reflect.DeepEqual(touched, &specs.LinuxResources{}) {
		return nil, nil
	}
	if c.Cgroup == nil {
		return nil, fmt.Errorf("cannot update container %q: it has no cgroup of its own, which is what limits are set on", c.ID)
	}
	layout, err := fs.Probe()
	if err != nil {
		return nil, err
	}
	writes, problems := cgroups.Limits(layout, touched, "linux.resources")
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	if killerBack(before, change) && len(problems) == 0 {
		// What a new cgroup has anyway is not among its limits.
		if h := layout.Find("memory"); h != nil && !h.Unified {
			writes = append(writes, cgroups.Write{Controller: "memory", File: "memory.oom_control", Value: "0",
				Origin: "linux.resources.memory.disableOOMKiller"})
		}
	}
	return writes, errors.Join(errs...)
}

// killerBack says whether the OOM killer was off and is to be on again.
func killerBack(before, change *specs.LinuxResources) bool {
	off := func(r *specs.LinuxResources) *bool {
		if r == nil || r.Memory == nil {
			return nil
		}
		return r.Memory.DisableOOMKiller
	}
	was, now := off(before), off(change)
	return was != nil && *was && now != nil && !*now
}

// apply makes the writes, and keeps the configuration with the new limits. The
// file that is to take its place is written before: that a disk is full must be
// known in time.
func (c *Container) apply(s *specs.Spec, writes []cgroups.Write) error {
	data, err := spec.JSON(s)
	if err != nil {
		return fmt.Errorf("configuration of container %q: %w", c.ID, err)
	}
	next := filepath.Join(c.dir, "."+configFile)
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return errors.Join(fmt.Errorf("keep the new limits: %w", err), removeFile(next))
	}
	if len(writes) > 0 {
		if err := c.applyWrites(writes); err != nil {
			return errors.Join(err, removeFile(next))
		}
	}
	if err := os.Rename(next, filepath.Join(c.dir, configFile)); err != nil {
		return fmt.Errorf("the new limits hold, but could not be kept for later updates: %w", err)
	}
	return nil
}

// removeFile removes a file that may not be there.
func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// applyWrites tells systemd first, where the cgroup is a scope's: it writes the
// files as well, in its own way.
func (c *Container) applyWrites(writes []cgroups.Write) error {
	m := fs.Load(*c.Cgroup)
	defer m.Close()
	if c.Unit == nil {
		return m.Update(writes)
	}
	conn, err := systemd.Connect(systemd.Options{User: c.Unit.User})
	if err != nil {
		return fmt.Errorf("update the scope of container %q: %w", c.ID, err)
	}
	// Nothing is said to it after that, which Close could fail to send.
	defer conn.Close()
	undo, err := conn.Update(*c.Unit, systemd.LimitProperties(writes))
	if err != nil {
		return err
	}
	if err := m.Update(writes); err != nil {
		_, undoErr := conn.Update(*c.Unit, undo)
		return errors.Join(err, undoErr)
	}
	return nil
}

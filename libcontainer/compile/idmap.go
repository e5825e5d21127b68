package compile

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
	"berth/spec"
)

// IDMap is what an idmapped mount's owners become; mount_setattr(2),
// MOUNT_ATTR_IDMAP.
type IDMap struct {
	// Recursive idmaps the mounts below as well.
	Recursive bool
	// UIDs and GIDs map from the file system's ids (ContainerID) to those that
	// are seen.
	UIDs, GIDs []specs.LinuxIDMapping
	// Join is the user namespace whose mappings are used in place of those, or
	// nil.
	Join *Join
}

// idmap returns the mappings of a mount; nil for none.
func (c *compiler) idmap(origin plan.Origin, m *specs.Mount, o *options) (*IDMap, bool) {
	if o.idmap == nil && len(m.UIDMappings)+len(m.GIDMappings) == 0 {
		return nil, true
	}
	if !o.bind || o.legacy&msRemount != 0 {
		c.problem(origin, "only a bind mount can be idmapped: add bind to options, or take the mappings out")
		return nil, false
	}
	if !c.Host.MountSetattr {
		c.problem(origin, "idmapped mounts need Linux 5.12, and this is "+c.Host.Kernel.String()+": take idmap and the mappings out, or use a newer kernel")
		return nil, false
	}
	if !c.Host.Has(capSysAdmin) || c.Host.ForeignMounts {
		c.problem(origin, "to idmap a mount takes power over its file system (CAP_SYS_ADMIN): run berth as root, or take idmap and the mappings out")
		return nil, false
	}
	out := &IDMap{UIDs: m.UIDMappings, GIDs: m.GIDMappings}
	if o.idmap != nil {
		out.Recursive = o.idmap.Recursive
		if len(o.idmap.UIDs) > 0 {
			uids, uidsOK := c.absoluteIDs(origin, o.idmap.UIDs, c.linux().UIDMappings)
			gids, gidsOK := c.absoluteIDs(origin, o.idmap.GIDs, c.linux().GIDMappings)
			out.UIDs, out.GIDs = uids, gids
			return out, uidsOK && gidsOK
		}
	}
	if len(out.UIDs) > 0 && len(out.GIDs) > 0 {
		return out, true
	}
	if c.newUserns() {
		out.UIDs, out.GIDs = c.linux().UIDMappings, c.linux().GIDMappings
		return out, true
	}
	out.Join = c.joinedUserns()
	if out.Join == nil {
		c.problem(origin, "is to be idmapped, and neither it nor a user namespace of the container has mappings: give it uidMappings and gidMappings")
		return nil, false
	}
	return out, true
}

func (c *compiler) joinedUserns() *Join {
	for i := range c.out.Joins {
		if j := &c.out.Joins[i]; j.Flag == cloneNewuser {
			out := *j
			return &out
		}
	}
	return nil
}

// String returns what the parent does, as plans are printed.
func (s *Source) String() string {
	out := s.Path + " in " + s.Slot.String()
	if s.Recursive {
		out += ", recursive"
	}
	if s.Nofollow {
		out += ", no link followed"
	}
	switch m := s.IDMap; {
	case m == nil:
	case m.Join != nil:
		out += ", idmapped by " + m.Join.Path
	default:
		out += ", idmapped by uids" + ranges(m.UIDs) + " gids" + ranges(m.GIDs)
	}
	if s.IDMap != nil && s.IDMap.Recursive {
		out += " with the mounts below"
	}
	return out
}

func ranges(mappings []specs.LinuxIDMapping) string {
	var b strings.Builder
	for _, m := range mappings {
		fmt.Fprintf(&b, " %d-%d-%d", m.ContainerID, m.HostID, m.Size)
	}
	return b.String()
}

// absoluteIDs turns ranges that are relative to the container's user namespace
// into ids of the host.
func (c *compiler) absoluteIDs(origin plan.Origin, ranges []spec.IDRange, container []specs.LinuxIDMapping) ([]specs.LinuxIDMapping, bool) {
	out := make([]specs.LinuxIDMapping, len(ranges))
	for i, r := range ranges {
		out[i] = r.LinuxIDMapping
		if !r.Relative {
			continue
		}
		first, ok := HostID(container, r.HostID)
		last, lastOK := HostID(container, r.HostID+(r.Size-1))
		if !ok || !lastOK || last-first != r.Size-1 {
			c.problem(origin, fmt.Sprintf("idmap: the ids %d to %d are not in one range of the container's user namespace: split the range, or take the @ off", r.HostID, r.HostID+(r.Size-1)))
			return nil, false
		}
		out[i].HostID = first
	}
	return out, true
}

// canRecurse refuses what kernels before mount_setattr(2) cannot do.
func (c *compiler) canRecurse(origin plan.Origin, o *options) bool {
	if o.recSet|o.recClear == 0 || c.Host.MountSetattr {
		return true
	}
	c.problem(origin, "recursive options (rro, rnosuid and their like) need Linux 5.12, and this is "+c.Host.Kernel.String()+": use the ones without r, or a newer kernel")
	return false
}

package compile

import (
	"fmt"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// Source is a bind mount's source that the parent opens: from within a user
// namespace the executor may lack the permission for the way there.
type Source struct {
	Slot      plan.Slot
	Path      string
	Recursive bool
	Nofollow  bool
	Origin    plan.Origin
}

// newUserns says whether the container gets a user namespace of its own.
func (c *compiler) newUserns() bool { return c.isNew(specs.UserNamespace) }

// inUserns says whether the container is in a user namespace that is not
// berth's, new or joined.
func (c *compiler) inUserns() bool { return c.execUserns || c.has(specs.UserNamespace) }

// compileUserns hands the mappings to the parent, which writes them before the
// executor is executed.
func (c *compiler) compileUserns(origin plan.Origin) {
	l := c.linux()
	if len(l.UIDMappings) == 0 || len(l.GIDMappings) == 0 {
		c.problem(origin, "a new user namespace needs linux.uidMappings and linux.gidMappings: without them no id has a meaning in it")
		return
	}
	c.out.UIDMappings, c.out.GIDMappings = l.UIDMappings, l.GIDMappings
	if p := c.Spec.Process; p != nil {
		if !mapped(l.UIDMappings, p.User.UID) {
			c.problem(plan.At("process.user.uid"), fmt.Sprintf("%d is not in linux.uidMappings: map it, or choose another user", p.User.UID))
		}
		if !mapped(l.GIDMappings, p.User.GID) {
			c.problem(plan.At("process.user.gid"), fmt.Sprintf("%d is not in linux.gidMappings: map it, or choose another group", p.User.GID))
		}
	}
}

// mapped says whether a container id has a host id.
func mapped(mappings []specs.LinuxIDMapping, id uint32) bool {
	_, ok := HostID(mappings, id)
	return ok
}

// HostID returns the host's number of a container id.
func HostID(mappings []specs.LinuxIDMapping, id uint32) (uint32, bool) {
	for i := range mappings {
		m := &mappings[i]
		if id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + (id - m.ContainerID), true
		}
	}
	return 0, false
}

// RootMapped says whether the first process of the user namespace can be its
// root, which keeps its capabilities over execve(2).
func (o *Output) RootMapped() bool {
	return mapped(o.UIDMappings, 0) && mapped(o.GIDMappings, 0)
}

// enterUserns joins a user namespace by path. The others come after it, so that
// they belong to it, and those that are new are made by unshare(2).
func (c *compiler) enterUserns(j Join) {
	c.p.Add(j.Origin, plan.Setns{From: j.Slot, Flags: j.Flag})
	c.p.Add(j.Origin, plan.Setids{})
}

// compileTimens makes a time namespace with its offsets and moves this process
// into it; time_namespaces(7): unshare(2) alone would move only children.
func (c *compiler) compileTimens() {
	offsets := c.linux().TimeOffsets
	origin := plan.At("linux.timeOffsets")
	clocks := make([]string, 0, len(offsets))
	for clock := range offsets {
		clocks = append(clocks, clock)
	}
	sort.Strings(clocks)
	var b strings.Builder
	for _, clock := range clocks {
		if clock != "monotonic" && clock != "boottime" {
			c.problem(origin, quote(clock)+" is no clock of a time namespace: use monotonic or boottime")
			continue
		}
		fmt.Fprintf(&b, "%s %d %d\n", clock, offsets[clock].Secs, offsets[clock].Nanosecs)
	}
	c.needProc(origin)
	c.p.Add(origin, plan.Timens{Proc: plan.SlotProc, Offsets: b.String()})
}

// bindSource clones a bind mount's source, in the parent where the container
// has a user namespace of its own. It returns the slot with the clone.
func (c *compiler) bindSource(origin plan.Origin, source string, recursive, nofollow bool) plan.Slot {
	if !c.newUserns() {
		c.p.Add(origin, plan.OpenTree{Path: source, Recursive: recursive, Nofollow: nofollow, Into: plan.SlotMount})
		return plan.SlotMount
	}
	s := Source{Slot: c.slot(origin), Path: source, Recursive: recursive, Nofollow: nofollow, Origin: origin}
	c.out.Sources = append(c.out.Sources, s)
	return s.Slot
}

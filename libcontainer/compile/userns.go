package compile

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
)

// Source is a bind mount's source that the parent opens: from within a user
// namespace the executor may lack the permission for the way there, and to
// idmap a mount takes power over its file system.
type Source struct {
	Slot      plan.Slot
	Path      string
	Recursive bool
	Nofollow  bool
	IDMap     *IDMap // nil for none
	Origin    plan.Origin
}

// newUserns says whether the container gets a user namespace of its own.
func (c *compiler) newUserns() bool { return c.isNew(specs.UserNamespace) }

// inUserns says whether the container is in a user namespace that is not
// berth's, new or joined.
func (c *compiler) inUserns() bool { return c.execUserns || c.has(specs.UserNamespace) }

// unprivileged says whether root of the container has no power over the host:
// the container or berth itself is in a user namespace.
func (c *compiler) unprivileged() bool { return c.inUserns() || c.Host.Userns }

// beginUserns stops the plan where the parent does what a container in a user
// namespace may not do itself. It says whether the namespace is new and is made
// only once others have been joined: these take powers that are lost in it.
func (c *compiler) beginUserns(namespaces []specs.LinuxNamespace) (late bool) {
	at := slices.IndexFunc(namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace })
	if at < 0 {
		return false
	}
	c.out.AtUserns = true
	if namespaces[at].Path != "" {
		c.p.Add(plan.At("linux.namespaces"), plan.Sync{Point: plan.PointUserns, Quiet: true})
		return false
	}
	c.compileUserns(plan.Origin{Field: "linux.namespaces", Index: at})
	if slices.ContainsFunc(namespaces, func(n specs.LinuxNamespace) bool { return n.Path != "" }) {
		c.out.MapAtUserns, c.out.AsksAtUserns = true, true
		return true
	}
	c.p.Add(plan.At("linux.namespaces"), plan.Sync{Point: plan.PointUserns, Quiet: true})
	if c.out.MapAtUserns {
		c.p.Add(plan.At("linux.uidMappings"), c.firstUser())
	}
	return false
}

// firstUser is who the executor becomes once there are mappings.
func (c *compiler) firstUser() plan.Setids {
	if c.out.RootMapped() || len(c.out.UIDMappings) == 0 {
		return plan.Setids{}
	}
	return plan.Setids{UID: c.out.UIDMappings[0].ContainerID, GID: c.out.GIDMappings[0].ContainerID}
}

// unshareUserns makes the user namespace and, in it, all others that are new. It
// says whether a fork must follow.
func (c *compiler) unshareUserns() bool {
	c.out.Cloneflags &^= cloneNewuser
	c.p.Add(plan.At("linux.namespaces"), plan.Unshare{Flags: cloneNewuser})
	c.p.Add(plan.At("linux.uidMappings"), plan.Sync{Point: plan.PointUserns})
	c.p.Add(plan.At("linux.uidMappings"), c.firstUser())
	return c.unshareInUserns()
}

// compileUserns has the parent write the mappings, which is done before the
// executor is executed where this user may do so, and else by newuidmap(1) and
// newgidmap(1), which know of the user's subordinate ids.
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
	c.out.UIDHelper = !c.Host.Has(capSetuid) && !onlyOwn(l.UIDMappings, c.Host.UID)
	c.out.GIDHelper = !c.Host.Has(capSetgid) && !onlyOwn(l.GIDMappings, c.Host.GID)
	c.out.MapAtUserns = c.out.UIDHelper || c.out.GIDHelper
	// What is denied in berth's own user namespace cannot be allowed in one below.
	c.out.DenySetgroups = c.Host.NoSetgroups || !c.Host.Has(capSetgid) && !c.out.GIDHelper
	// newgidmap(1) denies it as well where the mapping has no subordinate id.
	c.noGroups = c.noGroups || c.out.DenySetgroups || c.out.GIDHelper && allOwn(l.GIDMappings, c.Host.GID)
	if c.Host.Userns {
		c.checkHostIDs("linux.uidMappings", l.UIDMappings, c.Host.UIDMap)
		c.checkHostIDs("linux.gidMappings", l.GIDMappings, c.Host.GIDMap)
	}
}

// onlyOwn says whether a mapping is the one that every user may write: of their
// own id alone; user_namespaces(7).
func onlyOwn(mappings []specs.LinuxIDMapping, id uint32) bool {
	return len(mappings) == 1 && allOwn(mappings, id)
}

func allOwn(mappings []specs.LinuxIDMapping, id uint32) bool {
	return !slices.ContainsFunc(mappings, func(m specs.LinuxIDMapping) bool { return m.Size != 1 || m.HostID != id })
}

// checkHostIDs refuses ids of the host that have no meaning in the user
// namespace that berth is in.
func (c *compiler) checkHostIDs(field string, mappings []specs.LinuxIDMapping, own []facts.IDRange) {
	for i := range mappings {
		first, size := uint64(mappings[i].HostID), uint64(mappings[i].Size)
		// Ranges that touch are as good as one.
		for again := true; again && size > 0; {
			again = false
			for _, r := range own {
				if first >= uint64(r.First) && first < uint64(r.First)+uint64(r.Size) {
					n := min(size, uint64(r.First)+uint64(r.Size)-first)
					first, size, again = first+n, size-n, true
				}
			}
		}
		if size > 0 {
			c.problem(plan.Origin{Field: field, Index: i}, fmt.Sprintf("hostID %d has no meaning in the user namespace that berth runs in (see /proc/self/uid_map and gid_map): map ids that are mapped there", first))
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

// enterUserns joins a user namespace by path. Those that are new are made after
// it by unshare(2), so that they belong to it.
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

// bindSource clones a bind mount's source, in the parent where the executor may
// not. It returns the slot with the clone.
func (c *compiler) bindSource(origin plan.Origin, s Source) plan.Slot {
	s.Origin = origin
	if s.IDMap == nil && !c.sourcesHandedDown() {
		c.p.Add(origin, plan.OpenTree{Path: s.Path, Recursive: s.Recursive, Nofollow: s.Nofollow, Into: plan.SlotMount})
		return plan.SlotMount
	}
	s.Slot = c.slot(origin)
	c.out.Sources = append(c.out.Sources, s)
	// A clone made out there is a peer of the host's mount, and gets what that of
	// the container's mount namespace has got already: else what is mounted on it
	// inside would appear on the host. (mount_setattr came with Linux 5.12.)
	propagation := uint64(msSlave)
	if c.isNew(specs.MountNamespace) {
		flags, _ := rootPropagation(c.linux().RootfsPropagation)
		propagation = flags &^ msRec
	}
	c.p.Add(origin, plan.MountSetattr{Mount: s.Slot, Recursive: true, Propagation: propagation})
	return s.Slot
}

// sourcesHandedDown says whether the executor is in another user namespace than
// the parent, and still sees what the parent sees. In a mount namespace that is
// joined, sources are that namespace's. The parent needs the power to.
func (c *compiler) sourcesHandedDown() bool {
	return c.adding || c.inUserns() && c.isNew(specs.MountNamespace) && c.Host.Has(capSysAdmin) && !c.Host.ForeignMounts && c.Host.MountSetattr
}

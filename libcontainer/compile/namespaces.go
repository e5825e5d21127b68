package compile

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// Join is a namespace to be joined: the parent opens Path, checks that it is
// of the kind in Flag, and hands it over in Slot.
type Join struct {
	Slot   plan.Slot
	Path   string
	Flag   uint64 // its CLONE_NEW* bit
	Origin plan.Origin
}

// cloneFlag returns a namespace type's CLONE_NEW* bit, or 0.
func cloneFlag(t specs.LinuxNamespaceType) uint64 {
	switch t {
	case specs.PIDNamespace:
		return cloneNewpid
	case specs.NetworkNamespace:
		return cloneNewnet
	case specs.MountNamespace:
		return cloneNewns
	case specs.IPCNamespace:
		return cloneNewipc
	case specs.UTSNamespace:
		return cloneNewuts
	case specs.UserNamespace:
		return cloneNewuser
	case specs.CgroupNamespace:
		return cloneNewcgroup
	case specs.TimeNamespace:
		return cloneNewtime
	}
	return 0
}

func (c *compiler) has(t specs.LinuxNamespaceType) bool { return c.namespaces[t] != nil }

func (c *compiler) isNew(t specs.LinuxNamespaceType) bool {
	n := c.namespaces[t]
	return n != nil && n.Path == ""
}

// compileNamespaces collects the bits of the first clone and joins what has a
// path. The cgroup namespace comes later: its root is the cgroup that the
// process is in when it is made.
func (c *compiler) compileNamespaces() {
	c.namespaces = make(map[specs.LinuxNamespaceType]*specs.LinuxNamespace, 8)
	c.p.Add(plan.At("process"), plan.SetName{Name: InitName})
	c.noGroups = c.Host.NoSetgroups
	namespaces := c.linux().Namespaces
	forks := false
	newUser := c.beginUserns(namespaces)
	// With the host's powers, whatever there is can be joined, which those of the
	// user namespace would not do for what the host owns; an ordinary user has
	// only those.
	powers := c.Host.Has(capSysAdmin)
	joinsUser := !powers && c.joinsUserns(namespaces)
	for i := range namespaces {
		n := &namespaces[i]
		origin := plan.Origin{Field: "linux.namespaces", Index: i}
		if c.OwnUserns > 0 && i >= c.OwnUserns-1 {
			origin.Index++ // as the config counts
		}
		flag := cloneFlag(n.Type)
		switch {
		case flag == 0:
			c.problem(origin, quote(string(n.Type))+" is no namespace type: use pid, network, mount, ipc, uts, user, cgroup or time")
			continue
		case c.namespaces[n.Type] != nil:
			c.problem(origin, "a "+string(n.Type)+" namespace stands there already: take one out")
			continue
		}
		c.namespaces[n.Type] = n
		if n.Path == "" {
			switch n.Type {
			case specs.CgroupNamespace, specs.TimeNamespace: // made later
			case specs.UserNamespace:
				c.out.Cloneflags |= flag // its mappings were seen to first
			default:
				c.out.Cloneflags |= flag
			}
			continue
		}
		if n.Type == specs.UserNamespace {
			continue // joined first of all, or last
		}
		j := Join{Slot: c.slot(origin), Path: n.Path, Flag: flag, Origin: origin}
		c.out.Joins = append(c.out.Joins, j)
		c.p.Add(origin, plan.Setns{From: j.Slot, Flags: flag})
		forks = forks || n.Type == specs.PIDNamespace
	}
	joinsUser = joinsUser || powers && c.joinsUserns(namespaces)
	switch {
	case joinsUser:
		forks = c.unshareInUserns() || forks
	case newUser:
		forks = c.unshareUserns() || forks
	}
	if forks {
		// Others live there already, which must not trace this process.
		c.p.Add(plan.At("process"), plan.Undumpable{})
		// setns(2): a pid namespace takes effect for children only.
		c.p.Add(plan.At("linux.namespaces"), plan.Fork{})
	}
	c.p.Add(plan.At("process"), plan.Setsid{})
	if c.isNew(specs.TimeNamespace) {
		c.compileTimens()
	}
}

// joinsUserns enters the user namespace that has a path, if one has.
func (c *compiler) joinsUserns(namespaces []specs.LinuxNamespace) bool {
	for i := range namespaces {
		n := &namespaces[i]
		if n.Type != specs.UserNamespace || n.Path == "" {
			continue
		}
		origin := plan.Origin{Field: "linux.namespaces", Index: i}
		j := Join{Slot: c.slot(origin), Path: n.Path, Flag: cloneNewuser, Origin: origin}
		c.out.Joins = append(c.out.Joins, j)
		c.enterUserns(j)
		return true
	}
	return false
}

// unshareInUserns makes the new namespaces in the user namespace that was
// joined, so that they belong to it. It says whether a fork must follow.
func (c *compiler) unshareInUserns() bool {
	flags := c.out.Cloneflags
	c.out.Cloneflags = 0
	if flags != 0 {
		c.p.Add(plan.At("linux.namespaces"), plan.Unshare{Flags: flags})
	}
	return flags&cloneNewpid != 0
}

// joinCgroup moves the process into its cgroup and gives it a cgroup namespace
// rooted there. It comes as late as the mounts allow, since the parent makes
// the cgroup beside what comes before.
func (c *compiler) joinCgroup() {
	if c.cgroupDone {
		return
	}
	c.cgroupDone = true
	if c.Cgroup != nil {
		origin := plan.At(c.Cgroup.Origin)
		for i := range c.Cgroup.Folders {
			if c.Cgroup.Folders[i].Unified {
				c.out.IntoCgroup = !c.Systemd
			} else {
				c.out.CgroupTasks++
			}
		}
		if n := c.out.CgroupTasks; n > 0 || c.Systemd {
			c.out.AtCgroup = true
			// A process that is to be forked first has no number that systemd could be told.
			c.out.ScopeAhead = c.Systemd && !slices.ContainsFunc(c.p.Steps, forks)
			c.p.Add(origin, plan.Sync{Point: plan.PointCgroup, Into: plan.SlotCgroup, Fds: uint32(n), Quiet: !c.Systemd || c.out.ScopeAhead})
			for i := range n {
				c.p.Add(origin, plan.WriteSlot{To: plan.SlotCgroup + plan.Slot(i), Data: "0"})
			}
		}
	}
	if c.isNew(specs.CgroupNamespace) {
		c.p.Add(plan.At("linux.namespaces"), plan.Unshare{Flags: cloneNewcgroup})
	}
}

func forks(s plan.Step) bool {
	_, ok := s.Op.(plan.Fork)
	return ok
}

// CloneNames returns the names of CLONE_NEW* bits as clone(2) has them.
func CloneNames(flags uint64) []string {
	names := []string{}
	for _, b := range []struct {
		flag uint64
		name string
	}{
		{cloneNewuser, "CLONE_NEWUSER"}, {cloneNewpid, "CLONE_NEWPID"}, {cloneNewns, "CLONE_NEWNS"},
		{cloneNewnet, "CLONE_NEWNET"}, {cloneNewipc, "CLONE_NEWIPC"}, {cloneNewuts, "CLONE_NEWUTS"},
		{cloneNewcgroup, "CLONE_NEWCGROUP"}, {cloneNewtime, "CLONE_NEWTIME"},
	} {
		if flags&b.flag != 0 {
			names = append(names, b.name)
		}
	}
	return names
}

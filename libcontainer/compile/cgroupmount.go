package compile

import (
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/libcontainer/plan"
)

// compileCgroupMount shows the container its own cgroup. With a cgroup
// namespace the hierarchies are mounted anew, rooted at the container's cgroup;
// without one, v1's are bound from the host. config-linux.md has no word on the
// layout inside: it is the host's, as programs look for it.
func (c *compiler) compileCgroupMount(origin plan.Origin, m *specs.Mount, o *options, at plan.Attach) {
	c.joinCgroup()
	if c.newUserns() && c.isNew(specs.CgroupNamespace) && o.set&attrRdonly == 0 {
		c.out.Delegate = true
	}
	l := c.Host.Cgroups
	if l == nil {
		c.problem(origin, "the host has no cgroup mounted: take the mount out")
		return
	}
	if l.Mode == cgroups.V2 || m.Type == "cgroup2" {
		c.cgroup2(origin, o, at, c.unifiedPath())
		return
	}
	// A tmpfs with a folder for each hierarchy; cgroups(7).
	tmpfs := o.set &^ attrRdonly
	c.p.Add(origin, plan.Fsmount{Fstype: "tmpfs", Source: "tmpfs", Params: c.labelled("tmpfs", []string{"mode=755"}), Attr: tmpfs, Into: plan.SlotMount})
	c.recursive(origin, plan.SlotMount, o)
	c.p.Add(origin, at)
	for i := range l.Hierarchies {
		h := &l.Hierarchies[i]
		into := at
		into.Target = path.Join(at.Target, path.Base(h.Mountpoint))
		if h.Unified {
			c.cgroup2(origin, o, into, c.unifiedPath())
			continue
		}
		c.cgroup1(origin, o, into, h)
	}
	if o.set&attrRdonly != 0 {
		c.p.Add(origin, plan.OpenPath{Root: plan.SlotRoot, Path: at.Target, Into: plan.SlotMount})
		c.p.Add(origin, plan.MountSetattr{Mount: plan.SlotMount, Set: attrRdonly})
	}
}

func (c *compiler) cgroup1(origin plan.Origin, o *options, at plan.Attach, h *cgroups.Hierarchy) {
	if c.has(specs.CgroupNamespace) {
		params := append([]string{}, h.Controllers...)
		if h.Name != "" {
			params = append(params, "none", "name="+h.Name)
		}
		c.p.Add(origin, plan.Fsmount{Fstype: "cgroup", Source: "cgroup", Params: params, Attr: o.set, Into: plan.SlotMount})
	} else {
		source := path.Join(h.Mountpoint, h.Own)
		if f := c.cgroupFolder(h.Mountpoint); f != nil {
			source = f.Full()
		}
		c.p.Add(origin, plan.OpenTree{Path: source, Into: plan.SlotMount})
		c.p.Add(origin, plan.MountSetattr{Mount: plan.SlotMount, Set: o.set, Clear: o.clear})
	}
	c.p.Add(origin, at)
	base := path.Base(h.Mountpoint)
	for _, controller := range h.Controllers {
		if controller != base && strings.Contains(base, ",") {
			c.p.Add(origin, plan.Symlink{Root: plan.SlotRoot, Path: path.Join(path.Dir(at.Target), controller), To: base})
		}
	}
}

// cgroup2 shows the v2 hierarchy: the host's mount of it where the container sees the same,
// else a new one, or where that is not permitted, the folder at own, if there is one.
func (c *compiler) cgroup2(origin plan.Origin, o *options, at plan.Attach, own string) {
	if from := c.hostsUnified(o); from != "" {
		c.p.Add(origin, plan.OpenTree{Path: from, Into: plan.SlotMount})
		c.p.Add(origin, plan.MountSetattr{Mount: plan.SlotMount, Set: o.set, Clear: c.attributesBut(o.set), Propagation: msPrivate})
		c.recursive(origin, plan.SlotMount, o)
		c.p.Add(origin, at)
		return
	}
	mount := plan.Fsmount{Fstype: "cgroup2", Source: "cgroup", Params: o.params, Attr: o.set, Into: plan.SlotMount}
	if own == "" {
		c.p.Add(origin, mount)
	} else {
		c.p.AddTolerant(origin, mount, 2, errEPERM, errEBUSY)
		c.p.Add(origin, plan.OpenTree{Path: own, Into: plan.SlotMount})
		c.p.Add(origin, plan.MountSetattr{Mount: plan.SlotMount, Set: o.set, Clear: o.clear})
	}
	c.recursive(origin, plan.SlotMount, o)
	c.p.Add(origin, at)
}

// hostsUnified is where the host has the v2 hierarchy mounted, if that is what a new mount
// would show; "" otherwise.
//
// The options of a new mount become those of the whole hierarchy if it is made in the first
// cgroup namespace: nsdelegate and memory_recursiveprot, with which systemd mounts it, would be
// gone from the host. And Linux 6.18 waits for a grace period of RCU then, 10 to 20 ms.
func (c *compiler) hostsUnified(o *options) string {
	h := c.Host.Cgroups.Unified()
	another := c.has(specs.CgroupNamespace) && !c.Host.OwnCgroupNamespace
	if h == nil || h.Root != "/" || !c.isNew(specs.MountNamespace) || another || c.unprivileged() || len(o.params) > 0 {
		return ""
	}
	return h.Mountpoint
}

// attributesBut returns the attributes that a new mount with the attributes set has not.
func (c *compiler) attributesBut(set uint64) uint64 {
	all := uint64(attrRdonly | attrNosuid | attrNodev | attrNoexec | attrNodiratime)
	if c.Host.Kernel.AtLeast(5, 14) {
		all |= attrNosymfollow
	}
	return all&^set | attrAtimeMask
}

// cgroupFolder returns the container's folder in the hierarchy mounted at
// mountpoint, or nil.
func (c *compiler) cgroupFolder(mountpoint string) *cgroups.Folder {
	if c.Cgroup == nil {
		return nil
	}
	for i := range c.Cgroup.Folders {
		if f := &c.Cgroup.Folders[i]; f.Mountpoint == mountpoint {
			return f
		}
	}
	return nil
}

// unifiedPath is the folder on v2 that the container is in: its own, or without
// root's powers perhaps berth's; "" for neither.
func (c *compiler) unifiedPath() string {
	h := c.Host.Cgroups.Unified()
	if h == nil {
		return ""
	}
	if f := c.cgroupFolder(h.Mountpoint); f != nil {
		return f.Full()
	}
	if own, ok := h.OwnBelowMount(); ok && c.unprivileged() {
		return path.Join(h.Mountpoint, own)
	}
	return ""
}

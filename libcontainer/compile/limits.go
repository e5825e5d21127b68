package compile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/cgroups/devices"
	"berth/libcontainer/plan"
)

// Limits is what the parent does to the container's cgroup before the first
// process enters it.
type Limits struct {
	// Writes go to the cgroup's files, in order.
	Writes []cgroups.Write
	// Devices is the device filter where it is an eBPF program (cgroup v2), or
	// nil where it is among the writes (v1) or lets everything through.
	Devices *devices.Filter
}

// compileLimits works out linux.resources.
func (c *compiler) compileLimits() {
	r := c.linux().Resources
	if c.Cgroup == nil {
		c.withoutCgroup(r)
		return
	}
	writes, problems := cgroups.Limits(c.Host.Cgroups, r, "linux.resources")
	for _, p := range problems {
		c.errs = append(c.errs, p)
	}
	c.out.Limits.Writes = c.possible(writes)
	if c.Host.Userns || !c.Host.Has(capSysAdmin) {
		// Only root of the host may filter devices, and no other may make nodes
		// of them: what the container has are the host's, with their modes. The
		// list that engines write, all denied and some allowed, loses nothing by it.
		if i := denies(r, false); i >= 0 {
			c.warn(fmt.Sprintf("linux.resources.devices[%d]: only root of the host can filter devices: this rule has no effect, and the device files' modes say who may use them", i))
		}
		return
	}
	c.compileDeviceFilter(r)
}

// possible refuses limits of cgroups that this user may not make, each field
// once, and leaves out what only says that there is no limit.
func (c *compiler) possible(writes []cgroups.Write) []cgroups.Write {
	if len(c.Cgroup.Refused) == 0 {
		return writes
	}
	told := ""
	return slices.DeleteFunc(writes, func(w cgroups.Write) bool {
		r := c.Cgroup.Denies(&w)
		if r == nil {
			return false
		}
		if !w.Optional && !unlimited(&w) && w.Origin != told {
			told = w.Origin
			c.problem(plan.At(w.Origin), "this limit cannot be set: "+r.Cause+": take it out, run berth as root, or have a cgroup delegated to you (with systemd and cgroup v2: --systemd-cgroup, or run berth in a unit with Delegate=yes)")
		}
		return true
	})
}

// unlimited says whether a write asks for no limit, which is what there is
// without it.
func unlimited(w *cgroups.Write) bool {
	return w.Value == "-1" || w.Value == "max" || strings.HasPrefix(w.Value, "max ")
}

// withoutCgroup refuses every limit where the container gets no cgroup.
func (c *compiler) withoutCgroup(r *specs.LinuxResources) {
	layout, cause := c.Host.Cgroups, "the container gets no cgroup (--cgroup-manager disabled): take it out, or let berth or systemd make one"
	if layout == nil {
		// What would be written if there were one.
		all := cgroups.Hierarchy{Unified: true, Controllers: []string{"cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma"}}
		layout, cause = &cgroups.Layout{Mode: cgroups.V2, Hierarchies: []cgroups.Hierarchy{all}}, "no cgroup hierarchy is mounted on this host: mount one, or take it out"
	}
	writes, problems := cgroups.Limits(layout, r, "linux.resources")
	told := ""
	for i := range problems {
		told = problems[i].Origin
		c.problem(plan.At(told), "this limit cannot be set: "+cause)
	}
	for i := range writes {
		w := &writes[i]
		if !w.Optional && !unlimited(w) && w.Origin != told {
			told = w.Origin
			c.problem(plan.At(told), "this limit cannot be set: "+cause)
		}
	}
	if i := denies(r, !c.Host.Userns && c.Host.Has(capSysAdmin)); i >= 0 {
		c.warn(fmt.Sprintf("linux.resources.devices[%d]: devices cannot be filtered without a cgroup: this rule has no effect", i))
	}
}

// denies finds the first device rule that denies something, with all also one
// that denies every device; -1 for none.
func denies(r *specs.LinuxResources, all bool) int {
	if r == nil {
		return -1
	}
	return slices.IndexFunc(r.Devices, func(d specs.LinuxDeviceCgroup) bool {
		every := d.Type == "" || d.Type == "a"
		return !d.Allow && (all || !every)
	})
}

func (c *compiler) compileDeviceFilter(r *specs.LinuxResources) {
	var rules []specs.LinuxDeviceCgroup
	if r != nil {
		rules = r.Devices
	}
	filter, err := devices.New(rules)
	switch {
	case err != nil:
		c.errs = append(c.errs, err)
	case c.Host.Cgroups.Find("devices") != nil:
		c.out.Limits.Writes = append(c.out.Limits.Writes, filter.V1Writes()...)
	case filter.Unrestricted():
	case c.Host.Cgroups.Unified() == nil:
		c.problem(plan.At("linux.resources.devices"), "the host has neither the devices controller of cgroup v1 nor a cgroup v2 mount: mount one, or allow all devices")
	default:
		c.out.Limits.Devices = filter
	}
}

// join makes one error of the problems found.
func (c *compiler) join() error { return errors.Join(c.errs...) }

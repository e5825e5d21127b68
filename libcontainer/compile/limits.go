package compile

import (
	"errors"

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
	if c.Cgroup == nil {
		if c.linux().Resources != nil {
			c.warn("linux.resources: the container has no cgroup of its own here; no limit is set")
		}
		return
	}
	r := c.linux().Resources
	writes, problems := cgroups.Limits(c.Host.Cgroups, r, "linux.resources")
	for _, p := range problems {
		c.errs = append(c.errs, p)
	}
	c.out.Limits.Writes = writes
	c.compileDeviceFilter(r)
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

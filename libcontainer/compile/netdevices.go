package compile

import (
	"sort"

	"berth/libcontainer/plan"
)

// NetDevice is a network device that the parent moves into the container's
// network namespace at plan.PointHooks, before hooks run.
type NetDevice struct {
	Host   string // its name in berth's network namespace
	Name   string // in the container's; %d stands for a number that is free
	Origin plan.Origin
}

func (c *compiler) compileNetDevices() {
	devices := c.linux().NetDevices
	for name, d := range devices {
		out := NetDevice{Host: name, Name: d.Name, Origin: plan.At("linux.netDevices." + name)}
		if out.Name == "" {
			out.Name = name
		}
		c.out.NetDevices = append(c.out.NetDevices, out)
	}
	sort.Slice(c.out.NetDevices, func(i, j int) bool { return c.out.NetDevices[i].Host < c.out.NetDevices[j].Host })
}

// String returns what the parent does, as plans are printed.
func (d *NetDevice) String() string { return "network device " + d.Host + " in as " + d.Name }

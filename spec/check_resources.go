package spec

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// resources checks the limits as far as they can be wrong in themselves.
// Whether a number is too high or too low is the kernel's to say, which
// differs from version to version and between cgroup v1 and v2.
func (c *checker) resources(r *specs.LinuxResources) {
	for i := range r.Devices {
		c.deviceRule(&r.Devices[i], i)
	}
	if r.CPU != nil {
		c.text("cpu.cpus", r.CPU.Cpus)
		c.text("cpu.mems", r.CPU.Mems)
	}
	for i := range r.HugepageLimits {
		if size := r.HugepageLimits[i].Pagesize; !pageSize(size) {
			c.problem(item("hugepageLimits", i)+".pageSize", quote(size)+" is no size of a huge page", "write it as in 64KB, 2MB or 1GB")
		}
	}
	if r.BlockIO != nil {
		for i := range r.BlockIO.WeightDevice {
			if d := &r.BlockIO.WeightDevice[i]; d.Weight == nil && d.LeafWeight == nil {
				c.warn(item("blockIO.weightDevice", i), "has neither weight nor leafWeight: without effect")
			}
		}
	}
	if r.Network != nil {
		for i := range r.Network.Priorities {
			if name := r.Network.Priorities[i].Name; name == "" || strings.ContainsAny(name, "/ \t\n\v\f\r\x00") {
				c.problem(item("network.priorities", i)+".name", quote(name)+" is no name of a network device", "name a device of the host")
			}
		}
	}
	c.rdma(r.Rdma)
	c.unified(r.Unified)
}

// deviceRule checks one rule of the device list. -1 for a number means all, as
// engines write it and runc reads it.
func (c *checker) deviceRule(d *specs.LinuxDeviceCgroup, i int) {
	switch d.Type {
	case "", "a", "b", "c":
	default:
		c.problem(item("devices", i)+".type", quote(d.Type)+" is no type of device for a cgroup", "use a (all), b (block) or c (character)")
	}
	if d.Major != nil && *d.Major < -1 {
		c.problem(item("devices", i)+".major", strconv.FormatInt(*d.Major, 10)+" is out of range", "leave it out to mean all")
	}
	if d.Minor != nil && *d.Minor < -1 {
		c.problem(item("devices", i)+".minor", strconv.FormatInt(*d.Minor, 10)+" is out of range", "leave it out to mean all")
	}
	if strings.Trim(d.Access, "rwm") != "" {
		c.warn(item("devices", i)+".access", quote(d.Access)+" has letters other than r, w and m: they have no effect")
	}
}

// pageSize reports whether s is how the kernel writes a size of huge pages:
// digits and KB, MB or GB (mem_fmt in mm/hugetlb_cgroup.c).
func pageSize(s string) bool {
	n := digits(s, 0)
	if n == 0 || s[0] == '0' {
		return false
	}
	unit := s[n:]
	return unit == "KB" || unit == "MB" || unit == "GB"
}

func (c *checker) rdma(limits map[string]specs.LinuxRdma) {
	if len(limits) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		place := field("rdma", name)
		if name == "" || strings.ContainsAny(name, "/ \t\n\v\f\r\x00") {
			c.problem(place, "is no name of an RDMA device", "name a device of the host")
		}
		if l := limits[name]; l.HcaHandles == nil && l.HcaObjects == nil {
			c.warn(place, "has neither hcaHandles nor hcaObjects: without effect")
		}
	}
}

// unified checks that each key is the name of a file and not a path: it is
// going to be opened, for writing, in the container's cgroup.
func (c *checker) unified(files map[string]string) {
	if len(files) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		place := field("unified", name)
		switch {
		case name == "" || name == "." || name == "..":
			c.problem(place, "is no file of a cgroup", "name one, such as memory.max")
		case strings.ContainsAny(name, "/\x00"):
			c.problem(place, "is a path, not the name of a file", "name a file of the container's cgroup, such as memory.max")
		}
		if strings.IndexByte(files[name], 0) >= 0 {
			c.text(place, files[name])
		}
	}
}

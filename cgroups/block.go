package cgroups

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// block is where the block controller lives: v1 calls it blkio, v2 io.
func (c *collector) block(field string) (*Hierarchy, string) {
	if h := c.layout.Find("blkio"); h != nil {
		return h, "blkio"
	}
	if h := c.layout.Find("io"); h != nil {
		return h, "io"
	}
	name := "blkio"
	if c.layout.Mode == V2 {
		name = "io"
	}
	return c.find(field, name), name
}

// blockIO writes linux.resources.blockIO. Weights work with the BFQ scheduler,
// on v2 also with the io.cost controller (io.weight).
func (c *collector) blockIO(r *specs.LinuxBlockIO) {
	if weight, ok := set(r.Weight); ok {
		c.weight("blockIO.weight", "", weight)
	}
	if weight, ok := set(r.LeafWeight); ok {
		c.leafWeight("blockIO.leafWeight", "", "blkio.leaf_weight", weight)
	}
	for i := range r.WeightDevice {
		d := &r.WeightDevice[i]
		field := "blockIO.weightDevice[" + strconv.Itoa(i) + "]"
		device, ok := c.device(field, d.Major, d.Minor)
		if !ok {
			continue
		}
		if d.Weight == nil && d.LeafWeight == nil {
			c.problem(field, "it weighs nothing: give weight, leafWeight or both")
		}
		if d.Weight != nil {
			c.weight(field+".weight", device, *d.Weight)
		}
		if d.LeafWeight != nil {
			c.leafWeight(field+".leafWeight", device, "blkio.leaf_weight_device", *d.LeafWeight)
		}
	}
	c.throttle("blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", r.ThrottleReadBpsDevice)
	c.throttle("blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", r.ThrottleWriteBpsDevice)
	c.throttle("blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", r.ThrottleReadIOPSDevice)
	c.throttle("blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", r.ThrottleWriteIOPSDevice)
}

// device writes a device's numbers as the block files want them, with a blank
// after.
func (c *collector) device(field string, major, minor int64) (string, bool) {
	if major < 0 || minor < 0 {
		c.problem(field, "%d:%d are not the major and minor numbers of a device", major, minor)
		return "", false
	}
	return decimal(major) + ":" + decimal(minor) + " ", true
}

// weight writes the weight of the cgroup, or with a device ("8:0 ") that on one
// device, where 0 goes back to the cgroup's.
func (c *collector) weight(field, device string, weight uint16) {
	if weight != 0 && (weight < minBlockWeight || weight > maxBlockWeight) {
		c.problem(field, "%d is outside of %d to %d", weight, minBlockWeight, maxBlockWeight)
		return
	}
	h, controller := c.block(field)
	if h == nil {
		return
	}
	bfq, io := decimal(weight), decimal(BlockWeightToIOWeight(weight))
	if weight == 0 {
		bfq, io = "default", "default"
	}
	if h.Unified {
		w := c.add(h, controller, field, "io.bfq.weight", device+bfq)
		w.Else = Alternative{"io.weight", device + io}
		return
	}
	suffix := ""
	if device != "" {
		suffix = "_device"
	}
	// blkio.weight was the CFQ scheduler's, which left with Linux 5.0; kernels
	// that carry another scheduler's file under that name are served still.
	w := c.add(h, controller, field, "blkio.bfq.weight"+suffix, device+bfq)
	w.Else = Alternative{"blkio.weight" + suffix, device + decimal(weight)}
}

func (c *collector) leafWeight(field, device, file string, weight uint16) {
	h, controller := c.block(field)
	if h == nil {
		return
	}
	if h.Unified {
		c.problem(field, "cgroup v2 has no leaf weights: remove the field, or use weight")
		return
	}
	c.add(h, controller, field, file, device+decimal(weight))
}

// throttle writes rates per device, in bytes or operations a second; 0 is none.
func (c *collector) throttle(list, file, key string, devices []specs.LinuxThrottleDevice) {
	for i := range devices {
		d := &devices[i]
		field := list + "[" + strconv.Itoa(i) + "]"
		device, ok := c.device(field, d.Major, d.Minor)
		if !ok {
			continue
		}
		h, controller := c.block(field)
		if h == nil {
			return
		}
		if !h.Unified {
			c.add(h, controller, field, file, device+decimal(d.Rate))
			continue
		}
		rate := "max"
		if d.Rate > 0 {
			rate = decimal(d.Rate)
		}
		c.add(h, controller, field, "io.max", device+key+"="+rate)
	}
}

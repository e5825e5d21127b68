package systemd

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"

	"berth/cgroups"
	"berth/cgroups/devices"
)

// Property is one property of the scope, as StartTransientUnit and
// SetUnitProperties take it.
type Property struct {
	Name  string
	Value any // of a type that D-Bus has
	// Origin is the place in the configuration that asked for it; empty for what
	// every container gets.
	Origin string
}

// String shows the property as `berth plan` prints it, the value in GVariant's
// text form.
func (p Property) String() string {
	return p.Name + " = " + dbus.MakeVariant(p.Value).String()
}

// infinity is how systemd's properties say "no limit".
const infinity = uint64(math.MaxUint64)

// Scope is what the properties of a container's scope are made from.
type Scope struct {
	Unit Unit
	// ID of the container, for the unit's description.
	ID string
	// Pid of the process that is to be in the scope; a scope starts with one.
	Pid int
	// Writes are the container's limits (cgroups.Limits).
	Writes []cgroups.Write
	// Devices is the container's device filter; nil where none can be had, as
	// in a user's manager.
	Devices *devices.Filter
	// Annotations of the container, of which org.systemd.property.* are taken.
	Annotations map[string]string
}

// Properties compiles the scope's properties. Those of annotations come last,
// so that they have the last word. It is pure; errors name the annotation.
func Properties(s *Scope) ([]Property, error) {
	list := make([]Property, 0, 24)
	list = append(list,
		Property{"Description", "container " + s.ID, ""},
		Property{"Slice", s.Unit.Slice, pathField},
		Property{"PIDs", []uint32{uint32(s.Pid)}, ""},
		// berth writes to the scope's cgroup, and the container may to its own.
		Property{"Delegate", true, ""},
		// Without these no unit is stopped, at shutdown or for a conflict,
		// because of a container.
		Property{"DefaultDependencies", false, ""},
		// A scope that failed, as by the OOM killer, is forgotten all the same.
		Property{"CollectMode", "inactive-or-failed", ""},
		Property{"CPUAccounting", true, ""},
		Property{"MemoryAccounting", true, ""},
		Property{"TasksAccounting", true, ""},
		Property{"IOAccounting", true, ""},
	)
	list = append(list, LimitProperties(s.Writes)...)
	if s.Devices != nil {
		list = append(list, deviceProperties(s.Devices)...)
	}
	own, err := annotationProperties(s.Annotations)
	if err != nil {
		return nil, err
	}
	return append(list, own...), nil
}

// LimitProperties are the properties that say the same as the writes. A write
// that systemd has no property for has none here; cgroups/fs makes it anyway.
// It is pure.
func LimitProperties(writes []cgroups.Write) []Property {
	c := &converter{}
	for i := range writes {
		w := &writes[i]
		if w.Unified {
			c.unified(w)
		} else {
			c.legacy(w)
		}
	}
	c.quotaProperties()
	return c.list
}

// converter gathers the properties, and what only makes one together.
type converter struct {
	list []Property

	// The CPU quota and its period in µs; infinity for none, 0 for unset.
	quota, period             uint64
	quotaOrigin, periodOrigin string
}

func (c *converter) add(name string, value any, origin string) {
	for i := range c.list {
		if c.list[i].Name == name {
			c.list[i] = Property{name, value, origin}
			return
		}
	}
	c.list = append(c.list, Property{name, value, origin})
}

// number adds a property of type t. What is no number (which the kernel would
// refuse) is left to cgroups/fs, whose error tells more.
func (c *converter) number(name string, w *cgroups.Write) {
	if n, ok := limit(w.Value); ok {
		c.add(name, n, w.Origin)
	}
}

// limit reads a value of a cgroup file; "max" and -1 mean none.
func limit(s string) (uint64, bool) {
	if s == "max" || s == "-1" {
		return infinity, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func (c *converter) unified(w *cgroups.Write) {
	switch w.File {
	case "cpu.weight":
		c.number("CPUWeight", w)
	case "cpu.max":
		quota, period, _ := strings.Cut(w.Value, " ")
		c.setQuota(quota, w.Origin)
		c.setPeriod(period, w.Origin)
	case "cpuset.cpus":
		c.set("AllowedCPUs", w)
	case "cpuset.mems":
		c.set("AllowedMemoryNodes", w)
	case "memory.min":
		c.number("MemoryMin", w)
	case "memory.low":
		c.number("MemoryLow", w)
	case "memory.high":
		c.number("MemoryHigh", w)
	case "memory.max":
		c.number("MemoryMax", w)
	case "memory.swap.max":
		c.number("MemorySwapMax", w)
	case "pids.max":
		c.number("TasksMax", w)
	case "io.weight":
		c.ioWeight(w.Value, w.Origin)
	case "io.bfq.weight":
		// systemd writes both files from the one property.
		if w.Else.File == "io.weight" {
			c.ioWeight(w.Else.Value, w.Origin)
		}
	case "io.max":
		c.ioMax(w)
	}
}

// legacy converts the writes to v1's files. systemd has no cpuset there.
func (c *converter) legacy(w *cgroups.Write) {
	switch w.File {
	case "cpu.shares":
		c.number("CPUShares", w)
	case "cpu.cfs_quota_us":
		c.setQuota(w.Value, w.Origin)
	case "cpu.cfs_period_us":
		c.setPeriod(w.Value, w.Origin)
	case "memory.limit_in_bytes":
		c.number("MemoryLimit", w)
	case "pids.max":
		c.number("TasksMax", w)
	case "blkio.bfq.weight", "blkio.weight":
		c.number("BlockIOWeight", w)
	}
}

func (c *converter) setQuota(s, origin string) {
	if n, ok := limit(s); ok {
		c.quota, c.quotaOrigin = n, origin
	}
}

func (c *converter) setPeriod(s, origin string) {
	if n, ok := limit(s); ok {
		c.period, c.periodOrigin = n, origin
	}
}

// defaultPeriod is the kernel's and systemd's, in µs.
const defaultPeriod = 100000

// quotaProperties adds the CPU quota, which systemd has in µs a second. It keeps
// whole percents only, when it writes the unit's file, so the quota is rounded
// up to those; cgroups/fs then writes the exact one.
func (c *converter) quotaProperties() {
	if c.period != 0 {
		c.add("CPUQuotaPeriodUSec", c.period, c.periodOrigin)
	}
	switch c.quota {
	case 0:
		return
	case infinity:
		c.add("CPUQuotaPerSecUSec", infinity, c.quotaOrigin)
		return
	}
	period := c.period
	if period == 0 {
		period = defaultPeriod
	}
	const second, percent = 1000000, 10000
	// In floating point, since quota times a second can be more than 64 bits.
	perSecond := math.Ceil(float64(c.quota)*second/float64(period)/percent) * percent
	if perSecond < math.MaxInt64 {
		c.add("CPUQuotaPerSecUSec", uint64(perSecond), c.quotaOrigin)
	}
}

// set adds a set of CPUs or memory nodes, which systemd takes as bits.
func (c *converter) set(name string, w *cgroups.Write) {
	if bits, ok := bitmap(w.Value); ok {
		c.add(name, bits, w.Origin)
	}
}

// maxCPU is the highest number of a CPU or memory node that is converted
// (systemd's CPU_MASK limit is the kernel's, 8192).
const maxCPU = 8191

// bitmap reads a list such as 0-3,7 (cpuset(7), "List format"): the lowest
// number is the lowest bit of the first byte.
func bitmap(list string) ([]byte, bool) {
	var bits []byte
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.ParseUint(from, 10, 32)
		if err != nil || first > maxCPU {
			return nil, false
		}
		last := first
		if isRange {
			if last, err = strconv.ParseUint(to, 10, 32); err != nil || last > maxCPU || last < first {
				return nil, false
			}
		}
		for n := first; n <= last; n++ {
			for uint64(len(bits)) <= n/8 {
				bits = append(bits, 0)
			}
			bits[n/8] |= 1 << (n % 8)
		}
	}
	return bits, true
}

// DeviceLimit is the D-Bus type (st): a limit of one block device.
type DeviceLimit struct {
	Device string
	Limit  uint64
}

// deviceLimit adds a device to a property that has a list of them. systemd finds
// a block device through its node, and the nodes in /dev/block are there for all
// that udev knows.
func (c *converter) deviceLimit(name, device string, n uint64, origin string) {
	d := DeviceLimit{"/dev/block/" + device, n}
	for i := range c.list {
		if p := &c.list[i]; p.Name == name {
			p.Value = append(p.Value.([]DeviceLimit), d)
			return
		}
	}
	c.list = append(c.list, Property{name, []DeviceLimit{d}, origin})
}

// ioWeight takes a value of io.weight: "100", "default 100" or "8:0 100".
func (c *converter) ioWeight(value, origin string) {
	device, weight, ok := strings.Cut(value, " ")
	if !ok {
		device, weight = "default", value
	}
	n, err := strconv.ParseUint(weight, 10, 64)
	switch {
	case err != nil:
	case device == "default":
		c.add("IOWeight", n, origin)
	default:
		c.deviceLimit("IODeviceWeight", device, n, origin)
	}
}

// ioMax takes a line of io.max: "8:0 rbps=1048576 wiops=max".
func (c *converter) ioMax(w *cgroups.Write) {
	device, limits, _ := strings.Cut(w.Value, " ")
	for word := range strings.FieldsSeq(limits) {
		key, value, _ := strings.Cut(word, "=")
		n, ok := limit(value)
		if !ok {
			continue
		}
		switch key {
		case "rbps":
			c.deviceLimit("IOReadBandwidthMax", device, n, w.Origin)
		case "wbps":
			c.deviceLimit("IOWriteBandwidthMax", device, n, w.Origin)
		case "riops":
			c.deviceLimit("IOReadIOPSMax", device, n, w.Origin)
		case "wiops":
			c.deviceLimit("IOWriteIOPSMax", device, n, w.Origin)
		}
	}
}

// DeviceAllow is the D-Bus type (ss) of an entry of systemd's DeviceAllow=.
type DeviceAllow struct{ Device, Access string }

// deviceProperties says the filter as DevicePolicy and DeviceAllow, so that
// systemd on v1 leaves devices.allow as it is, and on v2 has the same filter.
//
// They can only list what is allowed, by device, by major number or all of a
// type. For another filter systemd gets none; on v2 berth's own program, which
// systemd leaves alone, is there in any case.
func deviceProperties(f *devices.Filter) []Property {
	open := []Property{{"DevicePolicy", "auto", f.Origin}}
	if f.AllowAll {
		return open
	}
	allow := make([]DeviceAllow, 0, len(f.Exceptions))
	for i := range f.Exceptions {
		r := &f.Exceptions[i]
		entry, ok := deviceAllow(r)
		if !ok {
			return []Property{{"DevicePolicy", "auto", r.Origin}}
		}
		allow = append(allow, entry)
	}
	return []Property{{"DevicePolicy", "strict", f.Origin}, {"DeviceAllow", allow, ""}}
}

// deviceAllow writes an exception as systemd.resource-control(5) has it. It
// parses /dev/char/M:N and /dev/block/M:N without looking for a node, and takes
// a number in char-M and block-M as a major number.
func deviceAllow(r *devices.Rule) (DeviceAllow, bool) {
	kind := "char"
	if r.Type == devices.Block {
		kind = "block"
	}
	entry := DeviceAllow{Access: r.Access.String()}
	switch {
	case r.Major == devices.Any && r.Minor == devices.Any:
		entry.Device = kind + "-*"
	case r.Major == devices.Any:
		return entry, false
	case r.Minor == devices.Any:
		entry.Device = fmt.Sprintf("%s-%d", kind, r.Major)
	default:
		entry.Device = fmt.Sprintf("/dev/%s/%d:%d", kind, r.Major, r.Minor)
	}
	return entry, true
}

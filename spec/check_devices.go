package spec

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Linux keeps a device number in 12 and 20 bits (MAJOR and MINOR of
// linux/kdev_t.h); mknod(2) refuses more.
const (
	majorMax = 1<<12 - 1
	minorMax = 1<<20 - 1
)

// devices checks the device nodes to make (config-linux.md, Devices).
func (c *checker) devices(devices []specs.LinuxDevice) {
	for i := range devices {
		d := &devices[i]
		switch d.Type {
		case "c", "b", "u":
			c.deviceNumber(item("devices", i)+".major", d.Major, majorMax)
			c.deviceNumber(item("devices", i)+".minor", d.Minor, minorMax)
		case "p":
		default:
			c.problem(item("devices", i)+".type", quote(d.Type)+" is no type of device", "use c (character), b (block), u (unbuffered character) or p (FIFO)")
		}
		switch {
		case d.Path == "":
			c.problem(item("devices", i)+".path", "is missing", "name the path in the container")
		case d.Path[0] != '/':
			c.warn(item("devices", i)+".path", quote(d.Path)+" is relative: taken from /")
		}
		c.text(item("devices", i)+".path", d.Path)
		for j := range devices[:i] {
			if e := &devices[j]; e.Path == d.Path && !sameDevice(d, e) {
				c.problem(item("devices", i)+".path", quote(d.Path)+" is already what linux."+item("devices", j)+" makes, which is another device", "keep one of them")
				break
			}
		}
		if (d.UID != nil && *d.UID == noID) || (d.GID != nil && *d.GID == noID) {
			c.problem(item("devices", i), "4294967295 means no user or group to the kernel", "use an id below it")
		}
	}
}

func (c *checker) deviceNumber(field string, n, highest int64) {
	if n < 0 || n > highest {
		c.problem(field, strconv.FormatInt(n, 10)+" is out of range", "use 0 to "+strconv.FormatInt(highest, 10))
	}
}

// sameDevice reports whether two entries ask for the same node. A u is a c to
// the kernel, and a FIFO has no number.
func sameDevice(a, b *specs.LinuxDevice) bool {
	kind := func(d *specs.LinuxDevice) string {
		if d.Type == "u" {
			return "c"
		}
		return d.Type
	}
	return kind(a) == kind(b) && (a.Type == "p" || a.Major == b.Major && a.Minor == b.Minor)
}

// netDevices checks the network devices to move in (config-linux.md, Network
// Devices).
func (c *checker) netDevices(devices map[string]specs.LinuxNetDevice) {
	if len(devices) == 0 {
		return
	}
	if !c.has(specs.NetworkNamespace) {
		c.problem("netDevices", "there is no network namespace to move them to", needs(specs.NetworkNamespace))
	}
	taken := make(map[string]string, len(devices))
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		place := field("netDevices", name)
		if name == "" || strings.ContainsAny(name, "/ \t\n\v\f\r\x00") {
			c.problem(place, "is no name of a network device", "name a device of the host")
		}
		inside := devices[name].Name
		if inside == "" {
			inside = name
		} else if !interfaceName(inside) {
			c.problem(place+".name", quote(inside)+" is no name for a network device", "use up to 15 characters without /, : and spaces")
		}
		if other, twice := taken[inside]; twice && !strings.Contains(inside, "%d") {
			c.problem(place+".name", quote(inside)+" is also the name of "+c.path(field("netDevices", other)), "give each its own")
		}
		taken[inside] = name
	}
}

// interfaceName reports whether the kernel takes a name for a network device
// (dev_valid_name in net/core/dev.c): less than IFNAMSIZ bytes, and a lone %d
// stands for a number that it picks.
func interfaceName(name string) bool {
	return name != "" && len(name) < 16 && name != "." && name != ".." && !strings.ContainsAny(name, "/: \t\n\v\f\r\x00") &&
		strings.Count(name, "%") == strings.Count(name, "%d") && strings.Count(name, "%d") <= 1
}

// personality checks the execution domain (config-linux.md, Personality).
func (c *checker) personality(p *specs.LinuxPersonality) {
	if p == nil {
		return
	}
	if p.Domain != specs.PerLinux && p.Domain != specs.PerLinux32 {
		c.problem("personality.domain", quote(string(p.Domain))+" is no execution domain", "use LINUX or LINUX32")
	}
	if len(p.Flags) > 0 {
		c.problem("personality.flags", "the runtime-spec knows no flags so far", "remove them")
	}
}

// intelRdt checks what goes to resctrl (config-linux.md, IntelRdt).
func (c *checker) intelRdt(r *specs.LinuxIntelRdt) {
	if id := r.ClosID; id == "." || id == ".." || id != "/" && strings.ContainsAny(id, "/\n\x00") {
		c.problem("closID", quote(id)+" is not the name of one folder", `use a name without /, or "/" for the default class`)
	}
	line := func(field, s string) {
		if strings.ContainsAny(s, "\n\x00") {
			c.problem(field, quote(s)+" is more than one line", "write one line for each entry of schemata")
		}
	}
	line("l3CacheSchema", r.L3CacheSchema)
	line("memBwSchema", r.MemBwSchema)
	for i, s := range r.Schemata {
		line(item("schemata", i), s)
	}
	if r.L3CacheSchema != "" && !strings.HasPrefix(r.L3CacheSchema, "L3:") {
		c.warn("l3CacheSchema", quote(r.L3CacheSchema)+" does not begin with L3:")
	}
	if r.MemBwSchema != "" && !strings.HasPrefix(r.MemBwSchema, "MB:") {
		c.problem("memBwSchema", quote(r.MemBwSchema)+" does not begin with MB:", "write it as in MB:0=20;1=70")
	}
}

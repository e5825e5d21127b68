package spec

import (
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// namespace gives the entry for a type of namespace; nil when the container
// is to stay in the host's.
func (c *checker) namespace(t specs.LinuxNamespaceType) *specs.LinuxNamespace {
	if c.spec.Linux == nil {
		return nil
	}
	for i := range c.spec.Linux.Namespaces {
		if ns := &c.spec.Linux.Namespaces[i]; ns.Type == t {
			return ns
		}
	}
	return nil
}

// has reports whether the container gets a namespace of a type, new or joined.
func (c *checker) has(t specs.LinuxNamespaceType) bool { return c.namespace(t) != nil }

// needs is the fix for what only a namespace of its own makes safe.
func needs(t specs.LinuxNamespaceType) string {
	return `add {"type": "` + string(t) + `"} to linux.namespaces`
}

// namespaces checks the list itself (config-linux.md, Namespaces).
func (c *checker) namespaces(list []specs.LinuxNamespace) {
	for i := range list {
		ns := &list[i]
		switch ns.Type {
		case specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace,
			specs.UTSNamespace, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace:
			for _, earlier := range list[:i] {
				if earlier.Type == ns.Type {
					c.problem(item("namespaces", i)+".type", string(ns.Type)+" is given twice", "keep one of them")
					break
				}
			}
		case "net":
			c.problem(item("namespaces", i)+".type", `"net" is no namespace`, `write "network"`)
		case "mnt":
			c.problem(item("namespaces", i)+".type", `"mnt" is no namespace`, `write "mount"`)
		default:
			c.problem(item("namespaces", i)+".type", quote(string(ns.Type))+" is no namespace",
				"use "+wordList("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"))
		}
		if ns.Path == "" {
			continue
		}
		if ns.Path[0] != '/' {
			c.problem(item("namespaces", i)+".path", quote(ns.Path)+" is relative", "make it absolute, such as /proc/PID/ns/"+procName(ns.Type))
		}
		c.text(item("namespaces", i)+".path", ns.Path)
	}
}

// procName is what /proc/PID/ns calls a namespace (namespaces(7)).
func procName(t specs.LinuxNamespaceType) string {
	switch t {
	case specs.NetworkNamespace:
		return "net"
	case specs.MountNamespace:
		return "mnt"
	case specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace:
		return string(t)
	}
	return "NAME"
}

// userNamespace checks the id mappings and that the process's ids are among
// those mapped: the kernel refuses any other (user_namespaces(7)).
func (c *checker) userNamespace(l *specs.Linux) {
	c.idMappings("uidMappings", l.UIDMappings)
	c.idMappings("gidMappings", l.GIDMappings)
	ns := c.namespace(specs.UserNamespace)
	if mount := c.namespace(specs.MountNamespace); ns != nil && ns.Path == "" && mount != nil && mount.Path != "" {
		c.problem("namespaces", "nothing can be mounted in a mount namespace that is joined by path from within a new user namespace, which does not own it",
			"name the user namespace that owns it by path too (/proc/PID/ns/user), or take one of the two out")
	}
	switch {
	case ns == nil && len(l.UIDMappings)+len(l.GIDMappings) > 0:
		c.warn("uidMappings", "uidMappings and gidMappings have no effect without a user namespace")
		return
	case ns == nil, ns.Path != "":
		return // ids are what they are, or what the joined namespace says
	}
	for _, m := range [...]struct {
		field    string
		mappings []specs.LinuxIDMapping
	}{{"uidMappings", l.UIDMappings}, {"gidMappings", l.GIDMappings}} {
		if len(m.mappings) == 0 {
			c.problem(m.field, "is missing, and there is a new user namespace", `add one, such as {"containerID": 0, "hostID": 100000, "size": 65536}`)
		}
	}
	if c.spec.Process == nil || len(l.UIDMappings) == 0 || len(l.GIDMappings) == 0 {
		return
	}
	base := c.base
	c.base = "process.user"
	u := &c.spec.Process.User
	c.mapped("uid", u.UID, "uidMappings", l.UIDMappings)
	c.mapped("gid", u.GID, "gidMappings", l.GIDMappings)
	for i, gid := range u.AdditionalGids {
		if !isMapped(gid, l.GIDMappings) {
			c.mapped(item("additionalGids", i), gid, "gidMappings", l.GIDMappings)
		}
	}
	c.base = base
}

func (c *checker) mapped(field string, id uint32, name string, mappings []specs.LinuxIDMapping) {
	if id != noID && !isMapped(id, mappings) {
		c.problem(field, strconv.FormatUint(uint64(id), 10)+" is not mapped in linux."+name, "use an id that is, or map it")
	}
}

func isMapped(id uint32, mappings []specs.LinuxIDMapping) bool {
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}

// mappingsMax is how many lines /proc/PID/uid_map takes since Linux 4.15.
const mappingsMax = 340

// idMappings checks a list of mappings by the rules of user_namespaces(7).
func (c *checker) idMappings(field string, mappings []specs.LinuxIDMapping) {
	if len(mappings) > mappingsMax {
		c.problem(field, "has "+strconv.Itoa(len(mappings))+" entries, and the kernel takes 340", "join neighbours to larger ranges")
		return
	}
	overlap := func(a, b, sizeA, sizeB uint32) bool {
		return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
	}
	for i, m := range mappings {
		switch {
		case m.Size == 0:
			c.problem(item(field, i)+".size", "is 0", "give the number of ids to map, or remove the entry")
		case uint64(max(m.ContainerID, m.HostID))+uint64(m.Size) > noID:
			c.problem(item(field, i)+".size", "reaches beyond the last id, 4294967294", "lower it")
		}
		for j, earlier := range mappings[:i] {
			if overlap(m.ContainerID, earlier.ContainerID, m.Size, earlier.Size) {
				c.problem(item(field, i)+".containerID", "overlaps with "+c.path(item(field, j)), "make the ranges apart")
				break
			}
			if overlap(m.HostID, earlier.HostID, m.Size, earlier.Size) {
				c.problem(item(field, i)+".hostID", "overlaps with "+c.path(item(field, j)), "make the ranges apart")
				break
			}
		}
	}
}

// timeOffsets checks the clocks of a time namespace (time_namespaces(7)).
func (c *checker) timeOffsets(offsets map[string]specs.LinuxTimeOffset) {
	if len(offsets) == 0 {
		return
	}
	switch ns := c.namespace(specs.TimeNamespace); {
	case ns == nil:
		c.problem("timeOffsets", "there is no time namespace to set them in", needs(specs.TimeNamespace))
	case ns.Path != "":
		c.problem("timeOffsets", "the clocks of a time namespace that is joined by path cannot be set", "remove the offsets, or the path")
	}
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		if clock != "monotonic" && clock != "boottime" {
			c.problem(field("timeOffsets", clock), "there is no such clock", "use monotonic or boottime")
		}
		if n := offsets[clock].Nanosecs; n > 999_999_999 {
			c.problem(field("timeOffsets", clock)+".nanosecs", strconv.FormatUint(uint64(n), 10)+" is a second or more", "carry it over to secs")
		}
	}
}

package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Limits turns linux.resources, all but its devices, into the writes that carry
// it out on this host, in order. origin is the place r stands at
// ("linux.resources"). r may be nil.
//
// For an update, r has to be the container's limits with the changes merged in:
// several fields only mean something together (memory.limit and memory.swap).
//
// Passed over, as runc does, because they ask for nothing: a 0 in cpu.shares,
// quota, period, realtimeRuntime and realtimePeriod, in memory.limit,
// reservation and swap, in blockIO.weight and leafWeight, in network.classID;
// false in memory.disableOOMKiller and useHierarchy. memory.kernel and
// kernelTCP are deprecated and without effect. Everything else that the host
// cannot do is a Problem: runtime-spec demands an error where a conversion to
// the other cgroup version is not possible.
func Limits(l *Layout, r *specs.LinuxResources, origin string) ([]Write, []Problem) {
	if r == nil {
		return nil, nil
	}
	c := &collector{layout: l, origin: origin, writes: make([]Write, 0, 12)}
	if r.CPU != nil {
		c.cpu(r.CPU)
		c.cpuset(r.CPU)
	}
	if r.Memory != nil {
		c.memory(r.Memory)
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		c.pids(*r.Pids.Limit)
	}
	if r.BlockIO != nil {
		c.blockIO(r.BlockIO)
	}
	c.hugetlb(r.HugepageLimits)
	if r.Network != nil {
		c.network(r.Network)
	}
	c.rdma(r.Rdma)
	c.unified(r.Unified)
	return c.writes, c.problems
}

// collector gathers the writes and problems of one Limits call.
type collector struct {
	layout   *Layout
	origin   string
	writes   []Write
	problems []Problem
}

func (c *collector) problem(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{Origin: c.origin + "." + field, Cause: fmt.Sprintf(format, args...)})
}

// find returns the hierarchy that has the controller, or notes that field
// cannot be honoured.
func (c *collector) find(field, controller string) *Hierarchy {
	h := c.layout.Find(controller)
	if h == nil && c.layout.Mode == V2 && (controller == "net_cls" || controller == "net_prio") {
		c.problem(field, "only cgroup v1 has the %s controller: remove the field, and match the container's cgroup with nftables or tc", controller)
	} else if h == nil {
		c.problem(field, "this host's %s has no %s controller: enable it in the kernel (see /proc/cgroups), or remove the field", c.layout.Mode, controller)
	}
	return h
}

// add notes a write of field's value to a file of the hierarchy; the write is
// returned to have more set in it, and valid until the next add.
func (c *collector) add(h *Hierarchy, controller, field, file, value string) *Write {
	c.writes = append(c.writes, Write{Controller: controller, Unified: h.Unified, File: file, Value: value, Origin: c.origin + "." + field})
	return &c.writes[len(c.writes)-1]
}

// set reads a field in which 0 is as good as absent.
func set[T int64 | uint64 | uint32 | uint16](p *T) (T, bool) {
	if p == nil || *p == 0 {
		return 0, false
	}
	return *p, true
}

func decimal[T int64 | uint64 | uint32 | uint16](n T) string {
	if n < 0 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(uint64(n), 10)
}

// maxOr is v2's way of writing a limit: "max" where v1 has -1.
func maxOr(n int64) string {
	if n < 0 {
		return "max"
	}
	return decimal(n)
}

// pids writes the process limit. Negative is none. 0 is written as 1, as runc
// does: both forbid the container's first process to fork, but 0 also forbids to
// start it by CLONE_INTO_CGROUP.
func (c *collector) pids(limit int64) {
	const field = "pids.limit"
	if limit < 0 && c.layout.Find("pids") == nil {
		return // no limit needs no controller
	}
	h := c.find(field, "pids")
	if h == nil {
		return
	}
	if limit == 0 {
		limit = 1
	}
	c.add(h, "pids", field, "pids.max", maxOr(limit))
}

// hugetlb writes both the limit of use and that of reservations, which newer
// kernels (5.7) have beside it.
func (c *collector) hugetlb(limits []specs.LinuxHugepageLimit) {
	for i := range limits {
		field := "hugepageLimits[" + strconv.Itoa(i) + "]"
		size := limits[i].Pagesize
		if !pageSize(size) {
			c.problem(field+".pageSize", "%q is not of the form 64KB, 2MB or 1GB", size)
			continue
		}
		h := c.find(field, "hugetlb")
		if h == nil {
			return
		}
		file := "limit_in_bytes"
		if h.Unified {
			file = "max"
		}
		value := decimal(limits[i].Limit)
		c.add(h, "hugetlb", field+".limit", "hugetlb."+size+"."+file, value)
		c.add(h, "hugetlb", field+".limit", "hugetlb."+size+".rsvd."+file, value).Optional = true
	}
}

// pageSize checks the form of a huge page size, which becomes part of a file's
// name; the kernel writes it as a number and KB, MB or GB.
func pageSize(s string) bool {
	number, ok := strings.CutSuffix(s, "B")
	if !ok || len(number) < 2 || !strings.Contains("KMG", number[len(number)-1:]) {
		return false
	}
	n, ok := Number([]byte(number[:len(number)-1]))
	return ok && n > 0
}

// network writes what tags and ranks a container's packets; v2 has no controller
// for it (use tc or nftables with the cgroup's path there).
func (c *collector) network(n *specs.LinuxNetwork) {
	if id, ok := set(n.ClassID); ok {
		if h := c.find("network.classID", "net_cls"); h != nil {
			c.add(h, "net_cls", "network.classID", "net_cls.classid", decimal(id))
		}
	}
	for i := range n.Priorities {
		field := "network.priorities[" + strconv.Itoa(i) + "]"
		name := n.Priorities[i].Name
		if !word(name) {
			c.problem(field+".name", "%q is not the name of a network interface", name)
			continue
		}
		if h := c.find(field, "net_prio"); h != nil {
			c.add(h, "net_prio", field, "net_prio.ifpriomap", name+" "+decimal(n.Priorities[i].Priority))
		}
	}
}

// word tells whether s can stand in a line of words: not empty, and without
// blanks or control characters, which would give it another meaning.
func word(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// rdma writes the limits of each device, the same way on v1 and v2.
func (c *collector) rdma(devices map[string]specs.LinuxRdma) {
	for _, name := range sortedKeys(devices) {
		field := "rdma." + name
		limit := devices[name]
		if !word(name) {
			c.problem(field, "%q is not the name of an RDMA device", name)
			continue
		}
		value := name
		if limit.HcaHandles != nil {
			value += " hca_handle=" + decimal(*limit.HcaHandles)
		}
		if limit.HcaObjects != nil {
			value += " hca_object=" + decimal(*limit.HcaObjects)
		}
		if value == name {
			c.problem(field, "it limits nothing: give hcaHandles, hcaObjects or both")
			continue
		}
		if h := c.find(field, "rdma"); h != nil {
			c.add(h, "rdma", field, "rdma.max", value)
		}
	}
}

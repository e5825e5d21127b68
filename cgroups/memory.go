package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// memoryLimits are the byte counts of linux.resources.memory; 0 is unset.
type memoryLimits struct {
	limit, swap, reservation int64
	// swapField is the field that swap comes from.
	swapField string
}

// unlimited says whether none of them is a limit.
func (m *memoryLimits) unlimited() bool {
	none := func(n int64) bool { return n == 0 || n == -1 }
	return none(m.limit) && none(m.swap) && none(m.reservation)
}

// memory writes linux.resources.memory; bytes, -1 is unlimited, 0 unset.
func (c *collector) memory(r *specs.LinuxMemory) {
	m := memoryLimits{swapField: "memory.swap"}
	m.limit, _ = set(r.Limit)
	m.swap, _ = set(r.Swap)
	m.reservation, _ = set(r.Reservation)
	hierarchy := r.UseHierarchy != nil && *r.UseHierarchy
	noKiller := r.DisableOOMKiller != nil && *r.DisableOOMKiller
	var field string
	switch {
	case m.limit != 0:
		field = "memory.limit"
	case m.swap != 0:
		field = "memory.swap"
	case m.reservation != 0:
		field = "memory.reservation"
	case r.Swappiness != nil:
		field = "memory.swappiness"
	case noKiller:
		field = "memory.disableOOMKiller"
	case hierarchy:
		field = "memory.useHierarchy"
	default:
		return
	}
	if c.layout.Find("memory") == nil && m.unlimited() && r.Swappiness == nil && !noKiller && !hierarchy {
		return // no limit needs no controller
	}
	h := c.find(field, "memory")
	if h == nil || !c.checkMemory(&m) {
		return
	}
	if h.Unified {
		c.memoryV2(h, r, m)
		if noKiller {
			c.problem("memory.disableOOMKiller", "cgroup v2 has no way to turn the OOM killer off: remove the field, or set process.oomScoreAdj to -1000")
		}
		return
	}
	if hierarchy {
		// Since Linux 5.11 every cgroup is hierarchical, and the file a relic.
		c.add(h, "memory", "memory.useHierarchy", "memory.use_hierarchy", "1").Optional = true
	}
	c.memoryV1(h, r, m)
	if noKiller {
		c.add(h, "memory", "memory.disableOOMKiller", "memory.oom_control", "1")
	}
}

// checkMemory finds what no kernel could honour. An unlimited limit makes an
// unset swap unlimited too: v1 could not have memory.limit above memory+swap.
func (c *collector) checkMemory(m *memoryLimits) bool {
	before := len(c.problems)
	for _, f := range [...]struct {
		field string
		value int64
	}{{"memory.limit", m.limit}, {"memory.swap", m.swap}, {"memory.reservation", m.reservation}} {
		if f.value < -1 {
			c.problem(f.field, "%d is neither a number of bytes nor -1 for unlimited", f.value)
		}
	}
	switch {
	case m.swap > 0 && m.limit <= 0:
		c.problem("memory.swap", "%d limits memory and swap together, so memory.limit must be set as well, and not be -1", m.swap)
	case m.swap > 0 && m.swap < m.limit:
		c.problem("memory.swap", "%d is less than memory.limit (%d): it limits memory and swap together; the same number means no swap", m.swap, m.limit)
	case m.swap == 0 && m.limit == -1:
		m.swap, m.swapField = -1, "memory.limit"
	}
	return len(c.problems) == before
}

// memoryV1 orders the two limits for a new cgroup, where both are unlimited, and
// for one whose swap becomes so; for the rest see Write.Group.
func (c *collector) memoryV1(h *Hierarchy, r *specs.LinuxMemory, m memoryLimits) {
	if m.swap == -1 {
		w := c.add(h, "memory", m.swapField, "memory.memsw.limit_in_bytes", "-1")
		w.Group, w.Optional = groupMemory, true
	}
	if m.limit != 0 {
		c.add(h, "memory", "memory.limit", "memory.limit_in_bytes", decimal(m.limit)).Group = groupMemory
	}
	if m.swap > 0 {
		c.add(h, "memory", "memory.swap", "memory.memsw.limit_in_bytes", decimal(m.swap)).Group = groupMemory
	}
	if m.reservation != 0 {
		c.add(h, "memory", "memory.reservation", "memory.soft_limit_in_bytes", decimal(m.reservation))
	}
	if r.Swappiness == nil {
		return
	}
	if *r.Swappiness > 100 {
		c.problem("memory.swappiness", "%d is outside of 0 to 100", *r.Swappiness)
		return
	}
	c.add(h, "memory", "memory.swappiness", "memory.swappiness", decimal(*r.Swappiness))
}

// memoryV2 converts: v2 limits swap by itself, where runtime-spec and v1 limit
// memory and swap together. Swap goes first, so that lowering memory finds the
// swap it may use.
func (c *collector) memoryV2(h *Hierarchy, r *specs.LinuxMemory, m memoryLimits) {
	switch {
	case m.swap == -1:
		c.add(h, "memory", m.swapField, "memory.swap.max", "max").Optional = true
	case m.swap > 0:
		w := c.add(h, "memory", "memory.swap", "memory.swap.max", decimal(m.swap-m.limit))
		w.Optional = m.swap == m.limit
	}
	if m.limit != 0 {
		w := c.add(h, "memory", "memory.limit", "memory.max", maxOr(m.limit))
		if r.CheckBeforeUpdate != nil && *r.CheckBeforeUpdate && m.limit > 0 {
			w.NotBelow = "memory.current"
		}
	}
	if m.reservation != 0 {
		c.add(h, "memory", "memory.reservation", "memory.low", maxOr(m.reservation))
	}
	if r.Swappiness != nil {
		c.problem("memory.swappiness", "cgroup v2 has no swappiness of a cgroup: remove the field; memory.swap limits how much is swapped")
	}
}

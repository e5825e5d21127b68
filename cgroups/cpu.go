package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

// cpu writes linux.resources.cpu but for its cpuset part. What asks for nothing
// needs no controller.
func (c *collector) cpu(r *specs.LinuxCPU) {
	h := c.layout.Find("cpu")
	if h == nil {
		if first := firstSet(r); first != "" {
			c.find(first, "cpu")
		}
		return
	}
	quota, hasQuota := set(r.Quota)
	if r.Burst != nil && quota > 0 && *r.Burst > uint64(quota) {
		c.problem("cpu.burst", "%d is more than cpu.quota (%d): burst must not be above it", *r.Burst, quota)
		return
	}
	c.cpuShares(h, r)
	if h.Unified {
		c.cpuMax(h, r)
	} else {
		if period, ok := set(r.Period); ok {
			c.add(h, "cpu", "cpu.period", "cpu.cfs_period_us", decimal(period)).Group = groupCPU
		}
		if hasQuota {
			c.add(h, "cpu", "cpu.quota", "cpu.cfs_quota_us", decimal(max(quota, -1))).Group = groupCPU
		}
	}
	if r.Burst != nil {
		file := "cpu.cfs_burst_us"
		if h.Unified {
			file = "cpu.max.burst"
		}
		w := c.add(h, "cpu", "cpu.burst", file, decimal(*r.Burst))
		w.Group, w.Optional = groupCPU, *r.Burst == 0
	}
	c.realtime(h, r)
}

// firstSet names the first field that asks for something of the cpu controller.
func firstSet(r *specs.LinuxCPU) string {
	switch {
	case r.Shares != nil && *r.Shares != 0:
		return "cpu.shares"
	case r.Quota != nil && *r.Quota > 0: // negative is none
		return "cpu.quota"
	case r.Period != nil && *r.Period != 0:
		return "cpu.period"
	case r.Burst != nil && *r.Burst != 0:
		return "cpu.burst"
	case r.RealtimeRuntime != nil && *r.RealtimeRuntime != 0:
		return "cpu.realtimeRuntime"
	case r.RealtimePeriod != nil && *r.RealtimePeriod != 0:
		return "cpu.realtimePeriod"
	case r.Idle != nil && *r.Idle != 0:
		return "cpu.idle"
	}
	return ""
}

// cpuShares writes the weight and whether the cgroup is idle. An idle cgroup has
// the least weight there is and refuses any other (kernel/sched/fair.c), so its
// shares are not written; leaving idleness comes before setting shares.
func (c *collector) cpuShares(h *Hierarchy, r *specs.LinuxCPU) {
	idle := false
	if r.Idle != nil {
		idle = *r.Idle != 0
		if *r.Idle != 0 && *r.Idle != 1 {
			c.problem("cpu.idle", "%d is neither 0 nor 1", *r.Idle)
			return
		}
		c.add(h, "cpu", "cpu.idle", "cpu.idle", decimal(*r.Idle)).Optional = !idle
	}
	shares, ok := set(r.Shares)
	if !ok || idle {
		return
	}
	if h.Unified {
		c.add(h, "cpu", "cpu.shares", "cpu.weight", decimal(SharesToWeight(shares)))
		return
	}
	// The kernel would take these, and use another number.
	if shares < minShares || shares > maxShares {
		c.problem("cpu.shares", "%d is outside of what the kernel allows, %d to %d", shares, minShares, maxShares)
		return
	}
	c.add(h, "cpu", "cpu.shares", "cpu.shares", decimal(shares))
}

// cpuMax writes quota and period, which v2 has in one file. A quota alone leaves
// the period as it is.
func (c *collector) cpuMax(h *Hierarchy, r *specs.LinuxCPU) {
	quota, hasQuota := set(r.Quota)
	period, hasPeriod := set(r.Period)
	if !hasQuota && !hasPeriod {
		return
	}
	value, field := "max", "cpu.period"
	if hasQuota {
		value, field = maxOr(quota), "cpu.quota"
	}
	if hasPeriod {
		value += " " + decimal(period)
	}
	c.add(h, "cpu", field, "cpu.max", value).Group = groupCPU
}

func (c *collector) realtime(h *Hierarchy, r *specs.LinuxCPU) {
	period, hasPeriod := set(r.RealtimePeriod)
	runtime, hasRuntime := set(r.RealtimeRuntime)
	if h.Unified {
		const cause = "cgroup v2 has no limits of realtime scheduling: remove the field"
		if hasPeriod {
			c.problem("cpu.realtimePeriod", cause)
		}
		if hasRuntime {
			c.problem("cpu.realtimeRuntime", cause)
		}
		return
	}
	if hasPeriod {
		c.add(h, "cpu", "cpu.realtimePeriod", "cpu.rt_period_us", decimal(period)).Group = groupRealtime
	}
	if hasRuntime {
		c.add(h, "cpu", "cpu.realtimeRuntime", "cpu.rt_runtime_us", decimal(runtime)).Group = groupRealtime
	}
}

func (c *collector) cpuset(r *specs.LinuxCPU) {
	if r.Cpus != "" {
		if h := c.find("cpu.cpus", "cpuset"); h != nil {
			c.add(h, "cpuset", "cpu.cpus", "cpuset.cpus", r.Cpus)
		}
	}
	if r.Mems != "" {
		if h := c.find("cpu.mems", "cpuset"); h != nil {
			c.add(h, "cpuset", "cpu.mems", "cpuset.mems", r.Mems)
		}
	}
}

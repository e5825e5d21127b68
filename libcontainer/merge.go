package libcontainer

import (
	"maps"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mergeResources returns the limits r with those of change laid over them; nil
// stands for none. What change leaves out stays, and so does a field that it has
// with the value which cgroups.Limits passes over, since that asks for nothing.
// Entries of lists are told apart by their device, page size or name.
//
// Not taken from change: devices, which an engine sends along as it once had
// them (see Update), and memory.kernel and kernelTCP, which have no effect.
func mergeResources(r, change *specs.LinuxResources) *specs.LinuxResources {
	var out specs.LinuxResources
	if r != nil {
		out = *r
	}
	if change == nil {
		return &out
	}
	out.CPU = mergeSection(out.CPU, change.CPU, mergeCPU)
	out.Memory = mergeSection(out.Memory, change.Memory, mergeMemory)
	out.Pids = mergeSection(out.Pids, change.Pids, func(p, c *specs.LinuxPids) { replace(&p.Limit, c.Limit) })
	out.BlockIO = mergeSection(out.BlockIO, change.BlockIO, mergeBlockIO)
	out.HugepageLimits = mergeList(out.HugepageLimits, change.HugepageLimits,
		func(a, b *specs.LinuxHugepageLimit) bool { return a.Pagesize == b.Pagesize })
	out.Network = mergeSection(out.Network, change.Network, mergeNetwork)
	out.Rdma = mergeRdma(out.Rdma, change.Rdma)
	if len(change.Unified) > 0 {
		out.Unified = maps.Clone(out.Unified)
		if out.Unified == nil {
			out.Unified = make(map[string]string, len(change.Unified))
		}
		maps.Copy(out.Unified, change.Unified)
	}
	return &out
}

// touchedResources returns those sections of merged that change has something in:
// what an update of one is to write has nothing to do with the others, which
// somebody may have changed on the host meanwhile.
func touchedResources(merged, change *specs.LinuxResources) *specs.LinuxResources {
	var out specs.LinuxResources
	if change.CPU != nil {
		out.CPU = merged.CPU
	}
	if change.Memory != nil {
		out.Memory = merged.Memory
	}
	if change.Pids != nil {
		out.Pids = merged.Pids
	}
	if change.BlockIO != nil {
		out.BlockIO = merged.BlockIO
	}
	if len(change.HugepageLimits) > 0 {
		out.HugepageLimits = merged.HugepageLimits
	}
	if change.Network != nil {
		out.Network = merged.Network
	}
	if len(change.Rdma) > 0 {
		out.Rdma = merged.Rdma
	}
	if len(change.Unified) > 0 {
		out.Unified = merged.Unified
	}
	return &out
}

// mergeSection merges a section into a copy of what is there.
func mergeSection[T any](section, change *T, merge func(section, change *T)) *T {
	if change == nil {
		return section
	}
	out := new(T)
	if section != nil {
		*out = *section
	}
	merge(out, change)
	return out
}

// replace sets a field that change has.
func replace[T any](field **T, change *T) {
	if change != nil {
		*field = change
	}
}

// replaceSet sets a field in which 0 is as good as absent.
func replaceSet[T int64 | uint64 | uint32 | uint16](field **T, change *T) {
	if change != nil && *change != 0 {
		*field = change
	}
}

func mergeCPU(r, change *specs.LinuxCPU) {
	replaceSet(&r.Shares, change.Shares)
	replaceSet(&r.Quota, change.Quota)
	replace(&r.Burst, change.Burst)
	replaceSet(&r.Period, change.Period)
	replaceSet(&r.RealtimeRuntime, change.RealtimeRuntime)
	replaceSet(&r.RealtimePeriod, change.RealtimePeriod)
	replace(&r.Idle, change.Idle)
	if change.Cpus != "" {
		r.Cpus = change.Cpus
	}
	if change.Mems != "" {
		r.Mems = change.Mems
	}
}

// mergeMemory lets an unlimited limit make memory and swap together unlimited
// too, unless change says how much that is to be: below an unlimited limit, none
// makes sense.
func mergeMemory(r, change *specs.LinuxMemory) {
	replaceSet(&r.Limit, change.Limit)
	replaceSet(&r.Reservation, change.Reservation)
	unlimited := change.Limit != nil && *change.Limit == -1
	if unlimited && (change.Swap == nil || *change.Swap == 0) {
		r.Swap = change.Limit
	}
	replaceSet(&r.Swap, change.Swap)
	replace(&r.Swappiness, change.Swappiness)
	replace(&r.DisableOOMKiller, change.DisableOOMKiller)
	replace(&r.UseHierarchy, change.UseHierarchy)
	replace(&r.CheckBeforeUpdate, change.CheckBeforeUpdate)
}

func mergeBlockIO(r, change *specs.LinuxBlockIO) {
	replaceSet(&r.Weight, change.Weight)
	replaceSet(&r.LeafWeight, change.LeafWeight)
	r.WeightDevice = mergeList(r.WeightDevice, change.WeightDevice,
		func(a, b *specs.LinuxWeightDevice) bool { return a.Major == b.Major && a.Minor == b.Minor })
	same := func(a, b *specs.LinuxThrottleDevice) bool { return a.Major == b.Major && a.Minor == b.Minor }
	r.ThrottleReadBpsDevice = mergeList(r.ThrottleReadBpsDevice, change.ThrottleReadBpsDevice, same)
	r.ThrottleWriteBpsDevice = mergeList(r.ThrottleWriteBpsDevice, change.ThrottleWriteBpsDevice, same)
	r.ThrottleReadIOPSDevice = mergeList(r.ThrottleReadIOPSDevice, change.ThrottleReadIOPSDevice, same)
	r.ThrottleWriteIOPSDevice = mergeList(r.ThrottleWriteIOPSDevice, change.ThrottleWriteIOPSDevice, same)
}

func mergeNetwork(r, change *specs.LinuxNetwork) {
	replaceSet(&r.ClassID, change.ClassID)
	r.Priorities = mergeList(r.Priorities, change.Priorities,
		func(a, b *specs.LinuxInterfacePriority) bool { return a.Name == b.Name })
}

func mergeRdma(r, change map[string]specs.LinuxRdma) map[string]specs.LinuxRdma {
	if len(change) == 0 {
		return r
	}
	out := make(map[string]specs.LinuxRdma, len(r)+len(change))
	maps.Copy(out, r)
	for name, limits := range change {
		merged := out[name]
		replace(&merged.HcaHandles, limits.HcaHandles)
		replace(&merged.HcaObjects, limits.HcaObjects)
		out[name] = merged
	}
	return out
}

// mergeList replaces the entries of a list that change has, and adds the others.
func mergeList[T any](list, change []T, same func(a, b *T) bool) []T {
	if len(change) == 0 {
		return list
	}
	out := slices.Clone(list)
	for i := range change {
		at := slices.IndexFunc(out, func(e T) bool { return same(&e, &change[i]) })
		if at < 0 {
			out = append(out, change[i])
		} else {
			out[at] = change[i]
		}
	}
	return out
}

package spec

import "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) resources(v *specs.LinuxResources) {
	object(d, v, resourcesField, "devices memory cpu pids blockIO hugepageLimits network rdma unified")
}

func resourcesField(d *decoder, v *specs.LinuxResources, name string) bool {
	switch name {
	case "devices":
		list(d, &v.Devices, (*decoder).deviceCgroup)
	case "memory":
		pointer(d, &v.Memory, (*decoder).memory)
	case "cpu":
		pointer(d, &v.CPU, (*decoder).cpu)
	case "pids":
		pointer(d, &v.Pids, (*decoder).pids)
	case "blockIO":
		pointer(d, &v.BlockIO, (*decoder).blockIO)
	case "hugepageLimits":
		list(d, &v.HugepageLimits, (*decoder).hugepageLimit)
	case "network":
		pointer(d, &v.Network, (*decoder).network)
	case "rdma":
		dictionary(d, &v.Rdma, (*decoder).rdma)
	case "unified":
		stringMap(d, &v.Unified)
	default:
		return false
	}
	return true
}

func (d *decoder) deviceCgroup(v *specs.LinuxDeviceCgroup) {
	object(d, v, deviceCgroupField, "allow type major minor access")
}

func deviceCgroupField(d *decoder, v *specs.LinuxDeviceCgroup, name string) bool {
	switch name {
	case "allow":
		d.bool(&v.Allow)
	case "type":
		d.string(&v.Type)
	case "major":
		optionalSigned(d, &v.Major)
	case "minor":
		optionalSigned(d, &v.Minor)
	case "access":
		d.string(&v.Access)
	default:
		return false
	}
	return true
}

func (d *decoder) memory(v *specs.LinuxMemory) {
	object(d, v, memoryField, "limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy checkBeforeUpdate")
}

func memoryField(d *decoder, v *specs.LinuxMemory, name string) bool {
	switch name {
	case "limit":
		optionalSigned(d, &v.Limit)
	case "reservation":
		optionalSigned(d, &v.Reservation)
	case "swap":
		optionalSigned(d, &v.Swap)
	case "kernel":
		optionalSigned(d, &v.Kernel) //nolint:staticcheck // deprecated, and still to be read
	case "kernelTCP":
		optionalSigned(d, &v.KernelTCP)
	case "swappiness":
		optionalUnsigned(d, &v.Swappiness)
	case "disableOOMKiller":
		optionalBool(d, &v.DisableOOMKiller)
	case "useHierarchy":
		optionalBool(d, &v.UseHierarchy)
	case "checkBeforeUpdate":
		optionalBool(d, &v.CheckBeforeUpdate)
	default:
		return false
	}
	return true
}

func (d *decoder) cpu(v *specs.LinuxCPU) {
	object(d, v, cpuField, "shares quota burst period realtimeRuntime realtimePeriod cpus mems idle")
}

func cpuField(d *decoder, v *specs.LinuxCPU, name string) bool {
	switch name {
	case "shares":
		optionalUnsigned(d, &v.Shares)
	case "quota":
		optionalSigned(d, &v.Quota)
	case "burst":
		optionalUnsigned(d, &v.Burst)
	case "period":
		optionalUnsigned(d, &v.Period)
	case "realtimeRuntime":
		optionalSigned(d, &v.RealtimeRuntime)
	case "realtimePeriod":
		optionalUnsigned(d, &v.RealtimePeriod)
	case "cpus":
		d.string(&v.Cpus)
	case "mems":
		d.string(&v.Mems)
	case "idle":
		optionalSigned(d, &v.Idle)
	default:
		return false
	}
	return true
}

func (d *decoder) pids(v *specs.LinuxPids) { object(d, v, pidsField, "limit") }

func pidsField(d *decoder, v *specs.LinuxPids, name string) bool {
	if name != "limit" {
		return false
	}
	optionalSigned(d, &v.Limit)
	return true
}

func (d *decoder) blockIO(v *specs.LinuxBlockIO) {
	object(d, v, blockIOField, "weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice throttleReadIOPSDevice throttleWriteIOPSDevice")
}

func blockIOField(d *decoder, v *specs.LinuxBlockIO, name string) bool {
	switch name {
	case "weight":
		optionalUnsigned(d, &v.Weight)
	case "leafWeight":
		optionalUnsigned(d, &v.LeafWeight)
	case "weightDevice":
		list(d, &v.WeightDevice, (*decoder).weightDevice)
	case "throttleReadBpsDevice":
		list(d, &v.ThrottleReadBpsDevice, (*decoder).throttleDevice)
	case "throttleWriteBpsDevice":
		list(d, &v.ThrottleWriteBpsDevice, (*decoder).throttleDevice)
	case "throttleReadIOPSDevice":
		list(d, &v.ThrottleReadIOPSDevice, (*decoder).throttleDevice)
	case "throttleWriteIOPSDevice":
		list(d, &v.ThrottleWriteIOPSDevice, (*decoder).throttleDevice)
	default:
		return false
	}
	return true
}

func (d *decoder) weightDevice(v *specs.LinuxWeightDevice) {
	object(d, v, weightDeviceField, "major minor weight leafWeight")
}

func weightDeviceField(d *decoder, v *specs.LinuxWeightDevice, name string) bool {
	switch name {
	case "major":
		signed(d, &v.Major)
	case "minor":
		signed(d, &v.Minor)
	case "weight":
		optionalUnsigned(d, &v.Weight)
	case "leafWeight":
		optionalUnsigned(d, &v.LeafWeight)
	default:
		return false
	}
	return true
}

func (d *decoder) throttleDevice(v *specs.LinuxThrottleDevice) {
	object(d, v, throttleDeviceField, "major minor rate")
}

func throttleDeviceField(d *decoder, v *specs.LinuxThrottleDevice, name string) bool {
	switch name {
	case "major":
		signed(d, &v.Major)
	case "minor":
		signed(d, &v.Minor)
	case "rate":
		unsigned(d, &v.Rate)
	default:
		return false
	}
	return true
}

func (d *decoder) hugepageLimit(v *specs.LinuxHugepageLimit) {
	object(d, v, hugepageLimitField, "pageSize limit")
}

func hugepageLimitField(d *decoder, v *specs.LinuxHugepageLimit, name string) bool {
	switch name {
	case "pageSize":
		d.string(&v.Pagesize)
	case "limit":
		unsigned(d, &v.Limit)
	default:
		return false
	}
	return true
}

func (d *decoder) network(v *specs.LinuxNetwork) {
	object(d, v, networkField, "classID priorities")
}

func networkField(d *decoder, v *specs.LinuxNetwork, name string) bool {
	switch name {
	case "classID":
		optionalUnsigned(d, &v.ClassID)
	case "priorities":
		list(d, &v.Priorities, (*decoder).interfacePriority)
	default:
		return false
	}
	return true
}

func (d *decoder) interfacePriority(v *specs.LinuxInterfacePriority) {
	object(d, v, interfacePriorityField, "name priority")
}

func interfacePriorityField(d *decoder, v *specs.LinuxInterfacePriority, name string) bool {
	switch name {
	case "name":
		d.string(&v.Name)
	case "priority":
		unsigned(d, &v.Priority)
	default:
		return false
	}
	return true
}

func (d *decoder) rdma(v *specs.LinuxRdma) { object(d, v, rdmaField, "hcaHandles hcaObjects") }

func rdmaField(d *decoder, v *specs.LinuxRdma, name string) bool {
	switch name {
	case "hcaHandles":
		optionalUnsigned(d, &v.HcaHandles)
	case "hcaObjects":
		optionalUnsigned(d, &v.HcaObjects)
	default:
		return false
	}
	return true
}

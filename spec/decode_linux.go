package spec

import "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) linux(v *specs.Linux) {
	object(d, v, linuxField, "uidMappings gidMappings sysctl resources cgroupsPath namespaces devices netDevices seccomp rootfsPropagation maskedPaths readonlyPaths mountLabel intelRdt memoryPolicy personality timeOffsets")
}

func linuxField(d *decoder, v *specs.Linux, name string) bool {
	switch name {
	case "uidMappings":
		list(d, &v.UIDMappings, (*decoder).idMapping)
	case "gidMappings":
		list(d, &v.GIDMappings, (*decoder).idMapping)
	case "sysctl":
		stringMap(d, &v.Sysctl)
	case "resources":
		pointer(d, &v.Resources, (*decoder).resources)
	case "cgroupsPath":
		d.string(&v.CgroupsPath)
	case "namespaces":
		list(d, &v.Namespaces, (*decoder).namespace)
	case "devices":
		list(d, &v.Devices, (*decoder).device)
	case "netDevices":
		dictionary(d, &v.NetDevices, (*decoder).netDevice)
	case "seccomp":
		pointer(d, &v.Seccomp, (*decoder).seccomp)
	case "rootfsPropagation":
		d.string(&v.RootfsPropagation)
	case "maskedPaths":
		stringList(d, &v.MaskedPaths)
	case "readonlyPaths":
		stringList(d, &v.ReadonlyPaths)
	case "mountLabel":
		d.string(&v.MountLabel)
	case "intelRdt":
		pointer(d, &v.IntelRdt, (*decoder).intelRdt)
	case "memoryPolicy":
		pointer(d, &v.MemoryPolicy, (*decoder).memoryPolicy)
	case "personality":
		pointer(d, &v.Personality, (*decoder).personality)
	case "timeOffsets":
		dictionary(d, &v.TimeOffsets, (*decoder).timeOffset)
	default:
		return false
	}
	return true
}

func (d *decoder) namespace(v *specs.LinuxNamespace) { object(d, v, namespaceField, "type path") }

func namespaceField(d *decoder, v *specs.LinuxNamespace, name string) bool {
	switch name {
	case "type":
		d.string((*string)(&v.Type))
	case "path":
		d.string(&v.Path)
	default:
		return false
	}
	return true
}

func (d *decoder) device(v *specs.LinuxDevice) {
	object(d, v, deviceField, "path type major minor fileMode uid gid")
}

func deviceField(d *decoder, v *specs.LinuxDevice, name string) bool {
	switch name {
	case "path":
		d.string(&v.Path)
	case "type":
		d.string(&v.Type)
	case "major":
		signed(d, &v.Major)
	case "minor":
		signed(d, &v.Minor)
	case "fileMode":
		optionalUnsigned(d, &v.FileMode)
	case "uid":
		optionalUnsigned(d, &v.UID)
	case "gid":
		optionalUnsigned(d, &v.GID)
	default:
		return false
	}
	return true
}

func (d *decoder) netDevice(v *specs.LinuxNetDevice) { object(d, v, netDeviceField, "name") }

func netDeviceField(d *decoder, v *specs.LinuxNetDevice, name string) bool {
	if name != "name" {
		return false
	}
	d.string(&v.Name)
	return true
}

func (d *decoder) intelRdt(v *specs.LinuxIntelRdt) {
	object(d, v, intelRdtField, "closID schemata l3CacheSchema memBwSchema enableMonitoring")
}

func intelRdtField(d *decoder, v *specs.LinuxIntelRdt, name string) bool {
	switch name {
	case "closID":
		d.string(&v.ClosID)
	case "schemata":
		stringList(d, &v.Schemata)
	case "l3CacheSchema":
		d.string(&v.L3CacheSchema)
	case "memBwSchema":
		d.string(&v.MemBwSchema)
	case "enableMonitoring":
		d.bool(&v.EnableMonitoring)
	default:
		return false
	}
	return true
}

func (d *decoder) memoryPolicy(v *specs.LinuxMemoryPolicy) {
	object(d, v, memoryPolicyField, "mode nodes flags")
}

func memoryPolicyField(d *decoder, v *specs.LinuxMemoryPolicy, name string) bool {
	switch name {
	case "mode":
		d.string((*string)(&v.Mode))
	case "nodes":
		d.string(&v.Nodes)
	case "flags":
		list(d, &v.Flags, typedString[specs.MemoryPolicyFlagType])
	default:
		return false
	}
	return true
}

func (d *decoder) personality(v *specs.LinuxPersonality) {
	object(d, v, personalityField, "domain flags")
}

func personalityField(d *decoder, v *specs.LinuxPersonality, name string) bool {
	switch name {
	case "domain":
		d.string((*string)(&v.Domain))
	case "flags":
		list(d, &v.Flags, typedString[specs.LinuxPersonalityFlag])
	default:
		return false
	}
	return true
}

func (d *decoder) timeOffset(v *specs.LinuxTimeOffset) {
	object(d, v, timeOffsetField, "secs nanosecs")
}

func timeOffsetField(d *decoder, v *specs.LinuxTimeOffset, name string) bool {
	switch name {
	case "secs":
		signed(d, &v.Secs)
	case "nanosecs":
		unsigned(d, &v.Nanosecs)
	default:
		return false
	}
	return true
}

package spec

import "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) process(v *specs.Process) {
	object(d, v, processField, "terminal consoleSize user args commandLine env cwd capabilities rlimits noNewPrivileges apparmorProfile oomScoreAdj scheduler selinuxLabel ioPriority execCPUAffinity")
}

func processField(d *decoder, v *specs.Process, name string) bool {
	switch name {
	case "terminal":
		d.bool(&v.Terminal)
	case "consoleSize":
		pointer(d, &v.ConsoleSize, (*decoder).box)
	case "user":
		d.user(&v.User)
	case "args":
		stringList(d, &v.Args)
	case "commandLine":
		d.string(&v.CommandLine)
	case "env":
		stringList(d, &v.Env)
	case "cwd":
		d.string(&v.Cwd)
	case "capabilities":
		pointer(d, &v.Capabilities, (*decoder).capabilities)
	case "rlimits":
		list(d, &v.Rlimits, (*decoder).rlimit)
	case "noNewPrivileges":
		d.bool(&v.NoNewPrivileges)
	case "apparmorProfile":
		d.string(&v.ApparmorProfile)
	case "oomScoreAdj":
		optionalSigned(d, &v.OOMScoreAdj)
	case "scheduler":
		pointer(d, &v.Scheduler, (*decoder).scheduler)
	case "selinuxLabel":
		d.string(&v.SelinuxLabel)
	case "ioPriority":
		pointer(d, &v.IOPriority, (*decoder).ioPriority)
	case "execCPUAffinity":
		pointer(d, &v.ExecCPUAffinity, (*decoder).cpuAffinity)
	default:
		return false
	}
	return true
}

func (d *decoder) box(v *specs.Box) { object(d, v, boxField, "height width") }

func boxField(d *decoder, v *specs.Box, name string) bool {
	switch name {
	case "height":
		unsigned(d, &v.Height)
	case "width":
		unsigned(d, &v.Width)
	default:
		return false
	}
	return true
}

func (d *decoder) user(v *specs.User) {
	object(d, v, userField, "uid gid umask additionalGids username")
}

func userField(d *decoder, v *specs.User, name string) bool {
	switch name {
	case "uid":
		unsigned(d, &v.UID)
	case "gid":
		unsigned(d, &v.GID)
	case "umask":
		optionalUnsigned(d, &v.Umask)
	case "additionalGids":
		list(d, &v.AdditionalGids, unsigned[uint32])
	case "username":
		d.string(&v.Username)
	default:
		return false
	}
	return true
}

func (d *decoder) capabilities(v *specs.LinuxCapabilities) {
	object(d, v, capabilitiesField, "bounding effective inheritable permitted ambient")
}

func capabilitiesField(d *decoder, v *specs.LinuxCapabilities, name string) bool {
	switch name {
	case "bounding":
		stringList(d, &v.Bounding)
	case "effective":
		stringList(d, &v.Effective)
	case "inheritable":
		stringList(d, &v.Inheritable)
	case "permitted":
		stringList(d, &v.Permitted)
	case "ambient":
		stringList(d, &v.Ambient)
	default:
		return false
	}
	return true
}

func (d *decoder) rlimit(v *specs.POSIXRlimit) { object(d, v, rlimitField, "type hard soft") }

func rlimitField(d *decoder, v *specs.POSIXRlimit, name string) bool {
	switch name {
	case "type":
		d.string(&v.Type)
	case "hard":
		unsigned(d, &v.Hard)
	case "soft":
		unsigned(d, &v.Soft)
	default:
		return false
	}
	return true
}

func (d *decoder) scheduler(v *specs.Scheduler) {
	object(d, v, schedulerField, "policy nice priority flags runtime deadline period")
}

func schedulerField(d *decoder, v *specs.Scheduler, name string) bool {
	switch name {
	case "policy":
		d.string((*string)(&v.Policy))
	case "nice":
		signed(d, &v.Nice)
	case "priority":
		signed(d, &v.Priority)
	case "flags":
		list(d, &v.Flags, typedString[specs.LinuxSchedulerFlag])
	case "runtime":
		unsigned(d, &v.Runtime)
	case "deadline":
		unsigned(d, &v.Deadline)
	case "period":
		unsigned(d, &v.Period)
	default:
		return false
	}
	return true
}

// typedString decodes a string of a type of its own.
func typedString[T ~string](d *decoder, v *T) {
	s := string(*v)
	d.string(&s)
	*v = T(s)
}

func (d *decoder) ioPriority(v *specs.LinuxIOPriority) {
	object(d, v, ioPriorityField, "class priority")
}

func ioPriorityField(d *decoder, v *specs.LinuxIOPriority, name string) bool {
	switch name {
	case "class":
		d.string((*string)(&v.Class))
	case "priority":
		signed(d, &v.Priority)
	default:
		return false
	}
	return true
}

func (d *decoder) cpuAffinity(v *specs.CPUAffinity) {
	object(d, v, cpuAffinityField, "initial final")
}

func cpuAffinityField(d *decoder, v *specs.CPUAffinity, name string) bool {
	switch name {
	case "initial":
		d.string(&v.Initial)
	case "final":
		d.string(&v.Final)
	default:
		return false
	}
	return true
}

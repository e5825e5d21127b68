package spec

import "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) seccomp(v *specs.LinuxSeccomp) {
	object(d, v, seccompField, "defaultAction defaultErrnoRet architectures flags listenerPath listenerMetadata syscalls")
}

func seccompField(d *decoder, v *specs.LinuxSeccomp, name string) bool {
	switch name {
	case "defaultAction":
		d.string((*string)(&v.DefaultAction))
	case "defaultErrnoRet":
		optionalUnsigned(d, &v.DefaultErrnoRet)
	case "architectures":
		list(d, &v.Architectures, typedString[specs.Arch])
	case "flags":
		list(d, &v.Flags, typedString[specs.LinuxSeccompFlag])
	case "listenerPath":
		d.string(&v.ListenerPath)
	case "listenerMetadata":
		d.string(&v.ListenerMetadata)
	case "syscalls":
		list(d, &v.Syscalls, (*decoder).syscall)
	default:
		return false
	}
	return true
}

func (d *decoder) syscall(v *specs.LinuxSyscall) {
	object(d, v, syscallField, "names action errnoRet args")
}

func syscallField(d *decoder, v *specs.LinuxSyscall, name string) bool {
	switch name {
	case "names":
		stringList(d, &v.Names)
	case "action":
		d.string((*string)(&v.Action))
	case "errnoRet":
		optionalUnsigned(d, &v.ErrnoRet)
	case "args":
		list(d, &v.Args, (*decoder).seccompArg)
	default:
		return false
	}
	return true
}

func (d *decoder) seccompArg(v *specs.LinuxSeccompArg) {
	object(d, v, seccompArgField, "index value valueTwo op")
}

func seccompArgField(d *decoder, v *specs.LinuxSeccompArg, name string) bool {
	switch name {
	case "index":
		unsigned(d, &v.Index)
	case "value":
		unsigned(d, &v.Value)
	case "valueTwo":
		unsigned(d, &v.ValueTwo)
	case "op":
		d.string((*string)(&v.Op))
	default:
		return false
	}
	return true
}

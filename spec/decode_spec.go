package spec

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (d *decoder) spec(v *specs.Spec) {
	object(d, v, specField, "ociVersion process root hostname domainname mounts hooks annotations linux solaris windows vm zos freebsd")
}

func specField(d *decoder, v *specs.Spec, name string) bool {
	switch name {
	case "ociVersion":
		d.string(&v.Version)
	case "process":
		pointer(d, &v.Process, (*decoder).process)
	case "root":
		pointer(d, &v.Root, (*decoder).root)
	case "hostname":
		d.string(&v.Hostname)
	case "domainname":
		d.string(&v.Domainname)
	case "mounts":
		list(d, &v.Mounts, (*decoder).mount)
	case "hooks":
		pointer(d, &v.Hooks, (*decoder).hooks)
	case "annotations":
		stringMap(d, &v.Annotations)
	case "linux":
		pointer(d, &v.Linux, (*decoder).linux)
	case "solaris":
		foreign(d, &v.Solaris)
	case "windows":
		foreign(d, &v.Windows)
	case "vm":
		foreign(d, &v.VM)
	case "zos":
		foreign(d, &v.ZOS)
	case "freebsd":
		foreign(d, &v.FreeBSD)
	default:
		return false
	}
	return true
}

// foreign decodes what belongs to another platform. It is only ever shown in
// an error that refuses it, so reflection is quick enough.
func foreign[T any](d *decoder, p **T) {
	start := d.pos
	d.skip()
	if d.err != nil {
		return
	}
	if err := json.Unmarshal([]byte(d.src[start:d.pos]), p); err != nil {
		d.fail(start, err.Error())
	}
}

func (d *decoder) root(v *specs.Root) { object(d, v, rootField, "path readonly") }

func rootField(d *decoder, v *specs.Root, name string) bool {
	switch name {
	case "path":
		d.string(&v.Path)
	case "readonly":
		d.bool(&v.Readonly)
	default:
		return false
	}
	return true
}

func (d *decoder) mount(v *specs.Mount) {
	object(d, v, mountField, "destination type source options uidMappings gidMappings")
}

func mountField(d *decoder, v *specs.Mount, name string) bool {
	switch name {
	case "destination":
		d.string(&v.Destination)
	case "type":
		d.string(&v.Type)
	case "source":
		d.string(&v.Source)
	case "options":
		stringList(d, &v.Options)
	case "uidMappings":
		list(d, &v.UIDMappings, (*decoder).idMapping)
	case "gidMappings":
		list(d, &v.GIDMappings, (*decoder).idMapping)
	default:
		return false
	}
	return true
}

func (d *decoder) idMapping(v *specs.LinuxIDMapping) {
	object(d, v, idMappingField, "containerID hostID size")
}

func idMappingField(d *decoder, v *specs.LinuxIDMapping, name string) bool {
	switch name {
	case "containerID":
		unsigned(d, &v.ContainerID)
	case "hostID":
		unsigned(d, &v.HostID)
	case "size":
		unsigned(d, &v.Size)
	default:
		return false
	}
	return true
}

func (d *decoder) hooks(v *specs.Hooks) {
	object(d, v, hooksField, "prestart createRuntime createContainer startContainer poststart poststop")
}

func hooksField(d *decoder, v *specs.Hooks, name string) bool {
	switch name {
	case "prestart":
		list(d, &v.Prestart, (*decoder).hook) //nolint:staticcheck // deprecated, and still what engines write
	case "createRuntime":
		list(d, &v.CreateRuntime, (*decoder).hook)
	case "createContainer":
		list(d, &v.CreateContainer, (*decoder).hook)
	case "startContainer":
		list(d, &v.StartContainer, (*decoder).hook)
	case "poststart":
		list(d, &v.Poststart, (*decoder).hook)
	case "poststop":
		list(d, &v.Poststop, (*decoder).hook)
	default:
		return false
	}
	return true
}

func (d *decoder) hook(v *specs.Hook) { object(d, v, hookField, "path args env timeout") }

func hookField(d *decoder, v *specs.Hook, name string) bool {
	switch name {
	case "path":
		d.string(&v.Path)
	case "args":
		stringList(d, &v.Args)
	case "env":
		stringList(d, &v.Env)
	case "timeout":
		optionalSigned(d, &v.Timeout)
	default:
		return false
	}
	return true
}

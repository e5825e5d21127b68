package libcontainer

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"berth/libcontainer/compile"
	"berth/seccomp"
	"berth/spec"
)

// oldestSpec is the oldest version of the runtime-spec whose configurations are
// taken. Every 1.x is; see package spec.
const oldestSpec = "1.0.0"

// Features describes berth as the runtime-spec's features.md wants it: what this
// version carries out, whatever the host can do. Only seccomp's supportedFlags are
// the running kernel's.
func Features(version, commit string) *features.Features {
	annotations := map[string]string{
		"berth.version":            version,
		"berth.commit":             commit,
		"berth.checkpoint.enabled": "false",
	}
	if v := seccomp.LibraryVersion(); v != "" {
		annotations["io.github.seccomp.libseccomp.version"] = v
	}
	return &features.Features{
		OCIVersionMin: oldestSpec,
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  compile.MountOptions(),
		Linux:         linuxFeatures(),
		Annotations:   annotations,
		PotentiallyUnsafeConfigAnnotations: []string{
			"org.systemd.property.", "run.oci.hooks.stderr", "run.oci.hooks.stdout", "run.oci.seccomp.receiver", "run.oci.systemd.subgroup",
		},
	}
}

func linuxFeatures() *features.Linux {
	yes, no, idmap := true, false, compile.IDMapMounts
	return &features.Linux{
		Namespaces:   compile.Namespaces(),
		Capabilities: spec.Capabilities(),
		Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
		Seccomp:      seccomp.Features(),
		MemoryPolicy: &features.MemoryPolicy{Modes: compile.MemoryPolicyModes(), Flags: compile.MemoryPolicyFlags()},
		// What follows is checked in config.json and not carried out yet.
		Apparmor:        &features.Apparmor{Enabled: &no},
		Selinux:         &features.Selinux{Enabled: &no},
		IntelRdt:        &features.IntelRdt{Enabled: &no, Schemata: &no, Monitoring: &no},
		MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &idmap}},
		NetDevices:      &features.NetDevices{Enabled: &no},
	}
}

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
		"berth.checkpoint.enabled": "true",
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
			"org.criu.config", "org.systemd.property.", "run.oci.hooks.stderr", "run.oci.hooks.stdout", "run.oci.keep_original_groups", "run.oci.mount_context_type", "run.oci.seccomp.receiver", "run.oci.systemd.subgroup",
		},
	}
}

func linuxFeatures() *features.Linux {
	yes := true
	idmap, appArmor, seLinux := compile.IDMapMounts, compile.AppArmor, compile.SELinux
	rdt, netDevices := compile.IntelRdt, compile.NetDevices
	return &features.Linux{
		Namespaces:      compile.Namespaces(),
		Capabilities:    spec.Capabilities(),
		Cgroup:          &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
		Seccomp:         seccomp.Features(),
		MemoryPolicy:    &features.MemoryPolicy{Modes: compile.MemoryPolicyModes(), Flags: compile.MemoryPolicyFlags()},
		Apparmor:        &features.Apparmor{Enabled: &appArmor},
		Selinux:         &features.Selinux{Enabled: &seLinux},
		MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &idmap}},
		IntelRdt:        &features.IntelRdt{Enabled: &rdt, Schemata: &rdt, Monitoring: &rdt},
		NetDevices:      &features.NetDevices{Enabled: &netDevices},
	}
}

package compile

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// What is carried out of config.json, for features; the tests hold these to what
// Compile does.
const (
	// IDMapMounts is for the mappings of mounts.
	IDMapMounts = true
	// AppArmor is for process.apparmorProfile.
	AppArmor = true
	// SELinux is for process.selinuxLabel and linux.mountLabel.
	SELinux = true
	// IntelRdt is for linux.intelRdt.
	IntelRdt = true
	// NetDevices is for linux.netDevices.
	NetDevices = true
)

// MountOptions lists the option words that parseOptions knows, in order: those
// of config.md's table, and what users of runc and crun have beside. Words of
// file systems are not among them. idmap and ridmap are where IDMapMounts is.
func MountOptions() []string {
	words := []string{
		"acl", "async", "atime", "bind", "copy-symlink", "defaults", "dest-nofollow", "dev", "diratime", "dirsync", "exec",
	}
	if IDMapMounts {
		words = append(words, "idmap")
	}
	words = append(words,
		"iversion", "lazytime", "loud", "mand", "noacl", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
		"nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private",
		"ratime", "rbind", "rdev", "rdiratime", "relatime", "remount", "rexec")
	if IDMapMounts {
		words = append(words, "ridmap")
	}
	return append(words,
		"rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow",
		"ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow",
		"runbindable", "rw", "shared", "silent", "slave", "src-nofollow", "strictatime", "suid", "symfollow", "sync",
		"tmpcopyup", "unbindable")
}

// Namespaces lists the types of namespaces that a container can have, in order.
func Namespaces() []string {
	return []string{
		string(specs.CgroupNamespace), string(specs.IPCNamespace), string(specs.MountNamespace), string(specs.NetworkNamespace),
		string(specs.PIDNamespace), string(specs.TimeNamespace), string(specs.UserNamespace), string(specs.UTSNamespace),
	}
}

// MemoryPolicyModes lists the modes of linux.memoryPolicy, in order.
func MemoryPolicyModes() []string {
	return []string{
		string(specs.MpolBind), string(specs.MpolDefault), string(specs.MpolInterleave), string(specs.MpolLocal),
		string(specs.MpolPreferred), string(specs.MpolPreferredMany), string(specs.MpolWeightedInterleave),
	}
}

// MemoryPolicyFlags lists the flags of linux.memoryPolicy, in order.
func MemoryPolicyFlags() []string {
	return []string{string(specs.MpolFNumaBalancing), string(specs.MpolFRelativeNodes), string(specs.MpolFStaticNodes)}
}

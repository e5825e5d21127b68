package spec

// Capability gives the number of a capability as capabilities(7) and the
// kernel's uapi/linux/capability.h know it, up to CAP_CHECKPOINT_RESTORE of
// Linux 5.9. Names are spelt as in config.json: CAP_ in front, capitals; any
// other spelling is unknown, as it is to every other runtime, so that no
// config grants more here than elsewhere.
func Capability(name string) (number int, known bool) {
	switch name {
	case "CAP_CHOWN":
		return 0, true
	case "CAP_DAC_OVERRIDE":
		return 1, true
	case "CAP_DAC_READ_SEARCH":
		return 2, true
	case "CAP_FOWNER":
		return 3, true
	case "CAP_FSETID":
		return 4, true
	case "CAP_KILL":
		return 5, true
	case "CAP_SETGID":
		return 6, true
	case "CAP_SETUID":
		return 7, true
	case "CAP_SETPCAP":
		return 8, true
	case "CAP_LINUX_IMMUTABLE":
		return 9, true
	case "CAP_NET_BIND_SERVICE":
		return 10, true
	case "CAP_NET_BROADCAST":
		return 11, true
	case "CAP_NET_ADMIN":
		return 12, true
	case "CAP_NET_RAW":
		return 13, true
	case "CAP_IPC_LOCK":
		return 14, true
	case "CAP_IPC_OWNER":
		return 15, true
	case "CAP_SYS_MODULE":
		return 16, true
	case "CAP_SYS_RAWIO":
		return 17, true
	case "CAP_SYS_CHROOT":
		return 18, true
	case "CAP_SYS_PTRACE":
		return 19, true
	case "CAP_SYS_PACCT":
		return 20, true
	case "CAP_SYS_ADMIN":
		return 21, true
	case "CAP_SYS_BOOT":
		return 22, true
	case "CAP_SYS_NICE":
		return 23, true
	case "CAP_SYS_RESOURCE":
		return 24, true
	case "CAP_SYS_TIME":
		return 25, true
	case "CAP_SYS_TTY_CONFIG":
		return 26, true
	case "CAP_MKNOD":
		return 27, true
	case "CAP_LEASE":
		return 28, true
	case "CAP_AUDIT_WRITE":
		return 29, true
	case "CAP_AUDIT_CONTROL":
		return 30, true
	case "CAP_SETFCAP":
		return 31, true
	}
	return newerCapability(name)
}

// newerCapability knows those of the kernel's second word, from 32 on.
func newerCapability(name string) (number int, known bool) {
	switch name {
	case "CAP_MAC_OVERRIDE":
		return 32, true
	case "CAP_MAC_ADMIN":
		return 33, true
	case "CAP_SYSLOG":
		return 34, true
	case "CAP_WAKE_ALARM":
		return 35, true
	case "CAP_BLOCK_SUSPEND":
		return 36, true
	case "CAP_AUDIT_READ":
		return 37, true
	case "CAP_PERFMON":
		return 38, true
	case "CAP_BPF":
		return 39, true
	case "CAP_CHECKPOINT_RESTORE":
		return 40, true
	}
	return 0, false
}

// Capabilities lists the names that [Capability] knows, by their numbers.
func Capabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
		"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE",
		"CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
		"CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
		"CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
		"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
		"CAP_CHECKPOINT_RESTORE",
	}
}

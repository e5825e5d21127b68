package spec

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// SysctlPath turns a key of linux.sysctl into its path below /proc/sys, as
// sysctl(8) does: net.ipv4.ip_forward and net/ipv4/ip_forward are one. Which
// of . and / comes first parts the names, and the other is then a plain
// character, written as the former, so that net.ipv4.conf.eth0/100.forwarding
// reaches an interface called eth0.100. It reports false on what is not the
// path of a file there.
func SysctlPath(key string) (path string, ok bool) {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "" || name == "." || name == ".." {
			return "", false
		}
	}
	return key, strings.IndexByte(key, 0) < 0
}

// sysctls checks that each sysctl belongs to a namespace that the container
// does not share with the host; any other would be the host's own.
func (c *checker) sysctls(sysctls map[string]string) {
	if len(sysctls) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(sysctls)) {
		if strings.IndexByte(sysctls[key], 0) >= 0 {
			c.text(field("sysctl", key), sysctls[key])
		}
		path, ok := SysctlPath(key)
		if !ok {
			c.problem(field("sysctl", key), "is no sysctl", "write it as in net.ipv4.ip_forward")
			continue
		}
		if path == "kernel/hostname" {
			c.problem(field("sysctl", key), "is what the hostname field is for", "set hostname instead")
			continue
		}
		switch ns := sysctlNamespace(path); {
		case ns == "":
			c.problem(field("sysctl", key), "is not of a namespace: it would be set for the whole host", "remove it, or set it on the host")
		case !c.has(ns):
			c.problem(field("sysctl", key), "would be set for the host", needs(ns))
		}
	}
}

// sysctlNamespace gives the type of namespace that a sysctl belongs to, and ""
// for those of the whole machine (namespaces(7), ipc_namespaces(7); the kernel
// keeps its table of the ipc ones in ipc/ipc_sysctl.c).
func sysctlNamespace(path string) specs.LinuxNamespaceType {
	switch path {
	case "kernel/domainname":
		return specs.UTSNamespace
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/auto_msgmni", "kernel/sem",
		"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
		"kernel/msg_next_id", "kernel/sem_next_id", "kernel/shm_next_id":
		return specs.IPCNamespace
	}
	switch {
	case strings.HasPrefix(path, "net/"):
		return specs.NetworkNamespace
	case strings.HasPrefix(path, "fs/mqueue/"):
		return specs.IPCNamespace
	case strings.HasPrefix(path, "user/max_"):
		return specs.UserNamespace
	}
	return ""
}

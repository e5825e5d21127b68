package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/sys/unix"
)

// Features describes seccomp for the features command (runtime-spec
// features-linux.md#seccomp): the words that Compile knows, and of the flags
// those that the running kernel takes, which it is asked.
func Features() *features.Seccomp {
	on := enabled
	f := &features.Seccomp{Enabled: &on}
	if !on {
		return f
	}
	f.Actions = actionNames()
	f.Operators = operatorNames()
	f.Archs = archNames()
	f.KnownFlags = flagNames()
	for _, name := range f.KnownFlags {
		if flag, ok := flagOf(name); ok && flagSupported(flag) {
			f.SupportedFlags = append(f.SupportedFlags, name)
		}
	}
	return f
}

// flagSupported asks the kernel about a flag in the way seccomp(2) describes:
// with no program, a known flag fails with EFAULT and an unknown one with
// EINVAL. Nothing is installed.
func flagSupported(flag uint32) bool {
	if flag == unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV {
		flag |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER // refused without it
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flag), 0)
	return errno == unix.EFAULT
}

package seccomp

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// maxErrno is the kernel's MAX_ERRNO (linux/err.h); seccomp(2) would silently cut
// a larger one. (libseccomp takes one less.)
const maxErrno = 4095

// actionNames, operatorNames, archNames and flagNames are functions and not
// variables so that nothing is built when the program starts.

// actionNames lists the actions of runtime-spec 1.3.0, config-linux.md#seccomp.
func actionNames() []string {
	return []string{
		"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
		"SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
	}
}

// actionReturn gives the filter's return value (SECCOMP_RET_*, linux/seccomp.h)
// of an action, its low 16 bits clear. SCMP_ACT_KILL is the thread's, as in
// seccomp_rule_add(3).
func actionReturn(name string) (uint32, bool) {
	switch name {
	case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD":
		return unix.SECCOMP_RET_KILL_THREAD, true
	case "SCMP_ACT_KILL_PROCESS":
		return unix.SECCOMP_RET_KILL_PROCESS, true
	case "SCMP_ACT_TRAP":
		return unix.SECCOMP_RET_TRAP, true
	case "SCMP_ACT_ERRNO":
		return unix.SECCOMP_RET_ERRNO, true
	case "SCMP_ACT_NOTIFY":
		return unix.SECCOMP_RET_USER_NOTIF, true
	case "SCMP_ACT_TRACE":
		return unix.SECCOMP_RET_TRACE, true
	case "SCMP_ACT_LOG":
		return unix.SECCOMP_RET_LOG, true
	case "SCMP_ACT_ALLOW":
		return unix.SECCOMP_RET_ALLOW, true
	}
	return 0, false
}

// deniesByDefault says whether a default action refuses the call by itself, so
// that a call newer than the profile should get ENOSYS instead. TRACE and NOTIFY
// leave the decision to another process, which wants to see every number.
func deniesByDefault(ret uint32) bool {
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_KILL_THREAD, unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_TRAP, unix.SECCOMP_RET_ERRNO:
		return true
	}
	return false
}

// operator compares one argument of a system call with a rule's value. The
// numbers are those of libseccomp's enum scmp_compare.
type operator uint8

const (
	opNotEqual operator = iota + 1
	opLess
	opLessEqual
	opEqual
	opGreaterEqual
	opGreater
	opMaskedEqual // value is the mask, valueTwo what remains: seccomp_rule_add(3)
)

func operatorNames() []string {
	return []string{
		"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE",
		"SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
	}
}

func operatorOf(name string) (operator, bool) {
	switch name {
	case "SCMP_CMP_NE":
		return opNotEqual, true
	case "SCMP_CMP_LT":
		return opLess, true
	case "SCMP_CMP_LE":
		return opLessEqual, true
	case "SCMP_CMP_EQ":
		return opEqual, true
	case "SCMP_CMP_GE":
		return opGreaterEqual, true
	case "SCMP_CMP_GT":
		return opGreater, true
	case "SCMP_CMP_MASKED_EQ":
		return opMaskedEqual, true
	}
	return 0, false
}

// flagNames lists the flags of runtime-spec 1.3.0.
func flagNames() []string {
	return []string{
		"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
		"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	}
}

func flagOf(name string) (uint32, bool) {
	switch name {
	case "SECCOMP_FILTER_FLAG_TSYNC":
		return unix.SECCOMP_FILTER_FLAG_TSYNC, true
	case "SECCOMP_FILTER_FLAG_LOG":
		return unix.SECCOMP_FILTER_FLAG_LOG, true
	case "SECCOMP_FILTER_FLAG_SPEC_ALLOW":
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, true
	case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
		return unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, true
	}
	return 0, false
}

// arch is an architecture of runtime-spec by its own name, "SCMP_ARCH_X86_64".
type arch string

const (
	archX86_64 arch = "SCMP_ARCH_X86_64"
	archX32    arch = "SCMP_ARCH_X32"
	archX86    arch = "SCMP_ARCH_X86"
	archS390   arch = "SCMP_ARCH_S390"
	archS390X  arch = "SCMP_ARCH_S390X"
)

// x32Bit is __X32_SYSCALL_BIT (asm/unistd.h): set in the number of every x32
// call, which otherwise looks like an x86_64 one to a filter.
const x32Bit = 0x40000000

func archNames() []string {
	return []string{
		"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",
		"SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
		"SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
		"SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE",
		"SCMP_ARCH_RISCV64", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
		"SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64",
	}
}

// token gives the value of seccomp_data.arch (AUDIT_ARCH_*, linux/audit.h) of
// the architectures that Go runs on. x32 has the one of x86_64.
func (a arch) token() (uint32, bool) {
	switch a {
	case archX86_64, archX32:
		return unix.AUDIT_ARCH_X86_64, true
	case archX86:
		return unix.AUDIT_ARCH_I386, true
	case "SCMP_ARCH_AARCH64":
		return unix.AUDIT_ARCH_AARCH64, true
	case "SCMP_ARCH_ARM":
		return unix.AUDIT_ARCH_ARM, true
	case "SCMP_ARCH_LOONGARCH64":
		return unix.AUDIT_ARCH_LOONGARCH64, true
	case "SCMP_ARCH_MIPS":
		return unix.AUDIT_ARCH_MIPS, true
	case "SCMP_ARCH_MIPS64":
		return unix.AUDIT_ARCH_MIPS64, true
	case "SCMP_ARCH_MIPS64N32":
		return unix.AUDIT_ARCH_MIPS64N32, true
	case "SCMP_ARCH_MIPSEL":
		return unix.AUDIT_ARCH_MIPSEL, true
	case "SCMP_ARCH_MIPSEL64":
		return unix.AUDIT_ARCH_MIPSEL64, true
	case "SCMP_ARCH_MIPSEL64N32":
		return unix.AUDIT_ARCH_MIPSEL64N32, true
	case "SCMP_ARCH_PPC":
		return unix.AUDIT_ARCH_PPC, true
	case "SCMP_ARCH_PPC64":
		return unix.AUDIT_ARCH_PPC64, true
	case "SCMP_ARCH_PPC64LE":
		return unix.AUDIT_ARCH_PPC64LE, true
	case "SCMP_ARCH_RISCV64":
		return unix.AUDIT_ARCH_RISCV64, true
	case archS390:
		return unix.AUDIT_ARCH_S390, true
	case archS390X:
		return unix.AUDIT_ARCH_S390X, true
	}
	return 0, false
}

// machine is what the kernel can run: its own architecture first, then the ones
// it runs beside it. Any other one cannot occur, and gets no code.
type machine []arch

// thisMachine lists the architectures of a kernel that can run this program.
func thisMachine() machine { return machineOf(runtime.GOARCH) }

func machineOf(goarch string) machine {
	switch goarch {
	case "amd64":
		return machine{archX86_64, archX86, archX32}
	case "386":
		return machine{archX86, archX86_64, archX32}
	case "arm64":
		return machine{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}
	case "arm":
		return machine{"SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"}
	case "loong64":
		return machine{"SCMP_ARCH_LOONGARCH64"}
	case "mips":
		return machine{"SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32"}
	case "mips64":
		return machine{"SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"}
	case "mipsle":
		return machine{"SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32"}
	case "mips64le":
		return machine{"SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"}
	case "ppc64":
		return machine{"SCMP_ARCH_PPC64", "SCMP_ARCH_PPC"}
	case "ppc64le":
		return machine{"SCMP_ARCH_PPC64LE"}
	case "riscv64":
		return machine{"SCMP_ARCH_RISCV64"}
	case "s390x":
		return machine{archS390X, archS390}
	}
	return nil
}

func (m machine) has(a arch) bool {
	for _, b := range m {
		if a == b {
			return true
		}
	}
	return false
}

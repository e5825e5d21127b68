package spec

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// receiverAnnotation names the agent's socket for configs that have no
// listenerPath; it is crun's.
const receiverAnnotation = "run.oci.seccomp.receiver"

// seccomp checks the profile (config-linux.md, Seccomp). Whether libseccomp
// knows a syscall or an architecture is libseccomp's to say.
func (c *checker) seccomp(s *specs.LinuxSeccomp) {
	if s.DefaultAction == "" && len(s.Architectures) == 0 && len(s.Syscalls) == 0 {
		// runc reads an empty object as none at all.
		c.warn("", "is empty: no filter is set")
		return
	}
	c.seccompAction("defaultAction", s.DefaultAction)
	if cause, fix := errnoRet(s.DefaultErrnoRet, s.DefaultAction); cause != "" {
		c.problem("defaultErrnoRet", cause, fix)
	}
	for i, arch := range s.Architectures {
		if !seccompArch(arch) {
			c.problem(item("architectures", i), quote(string(arch))+" is no architecture of seccomp", "use one of the runtime-spec's list, such as SCMP_ARCH_X86_64")
		}
	}
	for i, flag := range s.Flags {
		switch flag {
		case "SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv:
		default:
			c.problem(item("flags", i), quote(string(flag))+" is no flag of a seccomp filter",
				"use "+wordList("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"))
		}
	}
	notify := s.DefaultAction == specs.ActNotify
	for i := range s.Syscalls {
		c.seccompRule(&s.Syscalls[i], i)
		notify = notify || s.Syscalls[i].Action == specs.ActNotify
	}
	c.seccompListener(s, notify)
}

// seccompListener checks where the notify descriptor goes. Without a rule that
// notifies, listenerPath is to be ignored.
func (c *checker) seccompListener(s *specs.LinuxSeccomp, notify bool) {
	path := s.ListenerPath
	if path == "" {
		path = c.spec.Annotations[receiverAnnotation]
	}
	switch {
	case notify && path == "":
		c.problem("listenerPath", "is missing, and a rule asks an agent with SCMP_ACT_NOTIFY", "name the agent's socket")
	case notify && path[0] != '/':
		c.problem("listenerPath", quote(path)+" is relative", "make it absolute")
	}
	c.text("listenerPath", path)
	if s.ListenerMetadata != "" && s.ListenerPath == "" {
		c.warn("listenerMetadata", "ignored, since there is no listenerPath")
	}
}

func (c *checker) seccompRule(r *specs.LinuxSyscall, i int) {
	if len(r.Names) == 0 {
		c.warn(item("syscalls", i)+".names", "is empty: the rule has no effect")
	}
	for j, name := range r.Names {
		if name == "" || strings.IndexByte(name, 0) >= 0 {
			c.problem(item(item("syscalls", i)+".names", j), quote(name)+" is no name of a syscall", "correct or remove it")
		}
	}
	if !knownAction(r.Action) {
		c.seccompAction(item("syscalls", i)+".action", r.Action)
	}
	if cause, fix := errnoRet(r.ErrnoRet, r.Action); cause != "" {
		c.problem(item("syscalls", i)+".errnoRet", cause, fix)
	}
	for j := range r.Args {
		a := &r.Args[j]
		if a.Index > 5 {
			c.problem(item(item("syscalls", i)+".args", j)+".index", strconv.FormatUint(uint64(a.Index), 10)+" is out of range: a syscall has six arguments", "use 0 to 5")
		}
		switch a.Op {
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		default:
			c.problem(item(item("syscalls", i)+".args", j)+".op", quote(string(a.Op))+" is no comparison",
				"use "+wordList("SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"))
		}
	}
}

func (c *checker) seccompAction(field string, a specs.LinuxSeccompAction) {
	if !knownAction(a) {
		c.problem(field, quote(string(a))+" is no action of seccomp",
			"use "+wordList("SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"))
	}
}

func knownAction(a specs.LinuxSeccompAction) bool {
	switch a {
	case specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno, specs.ActTrace, specs.ActAllow, specs.ActLog, specs.ActNotify:
		return true
	}
	return false
}

// errnoRet checks an errno against its action and gives what is wrong, if
// anything: seccomp(2) returns up to 4095 and hands a tracer 16 bits; with any
// other action the runtime-spec wants an error.
func errnoRet(errno *uint, a specs.LinuxSeccompAction) (cause, fix string) {
	switch {
	case errno == nil:
	case a == specs.ActErrno && *errno > 4095:
		return strconv.FormatUint(uint64(*errno), 10) + " is no errno", "use 0 to 4095"
	case a == specs.ActTrace && *errno > 65535:
		return strconv.FormatUint(uint64(*errno), 10) + " does not fit into what a tracer is told", "use 0 to 65535"
	case a != specs.ActErrno && a != specs.ActTrace && knownAction(a):
		return string(a) + " returns no errno", "remove it, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE"
	}
	return "", ""
}

// seccompArch reports whether the runtime-spec lists an architecture.
func seccompArch(a specs.Arch) bool {
	switch a {
	case specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64,
		specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
		specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64,
		specs.ArchRISCV64, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB:
		return true
	}
	return false
}

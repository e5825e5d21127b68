package integration

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// allowBut is a profile that allows all system calls but those of the rules.
func allowBut(rules ...specs.LinuxSyscall) option {
	return withSeccomp(&specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls:      rules,
	})
}

func withSeccomp(profile *specs.LinuxSeccomp) option {
	return withLinux(func(l *specs.Linux) { l.Seccomp = profile })
}

// The process runs in filter mode when there is a profile, and else in none, with noNewPrivileges and without.
func TestSeccompMode(t *testing.T) {
	t.Parallel()
	status := withArgs("cat", "/proc/self/status")
	for _, noNewPrivileges := range []bool{true, false} {
		nnp := withProcess(func(p *specs.Process) { p.NoNewPrivileges = noNewPrivileges })
		with := newContainer(t, status, nnp, allowBut(specs.LinuxSyscall{Names: []string{"reboot"}, Action: specs.ActErrno}))
		want(t, "Seccomp with a profile", statusField(t, with.run().ok(t).stdout, "Seccomp"), "2")
		without := newContainer(t, status, nnp)
		want(t, "Seccomp without", statusField(t, without.run().ok(t).stdout, "Seccomp"), "0")
	}
}

// Each action does to a system call what it says.
func TestSeccompActions(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]struct {
		action specs.LinuxSeccompAction
		errno  *uint
		prints string
	}{
		"errno":               {specs.ActErrno, nil, "chmod: /home: Operation not permitted"},
		"errno with errnoRet": {specs.ActErrno, ptr(uint(38)), "chmod: /home: Function not implemented"},
		"errno of 0":          {specs.ActErrno, ptr(uint(0)), "code 0"},
		// 128 + SIGSYS, which is 31: the program that made the call is killed, and the shell goes on.
		"kill":         {specs.ActKill, nil, "code 159"},
		"kill thread":  {specs.ActKillThread, nil, "code 159"},
		"kill process": {specs.ActKillProcess, nil, "code 159"},
		"trap":         {specs.ActTrap, nil, "code 159"},
		// Without a tracer the call fails with ENOSYS.
		"trace":               {specs.ActTrace, nil, "chmod: /home: Function not implemented"},
		"trace with errnoRet": {specs.ActTrace, ptr(uint(1)), "chmod: /home: Function not implemented"},
		"log":                 {specs.ActLog, nil, "code 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withScript("chmod 700 /home 2>&1; echo code $?"),
				allowBut(specs.LinuxSyscall{Names: []string{"chmod", "fchmodat", "fchmodat2"}, Action: action.action, ErrnoRet: action.errno}))
			wantContains(t, "output", c.run().ok(t).stdout, action.prints)
		})
	}
}

// A default action of errno, with and without a number, is for all system calls that no rule allows.
func TestSeccompDefaultAction(t *testing.T) {
	t.Parallel()
	for _, errno := range []*uint{nil, ptr(uint(38))} {
		text := "Operation not permitted"
		if errno != nil {
			text = "Function not implemented"
		}
		profile := seccompOfWorkload(t, "docker-run.json")
		profile.DefaultErrnoRet = errno
		// swapoff(2) is not in the engine's list.
		c := newContainer(t, withScript("echo before; swapoff /no/such 2>&1; echo after"), withSeccomp(profile))
		wantContains(t, "output", c.run().ok(t).stdout, "before\n", text, "after\n")
	}
}

// A profile that is older than faccessat2(2), and one that forbids to ask at all, keep no program from being found,
// and one that may not be executed is still told apart where the profile lets.
func TestSeccompForbidsToAskForAccess(t *testing.T) {
	t.Parallel()
	nnp := withProcess(func(p *specs.Process) { p.NoNewPrivileges = false })
	profiles := [][]string{{"faccessat2"}}
	if isBerth() { // runc 1.1 insists on an answer
		profiles = append(profiles, []string{"faccessat2", "faccessat", "access"})
	}
	for _, forbidden := range profiles {
		rule := allowBut(specs.LinuxSyscall{Names: forbidden, Action: specs.ActErrno})
		c := newContainer(t, withArgs("echo", "found"), nnp, rule)
		want(t, "output", c.run().ok(t).stdout, "found\n")
		want(t, "output", newContainer(t, withArgs("/bin/echo", "found"), nnp, rule).run().ok(t).stdout, "found\n")
	}
	c := newContainer(t, withArgs("/etc/passwd"), nnp, allowBut(specs.LinuxSyscall{Names: []string{"faccessat2"}, Action: specs.ActErrno}))
	wantContains(t, "error", c.run().exits(t, 1).stderr, "ermission denied")
}

// seccompOfWorkload gives the profile of one of the engines' configs.
func seccompOfWorkload(t *testing.T, name string) *specs.LinuxSeccomp {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../workloads", name))
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	return spec.Linux.Seccomp
}

// Every operator compares an argument as libseccomp documents. `renice N 1` calls setpriority(PRIO_PROCESS, 1, N), and
// PRIO_PROCESS is 0.
func TestSeccompArguments(t *testing.T) {
	t.Parallel()
	third := func(op specs.LinuxSeccompOperator, value, two uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: 2, Value: value, ValueTwo: two, Op: op}
	}
	for name, rule := range map[string]struct {
		args    []specs.LinuxSeccompArg
		refused string // of 3, 5 and 7
	}{
		"equal":            {[]specs.LinuxSeccompArg{third(specs.OpEqualTo, 5, 0)}, "5"},
		"not equal":        {[]specs.LinuxSeccompArg{third(specs.OpNotEqual, 5, 0)}, "3 7"},
		"less than":        {[]specs.LinuxSeccompArg{third(specs.OpLessThan, 5, 0)}, "3"},
		"less or equal":    {[]specs.LinuxSeccompArg{third(specs.OpLessEqual, 5, 0)}, "3 5"},
		"greater or equal": {[]specs.LinuxSeccompArg{third(specs.OpGreaterEqual, 5, 0)}, "5 7"},
		"greater than":     {[]specs.LinuxSeccompArg{third(specs.OpGreaterThan, 5, 0)}, "7"},
		"masked equal":     {[]specs.LinuxSeccompArg{third(specs.OpMaskedEqual, 4, 4)}, "5 7"},
		"two arguments":    {[]specs.LinuxSeccompArg{{Index: 0, Value: 0, Op: specs.OpEqualTo}, third(specs.OpEqualTo, 5, 0)}, "5"},
		"both must match":  {[]specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.OpEqualTo}, third(specs.OpEqualTo, 5, 0)}, ""},
		// Conditions on one argument are alternatives, as in runc.
		"one argument twice": {[]specs.LinuxSeccompArg{third(specs.OpEqualTo, 3, 0), third(specs.OpEqualTo, 7, 0)}, "3 7"},
		"no arguments":       {nil, "3 5 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withScript("for n in 3 5 7; do renice $n 1 2>/dev/null || echo $n; done"),
				allowBut(specs.LinuxSyscall{Names: []string{"setpriority"}, Action: specs.ActErrno, Args: rule.args}))
			want(t, "refused", strings.Join(strings.Fields(c.run().ok(t).stdout), " "), rule.refused)
		})
	}
}

// Names of system calls that this machine does not have are passed over, as profiles for all machines need.
func TestSeccompUnknownNames(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("chmod 700 /home 2>&1; echo ran"),
		allowBut(specs.LinuxSyscall{Names: []string{"no_such_call", "chmod", "fchmodat"}, Action: specs.ActErrno}))
	r := c.run().ok(t)
	wantContains(t, "output", r.stdout, "Operation not permitted", "ran\n")
	if isBerth() {
		want(t, "standard error", r.stderr, "")
		r = c.oci(append([]string{"--debug"}, c.command("run", nil)...)...).ok(t)
		wantContains(t, "debug lines", r.stderr, "no_such_call")
	}
}

// A system call newer than all that a profile knows does not exist, whatever its default action: programs then fall back
// on older ones. 4000 is no call's number.
func TestSeccompNewerCalls(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the program that makes the call is for x86-64")
	}
	c := newContainer(t, withScript("/bin/newer; echo code $?"), withSeccomp(seccompOfWorkload(t, "docker-run.json")))
	// exit(-syscall(4000)): mov eax, 4000; syscall; mov edi, eax; neg edi; mov eax, 60; syscall
	c.writeFile("bin/newer", tinyProgram("\xb8\xa0\x0f\x00\x00\x0f\x05\x89\xc7\xf7\xdf\xb8\x3c\x00\x00\x00\x0f\x05"), 0o755)
	want(t, "output", c.run().ok(t).stdout, fmt.Sprintf("code %d\n", unix.ENOSYS))
}

// tinyProgram is an ELF program of nothing but a few instructions for x86-64; elf(5).
func tinyProgram(code string) string {
	const base, head = 0x400000, 64 + 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	size := uint64(head + len(code))
	for _, v := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + head), uint64(64), uint64(0), uint32(0), // ET_EXEC, EM_X86_64
		uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(4096), // PT_LOAD, r-x
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // to a buffer, of fixed sizes: it cannot fail
	}
	return b.String() + code
}

// The flags of seccomp(2) are taken; none are needed.
func TestSeccompFlags(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]specs.LinuxSeccompFlag{
		{}, {specs.LinuxSeccompFlagLog}, {specs.LinuxSeccompFlagSpecAllow}, {"SECCOMP_FILTER_FLAG_TSYNC"},
		{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow},
	} {
		if len(flags) > 0 {
			newerThanReference(t, "flags of seccomp(2)")
		}
		c := newContainer(t, withScript("echo ran"), withSeccomp(&specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow, Flags: flags,
			Syscalls: []specs.LinuxSyscall{{Names: []string{"reboot"}, Action: specs.ActErrno}},
		}))
		want(t, "output", c.run().ok(t).stdout, "ran\n")
	}
}

// A profile that cannot be compiled is refused with the place in it, before anything is made.
func TestBadSeccompProfiles(t *testing.T) {
	hostUnchanged(t)
	rule := func(s specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{s}}
	}
	for name, bad := range map[string]struct {
		profile *specs.LinuxSeccomp
		says    []string
	}{
		"default action": {&specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_SING"}, []string{"linux.seccomp.defaultAction", "SCMP_ACT_SING"}},
		"action":         {rule(specs.LinuxSyscall{Names: []string{"chmod"}, Action: "SCMP_ACT_SING"}), []string{"linux.seccomp.syscalls[0].action", "SCMP_ACT_SING"}},
		"architecture": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_PDP11"},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"chmod"}, Action: specs.ActErrno}}},
			[]string{"linux.seccomp.architectures[0]", "SCMP_ARCH_PDP11"}},
		"operator": {rule(specs.LinuxSyscall{Names: []string{"chmod"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 0, Op: "SCMP_CMP_LIKE"}}}),
			[]string{"linux.seccomp.syscalls[0].args[0].op", "SCMP_CMP_LIKE"}},
		"argument index": {rule(specs.LinuxSyscall{Names: []string{"chmod"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}),
			[]string{"linux.seccomp.syscalls[0].args[0].index", "6"}},
		"flag": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_FLY"},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"chmod"}, Action: specs.ActErrno}}},
			[]string{"linux.seccomp.flags[0]", "SECCOMP_FILTER_FLAG_FLY"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, withSeccomp(bad.profile))
			r := c.run().exits(t, 1)
			if isBerth() {
				wantContains(t, "error", r.stderr, bad.says...)
			}
		})
	}
}

// What has libseccomp write a program, where none is cached, ends with the berth that started it.
func TestGeneratorEndsWithBerth(t *testing.T) {
	berthOnly(t, "a process of its own that makes seccomp programs")
	hostUnchanged(t)
	profile := withSeccomp(seccompOfWorkload(t, "docker-run.json"))
	for range 20 {
		c := newContainer(t, withSleep(), profile)
		p := call{}.start(t, c.args(c.command("create", nil)...)...)
		generator := childCalled(p.cmd.Process.Pid, "berth-seccomp")
		if generator != 0 {
			_ = unix.Kill(generator, unix.SIGSTOP) // else it has soon ended by itself
		}
		_ = p.cmd.Process.Signal(unix.SIGKILL) // it may have ended by itself
		p.wait(t)
		c.delete("--force").ok(t)
		if generator == 0 {
			continue // it was quicker than this
		}
		t.Cleanup(func() { _ = unix.Kill(generator, unix.SIGKILL) })
		waitFor(t, "the end of the generator", func() bool { return errors.Is(unix.Kill(generator, 0), unix.ESRCH) })
		return
	}
	t.Error("no generator was seen in 20 starts with an empty cache")
}

// childCalled waits until a process has a child whose first argument is a name, and gives its id; 0 where the process
// ends before.
func childCalled(pid int, name string) int {
	for unix.Kill(pid, 0) == nil {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if len(files) == 0 {
			return 0 // a zombie has none
		}
		for _, file := range files {
			children, _ := os.ReadFile(file) // its thread may have ended
			for _, child := range strings.Fields(string(children)) {
				arguments, _ := os.ReadFile("/proc/" + child + "/cmdline")
				if first, _, _ := strings.Cut(string(arguments), "\x00"); first == name {
					id, _ := strconv.Atoi(child)
					return id
				}
			}
		}
	}
	return 0
}

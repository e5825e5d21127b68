package seccomp

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files again")

// profileOf reads linux.seccomp written as JSON.
func profileOf(t testing.TB, text string) *specs.LinuxSeccomp {
	t.Helper()
	var p specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// compileOwn compiles with nothing of libseccomp's, whatever the build.
func compileOwn(p *specs.LinuxSeccomp) (*Program, error) {
	return compileFor(thisMachine(), newTableLookup, ownProgram, p)
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ profile, want string }{
		{`{}`, `linux.seccomp.defaultAction: missing: set it to one of SCMP_ACT_ALLOW, `},
		{`{"defaultAction": "ALLOW"}`, `linux.seccomp.defaultAction: unknown action "ALLOW": use one of SCMP_ACT_ALLOW, `},
		{`{"defaultAction": "SCMP_ACT_NOTIFY"}`, `linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would stop the container`},
		{`{"defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 1}`, `linux.seccomp.defaultErrnoRet: SCMP_ACT_KILL takes no errno value: remove it`},
		{`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}`, `linux.seccomp.defaultErrnoRet: 4096 is more than SCMP_ACT_ERRNO can carry: use 0 to 4095`},
		{`{"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 65536}`, `linux.seccomp.defaultErrnoRet: 65536 is more than SCMP_ACT_TRACE can carry: use 0 to 65535`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_VAX"]}`, `linux.seccomp.architectures[1]: unknown architecture "SCMP_ARCH_VAX": use one of SCMP_ARCH_AARCH64, `},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}`, `linux.seccomp.flags[0]: unknown flag "SECCOMP_FILTER_FLAG_NEW_LISTENER": use SECCOMP_FILTER_FLAG_TSYNC, `},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}, {"names": ["write"], "action": ""}]}`, `linux.seccomp.syscalls[1].action: missing: set it`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_DENY"}]}`, `linux.seccomp.syscalls[0].action: unknown action "SCMP_ACT_DENY": use one of`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "errnoRet": 3}]}`, `linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_LOG takes no errno value`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read", ""], "action": "SCMP_ACT_LOG"}]}`, `linux.seccomp.syscalls[0].names[1]: empty: name a system call`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read\u0000x"], "action": "SCMP_ACT_LOG"}]}`, `linux.seccomp.syscalls[0].names[0]: "read\x00x" is no name of a system call`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}]}`, `linux.seccomp.syscalls[0].names[1]: write cannot be SCMP_ACT_NOTIFY`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "op": "=="}]}]}`, `linux.seccomp.syscalls[0].args[0].op: unknown operator "==": use one of SCMP_CMP_EQ, `},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]}`, `linux.seccomp.syscalls[0].args[0].index: 6: a system call has six arguments: use 0 to 5`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
			{"names": ["open", "read"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "op": "SCMP_CMP_EQ", "value": 1}, {"index": 0, "op": "SCMP_CMP_EQ"}]},
			{"names": ["write", "read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "op": "SCMP_CMP_EQ"}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 1}]}]}`,
			`linux.seccomp.syscalls[1]: read is in syscalls[0] with the same args and another action: remove one of them`},
	} {
		program, err := Compile(profileOf(t, c.profile), nil)
		if program != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s…", c.profile, err, c.want)
		}
	}
}

// TestParse: every problem is found, not the first alone.
func TestParse(t *testing.T) {
	p := profileOf(t, `{"defaultAction": "X", "flags": ["Y"], "syscalls": [{"names": ["", "read"], "action": "Z", "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]}`)
	if _, _, problems := parse(p, thisMachine()); len(problems) != 5 {
		t.Errorf("%d problems, want 5: %q", len(problems), problems)
	}
}

func TestFlags(t *testing.T) {
	const (
		tsync, log, specAllow = unix.SECCOMP_FILTER_FLAG_TSYNC, unix.SECCOMP_FILTER_FLAG_LOG, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		listener, esrch       = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		killable              = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	)
	if !flagSupported(killable) {
		t.Skip("the kernel is older than 5.19 and refuses SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
	}
	notify := `, "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]`
	for _, c := range []struct {
		rest  string
		flags uint32
	}{
		{``, specAllow},
		{`, "flags": []`, 0},
		{`, "flags": ["SECCOMP_FILTER_FLAG_LOG"]`, log},
		{`, "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]`, tsync | log | specAllow},
		{`, "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]`, 0},
		{notify, specAllow | listener},
		{`, "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"]` + notify, killable | tsync | listener | esrch},
	} {
		program, err := Compile(profileOf(t, `{"defaultAction": "SCMP_ACT_ALLOW"`+c.rest+`}`), nil)
		if err != nil {
			t.Errorf("%s: %v", c.rest, err)
			continue
		}
		if program.Flags != c.flags || program.Notify != (c.flags&listener != 0) {
			t.Errorf("%s: flags %#x, notify %v, want %#x", c.rest, program.Flags, program.Notify, c.flags)
		}
		// The kernel agrees that these flags go together: EFAULT is for the missing
		// program.
		if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(program.Flags), 0); errno != unix.EFAULT {
			t.Errorf("%s: the kernel says %v to flags %#x", c.rest, errno, program.Flags)
		}
	}
}

func TestNotes(t *testing.T) {
	needX86(t)
	var notes []string
	_, err := Compile(profileOf(t, `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"],
		"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
		"syscalls": [{"names": ["read", "no_such", "arm_fadvise64_64", "nor_this"], "action": "SCMP_ACT_TRAP"},
			{"names": ["no_such"], "action": "SCMP_ACT_LOG"}, {"names": [], "action": "SCMP_ACT_LOG"}]}`),
		func(msg string) { notes = append(notes, msg) })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"linux.seccomp.architectures[0]: SCMP_ARCH_S390X does not run on this machine (SCMP_ARCH_X86_64): no code made for it",
		"linux.seccomp.syscalls[2]: names is empty: nothing to do",
		"linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV has no effect without SCMP_ACT_NOTIFY: left out",
		"linux.seccomp.syscalls: libseccomp " + LibraryVersion() + " does not know these system calls, skipped: no_such, nor_this",
	}
	if strings.Join(notes, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(notes, "\n"), strings.Join(want, "\n"))
	}
}

func TestTooLong(t *testing.T) {
	for entries, want := range map[int]string{
		1000:   "linux.seccomp: the profile needs at least 5012 BPF instructions, the kernel takes 4096 (BPF_MAXINSNS): use fewer",
		100000: "linux.seccomp: the profile needs at least 4098 BPF instructions",
	} {
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
		for v := range entries {
			p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow,
				Args: []specs.LinuxSeccompArg{{Op: specs.OpEqualTo, Value: uint64(v)}}})
		}
		if _, err := compileOwn(p); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d entries: %v", entries, err)
		}
	}
}

// listing writes a program in the manner of bpf_asm.
func listing(code []insn) string {
	var b strings.Builder
	for at, i := range code {
		fmt.Fprintf(&b, "%4d: ", at)
		switch i.code {
		case opLoad:
			fmt.Fprintf(&b, "ld [%d]", i.k)
		case opAnd:
			fmt.Fprintf(&b, "and #%#x", i.k)
		case opJump:
			fmt.Fprintf(&b, "ja %d", at+1+int(i.k))
		case opReturn:
			fmt.Fprintf(&b, "ret #%#x", i.k)
		case opJumpEqual, opJumpGreater, opJumpGreaterEqual:
			name := map[uint16]string{opJumpEqual: "jeq", opJumpGreater: "jgt", opJumpGreaterEqual: "jge"}[i.code]
			fmt.Fprintf(&b, "%s #%#x, %d, %d", name, i.k, at+1+int(i.jt), at+1+int(i.jf))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// smallProfile has calls of each kind: allowed, and decided by arguments of one
// entry and of more.
func smallProfile(t *testing.T) *specs.LinuxSeccomp {
	return profileOf(t, `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
		{"names": ["read", "write", "exit_group", "shutdown"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
		{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"names": ["kill"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "value": 15, "op": "SCMP_CMP_GT"}, {"index": 0, "value": 1, "op": "SCMP_CMP_NE"}]}]}`)
}

func TestGolden(t *testing.T) {
	needX86(t)
	program, err := compileOwn(smallProfile(t))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, program, "small.bpf.golden")
}

// golden compares a program with a file, or writes that with -update.
func golden(t *testing.T, program *Program, name string) {
	t.Helper()
	got := listing(decode(program.Filter))
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the program changed: if it should, run go test -update, and raise formatVersion\n%s", got)
	}
}

func BenchmarkCompile(b *testing.B) {
	p := workload(b, "docker-run.json")
	for b.Loop() {
		program, err := compileOwn(p)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(program.Filter)/insnSize), "insns")
	}
}

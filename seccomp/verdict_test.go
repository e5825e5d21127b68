//go:build libseccomp

package seccomp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func pointer[T any](v T) *T { return &v }

// handProfiles cover each action, operator and architecture list, and each rule
// of the package comment.
func handProfiles() map[string]*specs.LinuxSeccomp {
	type arg = specs.LinuxSeccompArg
	x86 := []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	actions := []specs.LinuxSyscall{
		{Names: []string{"read", "write", "bpf"}, Action: specs.ActAllow},
		{Names: []string{"getpid"}, Action: specs.ActErrno},
		{Names: []string{"getppid"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(0))},
		{Names: []string{"getuid", "no_such_call"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(4094))},
		{Names: []string{"geteuid"}, Action: specs.ActTrace, ErrnoRet: pointer(uint(65535))},
		{Names: []string{"getgid"}, Action: specs.ActTrace},
		{Names: []string{"getegid"}, Action: specs.ActTrap},
		{Names: []string{"gettid"}, Action: specs.ActKill},
		{Names: []string{"getpgrp"}, Action: specs.ActKillThread},
		{Names: []string{"getsid"}, Action: specs.ActKillProcess},
		{Names: []string{"getpgid", "stime", "nice"}, Action: specs.ActLog},
		{Names: []string{"getcwd"}, Action: specs.ActNotify},
		{Names: []string{"socket", "connect"}, Action: specs.ActAllow},
		{Names: []string{"shmat"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(7))},
	}
	profiles := map[string]*specs.LinuxSeccomp{}
	for _, action := range []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActLog, specs.ActTrace, specs.ActTrap,
	} {
		profiles["actions, default "+string(action)] = &specs.LinuxSeccomp{DefaultAction: action, Architectures: x86, Syscalls: actions}
	}
	for _, archs := range [][]specs.Arch{nil, x86[:1], x86[1:2], x86[2:], x86[:2], {specs.ArchAARCH64, specs.ArchS390X}} {
		profiles[fmt.Sprint("architectures ", archs)] = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: archs, Syscalls: actions}
	}
	for _, op := range operatorNames() {
		op := specs.LinuxSeccompOperator(op)
		profiles["operator "+string(op)] = &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Architectures: x86, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"personality"}, Action: specs.ActAllow, Args: []arg{{Index: 0, Op: op, Value: 0xff00, ValueTwo: 0x1200}}},
			{Names: []string{"lseek"}, Action: specs.ActAllow, Args: []arg{{Index: 1, Op: op, Value: 8, ValueTwo: 8}, {Index: 5, Op: op, Value: 3, ValueTwo: 1}}},
			{Names: []string{"socket", "semop"}, Action: specs.ActAllow, Args: []arg{{Index: 0, Op: op, Value: 16, ValueTwo: 16}}},
		}}
		profiles["overlap: index twice, "+string(op)] = &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Architectures: x86, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ioctl"}, Action: specs.ActErrno, Args: []arg{{Index: 2, Op: op, Value: 1}, {Index: 2, Op: specs.OpEqualTo, Value: 77}, {Index: 3, Op: op, Value: 5}}},
		}}
		profiles["64-bit operator "+string(op)] = &specs.LinuxSeccomp{DefaultAction: specs.ActLog, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"lseek"}, Action: specs.ActTrap, Args: []arg{{Index: 4, Op: op, Value: 0x123456789abcdef0, ValueTwo: 0x1034000080000010}}},
		}}
	}
	profiles["overlap: one call, many entries"] = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: x86, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"clone"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(2)), Args: []arg{{Index: 0, Op: specs.OpEqualTo, Value: 1}}},
		{Names: []string{"clone"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(3)), Args: []arg{{Index: 0, Op: specs.OpEqualTo, Value: 2}}},
		{Names: []string{"clone"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(1))},
		{Names: []string{"fork"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(5)), Args: []arg{{Index: 0, Op: specs.OpEqualTo, Value: 1}}},
		{Names: []string{"fork"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(6))},
		{Names: []string{"fork", "fork"}, Action: specs.ActAllow},
		{Names: []string{"socketcall", "ipc"}, Action: specs.ActAllow},
		{Names: []string{"socket", "msgget"}, Action: specs.ActErrno, ErrnoRet: pointer(uint(9)), Args: []arg{{Index: 0, Op: specs.OpEqualTo, Value: 16}}},
		{Names: []string{"bpf", "io_uring_setup"}, Action: specs.ActErrno},
	}}
	profiles["no entries"] = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: x86}
	profiles["nothing named on x86"] = &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Architectures: x86, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"newfstatat"}, Action: specs.ActAllow},
	}}
	return profiles
}

// randomProfile makes a profile in which, with overlaps, several entries with
// args are about one call.
func randomProfile(random *rand.Rand, names []string, overlaps bool) *specs.LinuxSeccomp {
	actions := []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActLog, specs.ActTrace, specs.ActTrap,
	}
	p := &specs.LinuxSeccomp{DefaultAction: actions[random.IntN(len(actions))]}
	for _, a := range []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32} {
		if random.IntN(3) > 0 {
			p.Architectures = append(p.Architectures, a)
		}
	}
	names = slices.Clone(names)
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	operators := operatorNames()
	for n := random.IntN(40); n > 0 && len(names) > 40; n-- {
		count := 1 + random.IntN(20)
		s := specs.LinuxSyscall{Names: names[:count], Action: actions[random.IntN(len(actions))]}
		names = names[count:]
		if s.Action == specs.ActErrno {
			s.ErrnoRet = pointer(random.UintN(20))
		}
		entries := 1
		if overlaps {
			entries += random.IntN(3)
		}
		for range entries {
			if random.IntN(2) == 0 {
				s.Args = nil
				indices := random.Perm(6)
				for range 1 + random.IntN(3) {
					if !overlaps || random.IntN(8) > 0 { // else the same one again
						indices = indices[1:]
					}
					s.Args = append(s.Args, specs.LinuxSeccompArg{
						Index: uint(indices[0]), Op: specs.LinuxSeccompOperator(operators[random.IntN(len(operators))]),
						Value: random.Uint64N(16), ValueTwo: random.Uint64N(16),
					})
				}
			}
			p.Syscalls = append(p.Syscalls, s)
		}
	}
	return p
}

// calls gives the calls to try on a profile: each number from 0 to 600 of each
// architecture, the numbers at the edges, and one more architecture; each with
// arguments around the values that the profile compares with where it compares.
func calls(random *rand.Rand, p *specs.LinuxSeccomp, e *evaluator, each, busyEach int) []callData {
	values := []uint64{0, 1, 2, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 63, ^uint64(0)}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			values = append(values, a.Value-1, a.Value, a.Value+1, a.ValueTwo-1, a.ValueTwo, a.ValueTwo+1,
				a.Value^1<<40, a.ValueTwo^1<<40, a.Value&a.ValueTwo, a.ValueTwo|^a.Value)
		}
	}
	busy := map[uint32]bool{102: true, 117: true} // socketcall, ipc
	for _, entries := range e.entries {
		for nr, indices := range entries {
			if slices.ContainsFunc(indices, func(i int) bool { return len(p.Syscalls[i].Args) > 0 }) {
				busy[nr] = true
			}
		}
	}
	numbers := []uint32{0x3fffffff, 0x7fffffff, 0x80000000, 0x80000001, 0xbfffffff, 0xc0000000, 0xfffffffe, 0xffffffff}
	for nr := uint32(0); nr <= 600; nr++ {
		numbers = append(numbers, nr, x32Bit+nr)
	}
	var out []callData
	for _, arch := range []uint32{0xc000003e, 0x40000003, 0xc00000b7} {
		for i, nr := range numbers {
			if arch == 0xc00000b7 && i > 20 {
				break
			}
			tries := each
			if busy[nr] {
				tries = busyEach
			}
			for range tries {
				d := callData{nr: nr, arch: arch, ip: random.Uint64()}
				for i := range d.args {
					d.args[i] = values[random.IntN(len(values))]
					if arch == 0x40000003 {
						d.args[i] &= 1<<32 - 1 // a 32-bit call has no more
					}
				}
				out = append(out, d)
			}
		}
	}
	return out
}

// verdictTest compares what a compiled program says of calls with what the
// profile means, with libseccomp's program for the whole profile, and with the
// kernel's own BPF.
type verdictTest struct {
	p      *specs.LinuxSeccomp
	code   []insn
	whole  []insn     // nil: not compared
	kernel *kernelBPF // nil: not compared
	report func(format string, args ...any)
}

// run gives the number of calls that something is wrong with.
func (v *verdictTest) run(t *testing.T, tries []callData) (wrong int) {
	t.Helper()
	e := newEvaluator(v.p)
	for i := range tries {
		d := &tries[i]
		complain := func(format string, args ...any) {
			wrong++
			if v.report != nil && wrong <= 5 {
				v.report("arch %#x number %d args %#x: %s", d.arch, d.nr, d.args, fmt.Sprintf(format, args...))
			}
		}
		got, err := simulate(v.code, d)
		if err != nil {
			complain("%v", err)
			continue
		}
		meant := e.verdict(d)
		if got != meant {
			complain("got %#x, the profile means %#x", got, meant)
		}
		if v.whole != nil && comparable(v.p, d, meant) {
			if reference, err := simulate(v.whole, d); err != nil || got != reference {
				complain("got %#x, libseccomp's own program says %#x (%v)", got, reference, err)
			}
		}
		if v.kernel != nil && i%4 == 0 {
			if k := v.kernel.run(t, d); k != got {
				complain("simulated %#x, the kernel's BPF says %#x", got, k)
			}
		}
	}
	return wrong
}

// comparable says whether libseccomp's program means to answer a call as this
// package does. It has no ENOSYS for newer calls, sees 32 of the 64 bits of an
// x32 argument, takes all of ipc(2)'s first argument for the sub-function, and
// compares the wrong registers where socketcall(2) and ipc(2) carry a call that an
// entry with args names.
func comparable(p *specs.LinuxSeccomp, d *callData, meant uint32) bool {
	if meant == 0x50000|38 && meant != value(p.DefaultAction, p.DefaultErrnoRet) {
		return false
	}
	if members := x86Members(d.nr); d.arch == 0x40000003 && members != nil {
		for _, s := range p.Syscalls {
			for _, name := range members {
				if len(s.Args) > 0 && slices.Contains(s.Names, name) {
					return false
				}
			}
		}
		return d.nr != 117 || d.args[0] <= 0xffff
	}
	return !wideX32(d)
}

// wideX32 says whether a call of x32 has an argument beyond 32 bits.
func wideX32(d *callData) bool {
	return d.arch == 0xc000003e && d.nr >= x32Bit && slices.ContainsFunc(d.args[:], func(v uint64) bool { return v > 1<<32-1 })
}

func TestVerdicts(t *testing.T) {
	needX86(t)
	test := func(name string, p *specs.LinuxSeccomp, whole bool) {
		t.Run(name, func(t *testing.T) {
			program, err := compileOwn(p)
			if err != nil {
				t.Fatal(err)
			}
			v := verdictTest{p: p, code: decode(program.Filter), report: t.Errorf}
			v.kernel = newKernelBPF(t, v.code)
			if whole {
				v.whole = wholeProgram(t, thisMachine(), p, 1)
			}
			v.run(t, calls(rand.New(rand.NewPCG(5, 6)), p, newEvaluator(p), 2, 40))
		})
	}
	for name, p := range handProfiles() {
		test(name, p, !strings.HasPrefix(name, "overlap"))
	}
	var names []string
	for _, name := range []string{"docker-run.json", "podman-run.json"} {
		p := workload(t, name)
		test(name, p, true)
		for _, s := range p.Syscalls {
			names = append(names, s.Names...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	// On x86 these have no number of their own; where such a one is all that
	// decides, libseccomp 2.5.4 forgets to load the number.
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains([]string{"accept", "send", "recv", "semop", "semtimedop"}, name)
	})
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 15 {
		test(fmt.Sprintf("random %d", n), randomProfile(random, names, false), true)
	}
	// libseccomp is not asked about several entries with args on one call: of
	//   {index 1, MASKED_EQ 2, 0} and {index 0, GE 2} allow
	//   {index 1, EQ 0} and {index 0, GE 1}           allow
	// version 2.5.4 makes a program that allows arguments 1 and 5, and on others it
	// does not return.
	for n := range 15 {
		test(fmt.Sprintf("random overlap %d", n), randomProfile(random, names, true), false)
	}
}

// TestVerdictsNoticeMutations breaks a correct program in every instruction, one
// at a time, and wants the comparison with the profile to notice each.
func TestVerdictsNoticeMutations(t *testing.T) {
	needX86(t)
	p := workload(t, "docker-run.json")
	program, err := compileOwn(p)
	if err != nil {
		t.Fatal(err)
	}
	code := decode(program.Filter)
	e := newEvaluator(p)
	random := rand.New(rand.NewPCG(7, 8))
	tries := calls(random, p, e, 60, 1000)
	random.Shuffle(len(tries), func(i, j int) { tries[i], tries[j] = tries[j], tries[i] })
	meant := make([]uint32, len(tries))
	for i := range tries {
		meant[i] = e.verdict(&tries[i])
	}
	noticed := func(mutant []insn) bool {
		for i := range tries {
			if got, err := simulate(mutant, &tries[i]); err != nil || got != meant[i] {
				return true
			}
		}
		return false
	}
	if noticed(code) {
		t.Fatal("the program is wrong before it is broken")
	}
	mutants := 0
	for at, i := range code {
		changed := []insn{i, i}
		changed[0].k++
		changed[1].jt, changed[1].jf = i.jf, i.jt
		for _, c := range changed {
			if c == i {
				continue
			}
			mutants++
			mutant := slices.Clone(code)
			mutant[at] = c
			if !noticed(mutant) {
				t.Errorf("insn %d: %+v in place of %+v goes unnoticed", at, c, i)
			}
		}
	}
	t.Logf("%d instructions, %d mutants, %d calls", len(code), mutants, len(tries))
}

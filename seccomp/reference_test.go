//go:build libseccomp

package seccomp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/seccomp/libseccomp"
)

// wholeProgram has libseccomp compile all of a profile, the way that needs no
// code of this package's beyond the words: the reference for Compile. It has no
// ENOSYS for newer calls.
func wholeProgram(t testing.TB, m machine, p *specs.LinuxSeccomp, level int) []insn {
	t.Helper()
	prof, _, problems := parse(p, m)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	program, err := libseccomp.Compile(libraryFilter(prof, level, prof.archs, nil))
	if err != nil {
		t.Fatal(err)
	}
	return decode(program)
}

// TestLibseccompVerdicts: the programs that libseccomp writes for berth say what
// the profile means, and ENOSYS for newer calls; with several entries with args on
// one call too, of which libseccomp by itself would make wrong programs, or none
// in any time.
func TestLibseccompVerdicts(t *testing.T) {
	needX86(t)
	profiles := handProfiles()
	var names []string
	for _, name := range []string{"docker-run.json", "podman-run.json"} {
		profiles[name] = workload(t, name)
		for _, s := range profiles[name].Syscalls {
			names = append(names, s.Names...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	random := rand.New(rand.NewPCG(13, 14))
	for n := range 100 {
		profiles[fmt.Sprintf("random %d", n)] = randomProfile(random, names, n%2 > 0)
	}
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) { libraryVerdicts(t, p) })
	}
}

func libraryVerdicts(t *testing.T, p *specs.LinuxSeccomp) {
	program, err := Compile(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	code := decode(program.Filter)
	if own, err := compileOwn(p); err != nil || slices.Equal(code, decode(own.Filter)) {
		t.Fatalf("the program is berth's own (%v)", err)
	}
	kernel := newKernelBPF(t, code)
	e := newEvaluator(p)
	tries, compared, newer := calls(rand.New(rand.NewPCG(11, 12)), p, e, 2, 40), 0, 0
	for i := range tries {
		d := &tries[i]
		meant := e.verdict(d)
		if meant == unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS) && meant != value(p.DefaultAction, p.DefaultErrnoRet) {
			newer++
		} else if d.arch == 0x40000003 && d.nr == 117 && d.args[0] > 0xffff || wideX32(d) {
			continue // see comparable
		}
		compared++
		got, err := simulate(code, d)
		if err != nil || got != meant {
			t.Fatalf("arch %#x number %d args %#x: %#x (%v), the profile means %#x", d.arch, d.nr, d.args, got, err, meant)
		}
		if i%4 > 0 {
			continue
		}
		if k := kernel.run(t, d); k != got {
			t.Fatalf("arch %#x number %d args %#x: simulated %#x, the kernel's BPF says %#x", d.arch, d.nr, d.args, got, k)
		}
	}
	t.Logf("%d of %d calls, %d newer", compared, len(tries), newer)
	if compared < len(tries)/2 {
		t.Errorf("only %d of %d calls compared", compared, len(tries))
	}
}

// The program that libseccomp writes, with one more entry that it is not given.
func TestLibseccompGolden(t *testing.T) {
	needX86(t)
	if libseccomp.Version() != "2.5.4" {
		t.Skipf("the golden file is of libseccomp 2.5.4, this one is %s", libseccomp.Version())
	}
	p := smallProfile(t)
	p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"kill"}, Action: specs.ActTrap,
		Args: []specs.LinuxSeccompArg{{Index: 1, Value: 9, Op: specs.OpEqualTo}}})
	program, err := Compile(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, program, "small.libseccomp.bpf.golden")
}

func BenchmarkLibseccomp(b *testing.B) {
	p := workload(b, "docker-run.json")
	for _, level := range []int{1, 2} {
		b.Run(fmt.Sprintf("level %d", level), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(len(wholeProgram(b, thisMachine(), p, level))), "insns")
			}
		})
	}
}

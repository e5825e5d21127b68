//go:build libseccomp

package seccomp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
	program, err := libseccomp.Compile(libraryFilter(prof, level))
	if err != nil {
		t.Fatal(err)
	}
	return decode(program)
}

// TestLibseccompVerdicts: the programs of this build, which libseccomp writes, say
// what the profile means wherever libseccomp can, and ENOSYS for newer calls.
func TestLibseccompVerdicts(t *testing.T) {
	needX86(t)
	profiles := handProfiles()
	for _, name := range []string{"docker-run.json", "podman-run.json"} {
		profiles[name] = workload(t, name)
	}
	for name, p := range profiles {
		if strings.HasPrefix(name, "overlap") {
			continue // libseccomp is wrong about some, or does not return
		}
		t.Run(name, func(t *testing.T) {
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
				} else if !comparable(p, d, meant) {
					continue
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
		})
	}
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

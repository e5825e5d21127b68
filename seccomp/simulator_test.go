//go:build libseccomp

package seccomp

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestSimulator has libseccomp's own simulator, scmp_bpf_sim, run the programs of
// the engines' profiles: every number from 0 to 600 of each architecture, and
// arguments around those that the profile compares with. It takes one process a
// call. testdata/build-simulator makes it.
func TestSimulator(t *testing.T) {
	needX86(t)
	simulator := os.Getenv("SCMP_BPF_SIM")
	if simulator == "" {
		var err error
		if simulator, err = exec.LookPath("scmp_bpf_sim"); err != nil {
			t.Skip("no scmp_bpf_sim in $SCMP_BPF_SIM or $PATH: testdata/build-simulator makes one")
		}
	}
	library := func(p *specs.LinuxSeccomp) (*Program, error) { return Compile(p, nil) }
	for _, c := range []struct {
		file    string
		by      string
		compile func(*specs.LinuxSeccomp) (*Program, error)
	}{
		{"docker-run.json", "berth", compileOwn},
		{"podman-run.json", "berth", compileOwn},
		{"docker-run.json", "libseccomp", library},
		{"podman-run.json", "libseccomp", library},
	} {
		t.Run(c.file+" by "+c.by, func(t *testing.T) {
			p := workload(t, c.file)
			program, err := c.compile(p)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(file, program.Filter, 0o600); err != nil {
				t.Fatal(err)
			}
			e := newEvaluator(p)
			tries := calls(rand.New(rand.NewPCG(9, 10)), p, e, 1, 40)
			for i := range tries {
				d := &tries[i]
				if c.by == "libseccomp" && !comparable(p, d, e.verdict(d)) {
					continue
				}
				arch := map[uint32]string{0xc000003e: "x86_64", 0x40000003: "x86", 0xc00000b7: "aarch64"}[d.arch]
				args := []string{"-f", file, "-a", arch, "-s", fmt.Sprint(int32(d.nr))}
				for n, v := range d.args {
					args = append(args, fmt.Sprintf("-%d", n), fmt.Sprint(v))
				}
				out, err := exec.Command(simulator, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%q: %v: %s", args, err, out)
				}
				if got, want := strings.TrimSpace(string(out)), simulatorWord(e.verdict(d)); got != want {
					t.Errorf("%s number %d args %#x: %s, the profile means %s", arch, d.nr, d.args, got, want)
				}
			}
			t.Logf("%d calls", len(tries))
		})
	}
}

// simulatorWord is how the simulator prints a return value.
func simulatorWord(ret uint32) string {
	switch ret {
	case 0x7fff0000:
		return "ALLOW"
	case 0:
		return "KILL"
	}
	if ret&0xffff0000 == 0x50000 {
		return fmt.Sprintf("ERRNO(%d)", ret&0xffff)
	}
	return fmt.Sprintf("%#x", ret)
}

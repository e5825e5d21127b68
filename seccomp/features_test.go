package seccomp

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestFeatures: what is said to be recognized is, by the functions that Compile
// uses, and nothing of the specification's lists is missing.
func TestFeatures(t *testing.T) {
	f := Features()
	if f.Enabled == nil || *f.Enabled != enabled {
		t.Fatalf("enabled: %v", f.Enabled)
	}
	if !enabled {
		return
	}
	for _, name := range f.Actions {
		if _, ok := actionReturn(name); !ok {
			t.Errorf("action %s", name)
		}
	}
	for _, name := range f.Operators {
		if _, ok := operatorOf(name); !ok {
			t.Errorf("operator %s", name)
		}
	}
	for _, name := range f.KnownFlags {
		if _, ok := flagOf(name); !ok {
			t.Errorf("flag %s", name)
		}
	}
	if len(f.Actions) != 9 || len(f.Operators) != 7 || len(f.Archs) != 23 || len(f.KnownFlags) != 4 {
		t.Errorf("%d actions, %d operators, %d architectures, %d flags; the specification, 1.3.0, has 9, 7, 23 and 4",
			len(f.Actions), len(f.Operators), len(f.Archs), len(f.KnownFlags))
	}
	for _, list := range [][]string{f.Actions, f.Operators, f.Archs} {
		if !slices.IsSorted(list) {
			t.Errorf("not sorted: %q", list)
		}
	}
	// These are older than Linux 5.10.
	for _, name := range []string{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"} {
		if !slices.Contains(f.SupportedFlags, name) {
			t.Errorf("%s is not among the supported flags %q", name, f.SupportedFlags)
		}
	}
	if flagSupported(1 << 30) {
		t.Error("a flag that does not exist is supported")
	}
	for _, goarch := range []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x"} {
		m := machineOf(goarch)
		if len(m) == 0 {
			t.Errorf("%s: no architecture", goarch)
		}
		for _, a := range m {
			if _, ok := a.token(); !ok || !slices.Contains(f.Archs, string(a)) {
				t.Errorf("%s: %s has no token, or is not in the specification", goarch, a)
			}
		}
	}
	if _, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: archs(f.Archs)}, nil); err != nil {
		t.Errorf("an architecture is listed and refused: %v", err)
	}
}

func archs(names []string) (out []specs.Arch) {
	for _, name := range names {
		out = append(out, specs.Arch(name))
	}
	return out
}

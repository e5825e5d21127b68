//go:build libseccomp

package seccomp

import (
	"bytes"
	"fmt"
	"go/format"
	"maps"
	"os"
	"slices"
	"testing"

	"berth/seccomp/libseccomp"
)

// noCall is the table's number for a name that only other architectures have.
const noCall = -2

// everyName gives the names of all system calls of libseccomp.
func everyName(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for _, a := range archNames() {
		numbers, err := newLookup(arch(a))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := numbers.Number("read"); err != nil {
			continue // younger than this libseccomp
		}
		add := func(from, to int32) {
			for nr := from; nr < to; nr++ {
				if name := numbers.Name(nr); name != "" {
					names[name] = true
				}
			}
		}
		add(0, 7000)             // MIPS ends with n32's 6000
		add(0xf0000, 0xf0000+16) // ARM's own
		add(x32Bit, x32Bit+1000)
	}
	return slices.Sorted(maps.Keys(names))
}

// tableMachines lists the values of GOARCH that have a table: all that Go and
// libseccomp 2.5.4 both know, and a kernel of today runs on.
func tableMachines() []string {
	return []string{"386", "amd64", "arm", "arm64", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"}
}

// tableFile writes numbers_GOARCH.go.
func tableFile(t *testing.T, goarch string) []byte {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from libseccomp %s by go test -tags libseccomp -run TestTables -update; DO NOT EDIT.\n\n", libseccomp.Version())
	fmt.Fprintf(&b, "package seccomp\n\nconst tableVersion = %q\n\nvar syscallTable = [...]tableRow{\n", libseccomp.Version())
	m := machineOf(goarch)
	finders := make([]numbers, len(m))
	for i, a := range m {
		var err error
		if finders[i], err = newNumbers(a, newLookup); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range everyName(t) {
		row := [3]int32{noCall, noCall, noCall}
		for i := range m {
			nr, err := finders[i].Number(name)
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := memberOf(name); ok && finders[i].carrier(p) >= 0 {
				nr = finders[i].direct(name)
			}
			if nr >= 0 {
				row[i] = nr
			}
		}
		fmt.Fprintf(&b, "{%q, [3]int32{%d, %d, %d}},\n", name, row[0], row[1], row[2])
	}
	b.WriteString("}\n")
	source, err := format.Source(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// TestTables writes the tables with -update. Without, it compares this machine's
// with libseccomp; a newer libseccomp may know more calls, and an older one less.
func TestTables(t *testing.T) {
	if *update {
		for _, goarch := range tableMachines() {
			if err := os.WriteFile("numbers_"+goarch+".go", tableFile(t, goarch), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if !haveTable {
		t.Skip("no table for this processor")
	}
	compared := 0
	m := thisMachine()
	for i, a := range m {
		finder, err := newNumbers(a, newLookup)
		if err != nil {
			t.Fatal(err)
		}
		for n, row := range syscallTable {
			if n > 0 && syscallTable[n-1].name >= row.name {
				t.Errorf("%s is not in order", row.name)
			}
			nr, err := finder.Number(row.name)
			if err != nil {
				t.Fatal(err)
			}
			if nr == unknownCall {
				continue // an older libseccomp
			}
			if p, ok := memberOf(row.name); ok && finder.carrier(p) >= 0 {
				nr = finder.direct(row.name)
			}
			if nr < 0 {
				nr = noCall
			}
			if row.numbers[i] != nr && row.numbers[i] != noCall {
				t.Errorf("%s: %s is %d, libseccomp says %d", a, row.name, row.numbers[i], nr)
			}
			compared++
		}
	}
	if compared < len(m)*400 {
		t.Errorf("only %d numbers compared", compared)
	}
	// Every name of the engines' profiles has to be there.
	native, err := newLookup(m[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"docker-run.json", "podman-run.json"} {
		for _, s := range workload(t, file).Syscalls {
			for _, name := range s.Names {
				known, err := native.Number(name)
				if err != nil {
					t.Fatal(err)
				}
				listed := slices.ContainsFunc(syscallTable[:], func(r tableRow) bool { return r.name == name })
				if known != unknownCall && !listed {
					t.Errorf("%s is not in the table", name)
				}
			}
		}
	}
}

// TestTableMakesTheSamePrograms: the table compiles as libseccomp's numbers do.
func TestTableMakesTheSamePrograms(t *testing.T) {
	if libseccomp.Version() != tableVersion {
		t.Skipf("the table is of libseccomp %q, this one is %s", tableVersion, libseccomp.Version())
	}
	profiles := handProfiles()
	for _, name := range []string{"docker-run.json", "podman-run.json"} {
		profiles[name] = workload(t, name)
	}
	for name, p := range profiles {
		want, err := compileFor(thisMachine(), newLookup, ownProgram, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := compileOwn(p)
		if err != nil || !bytes.Equal(got.Filter, want.Filter) {
			t.Errorf("%s: another program: %v", name, err)
		}
	}
}

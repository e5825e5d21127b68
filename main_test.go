package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// buildEntry builds testdata/entry with the entry of this processor.
func buildEntry(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for from, to := range map[string]string{"testdata/entry/main.go": "main.go", "entry_" + runtime.GOARCH + ".s": "entry_" + runtime.GOARCH + ".s"} {
		text, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			t.Skipf("there is no %s: the program begins where Go has it begin", from)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, to), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module entry\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", "entry", "-ldflags", "-E main.entry", ".")
	build.Dir, build.Env = folder, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(folder, "entry")
}

// A program that begins at entry has its arguments and its environment whole, the
// auxiliary vector (the size of a page comes from there), and one processor of Go's,
// or what its user says.
func TestEntry(t *testing.T) {
	program := buildEntry(t)
	const ours = "GOMAXPROCS=01"
	many := make([]string, 2000)
	for i := range many {
		many[i] = strings.Repeat("x", i)
	}
	for _, c := range []struct {
		name      string
		args, env []string
		added     bool
		want      int
	}{
		{"nothing", nil, []string{}, true, 1},
		{"one of each", []string{"a"}, []string{"A=b"}, true, 1},
		{"two of each", []string{"a", "b c"}, []string{"A=b", "C="}, true, 1},
		{"many", many, []string{"LAST=" + many[1999], "A=1"}, true, 1},
		{"the user's comes first", []string{"a"}, []string{"A=b", "GOMAXPROCS=3", "C=d"}, false, 3},
	} {
		cmd := exec.Command(program, c.args...)
		cmd.Env = c.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
			continue
		}
		var seen struct {
			Args, Env  []string
			GOMAXPROCS int
			PageSize   int
		}
		if err := json.Unmarshal(out, &seen); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		env := c.env
		if c.added {
			env = append(slices.Clone(env), ours)
		}
		if !slices.Equal(seen.Args[1:], c.args) || !slices.Equal(seen.Env, env) {
			t.Errorf("%s: %.200q %.200q, want %.200q %.200q", c.name, seen.Args, seen.Env, c.args, env)
		}
		if seen.GOMAXPROCS != c.want || seen.PageSize != os.Getpagesize() {
			t.Errorf("%s: GOMAXPROCS %d, pages of %d, want %d, %d", c.name, seen.GOMAXPROCS, seen.PageSize, c.want, os.Getpagesize())
		}
	}
}

// What entry adds to the environment goes, what the user has there stays.
func TestForgetEntry(t *testing.T) {
	for value, stays := range map[string]bool{"01": false, "1": true, "8": true, "": true} {
		t.Setenv("GOMAXPROCS", value)
		forgetEntry()
		if got, ok := os.LookupEnv("GOMAXPROCS"); ok != stays || ok && got != value {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyTree copies the package and what is generated for C to where they may be
// changed, and returns the package's folder there.
func copyTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, pattern := range []string{"libcontainer/plan/*.go", "nsenter/executor/plan*.h"} {
		files, err := filepath.Glob("../../../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		folder := filepath.Join(root, filepath.Dir(pattern))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, filepath.Base(f)), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return filepath.Join(root, "libcontainer/plan")
}

// edit replaces a part of a file, which must be there.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), old, new, 1)
	if changed == string(text) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The check passes on what is committed; it fails, and names a file, after any
// change of the declarations or of a generated file; writing again repairs it.
func TestCheckFindsWhatIsStale(t *testing.T) {
	dir := copyTree(t)
	if err := run(dir, true); err != nil {
		t.Fatalf("what is committed: %v", err)
	}
	executor := filepath.Join(dir, "../../nsenter/executor")
	for what, change := range map[string]func(){
		"a new operation": func() {
			edit(t, dir+"/ops.go", "\n// Setsid ", "\n// Dream is new.\ntype Dream struct{}\n\n// Setsid ")
		},
		"a new field":     func() { edit(t, dir+"/ops.go", "type Umask struct {", "type Umask struct {\n\tMore uint64") },
		"another type":    func() { edit(t, dir+"/ops.go", "Mask uint32", "Mask uint64") },
		"another limit":   func() { edit(t, dir+"/encode.go", "MaxOnError = 4", "MaxOnError = 5") },
		"another slot":    func() { edit(t, dir+"/plan.go", "SlotFree    Slot = 40", "SlotFree    Slot = 41") },
		"ops_gen.go":      func() { edit(t, dir+"/ops_gen.go", `return "setsid"`, `return "Setsid"`) },
		"ops_gen_test.go": func() { edit(t, dir+"/ops_gen_test.go", "Setsid{},", "") },
		"plan.h":          func() { edit(t, executor+"/plan.h", "uint64_t flags;", "uint32_t flags;") },
		"plan_tables.h":   func() { edit(t, executor+"/plan_tables.h", "FIELD_SLOT", "FIELD_U64") },
		"no plan.h": func() {
			if err := os.Remove(executor + "/plan.h"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if err := run(dir, true); err == nil || !strings.Contains(err.Error(), "is stale: run go generate") {
			t.Errorf("%s: the check says %v", what, err)
		}
		if err := run(dir, false); err != nil {
			t.Errorf("%s: written again: %v", what, err)
		}
		if err := run(dir, true); err != nil {
			t.Errorf("%s: after writing again the check says %v", what, err)
		}
	}
}

// What no plan can hold is refused with the place in the source.
func TestRefusesFields(t *testing.T) {
	dir := copyTree(t)
	for _, change := range []struct{ new, want string }{
		{"type Bad struct{ N int }", "field of type int, which no plan can hold"},
		{"type Bad struct{ N [4]byte }", "which no plan can hold"},
		{"type Bad struct{ N map[string]string }", "which no plan can hold"},
		{"type Bad uint32", "Bad is not a struct"},
		{"type Bad struct {", "expected"},
	} {
		file := filepath.Join(dir, "ops.go")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		edit(t, file, "\n// Setsid ", "\n// Bad is.\n"+change.new+"\n\n// Setsid ")
		if err := run(dir, false); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: got %v, want %s", change.new, err, change.want)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"Setsid": "setsid", "WriteProc": "write_proc", "UID": "uid", "InProc": "in_proc", "MaxOnError": "max_on_error", "SlotNone": "slot_none",
	} {
		if got := snake(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

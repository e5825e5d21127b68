package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// The table holds together: each name once, accounts that guest/as knows, packages and package lists that exist.
func TestMachines(t *testing.T) {
	as, err := os.ReadFile("guest/as")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range machines() {
		if _, err := m.image.key("."); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for _, j := range m.jobs {
			name := m.name + "/" + j.name
			if seen[name] {
				t.Errorf("%s: more than once", name)
			}
			seen[name] = true
			if !strings.Contains(string(as), "\n"+j.account+")\n") {
				t.Errorf("%s: guest/as knows no account %q", name, j.account)
			}
			if tests, _ := filepath.Glob(filepath.Join("../..", j.pkg, "*_test.go")); len(tests) == 0 {
				t.Errorf("%s: no tests in %s", name, j.pkg)
			}
			if j.deadline <= 0 {
				t.Errorf("%s: no deadline", name)
			}
		}
	}
}

// Each row of the skips is about a job that there is.
func TestSkipsNameJobs(t *testing.T) {
	list, err := readSkips("skips")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range list.rows {
		found := false
		for _, m := range machines() {
			for _, j := range m.jobs {
				ok, _ := path.Match(row.job, m.name+"/"+j.name)
				found = found || ok
			}
		}
		if !found {
			t.Errorf("skips:%d: no job matches %s", row.line, row.job)
		}
	}
}

func TestSelectJobs(t *testing.T) {
	names := func(selected []machine) string {
		var names []string
		for _, m := range selected {
			for _, j := range m.jobs {
				names = append(names, m.name+"/"+j.name)
			}
		}
		return strings.Join(names, " ")
	}
	all := []machine{
		{name: "a", jobs: []job{{name: "x"}, {name: "y"}}},
		{name: "b", jobs: []job{{name: "x"}}},
	}
	for _, c := range []struct{ patterns, want string }{
		{"", "a/x a/y b/x"},
		{"a", "a/x a/y"},
		{"*/x", "a/x b/x"},
		{"b a/y", "a/y b/x"},
	} {
		selected, err := selectJobs(all, strings.Fields(c.patterns))
		if got := names(selected); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.patterns, got, err, c.want)
		}
	}
	for _, bad := range []string{"c", "a/z", "["} {
		if _, err := selectJobs(all, []string{bad}); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// Other content is another image; the same is the same.
func TestImageKey(t *testing.T) {
	folder := t.TempDir()
	for _, d := range []string{"packages", "guest"} {
		if err := os.Mkdir(filepath.Join(folder, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func(i image) string {
		k, err := i.key(folder)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("image", "script")
	write("mirror", "script")
	write("guest/init", "init")
	write("packages/base", "systemd")
	write("packages/more", "runc")
	i := image{"trixie", []string{"base"}}
	first := key(i)
	if first != key(i) {
		t.Error("the key changes by itself")
	}
	if first == key(image{"trixie", []string{"base", "more"}}) || first == key(image{"bookworm", i.lists}) {
		t.Error("another image has the same key")
	}
	write("packages/base", "systemd dbus")
	if first == key(i) {
		t.Error("another list of packages has the same key")
	}
}

// A shell reads a quoted word as it was, whatever is in it.
func TestQuote(t *testing.T) {
	if got, want := quote(`it's $x`), `'it'\''s $x'`; got != want {
		t.Errorf("quote: %s, want %s", got, want)
	}
}

// What is printed of a console's log cannot play with the reader's terminal.
func TestPrintable(t *testing.T) {
	if got, want := printable("\x1b[31mred\r\nnext\a"), "[31mred\nnext"; got != want {
		t.Errorf("printable: %q, want %q", got, want)
	}
}

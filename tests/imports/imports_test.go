// Package imports holds the table of who may import whom. It is policy as a test: a new edge between packages is a
// decision, that gets a row here and a reason, or is not made.
package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "berth"

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
}

// modulePackages lists the module's packages with what they import in any build, without those under tests/, which drive
// the whole program.
func modulePackages(t *testing.T) map[string]listed {
	t.Helper()
	all := map[string]listed{}
	for _, tag := range []string{"", "libseccomp", "ownseccomp"} {
		for _, p := range list(t, tag) {
			name := strings.TrimPrefix(p.ImportPath, module+"/")
			known := all[name]
			p.Imports = append(p.Imports, known.Imports...)
			p.CgoFiles = append(p.CgoFiles, known.CgoFiles...)
			slices.Sort(p.Imports)
			p.Imports = slices.Compact(p.Imports)
			all[name] = p
		}
	}
	return all
}

// list lists the packages of the build with a tag.
func list(t *testing.T, tag string) (all []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", tag, "-json=ImportPath,Imports,CgoFiles", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p.ImportPath, module+"/tests/") {
			all = append(all, p)
		}
	}
}

// Each edge between two packages of the module has a row with its reason.
func TestEdgesBetweenPackages(t *testing.T) {
	packages := modulePackages(t)
	for name, p := range packages {
		for _, imported := range p.Imports {
			to, inside := strings.CutPrefix(imported, module+"/")
			if edge := name + " -> " + to; inside && edges()[edge] == "" {
				t.Errorf("%s is not allowed: find another way, or add a row with the reason to table_test.go", edge)
			}
		}
	}
	for edge := range edges() {
		for name := range strings.SplitSeq(edge, " -> ") {
			if _, ok := packages[name]; !ok {
				t.Errorf("the row %q names %s, which is no package: remove it", edge, name)
			}
		}
	}
}

// A pure package neither does I/O nor imports a package of the module that does: its results depend on its
// arguments alone, so it can be tested without a host.
func TestPurePackages(t *testing.T) {
	packages := modulePackages(t)
	for name, reason := range pure() {
		p, ok := packages[name]
		if !ok {
			t.Errorf("%s (%s) is no package of the module: remove its row", name, reason)
			continue
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo, but is pure: %s", name, reason)
		}
		for _, imported := range p.Imports {
			to, inside := strings.CutPrefix(imported, module+"/")
			if doesIO(imported) || inside && pure()[to] == "" {
				t.Errorf("%s imports %s, but is pure: %s", name, imported, reason)
			}
		}
	}
}

// doesIO tells the packages through which a program reaches the host.
func doesIO(imported string) bool {
	switch imported {
	case "os", "os/exec", "os/signal", "os/user", "io/ioutil", "net", "net/http", "syscall", "plugin", "log", "log/slog",
		"golang.org/x/sys/unix", "C", "unsafe":
		return true
	}
	return false
}

// Each library is imported where the table says, and nowhere else.
func TestLibraries(t *testing.T) {
	for name, p := range modulePackages(t) {
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") {
				continue // the standard library, or the module
			}
			row := ""
			for library := range libraries() {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && len(library) > len(row) {
					row = library
				}
			}
			switch {
			case row == "":
				t.Errorf("%s imports %s, a library without a row in table_test.go", name, imported)
			case !slices.Contains(libraries()[row].users, name):
				t.Errorf("%s imports %s, which is not for it: %s", name, imported, libraries()[row].reason)
			}
		}
	}
}

// A package is called by what it provides. These names say nothing, and draw in everything.
func TestPackageNames(t *testing.T) {
	for name := range modulePackages(t) {
		switch path.Base(name) {
		case "utils", "util", "common", "helpers", "helper", "misc", "shared", "base", "types":
			t.Errorf("package %s: name it after what it provides", name)
		}
	}
}

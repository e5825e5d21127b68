package compile

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/spec"
)

// What features says of mount options is what parseOptions does: it knows each
// word, and lists all that it knows.
func TestMountOptionsAreKnown(t *testing.T) {
	words := MountOptions()
	if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
		t.Error("not in order, or not each once")
	}
	for _, w := range words {
		o := parseOptions([]string{w})
		switch w {
		case "async", "dirsync", "lazytime", "mand", "nolazytime", "nomand", "sync":
			// Of every file system; fsconfig(2) has the words.
		default:
			if len(o.params) > 0 {
				t.Errorf("%s is taken for an option of the file system's own", w)
			}
		}
	}
	for w := range specWords() {
		listed := slices.Contains(words, w)
		if idmap := w == "idmap" || w == "ridmap"; !listed && (!idmap || IDMapMounts) {
			t.Errorf("%s of the runtime-spec's table is not listed", w)
		}
	}
}

// Each word that options.go knows is listed, and the recursive form of those that have one.
func TestKnownMountOptionsAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "options.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := MountOptions()
	for _, d := range file.Decls {
		function, ok := d.(*ast.FuncDecl)
		if !ok || !slices.Contains([]string{"attrWord", "propagationWord", "word"}, function.Name.Name) {
			continue
		}
		found := 0
		ast.Inspect(function, func(n ast.Node) bool {
			clause, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, e := range clause.List {
				word, err := strconv.Unquote(e.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				if word != "" && !slices.Contains(listed, word) {
					t.Errorf("%s is known and not listed", word)
				}
				if function.Name.Name == "attrWord" && !slices.Contains(listed, "r"+word) {
					t.Errorf("r%s is known and not listed", word)
				}
			}
			return true
		})
		if found == 0 {
			t.Errorf("%s has no words", function.Name.Name)
		}
	}
}

// compiles says what compile has against a change of a plain configuration.
func compiles(t *testing.T, change func(*specs.Spec)) error {
	t.Helper()
	_, err := compilePlain(t, change)
	return err
}

// compilePlain compiles a plain configuration with a change.
func compilePlain(t *testing.T, change func(*specs.Spec)) (*Output, error) {
	t.Helper()
	s := &specs.Spec{
		Version: "1.3.0",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: []string{"a"}, Cwd: "/"},
		Linux:   &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}}},
		Mounts:  []specs.Mount{{Destination: "/proc", Type: "proc"}, {Destination: "/tmp", Type: "tmpfs"}},
	}
	change(s)
	host := hostOf(t, "v2")
	// None that is too old for what is tried, or has not the module.
	host.Kernel, host.AppArmor, host.SELinux = facts.Kernel{Major: 6, Minor: 18}, true, true
	host.AppArmor, host.SELinux, host.MountSetattr = true, true, true
	out, err := Compile(Input{Spec: s, ID: "x", Bundle: "/b", Host: host})
	return out, errors.Join(spec.Validate(s).Err(), err)
}

// Each listed type of namespace is carried out, and any other is refused.
func TestNamespacesAreCarriedOut(t *testing.T) {
	mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	add := func(kind string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			for _, n := range s.Linux.Namespaces {
				if string(n.Type) == kind {
					return
				}
			}
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind)})
			if kind == "user" {
				s.Linux.UIDMappings, s.Linux.GIDMappings = mapping, mapping
			}
		}
	}
	if !slices.IsSorted(Namespaces()) {
		t.Error("not in order")
	}
	for _, kind := range Namespaces() {
		if err := compiles(t, add(kind)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := compiles(t, add("net")); err == nil {
		t.Error("a namespace of no type is taken")
	}
}

func TestIDMapMountsAreAsTold(t *testing.T) {
	mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	err := compiles(t, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: "/x", Options: []string{"bind", "idmap"}, UIDMappings: mapping, GIDMappings: mapping})
	})
	if IDMapMounts != (err == nil) {
		t.Errorf("IDMapMounts is %v, and an idmapped mount gives: %v", IDMapMounts, err)
	}
	if err != nil && !strings.Contains(err.Error(), "/x") {
		t.Errorf("refused for another reason: %v", err)
	}
}

func TestMemoryPoliciesAreCarriedOut(t *testing.T) {
	policy := func(p specs.LinuxMemoryPolicy) error {
		return compiles(t, func(s *specs.Spec) { s.Linux.MemoryPolicy = &p })
	}
	for _, mode := range MemoryPolicyModes() {
		p := specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(mode), Nodes: "0"}
		if p.Mode == specs.MpolDefault || p.Mode == specs.MpolLocal {
			p.Nodes = ""
		}
		if err := policy(p); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for _, flag := range MemoryPolicyFlags() {
		p := specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MemoryPolicyFlagType(flag)}}
		if err := policy(p); err != nil {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if policy(specs.LinuxMemoryPolicy{Mode: "MPOL_X"}) == nil {
		t.Error("a mode that is none is taken")
	}
}

// What is not carried out is refused, and the other way round.
func TestRefusedIsAsTold(t *testing.T) {
	for name, c := range map[string]struct {
		told   bool
		change func(*specs.Spec)
	}{
		"linux.intelRdt": {IntelRdt, func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "guaranteed"} }},
		"linux.netDevices": {NetDevices, func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth9": {}}
		}},
	} {
		err := compiles(t, c.change)
		if c.told != (err == nil) {
			t.Errorf("%s: features tells %v, and it gives: %v", name, c.told, err)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s is refused for another reason: %v", name, err)
		}
	}
}

// A field of a security module is carried out when it makes for another plan, or
// is refused.
func TestSecurityModulesAreAsTold(t *testing.T) {
	plain, err := compilePlain(t, func(*specs.Spec) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		told   bool
		change func(*specs.Spec)
	}{
		"AppArmor":           {AppArmor, func(s *specs.Spec) { s.Process.ApparmorProfile = "profile" }},
		"SELinux's process":  {SELinux, func(s *specs.Spec) { s.Process.SelinuxLabel = "system_u:system_r:container_t:s0:c1,c2" }},
		"SELinux's mounting": {SELinux, func(s *specs.Spec) { s.Linux.MountLabel = "system_u:object_r:container_file_t:s0:c1,c2" }},
	} {
		out, err := compilePlain(t, c.change)
		done := err != nil || !reflect.DeepEqual(out.Plan, plain.Plan)
		if done != c.told {
			t.Errorf("%s: carried out is %v (%v), and features tells %v", name, done, err, c.told)
		}
	}
}

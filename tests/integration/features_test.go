package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"berth/tests/schema"
)

// runtimeFeatures is what the command features prints, which must be all that it prints.
func runtimeFeatures(t *testing.T) *features.Features {
	t.Helper()
	needsRoot(t)
	r := oci(t, "features").ok(t)
	want(t, "stderr", r.stderr, "")
	f := &features.Features{}
	if err := json.Unmarshal([]byte(r.stdout), f); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	return f
}

// features prints a document of the runtime-spec's schema and nothing else, with what engines look for.
func TestFeatures(t *testing.T) {
	t.Parallel()
	f := runtimeFeatures(t)
	want(t, "versions are there", f.OCIVersionMin != "" && f.OCIVersionMax != "", true)
	want(t, "option rro is there", slices.Contains(f.MountOptions, "rro"), true)
	if !isBerth() {
		return
	}
	differences, err := schema.Check("features-schema.json", []byte(oci(t, "features").ok(t).stdout))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "differences from the schema", strings.Join(differences, "\n"), "")
	want(t, "idmapped mounts are told of", f.Linux.MountExtensions.IDMap.Enabled != nil, true)
	wantContains(t, "error for an argument", oci(t, "features", "all").exits(t, 1).stderr, "argument")
	// They are known to who has no place for containers, too.
	r := asNobody(t).run(t, "features").ok(t)
	want(t, "stderr of another user's", r.stderr, "")
}

// asNobody calls a copy of the runtime as a user without rights, for whom the checkout may be out of reach, and who
// has no place for containers.
func asNobody(t *testing.T) call {
	t.Helper()
	folder := filepath.Join(host.scratch, "nobody-"+strings.ReplaceAll(t.Name(), "/", "-"))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, folder) })
	program := filepath.Join(folder, host.name)
	// By another program: a descriptor of ours for writing could be inherited by a child that another test starts at
	// that moment, and a file that is open for writing cannot be executed.
	runProgram(t, "cp", host.runtime, program)
	runProgram(t, "chmod", "755", program)
	return call{program: program, dir: "/", env: []string{"XDG_RUNTIME_DIR="},
		attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}}
}

// Each hook that features lists is run: one that cannot be is told of.
func TestListedHooksAreRun(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the wording of a hook's failure")
	for _, name := range runtimeFeatures(t).Hooks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, func(s *specs.Spec) {
				text := `{"` + name + `": [{"path": "/no/such/hook"}]}`
				if err := json.Unmarshal([]byte(text), &s.Hooks); err != nil {
					t.Fatal(err)
				}
			})
			wantContains(t, "error", c.run().stderr, "hooks."+name+"[0]", "/no/such/hook")
		})
	}
}

// Both versions of the runtime-spec that features gives are taken.
func TestListedVersionsAreTaken(t *testing.T) {
	t.Parallel()
	f := runtimeFeatures(t)
	for _, version := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		c := newContainer(t, func(s *specs.Spec) { s.Version = version })
		c.run().ok(t)
	}
}

// Each namespace that features lists is one that the container then has.
func TestListedNamespacesAreMade(t *testing.T) {
	t.Parallel()
	f := runtimeFeatures(t)
	for _, kind := range f.Linux.Namespaces {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			file := map[string]string{"mount": "mnt", "network": "net"}[kind]
			if file == "" {
				file = kind
			}
			namespaces := specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind)}
			c := newContainer(t, withNamespace(namespaces), withArgs("readlink", "/proc/self/ns/"+file), withLinux(func(l *specs.Linux) {
				if kind == "user" {
					l.UIDMappings = []specs.LinuxIDMapping{{HostID: 0, Size: 1000}}
					l.GIDMappings = l.UIDMappings
				}
			}))
			inside := strings.TrimSpace(c.run().ok(t).stdout)
			outside := strings.TrimSpace(runProgram(t, "readlink", "/proc/self/ns/"+file))
			if inside == "" || inside == outside {
				t.Errorf("inside %q, outside %q", inside, outside)
			}
		})
	}
}

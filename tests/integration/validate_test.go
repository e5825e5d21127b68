package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// validate finds nothing in a bundle that create takes, says nothing, and leaves nothing.
func TestValidateOfGoodBundle(t *testing.T) {
	berthOnly(t, "the command validate")
	hostUnchanged(t)
	c := newContainer(t)
	folder := filepath.Dir(c.bundle)
	before := listTree(t, folder)
	r := oci(t, c.driver("validate", "--bundle", c.bundle)...).ok(t)
	want(t, "output", r.stdout+r.stderr, "")
	call{dir: c.bundle}.run(t, c.driver("validate")...).ok(t)
	for path := range listTree(t, folder) {
		want(t, "was there before: "+path, before[path], true)
	}
	other := filepath.Join(folder, "other.json")
	if err := os.Rename(configPath(c), other); err != nil {
		t.Fatal(err)
	}
	oci(t, c.driver("validate", "--bundle", c.bundle, "--config", other)...).ok(t)
	// Who may not make containers may well look at a bundle.
	r = asNobody(t).run(t, c.driver("validate", "--bundle", c.bundle, "-f", other)...).ok(t)
	want(t, "output for another user", r.stdout+r.stderr, "")
}

// validate lists all problems, a line each, with exit code 1; warnings are apart from them and no problem.
func TestValidateListsAllProblems(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command validate")
	for name, bad := range map[string]struct {
		change func(*specs.Spec)
		says   []string
	}{
		"in the document": {func(s *specs.Spec) {
			s.Process.Args = nil
			s.Mounts[0].Destination = ""
			s.Linux.Sysctl = map[string]string{"vm.swappiness": "1"}
			s.Root.Path = "nowhere"
		}, []string{"process.args", "mounts[0].destination", "linux.sysctl", "root.path"}},
		"of this host": {func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(7))},
				HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1}},
				Network:        &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 1}}}}
			if hasController("cpu") {
				return
			}
			s.Linux.Resources.CPU = nil
			s.Linux.CgroupsPath = "a.slice:b:c" // of the other driver's form
		}, []string{"linux."}},
		"of a seccomp profile": {func(s *specs.Spec) {
			rule := specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.OpEqualTo}}}
			other := rule
			other.Action = specs.ActLog
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{rule, other}}
		}, []string{"linux.seccomp.syscalls[1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, bad.change)
			r := oci(t, c.driver("validate", "-b", c.bundle)...).exits(t, 1)
			wantContains(t, "problems", r.stdout, bad.says...)
			if name == "in the document" {
				want(t, "lines", strings.Count(r.stdout, "\n"), len(bad.says))
			}
			want(t, "stderr", r.stderr, "")
			// They are what create fails with.
			created := c.create().exits(t, 1)
			for line := range strings.Lines(r.stdout) {
				if !strings.HasPrefix(line, "root.path") { // which create looks at later
					wantContains(t, "create's error", created.stderr, strings.TrimSpace(line))
				}
			}
		})
	}
	warned := newContainer(t, func(s *specs.Spec) {
		s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_OF_TOMORROW")
	})
	r := oci(t, warned.driver("validate", "-b", warned.bundle)...).ok(t)
	want(t, "stdout", r.stdout, "")
	wantContains(t, "warnings", r.stderr, "warning", "CAP_OF_TOMORROW")
}

// A document that cannot be read is told with its place; a bundle that is none, by its name.
func TestValidateOfNoBundle(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command validate")
	c := newContainer(t)
	c.writeConfigText("{\n  \"ociVersion\": 1\n}\n")
	r := oci(t, "validate", "--bundle", c.bundle).exits(t, 1)
	wantContains(t, "output", r.stdout, "config.json:2:", "ociVersion")
	for _, args := range [][]string{{"validate", "--bundle", "/no/such/bundle"}, {"validate", "bundle"}} {
		r := oci(t, args...).exits(t, 1)
		wantContains(t, strings.Join(args, " "), r.stderr, "bundle")
		want(t, "lines of the error", strings.Count(r.stderr, "\n"), 1)
		want(t, "stdout", r.stdout, "")
	}
}

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// plan prints the operations in order, each with its place in the config; the order is the config's.
func TestPlanText(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command plan")
	c := newContainer(t,
		withMounts(specs.Mount{Destination: "/data", Source: "/srv", Options: []string{"rbind", "ro"}}),
		withProcess(func(p *specs.Process) {
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 1, Hard: 2}}
		}))
	text := c.oci("plan", "--bundle", c.bundle).ok(t).stdout
	last := 0
	for _, origin := range []string{
		"root.path", "mounts[0] (/proc)", "mounts[1] (/dev)", "mounts[5] (/data)", "linux.maskedPaths[0]",
		"process.capabilities", "process.args", "process.rlimits[0]",
	} {
		at := strings.Index(text, origin)
		if at < 0 {
			t.Errorf("no operation of %s in:\n%s", origin, text)
		}
		if at < last {
			t.Errorf("%s comes too early in:\n%s", origin, text)
		}
		last = at
	}
	wantContains(t, "plan", text, "/srv", "hostname")
}

// plan --format json prints the same operations as an object that programs can read.
func TestPlanJSON(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command plan")
	c := newContainer(t)
	var plan struct {
		Clone []string
		Steps []struct {
			Op     string
			Args   map[string]any
			Origin string
		}
	}
	out := c.oci("plan", "--bundle", c.bundle, "--format", "json").ok(t).stdout
	if err := json.Unmarshal([]byte(out), &plan); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	wantContains(t, "clone", strings.Join(plan.Clone, " "), "CLONE_NEWPID", "CLONE_NEWNS", "CLONE_NEWUTS")
	if len(plan.Steps) < 20 {
		t.Errorf("only %d steps", len(plan.Steps))
	}
	for _, step := range plan.Steps {
		if step.Op == "" || step.Origin == "" {
			t.Errorf("a step without name or origin: %+v", step)
		}
	}
}

// plan needs no root, and does nothing: no file, mount, cgroup, process.
func TestPlanWithoutRoot(t *testing.T) {
	berthOnly(t, "the command plan")
	hostUnchanged(t)
	c := newContainer(t)
	// The checkout may be out of another user's reach.
	program, err := os.ReadFile(host.runtime)
	if err != nil {
		t.Fatal(err)
	}
	berth := filepath.Join(filepath.Dir(c.bundle), "berth")
	if err := os.WriteFile(berth, program, 0o755); err != nil {
		t.Fatal(err)
	}
	before := listTree(t, filepath.Dir(c.bundle))
	nobody := call{program: berth, dir: "/", attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}}
	r := nobody.run(t, c.driver("plan", "--bundle", c.bundle)...).ok(t)
	want(t, "stderr", r.stderr, "")
	wantContains(t, "plan", r.stdout, "mounts[0] (/proc)")
	for path := range listTree(t, filepath.Dir(c.bundle)) {
		want(t, "was there before: "+path, before[path], true)
	}
}

// A bad config makes plan fail as create does, with the same words.
func TestPlanOfBadConfig(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command plan")
	c := newContainer(t, withArgs())
	plan := c.oci("plan", "--bundle", c.bundle).exits(t, 1)
	create := c.create().exits(t, 1)
	want(t, "plan's error", plan.stderr, create.stderr)
}

// --config names another file than the bundle's config.json.
func TestConfigFlag(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the flag --config, which crun has and runc has not")
	c := newContainer(t, withScript("echo other"))
	other := filepath.Join(filepath.Dir(c.bundle), "other.json")
	if err := os.Rename(configPath(c), other); err != nil {
		t.Fatal(err)
	}
	want(t, "run's output", c.run("--config", other).ok(t).stdout, "other\n")
	c.create("-f", other).ok(t)
	want(t, "status", c.state().Status, "created")
}

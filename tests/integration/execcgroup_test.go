package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A container may manage cgroups of its own on v2, as systemd does: then its cgroup passes controllers on and takes no
// process any more (cgroups(7), "no internal processes"). What exec starts goes where the first process went.
func TestExecWhereInitMoved(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	mount := "/sys/fs/cgroup"
	switch host.cgroups.kind() {
	case "v1":
		t.Skip("the rule is of cgroup v2")
	case "hybrid":
		berthOnly(t, "containers in cgroups of v2 beside those of v1")
		mount += "/unified"
	}
	text, err := os.ReadFile(filepath.Join(host.cgroups.v2, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	controller, limit := "pids", withResources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(50))} })
	if !slices.Contains(strings.Fields(string(text)), controller) {
		// Those of v1 have taken the others, on most hybrid hosts.
		controller, limit = "hugetlb", withResources(func(r *specs.LinuxResources) {
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 2 << 20}}
		})
	}
	c, s := sleeping(t, limit, withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}),
		withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "rw"}}))
	unifiedOf := func(pid int) string {
		return membership(contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/cgroup", pid))))[""]
	}
	own := unifiedOf(s.Pid)
	c.execScript(fmt.Sprintf("cd %s && mkdir inner other && echo 1 >inner/cgroup.procs", mount)).ok(t)
	want(t, "init's cgroup", unifiedOf(s.Pid), own+"/inner")
	c.execScript(fmt.Sprintf("echo $$ >%[1]s/inner/cgroup.procs && echo +%[2]s >%[1]s/cgroup.subtree_control", mount, controller)).ok(t)

	// In its cgroup namespace the container's own is the root.
	cgroupOf := func(flags ...string) string {
		return membership(c.exec(flags, "cat", "/proc/self/cgroup").ok(t).stdout)[""]
	}
	want(t, "cgroup of exec's process", cgroupOf(), "/inner")
	if host.cgroups.kind() == "v2" {
		want(t, "cgroup of exec's process with a name", cgroupOf("--cgroup", "other"), "/other")
	}
	pid := c.startedIn(sleeper())
	want(t, "cgroup of a detached process", unifiedOf(pid), own+"/inner")
	if isBerth() {
		for line := range strings.Lines(contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/cgroup", pid)))) {
			if !strings.HasPrefix(line, "0:") && strings.HasSuffix(line, "/inner\n") {
				t.Errorf("the process left the container's cgroup of v1: %s", line)
			}
		}
		r := c.exec([]string{"--cgroup", "/"}, "true").exits(t, 255)
		wantContains(t, "error", r.stderr, "no internal processes")
	}
}

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// delegation is a cgroup in each hierarchy that is an ordinary user's, as an administrator or systemd gives one.
type delegation struct {
	name string   // below each mount point
	all  []string // the folders
}

// delegate makes one in the hierarchies at the mount points; it goes with the test.
func delegate(t *testing.T, a *account, name string, mountPoints ...string) *delegation {
	t.Helper()
	d := &delegation{name: name}
	for _, at := range mountPoints {
		folder := filepath.Join(at, name)
		if at == host.cgroups.v2 {
			// What the host does not have in v2 stays off.
			_ = os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+pids"), 0)
		}
		for _, f := range []string{folder, filepath.Join(folder, "caller")} {
			if err := os.Mkdir(f, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { removeFolder(t, f) })
		}
		d.all = append(d.all, folder)
		for _, file := range []string{"", "caller", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks", "caller/cgroup.procs"} {
			path := filepath.Join(folder, file)
			if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	return d
}

// removeFolder removes a cgroup, whose last process may be on its way out still.
func removeFolder(t *testing.T, folder string) {
	t.Helper()
	var err error
	for range 100 {
		if err = unix.Rmdir(folder); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("remove %s: %v", folder, err)
}

// inCgroup has a call made from a folder of the v2 hierarchy.
func (c call) inCgroup(t *testing.T, folder string) call {
	t.Helper()
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	attr := syscall.SysProcAttr{}
	if c.attr != nil {
		attr = *c.attr
	}
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	c.attr = &attr
	return c
}

// With the v2 hierarchy delegated, a container of an ordinary user has a cgroup of its own: it is paused, measured,
// listed and killed by it, and what it may not have still is refused.
func TestRootlessDelegatedV2(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	if host.cgroups.v2 == "" {
		t.Skip("no cgroup v2 here")
	}
	newerThanReference(t, "delegated cgroups beside those of v1")
	c := newRootless(t, withScript("sleep 600 & echo ready; wait"))
	d := delegate(t, c.as, c.id+"-parent", host.cgroups.v2)
	c.setConfig(t, func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + d.name + "/box" })
	p := c.call().inCgroup(t, filepath.Join(d.all[0], "caller"))
	c.created = p.start(t, c.args(c.command("create", nil)...)...)
	c.created.wait(t).ok(t)
	c.start().ok(t)
	waitFor(t, "the container's script says ready", func() bool { return strings.Contains(c.output(), "ready\n") })
	procs, err := os.ReadFile(filepath.Join(d.all[0], "box/cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "processes in the cgroup", len(strings.Fields(string(procs))), 2)
	var pids []int
	if err := json.Unmarshal([]byte(c.oci("ps", "--format", "json", c.id).ok(t).stdout), &pids); err != nil || len(pids) != 2 {
		t.Errorf("ps: %v %v", pids, err)
	}
	c.oci("pause", c.id).ok(t)
	want(t, "status", c.state().Status, "paused")
	c.oci("resume", c.id).ok(t)
	wantContains(t, "events", c.oci("events", "--stats", c.id).ok(t).stdout, `"id":"`+c.id)
	exec := c.call().inCgroup(t, filepath.Join(d.all[0], "caller"))
	out := exec.run(t, c.args(c.execArgs(nil, "cat", "/proc/self/cgroup")...)...).ok(t).stdout
	wantContains(t, "cgroup of exec", out, "0::/"+d.name+"/box\n")
	c.oci("kill", "--all", c.id, "KILL").ok(t)
	c.waitStatus("stopped")
	c.delete().ok(t)
	if _, err := os.Stat(filepath.Join(d.all[0], "box")); err == nil {
		t.Error("the cgroup is there after delete")
	}
}

// setConfig changes the bundle's configuration.
func (c *container) setConfig(t *testing.T, change func(*specs.Spec)) {
	t.Helper()
	file := filepath.Join(c.bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	change(&s)
	c.writeConfig(&s)
}

// A process may not be moved to a delegated cgroup from one outside: without a limit the container does without it,
// and with one it is told why.
func TestRootlessOutsideOfDelegation(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	if host.cgroups.v2 == "" {
		t.Skip("no cgroup v2 here")
	}
	berthOnly(t, "a container without limits does without a cgroup that it cannot enter")
	c := newRootless(t)
	d := delegate(t, c.as, c.id+"-parent", host.cgroups.v2)
	c.setConfig(t, func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + d.name + "/box" })
	c.run().ok(t)
	c.setConfig(t, func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Unified: map[string]string{"cgroup.max.depth": "3"}}
	})
	wantContains(t, "error", c.run().exits(t, 1).stderr, "linux.resources.unified", "no process can be moved from cgroup", "cgroup.procs")
}

// With a hierarchy of v1 delegated, its limits hold, and are updated; those of others are refused.
func TestRootlessDelegatedV1(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	pids := host.cgroups.v1["pids"]
	if pids == "" {
		t.Skip("no pids controller of cgroup v1 here")
	}
	newerThanReference(t, "some delegated cgroups of v1")
	c := newRootless(t, withSleep())
	d := delegate(t, c.as, c.id+"-parent", pids)
	limit := func(s *specs.Spec) {
		s.Linux.CgroupsPath = "/" + d.name + "/box"
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](17)}}
	}
	c.setConfig(t, limit)
	c.startSleeping()
	max := func() string {
		text, err := os.ReadFile(filepath.Join(d.all[0], "box/pids.max"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	want(t, "pids.max", max(), "17")
	c.oci("update", "--pids-limit", "21", c.id).ok(t)
	want(t, "pids.max", max(), "21")
	if pid := strconv.Itoa(c.state().Pid); !strings.Contains(c.oci("ps", c.id).ok(t).stdout, pid) {
		t.Errorf("ps lacks %s", pid)
	}
	c.delete("--force").ok(t)
	c.setConfig(t, func(s *specs.Spec) {
		limit(s)
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](100 << 20)}
	})
	r := c.run().exits(t, 1)
	wantContains(t, "error", r.stderr, "linux.resources.memory.limit", "permission denied")
	if strings.Contains(r.stderr, "linux.resources.pids") {
		t.Errorf("the delegated limit is refused too: %s", r.stderr)
	}
}

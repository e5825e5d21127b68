package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// setting is a control file of a cgroup, and what is in it.
type setting struct {
	controller, v1File, v2File string
	v1, v2                     string
}

// check compares the file of the container's cgroup in the layout at hand.
func (s setting) check(t *testing.T, pid int) {
	t.Helper()
	file, wanted := s.v2File, s.v2
	if _, v1 := host.cgroups.v1[s.controller]; v1 {
		file, wanted = s.v1File, s.v1
	}
	want(t, file, cgroupFile(t, pid, s.controller, s.v1File, s.v2File), wanted)
}

// same is a setting that v1 and v2 show alike.
func same(controller, v1File, v2File, value string) setting {
	return setting{controller, v1File, v2File, value, value}
}

func pidsMax(value string) setting { return same("pids", "pids.max", "pids.max", value) }
func memoryMax(value string) setting {
	return same("memory", "memory.limit_in_bytes", "memory.max", value)
}

// Each flag changes its control file in the cgroup of a container that runs. The flags before it are still in force.
func TestUpdateFlags(t *testing.T) {
	t.Parallel()
	for _, part := range []struct {
		controller string
		steps      []updateStep
	}{
		{"pids", []updateStep{
			{flags: "--pids-limit 33", settings: []setting{pidsMax("33")}},
			{flags: "--pids-limit -1", settings: []setting{pidsMax("max")}},
		}},
		{"memory", []updateStep{
			{flags: "--memory 67108864 --memory-swap 134217728", settings: []setting{memoryMax("67108864"),
				{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "134217728", "67108864"}}},
			{flags: "--memory 100M", settings: []setting{memoryMax("104857600"),
				{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "134217728", "29360128"}}},
			{flags: "--memory-reservation 32m", settings: []setting{memoryMax("104857600"),
				same("memory", "memory.soft_limit_in_bytes", "memory.low", "33554432")}},
			{flags: "--memory-swap -1", settings: []setting{memoryMax("104857600"),
				{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "9223372036854771712", "max"}}},
			{flags: "--memory -1", settings: []setting{
				{"memory", "memory.limit_in_bytes", "memory.max", "9223372036854771712", "max"}}},
			{flags: "--memory 1g --memory-swap 2GiB", berthOnly: true, settings: []setting{memoryMax("1073741824"),
				{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "2147483648", "1073741824"}}},
			// Memory that may be had without limit can be swapped without.
			{flags: "--memory -1", berthOnly: true, settings: []setting{
				{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "9223372036854771712", "max"}}},
		}},
		{"cpu", []updateStep{
			{flags: "--cpu-period 200000 --cpu-quota 50000", settings: []setting{
				{"cpu", "cpu.cfs_quota_us", "cpu.max", "50000", "50000 200000"}}},
			{flags: "--cpu-quota 30000", settings: []setting{
				{"cpu", "cpu.cfs_quota_us", "cpu.max", "30000", "30000 200000"}}},
			{flags: "--cpu-share 512", settings: []setting{{"cpu", "cpu.shares", "cpu.weight", "512", "59"}}},
			{flags: "--cpu-burst 10000", berthOnly: true, settings: []setting{
				same("cpu", "cpu.cfs_burst_us", "cpu.max.burst", "10000")}},
			{flags: "--cpu-burst 0", berthOnly: true, settings: []setting{
				same("cpu", "cpu.cfs_burst_us", "cpu.max.burst", "0")}},
			{flags: "--cpu-idle 1", berthOnly: true, settings: []setting{same("cpu", "cpu.idle", "cpu.idle", "1")}},
			{flags: "--cpu-idle 0", berthOnly: true, settings: []setting{same("cpu", "cpu.idle", "cpu.idle", "0"),
				{"cpu", "cpu.shares", "cpu.weight", "512", "59"}}},
			{flags: "--cpu-quota -1", settings: []setting{{"cpu", "cpu.cfs_quota_us", "cpu.max", "-1", "max 200000"}}},
		}},
		{"cpuset", []updateStep{
			{flags: "--cpuset-cpus 0 --cpuset-mems 0", settings: []setting{
				same("cpuset", "cpuset.cpus", "cpuset.cpus", "0"), same("cpuset", "cpuset.mems", "cpuset.mems", "0")}},
		}},
	} {
		t.Run(part.controller, func(t *testing.T) {
			t.Parallel()
			needsRoot(t)
			needsController(t, part.controller)
			c := newContainer(t, withSleep())
			s := c.startSleeping()
			for _, step := range part.steps {
				if step.berthOnly && !isBerth() {
					continue
				}
				if minor, ok := newFiles[step.settings[0].v2File]; ok && !kernelAtLeast(t, 5, minor) {
					if strings.HasSuffix(step.flags, " 0") { // which is what a kernel without it does
						c.update(strings.Fields(step.flags)...).ok(t)
						continue
					}
					wantContains(t, "error", c.update(strings.Fields(step.flags)...).exits(t, 1).stderr, fmt.Sprintf("it came with Linux 5.%d", minor))
					continue
				}
				c.update(strings.Fields(step.flags)...).ok(t)
				for _, setting := range step.settings {
					setting.check(t, s.Pid)
				}
			}
		})
	}
}

// updateStep is an update of a container, and what holds after it.
type updateStep struct {
	flags     string
	settings  []setting
	berthOnly bool // runc 1.1.5 has not the flag
}

func (c *container) update(flags ...string) result {
	c.t.Helper()
	return c.oci(append(append([]string{"update"}, flags...), c.id)...)
}

// Limits come from a file or from standard input too, as containerd gives them. What the document leaves out stays,
// and fields that nobody knows are passed over.
func TestUpdateResources(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needsController(t, "pids")
	needsController(t, "cpu")
	c := newContainer(t, withSleep(), withResources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(40))} }))
	s := c.startSleeping()
	shares := func(v1, v2 string) setting { return setting{"cpu", "cpu.shares", "cpu.weight", v1, v2} }
	c.updateWith(`{"cpu": {"shares": 256}}`, "--resources=-").ok(t)
	shares("256", "35").check(t, s.Pid)
	pidsMax("40").check(t, s.Pid)
	c.updateWith(`{"pids": {"limit": 50, "what": 1}, "tomorrow": {}}`, "-r", "-").ok(t)
	shares("256", "35").check(t, s.Pid)
	pidsMax("50").check(t, s.Pid)
	file := filepath.Join(filepath.Dir(c.bundle), "resources.json")
	if err := os.WriteFile(file, []byte(`{"cpu": {"shares": 0, "cpus": ""}, "memory": {}, "pids": {"limit": 60}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r := c.update("--resources", file).ok(t)
	want(t, "stderr", r.stderr, "")
	shares("256", "35").check(t, s.Pid)
	pidsMax("60").check(t, s.Pid)
}

// updateWith is update with text on standard input.
func (c *container) updateWith(text string, flags ...string) result {
	c.t.Helper()
	return call{stdin: strings.NewReader(text)}.run(c.t, c.args(append(append([]string{"update"}, flags...), c.id)...)...)
}

// A limit that is lowered is enforced from then on.
func TestUpdateIsEnforced(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needsController(t, "pids")
	c := newContainer(t, withScript(`echo ready; read line < /go
		for i in 1 2 3 4 5 6; do sleep 600 & done; echo forked all; wait`))
	runProgram(t, "mkfifo", filepath.Join(c.rootfs, "go"))
	c.startSleeping()
	c.update("--pids-limit", "4").ok(t)
	runProgram(t, "sh", "-c", "echo > "+filepath.Join(c.rootfs, "go"))
	waitFor(t, "a fork is refused", func() bool { return strings.Contains(contents(t, c.created.stderr), "can't fork") })
	want(t, "processes", len(c.psJSON()) <= 4, true)
}

// A container that is created, or paused, can be updated.
func TestUpdateInEachStatus(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needsController(t, "pids")
	c := newContainer(t, withSleep())
	c.create().ok(t)
	c.update("--pids-limit", "21").ok(t)
	pidsMax("21").check(t, c.state().Pid)
	c.start().ok(t)
	c.oci("pause", c.id).ok(t)
	c.update("--pids-limit", "22").ok(t)
	pidsMax("22").check(t, c.state().Pid)
	want(t, "status", c.state().Status, "paused")
	c.oci("resume", c.id).ok(t)
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	wantContains(t, "error for a stopped one", c.update("--pids-limit", "23").exits(t, 1).stderr, "container not running")
}

// An update is made whole or not at all: where the kernel refuses one limit, the others are as before, in the cgroup
// and in what later updates build on.
func TestUpdateAllOrNothing(t *testing.T) {
	t.Parallel()
	berthOnly(t, "runc leaves what it had changed before")
	needsController(t, "pids")
	needsController(t, "cpuset")
	c := newContainer(t, withSleep(), withResources(func(r *specs.LinuxResources) {
		r.Pids = &specs.LinuxPids{Limit: ptr(int64(40))}
		if hasController("memory") {
			r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20))}
		}
	}))
	s := c.startSleeping()
	files := c.stateFiles()
	flags := []string{"--pids-limit", "41", "--cpu-share", "77", "--cpuset-cpus", "4000"}
	if hasController("memory") {
		flags = append(flags, "--memory", "128M", "--memory-swap", "128M")
	}
	r := c.update(flags...).exits(t, 1)
	wantContains(t, "error", r.stderr, "linux.resources.cpu.cpus", "4000", "cpuset.cpus")
	want(t, "lines of it", strings.Count(r.stderr, "\n"), 1)
	pidsMax("40").check(t, s.Pid)
	if hasController("cpu") {
		setting{"cpu", "cpu.shares", "cpu.weight", "1024", "100"}.check(t, s.Pid)
	}
	if hasController("memory") {
		memoryMax("67108864").check(t, s.Pid)
	}
	want(t, "files of the state", c.stateFiles(), files)
	// The refused CPUs are not part of what is written now.
	c.update("--cpu-share", "78").ok(t)
}

// stateFiles lists the files of the container's state folder.
func (c *container) stateFiles() string {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.stateRoot, c.id))
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// Wrong updates are refused in one line that says what is wrong, and change nothing.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needsController(t, "pids")
	c := newContainer(t, withSleep(), withResources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(40))} }))
	wantContains(t, "unknown container", c.update("--pids-limit", "5").exits(t, 1).stderr, "does not exist")
	s := c.startSleeping()
	for _, bad := range []struct{ stdin, flags, says string }{
		{"", "--pids-limit many", "--pids-limit"},
		{"", "--memory 12x", "--memory"},
		{"", "--memory -5", "--memory"},
		{"", "--cpu-quota 1.5", "--cpu-quota"},
		{"", "--cpu-period -1", "--cpu-period"},
		{"", "--blkio-weight 70000", "--blkio-weight"},
		{"", "--blkio-weight 5", "blockIO.weight"},
		{"", "--cpu-idle 2", "cpu.idle"},
		{"", "--memory-swap 5G", "memory.swap"},
		{"", "--l3-cache-schema L3:0=f", "--l3-cache-schema"},
		{"", "--mem-bw-schema MB:0=20", "--mem-bw-schema"},
		{"", "--resources /no/such/file", "/no/such/file"},
		{"", "--resources -", "empty"},
		{"[]", "-r -", "object"},
		{`{"pids": {"limit": "5"}}`, "-r -", "pids.limit"},
		{`{"pids": {"limit": 5}`, "-r -", "standard input"},
		{`{"pids": {"limit": 5}, "unified": {"../pids.max": "5"}}`, "-r -", "unified"},
		{`{"pids": {"limit": 5}, "hugepageLimits": [{"pageSize": "3", "limit": 1}]}`, "-r -", "hugepageLimits[0].pageSize"},
		{`{"pids": {"limit": 5}, "unified": {"no.such.file": "5"}}`, "-r -", "no.such.file"},
	} {
		r := c.updateWith(bad.stdin, strings.Fields(bad.flags)...)
		if !isBerth() {
			continue // which takes some of them, and words the others otherwise
		}
		r.exits(t, 1)
		wantContains(t, "error of "+bad.flags+bad.stdin, r.stderr, bad.says)
		want(t, "lines of it", strings.Count(r.stderr, "\n"), 1)
		pidsMax("40").check(t, s.Pid)
	}
}

// What has no effect is taken: engines still limit kernel memory, which is part of all memory by now. An update that
// asks for nothing succeeds.
func TestUpdateWithoutEffect(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	c.startSleeping()
	c.update().ok(t)
	if !isBerth() {
		return
	}
	want(t, "stderr", c.update("--kernel-memory", "5M", "--kernel-memory-tcp", "6M").ok(t).stderr, "")
	for _, hidden := range []string{"kernel-memory", "kernel-memory-tcp"} {
		if help := c.oci("update", "--help").ok(t).stdout; strings.Contains(help, hidden) {
			t.Errorf("--help shows %s", hidden)
		}
	}
	r := c.updateWith(`{"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]}`, "-r", "-").ok(t)
	wantContains(t, "warning of rules for devices", r.stderr, "warning", "devices")
	r = c.updateWith(`{}`, "--memory", "5M", "--resources", "-").ok(t)
	wantContains(t, "warning of a flag beside --resources", r.stderr, "warning", "--memory")
}

// The OOM killer can be turned off, where the kernel has that, and on again; elsewhere that is told.
func TestUpdateOOMKiller(t *testing.T) {
	t.Parallel()
	berthOnly(t, "runc 1.1.5 passes the field over")
	needsController(t, "memory")
	c := newContainer(t, withSleep())
	s := c.startSleeping()
	if _, v1 := host.cgroups.v1["memory"]; !v1 {
		r := c.updateWith(`{"memory": {"disableOOMKiller": true}}`, "-r", "-").exits(t, 1)
		wantContains(t, "error", r.stderr, "linux.resources.memory.disableOOMKiller", "cgroup v2")
		return
	}
	for _, off := range []string{"true", "false"} {
		c.updateWith(`{"memory": {"disableOOMKiller": `+off+`}}`, "-r", "-").ok(t)
		control := cgroupFile(t, s.Pid, "memory", "memory.oom_control", "")
		want(t, "killer is off: "+control, strings.Contains(control, "oom_kill_disable 1"), off == "true")
	}
}

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// schedulingOf reads a process's nice value, real-time priority and policy; fields 19, 40 and 41 of
// proc_pid_stat(5).
func schedulingOf(t *testing.T, pid int) string {
	t.Helper()
	text := contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/stat", pid)))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	return fmt.Sprintf("nice %s priority %s policy %s", fields[16], fields[37], fields[38])
}

// startedIn runs a process by exec, detached, and gives its pid.
func (c *container) startedIn(p *specs.Process) int {
	c.t.Helper()
	pidFile := filepath.Join(c.bundle, "exec-pid")
	c.oci("exec", "--detach", "--pid-file", pidFile, "--process", c.processFile(p), c.id).ok(c.t)
	return readPid(c.t, pidFile)
}

// sleeper is a process of exec's that takes after the container's own.
func sleeper() *specs.Process {
	return &specs.Process{Args: []string{"sleep", "600"}, Cwd: "/", Env: []string{"PATH=/bin"}}
}

// process.scheduler sets policy, priority, nice value and times, for the container's process and for exec's.
func TestScheduler(t *testing.T) {
	newerThanReference(t, "process.scheduler")
	t.Parallel()
	// Where the kernel has real-time groups, a v1 cgroup has no real-time of its own until it is given some.
	realTime := withLinux(func(l *specs.Linux) {
		if _, err := os.Stat(filepath.Join(host.cgroups.v1["cpu"], "cpu.rt_runtime_us")); host.cgroups.v1["cpu"] != "" && err == nil {
			l.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimeRuntime: ptr(int64(1000))}}
		}
	})
	for name, of := range map[string]struct {
		scheduler specs.Scheduler
		shows     string
	}{
		"nice":  {specs.Scheduler{Policy: specs.SchedOther, Nice: 7}, "nice 7 priority 0 policy 0"},
		"raise": {specs.Scheduler{Policy: specs.SchedOther, Nice: -5}, "nice -5 priority 0 policy 0"},
		"batch": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}, "nice 3 priority 0 policy 3"},
		"idle":  {specs.Scheduler{Policy: specs.SchedIdle}, "nice 0 priority 0 policy 5"},
		"fifo":  {specs.Scheduler{Policy: specs.SchedFIFO, Priority: 13}, "nice 0 priority 13 policy 1"},
		"rr": {specs.Scheduler{Policy: specs.SchedRR, Priority: 2, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}},
			"nice 0 priority 2 policy 2"},
		"keep the policy": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 3, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagKeepPolicy}},
			"nice 3 priority 0 policy 0"},
		"keep the parameters": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 3, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagKeepParams}},
			"nice 0 priority 0 policy 0"},
		"deadline": {specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1000000, Deadline: 100000000, Period: 100000000},
			"nice 0 priority 0 policy 6"},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := sleeping(t, realTime, withProcess(func(p *specs.Process) { p.Scheduler = &of.scheduler }))
			want(t, "the container's process", schedulingOf(t, s.Pid), of.shows)
			want(t, "exec's process", schedulingOf(t, c.startedIn(sleeper())), of.shows)
			p := sleeper()
			p.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: 2}
			want(t, "exec's process with its own", schedulingOf(t, c.startedIn(p)), "nice 2 priority 0 policy 0")
		})
	}
}

// The scheduler's flags arrive; sched_getattr(2). Those that limit the processor's frequency take a kernel that can.
func TestSchedulerFlags(t *testing.T) {
	newerThanReference(t, "process.scheduler")
	t.Parallel()
	const overrun, reclaim, reset = 0x04, 0x02, 0x01
	deadline := specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1000000, Deadline: 100000000, Period: 100000000}
	for flags, of := range map[uint64]specs.Scheduler{
		reset: {Policy: specs.SchedOther}, reclaim: deadline, overrun: deadline, reset | reclaim | overrun: deadline,
	} {
		for bit, name := range map[uint64]specs.LinuxSchedulerFlag{reset: specs.SchedFlagResetOnFork, reclaim: specs.SchedFlagReclaim, overrun: specs.SchedFlagDLOverrun} {
			if flags&bit != 0 {
				of.Flags = append(of.Flags, name)
			}
		}
		c, s := sleeping(t, withProcess(func(p *specs.Process) { p.Scheduler = &of }))
		attr, err := unix.SchedGetAttr(s.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		want(t, fmt.Sprintf("flags of %v", of.Flags), attr.Flags, flags)
		c.delete("--force").ok(t)
	}
	for _, flag := range []specs.LinuxSchedulerFlag{specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax} {
		c := newContainer(t, withProcess(func(p *specs.Process) {
			p.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{flag}}
		}))
		if r := c.run(); r.code != 0 {
			wantContains(t, "error", r.stderr, "process.scheduler", "CONFIG_UCLAMP_TASK")
		}
	}
}

// process.ioPriority sets class and level; ioprio_get(2).
func TestIOPriority(t *testing.T) {
	newerThanReference(t, "process.ioPriority")
	t.Parallel()
	for class, number := range map[specs.IOPriorityClass]int{
		specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3,
	} {
		_, s := sleeping(t, withProcess(func(p *specs.Process) {
			p.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: 5}
		}))
		const ofProcess = 1
		value, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ofProcess, uintptr(s.Pid), 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		want(t, string(class), fmt.Sprint(value>>13, " ", value&7), fmt.Sprint(number, " ", 5))
	}
}

// linux.personality makes a 64-bit machine look like a 32-bit one.
func TestPersonality(t *testing.T) {
	newerThanReference(t, "linux.personality")
	t.Parallel()
	c, s := sleeping(t, withLinux(func(l *specs.Linux) { l.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }))
	want(t, "personality", strings.TrimSpace(contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/personality", s.Pid)))), "00000008")
	machine := strings.TrimSpace(c.exec(nil, "uname", "-m").ok(t).stdout)
	if machine == strings.TrimSpace(runProgram(t, "uname", "-m")) {
		t.Errorf("exec's process is on %s as the host is", machine)
	}
}

// linux.memoryPolicy is seen in how memory is mapped; proc_pid_numa_maps(5).
func TestMemoryPolicy(t *testing.T) {
	newerThanReference(t, "linux.memoryPolicy")
	t.Parallel()
	for shows, policy := range map[string]specs.LinuxMemoryPolicy{
		"bind:0":                {Mode: specs.MpolBind, Nodes: "0"},
		"bind=static:0":         {Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}},
		"bind=relative:0":       {Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFRelativeNodes}},
		"interleave:0":          {Mode: specs.MpolInterleave, Nodes: "0"},
		"prefer:0":              {Mode: specs.MpolPreferred, Nodes: "0"},
		"local":                 {Mode: specs.MpolLocal},
		"default":               {Mode: specs.MpolDefault},
		"prefer (many):0":       {Mode: specs.MpolPreferredMany, Nodes: "0"},
		"weighted interleave:0": {Mode: specs.MpolWeightedInterleave, Nodes: "0"},
	} {
		with := withLinux(func(l *specs.Linux) { l.MemoryPolicy = &policy })
		if policy.Mode == specs.MpolWeightedInterleave && !kernelAtLeast(t, 6, 9) {
			wantContains(t, "error", newContainer(t, with).run().exits(t, 1).stderr, "linux.memoryPolicy", "needs Linux 6.9")
			continue
		}
		if policy.Mode == specs.MpolPreferredMany && !kernelAtLeast(t, 5, 15) {
			wantContains(t, "error", newContainer(t, with).run().exits(t, 1).stderr, "linux.memoryPolicy", "needs Linux 5.15")
			continue
		}
		c, s := sleeping(t, with)
		for what, pid := range map[string]int{"the container's process": s.Pid, "exec's process": c.startedIn(sleeper())} {
			maps := contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/numa_maps", pid)))
			if !strings.Contains(maps, " "+shows+" ") {
				t.Errorf("%s of %s: no %q in\n%s", what, policy.Mode, shows, maps)
			}
		}
	}
	c := newContainer(t, withLinux(func(l *specs.Linux) {
		l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "63"}
	}))
	wantContains(t, "error", c.run().exits(t, 1).stderr, "linux.memoryPolicy", "set_mempolicy", "nodes")
}

// On two nodes, memory is on the node that the policy says.
func TestMemoryPolicyOnTwoNodes(t *testing.T) {
	newerThanReference(t, "linux.memoryPolicy")
	t.Parallel()
	if _, err := os.Stat("/sys/devices/system/node/node1"); err != nil {
		t.Skip("this host has one NUMA node")
	}
	type policy struct {
		shows, nodes string
		mode         specs.MemoryPolicyModeType
	}
	policies := []policy{
		{"bind:1", "1", specs.MpolBind}, {"prefer:1", "1", specs.MpolPreferred}, {"bind:0", "0", specs.MpolBind},
		{"bind:0-1", "0-1", specs.MpolBind}, {"interleave:0-1", "0-1", specs.MpolInterleave},
		{"prefer (many):0-1", "0,1", specs.MpolPreferredMany},
	}
	if kernelAtLeast(t, 6, 9) {
		policies = append(policies, policy{"weighted interleave:0-1", "0-1", specs.MpolWeightedInterleave})
	}
	for _, c := range policies {
		_, s := sleeping(t, withLinux(func(l *specs.Linux) { l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: c.mode, Nodes: c.nodes} }))
		maps := contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/numa_maps", s.Pid)))
		wantContains(t, "numa_maps", maps, " "+c.shows+" ")
		for line := range strings.Lines(maps) {
			// The program's own memory: its stack, which exec(2) makes, is placed by the policy of the caller.
			if !strings.Contains(line, " heap") || !strings.Contains(line, "anon=") || len(c.nodes) > 1 {
				continue
			}
			if !strings.Contains(line, " N"+c.nodes+"=") || strings.Contains(line, " N"+string('0'+'1'-c.nodes[0])+"=") {
				t.Errorf("under %s: %s", c.shows, line)
			}
		}
	}
}

// cpusOf is the list of CPUs that a process may run on.
func cpusOf(t *testing.T, pid int) string {
	t.Helper()
	return statusField(t, contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/status", pid))), "Cpus_allowed_list")
}

// Who starts the runtime may be bound to a CPU; the container is bound by its cpuset alone.
func TestAffinityIsReset(t *testing.T) {
	newerThanReference(t, "the reset of the CPU affinity")
	t.Parallel()
	all := cpusOf(t, os.Getpid())
	if all == "0" {
		t.Skip("this machine has one CPU")
	}
	c := newContainer(t, withSleep())
	bound := func(args ...string) {
		t.Helper()
		call{program: "taskset"}.run(t, append([]string{"--cpu-list", "0", host.runtime}, c.args(args...)...)...).ok(t)
	}
	bound(c.command("create", nil)...)
	want(t, "CPUs of the container's process", cpusOf(t, c.state().Pid), all)
	c.start().ok(t)
	pidFile := filepath.Join(c.bundle, "pid")
	bound(c.execArgs([]string{"-d", "--pid-file", pidFile}, "sleep", "600")...)
	want(t, "CPUs of exec's process", cpusOf(t, readPid(t, pidFile)), all)
}

// process.execCPUAffinity says where exec's process runs.
func TestExecCPUAffinity(t *testing.T) {
	newerThanReference(t, "process.execCPUAffinity")
	t.Parallel()
	all := cpusOf(t, os.Getpid())
	if all == "0" {
		t.Skip("this machine has one CPU")
	}
	c, s := sleeping(t, withProcess(func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "1"} }))
	want(t, "CPUs of the container's process", cpusOf(t, s.Pid), all)
	want(t, "CPUs of exec's process", cpusOf(t, c.startedIn(sleeper())), "1")
	p := sleeper()
	p.ExecCPUAffinity = &specs.CPUAffinity{Final: "0-1"}
	want(t, "CPUs of exec's process with its own", cpusOf(t, c.startedIn(p)), "0-1")
	// There is no ceiling of 1,024 CPUs: those that a machine lacks are passed over.
	p.ExecCPUAffinity = &specs.CPUAffinity{Initial: "1,2000", Final: "0,8000"}
	want(t, "CPUs of exec's process with numbers beyond 1024", cpusOf(t, c.startedIn(p)), "0")
	for _, of := range []struct {
		affinity specs.CPUAffinity
		says     string
	}{
		{specs.CPUAffinity{Final: "4000"}, "process.execCPUAffinity.final"},
		{specs.CPUAffinity{Initial: "4000"}, "process.execCPUAffinity.initial"},
		{specs.CPUAffinity{Initial: "1-0"}, "execCPUAffinity.initial"},
	} {
		p.ExecCPUAffinity = &of.affinity
		r := c.oci("exec", "--process", c.processFile(p), c.id).exits(t, 255)
		wantContains(t, "error", r.stderr, of.says)
	}
}

// Limits that would break the set-up, were they set early, do not.
func TestHarshRlimits(t *testing.T) {
	newerThanReference(t, "limits that are set last")
	t.Parallel()
	for name, limits := range map[string][]specs.POSIXRlimit{
		"no descriptor more":  {{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 3}},
		"no process more":     {{Type: "RLIMIT_NPROC", Soft: 1, Hard: 1}},
		"no byte in any file": {{Type: "RLIMIT_FSIZE", Soft: 0, Hard: 0}},
		"little of anything": {{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 3}, {Type: "RLIMIT_NPROC", Soft: 1, Hard: 1},
			{Type: "RLIMIT_AS", Soft: 16 << 20, Hard: 16 << 20}, {Type: "RLIMIT_MEMLOCK"}, {Type: "RLIMIT_CORE"},
			{Type: "RLIMIT_STACK", Soft: 256 << 10, Hard: 256 << 10}},
	} {
		for _, user := range []uint32{0, 1000} {
			for _, profile := range []*specs.LinuxSeccomp{nil, {DefaultAction: specs.ActAllow}} {
				for _, nnp := range []bool{false, true} {
					if len(limits) == 1 && (user == 0 || profile != nil || !nnp) {
						continue // all of that is for the sum of them
					}
					t.Run(fmt.Sprintf("%s/user %d/seccomp %v/nnp %v", name, user, profile != nil, nnp), func(t *testing.T) {
						t.Parallel()
						// Another process of the user's is what RLIMIT_NPROC counts.
						c := newContainer(t, withArgs("sleep", "600"), withSeccomp(profile), withProcess(func(p *specs.Process) {
							p.User = specs.User{UID: user, GID: user}
							p.Rlimits, p.NoNewPrivileges = limits, nnp
						}))
						c.create().ok(t)
						c.start().ok(t)
						c.exec(nil, "/bin/true").ok(t)
					})
				}
			}
		}
	}
}

// A limit that is above the caller's own is granted while the runtime has the privilege.
func TestRlimitIsRaised(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	if !hasCapability(t, unix.CAP_SYS_RESOURCE) {
		t.Skip("raising a limit needs CAP_SYS_RESOURCE, which this machine does not give")
	}
	c := newContainer(t, withScript("ulimit -S -n; ulimit -H -n; ulimit -c"), withProcess(func(p *specs.Process) {
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 900, Hard: 5000}, {Type: "RLIMIT_CORE", Soft: 512, Hard: 512}}
		p.User = specs.User{UID: 1000}
	}))
	r := call{program: "prlimit"}.run(t, append([]string{"--nofile=500:1000", "--core=0:0", host.runtime}, c.args(c.command("run", nil)...)...)...).ok(t)
	want(t, "limits", r.stdout, "900\n5000\n1\n")
}

// A caller's own soft limit of open files is handed on where the config sets none, though Go's runtime raises it for itself.
func TestOpenFilesLimitOfTheCaller(t *testing.T) {
	newerThanReference(t, "the soft limit handed on")
	t.Parallel()
	const show = "ulimit -S -n; ulimit -H -n"
	limited := func(c *container, args ...string) *running {
		return call{program: "prlimit"}.start(t, append([]string{"--nofile=500:1000", host.runtime}, c.args(args...)...)...)
	}
	c := newContainer(t, withScript(show))
	want(t, "limits of run", limited(c, c.command("run", nil)...).wait(t).ok(t).stdout, "500\n1000\n")
	c.created = limited(c, c.command("create", nil)...)
	c.created.wait(t).ok(t)
	c.start().ok(t)
	c.waitStatus("stopped")
	want(t, "limits of create", c.output(), "500\n1000\n")
	c, _ = sleeping(t)
	want(t, "limits of exec", limited(c, c.execArgs(nil, "sh", "-c", show)...).wait(t).ok(t).stdout, "500\n1000\n")
}

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withResources sets linux.resources but leaves its device rules.
func withResources(change func(*specs.LinuxResources)) option {
	return withLinux(func(l *specs.Linux) {
		if l.Resources == nil {
			l.Resources = &specs.LinuxResources{}
		}
		change(l.Resources)
	})
}

// hasController says whether this host's layout offers a controller, on v1 or on v2.
func hasController(controller string) bool {
	if _, ok := host.cgroups.v1[controller]; ok {
		return true
	}
	if host.cgroups.v2 == "" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(host.cgroups.v2, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(text)), controller)
}

// needsController skips, counted, where the layout at hand has not the controller.
func needsController(t *testing.T, controller string) {
	t.Helper()
	if !hasController(controller) {
		t.Skipf("no %s controller in the %s layout", controller, host.cgroups.kind())
	}
}

// cgroupFile reads a control file of the container's cgroup, by its v1 controller and file, or its v2 file.
func cgroupFile(t *testing.T, pid int, controller, v1File, v2File string) string {
	t.Helper()
	file := v2File
	if _, v1 := host.cgroups.v1[controller]; v1 {
		file = v1File
	}
	content, err := os.ReadFile(filepath.Join(cgroupFolder(t, pid, controller), file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// cgroupFolder is a process's cgroup in the controller's v1 hierarchy, or in v2's where it has none.
func cgroupFolder(t *testing.T, pid int, controller string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	paths := membership(string(text))
	if mount, v1 := host.cgroups.v1[controller]; v1 {
		return filepath.Join(mount, paths[controller])
	}
	return filepath.Join(host.cgroups.v2, paths[""])
}

// A fork bomb meets pids.limit: the shell cannot fork more processes than that, and the rest of the host is safe.
func TestPidsLimitStopsForks(t *testing.T) {
	t.Parallel()
	needsController(t, "pids")
	c := newContainer(t, withResources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(8))} }),
		withScript("n=0; while test $n -lt 30; do sleep 300 & n=$((n+1)); done; echo forked all"))
	r := c.run()
	wantContains(t, "what the shell says", r.stderr, "can't fork")
	if strings.Contains(r.stdout, "forked all") {
		t.Error("30 processes were forked under a limit of 8")
	}
}

// One process is enough room for a container: nothing of the runtime's own counts.
func TestPidsLimitOfOne(t *testing.T) {
	t.Parallel()
	berthOnly(t, "a pids limit of 1: the reference needs room for its own threads")
	needsController(t, "pids")
	c := newContainer(t, withArgs("/bin/true"),
		withResources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(1))} }))
	c.run().ok(t)
}

// An allocator that goes over memory.limit is ended by the kernel: exit code 137.
func TestMemoryLimitEndsAllocator(t *testing.T) {
	t.Parallel()
	needsController(t, "memory")
	const limit = 16 << 20
	c := newContainer(t,
		withResources(func(r *specs.LinuxResources) {
			r.Memory = &specs.LinuxMemory{Limit: ptr(int64(limit)), Swap: ptr(int64(limit))}
		}),
		// A tmpfs counts as memory: 64 MiB do not fit into 16.
		withMounts(specs.Mount{Destination: "/fill", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=256m"}}),
		withArgs("dd", "if=/dev/zero", "of=/fill/it", "bs=1M", "count=64"))
	c.run().exits(t, 137)
}

// A spinner under a quota of a quarter of one CPU is throttled, and gets about that much.
func TestQuotaThrottlesSpinner(t *testing.T) {
	needsController(t, "cpu")
	c := newContainer(t,
		withResources(func(r *specs.LinuxResources) {
			r.CPU = &specs.LinuxCPU{Quota: ptr(int64(25000)), Period: ptr(uint64(100000))}
		}),
		withScript("echo ready; while test ! -e /enough; do :; done; exec sleep 300"))
	s := c.startSleeping()
	throttled := regexp.MustCompile(`(?m)^nr_throttled (\d+)`)
	count := func() int {
		m := throttled.FindStringSubmatch(cgroupFile(t, s.Pid, "cpu", "cpu.stat", "cpu.stat"))
		if m == nil {
			t.Fatal("cpu.stat has no nr_throttled")
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	waitFor(t, "5 throttled periods", func() bool { return count() >= 5 })
	c.writeFile("enough", "", 0o644)
	// The kernel's own count: in each period at most a quarter of its length.
	periods := regexp.MustCompile(`(?m)^nr_periods (\d+)`).FindStringSubmatch(cgroupFile(t, s.Pid, "cpu", "cpu.stat", "cpu.stat"))
	n, err := strconv.Atoi(periods[1])
	if err != nil {
		t.Fatal(err)
	}
	used := cpuSeconds(t, s.Pid)
	// One period more than counted may be under way, and a slice of 5 ms may overrun in each.
	if most := float64(n+1)*0.030 + 0.1; used > most {
		t.Errorf("%d periods of 25 ms, but the process used %.2f s, more than %.2f s", n, used, most)
	}
}

// Of two containers that want the same processor, the one with more shares gets more of it.
func TestSharesDivideProcessor(t *testing.T) {
	needsController(t, "cpu")
	needsController(t, "cpuset")
	spinner := func(shares uint64) (*container, int) {
		c := newContainer(t, withScript("echo ready; while test ! -e /begin; do sleep 0.05; done; while :; do :; done"),
			withResources(func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Shares: &shares, Cpus: "0"} }))
		return c, c.startSleeping().Pid
	}
	little, pidOfLittle := spinner(512)
	much, pidOfMuch := spinner(4096)
	for _, c := range []*container{little, much} {
		c.writeFile("begin", "", 0o644)
	}
	// Counted from when both are at it.
	spins := func(pid int) func() bool {
		return func() bool { return cpuSeconds(t, pid) > 0.1 }
	}
	waitFor(t, "the one with few shares to spin", spins(pidOfLittle))
	waitFor(t, "the one with many shares to spin", spins(pidOfMuch))
	ofLittle, ofMuch := cpuSeconds(t, pidOfLittle), cpuSeconds(t, pidOfMuch)
	waitFor(t, "1.5 seconds of the one with many shares", func() bool { return cpuSeconds(t, pidOfMuch)-ofMuch >= 1.5 })
	ofLittle, ofMuch = cpuSeconds(t, pidOfLittle)-ofLittle, cpuSeconds(t, pidOfMuch)-ofMuch
	// 8 to 1 on v1, 303 to 59 by v2's weights.
	if ofLittle > ofMuch/3 {
		t.Errorf("512 shares got %.2f s of the processor while 4096 got %.2f", ofLittle, ofMuch)
	}
}

// A cgroup has no share of real time but what its config says, and a process that spins under a realtime policy gets that
// and no more.
func TestRealtimeLimitHolds(t *testing.T) {
	needsController(t, "cpu")
	if _, err := os.Stat(filepath.Join(host.cgroups.v1["cpu"], "cpu.rt_runtime_us")); host.cgroups.v1["cpu"] == "" || err != nil {
		t.Skip("this kernel does not divide real time among cgroups (CONFIG_RT_GROUP_SCHED, on v1)")
	}
	newerThanReference(t, "process.scheduler")
	realtime := func(cpu *specs.LinuxCPU) *container {
		return newContainer(t, withCapabilities("CAP_SYS_NICE"), withScript("echo ready; while :; do :; done"),
			withProcess(func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 1} }),
			withResources(func(r *specs.LinuxResources) { r.CPU = cpu }))
	}
	r := realtime(&specs.LinuxCPU{}).run().exits(t, 1)
	wantContains(t, "error without a share", r.stderr, "process.scheduler", "operation not permitted", "linux.resources.cpu.realtimeRuntime")

	c := realtime(&specs.LinuxCPU{RealtimePeriod: ptr(uint64(200000)), RealtimeRuntime: ptr(int64(20000))})
	began := time.Now()
	s := c.startSleeping()
	waitFor(t, "a fifth of a second of real time", func() bool { return cpuSeconds(t, s.Pid) >= 0.2 })
	// Ten periods' worth, of which one may have been under way and one may overrun.
	if took := time.Since(began); took < 1600*time.Millisecond {
		t.Errorf("a spinner with 20 ms in each 200 used 0.2 s within %v", took)
	}
}

// cpuSeconds is the CPU time of a process, in seconds; fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+2:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return float64(ticks) / 100
}

// Each limit arrives in its control file with the value that the layout's conversion gives.
func TestLimitsArrive(t *testing.T) {
	t.Parallel()
	for _, limit := range []struct {
		controller     string
		set            func(*specs.LinuxResources)
		v1File, v2File string
		v1, v2         string
	}{
		{"pids", func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: ptr(int64(77))} },
			"pids.max", "pids.max", "77", "77"},
		{"memory", func(r *specs.LinuxResources) { r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))} },
			"memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{"memory", func(r *specs.LinuxResources) { r.Memory = &specs.LinuxMemory{Reservation: ptr(int64(32 << 20))} },
			"memory.soft_limit_in_bytes", "memory.low", "33554432", "33554432"},
		{"cpu", func(r *specs.LinuxResources) {
			r.CPU = &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(200000))}
		}, "cpu.cfs_quota_us", "cpu.max", "50000", "50000 200000"},
		{"cpuset", func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Cpus: "0"} },
			"cpuset.cpus", "cpuset.cpus", "0", "0"},
	} {
		t.Run(limit.controller+" "+limit.v2File, func(t *testing.T) {
			t.Parallel()
			needsController(t, limit.controller)
			c := newContainer(t, withSleep(), withResources(limit.set))
			s := c.startSleeping()
			wanted := limit.v2
			if _, v1 := host.cgroups.v1[limit.controller]; v1 {
				wanted = limit.v1
			}
			want(t, limit.v2File, cgroupFile(t, s.Pid, limit.controller, limit.v1File, limit.v2File), wanted)
		})
	}
}

// Device rules decide what opens: /dev/null does, a device that no rule allows gets EPERM, one that a rule allows for
// reading opens for that alone.
func TestDeviceRulesDecide(t *testing.T) {
	t.Parallel()
	node := func(path string, major, minor int64) specs.LinuxDevice {
		return specs.LinuxDevice{Path: path, Type: "c", Major: major, Minor: minor, FileMode: ptr(os.FileMode(0o666))}
	}
	major, minor := openableDevice(t)
	c := newContainer(t, withCapabilities("CAP_DAC_OVERRIDE"),
		withLinux(func(l *specs.Linux) {
			l.Devices = append(l.Devices, node("/dev/read-only", major, minor), node("/dev/denied", 10, 235))
		}),
		withResources(func(r *specs.LinuxResources) {
			r.Devices = []specs.LinuxDeviceCgroup{
				{Allow: false, Access: "rwm"},
				{Allow: true, Type: "c", Major: ptr(major), Minor: ptr(minor), Access: "r"},
			}
		}),
		withScript(`echo x > /dev/null && echo null opens
			( : < /dev/read-only ) && echo reading is allowed
			( : > /dev/read-only ) || echo writing is not
			( : < /dev/denied ) || echo the other is denied; exit 0`))
	r := c.run().ok(t)
	wantContains(t, "output", r.stdout, "null opens\n", "reading is allowed\n", "writing is not\n", "the other is denied\n")
	want(t, "refusals", strings.Count(r.stderr, "Operation not permitted"), 2)
}

// openableDevice finds a character device of the host's that no container gets by default and that opens without more:
// loop-control, fuse, tun, the active virtual terminal or the console.
func openableDevice(t *testing.T) (major, minor int64) {
	t.Helper()
	// Where the tests' files are, no device may be allowed to open.
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	}()
	for _, d := range [][2]int64{{10, 237}, {10, 229}, {10, 200}, {4, 0}, {5, 1}, {4, 64}} {
		path := filepath.Join(folder, fmt.Sprintf("device-%d-%d", d[0], d[1]))
		if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(uint32(d[0]), uint32(d[1])))); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		opens := true
		for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY} {
			fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
			if err != nil {
				opens = false
				break
			}
			unix.Close(fd)
		}
		if opens {
			return d[0], d[1]
		}
	}
	t.Skip("none of the devices that the test knows opens on this host")
	return 0, 0
}

// 1,000 rounds of create and delete leave not one cgroup, unit or state folder more than before: fewer rounds where
// others work on the machine, or where it is an emulated one.
func TestRoundsLeaveNothing(t *testing.T) {
	rounds := 100
	switch {
	case testing.Short():
		rounds = 20
	case host.alone:
		rounds = 1000
	}
	if n, err := strconv.Atoi(os.Getenv("BERTH_TEST_ROUNDS")); err == nil {
		rounds = n
	}
	c := newContainer(t, withSleep())
	before, units := cgroupFolders(), scopes(t)
	for i := range rounds {
		c.create().ok(t)
		c.created = nil
		if r := c.delete("--force"); r.code != 0 {
			t.Fatalf("round %d: delete --force: %s", i, r.stderr)
		}
	}
	after := cgroupFolders()
	for _, folder := range after {
		if !slices.Contains(before, folder) && strings.Contains(folder, c.id) {
			t.Errorf("%s is left after %d rounds", folder, rounds)
		}
	}
	if left := scopes(t); left > units {
		t.Errorf("systemd has %d scopes, and %d before %d rounds", left, units, rounds)
	}
	if left, _ := filepath.Glob(filepath.Join(c.stateRoot, "*")); len(left) > 0 {
		t.Errorf("state is left after %d rounds: %v", rounds, left)
	}
}

// scopes counts the scopes that systemd knows, dead ones too; 0 without its driver.
func scopes(t *testing.T) int {
	t.Helper()
	if !host.systemd {
		return 0
	}
	return strings.Count(runProgram(t, "systemctl", "list-units", "--all", "--type=scope", "--plain", "--no-legend"), "\n")
}

// A limit that cannot be set is one line that names it, and nothing is left.
func TestBadLimits(t *testing.T) {
	berthOnly(t, "the wording of a refused limit")
	for _, bad := range []struct {
		name, controller string
		change           func(*specs.Linux)
		says             []string
	}{
		{"memory below what the kernel takes", "memory", func(l *specs.Linux) {
			l.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(32 << 20))}
		}, []string{"linux.resources.memory.swap"}},
		{"a CPU that the host lacks", "cpuset", func(l *specs.Linux) {
			l.Resources.CPU = &specs.LinuxCPU{Cpus: "4000"}
		}, []string{"linux.resources.cpu.cpus", "4000"}},
		{"a quota that the kernel refuses", "cpu", func(l *specs.Linux) {
			l.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(5)), Period: ptr(uint64(100000))}
		}, []string{"linux.resources.cpu.quota"}},
		{"a controller or its device that is absent", "", func(l *specs.Linux) {
			l.Resources.Rdma = map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(3))}}
		}, []string{"linux.resources.rdma"}},
		{"cgroupsPath for the other driver", "", func(l *specs.Linux) {
			l.CgroupsPath = "a.slice:b:c"
			if host.systemd {
				l.CgroupsPath = "/a/b"
			}
		},
			[]string{"linux.cgroupsPath", "--systemd-cgroup"}},
		{"cgroupsPath that climbs", "", func(l *specs.Linux) { l.CgroupsPath = "/a/../../b" }, []string{"linux.cgroupsPath"}},
		{"a unified key with a slash", "", func(l *specs.Linux) {
			l.Resources.Unified = map[string]string{"../memory.max": "1"}
		}, []string{"linux.resources.unified"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			if bad.controller != "" {
				needsController(t, bad.controller)
			}
			hostUnchanged(t)
			c := newContainer(t, withLinux(func(l *specs.Linux) {
				if l.Resources == nil {
					l.Resources = &specs.LinuxResources{}
				}
				bad.change(l)
			}))
			r := c.run().exits(t, 1)
			wantContains(t, "error", r.stderr, bad.says...)
			if lines := strings.Count(strings.TrimSpace(r.stderr), "\n"); lines > 0 {
				t.Errorf("the error has %d lines: %s", lines+1, fmt.Sprintf("%q", r.stderr))
			}
		})
	}
}

// With no cgroup, what asks for no limit runs in the caller's, and a limit is refused by its field: it would not hold.
func TestCgroupManagerDisabled(t *testing.T) {
	t.Parallel()
	berthOnly(t, "an error; crun passes all limits over")
	run := func(resources *specs.LinuxResources) result {
		c := newContainer(t, withLinux(func(l *specs.Linux) { l.Resources = resources }), withScript("cat /proc/self/cgroup"))
		return oci(t, append([]string{"--root", c.stateRoot, "--cgroup-manager", "disabled"}, c.command("run", nil)...)...)
	}
	unlimited := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](-1)}}
	own := ownCgroups(t)
	r := run(unlimited).ok(t)
	// systemd moves a service in v1's hierarchies when a unit beside it gets a first limit, as other tests' scopes do.
	for now := ownCgroups(t); now != own; now = ownCgroups(t) {
		own, r = now, run(unlimited).ok(t)
	}
	want(t, "cgroup", r.stdout, own)
	want(t, "warnings", r.stderr, "")
	r = run(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}).ok(t)
	wantContains(t, "warning", r.stderr, "warning: linux.resources.devices[0]")
	checkOneLine(t, "run", run(&specs.LinuxResources{Unified: map[string]string{"pids.max": "7"}}).exits(t, 1),
		[]string{"linux.resources.unified", "this limit cannot be set"})
	if host.cgroups.v1["memory"] != "" {
		checkOneLine(t, "run", run(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 30)}}).exits(t, 1),
			[]string{"linux.resources.memory.limit: this limit cannot be set", "--cgroup-manager disabled"})
	}
}

// ownCgroups gives /proc/self/cgroup of the test.
func ownCgroups(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

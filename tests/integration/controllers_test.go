package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// blockDevice is a disk of the host's, "254:0", for the limits of block I/O.
func blockDevice(t *testing.T) (major, minor int64) {
	t.Helper()
	disks, err := filepath.Glob("/sys/block/[vsnx]*/dev")
	if err != nil || len(disks) == 0 {
		t.Skip("this host shows no disk in /sys/block")
	}
	slices.Sort(disks)
	if _, err := fmt.Sscanf(contents(t, mustOpen(t, disks[0])), "%d:%d", &major, &minor); err != nil {
		t.Fatalf("%s: %v", disks[0], err)
	}
	return major, minor
}

// Limits of block devices arrive in io.max, or in v1's file for each.
func TestBlockIOLimitsArrive(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	if _, v1 := host.cgroups.v1["blkio"]; !v1 {
		needsController(t, "io")
	}
	major, minor := blockDevice(t)
	throttle := func(rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = major, minor
		return []specs.LinuxThrottleDevice{d}
	}
	c := newContainer(t, withSleep(), withResources(func(r *specs.LinuxResources) {
		r.BlockIO = &specs.LinuxBlockIO{
			ThrottleReadBpsDevice: throttle(1 << 20), ThrottleWriteBpsDevice: throttle(2 << 20),
			ThrottleReadIOPSDevice: throttle(300), ThrottleWriteIOPSDevice: throttle(400),
		}
	}))
	s := c.startSleeping()
	device := fmt.Sprintf("%d:%d ", major, minor)
	if _, v1 := host.cgroups.v1["blkio"]; !v1 {
		want(t, "io.max", cgroupFile(t, s.Pid, "blkio", "", "io.max"), device+"rbps=1048576 wbps=2097152 riops=300 wiops=400")
		return
	}
	for file, rate := range map[string]string{
		"read_bps": "1048576", "write_bps": "2097152", "read_iops": "300", "write_iops": "400",
	} {
		want(t, file, cgroupFile(t, s.Pid, "blkio", "blkio.throttle."+file+"_device", ""), device+rate)
	}
}

// The weight of block I/O arrives, where there is a scheduler that goes by weights.
func TestBlockIOWeightArrives(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	file := "blkio.bfq.weight"
	if _, v1 := host.cgroups.v1["blkio"]; !v1 {
		needsController(t, "io")
		file = "io.bfq.weight"
	}
	c := newContainer(t, withSleep())
	s := c.startSleeping()
	if _, err := os.Stat(filepath.Join(cgroupFolder(t, s.Pid, "blkio"), file)); err != nil {
		t.Skip("this kernel has no scheduler that goes by weights (modprobe bfq)")
	}
	c.delete("--force").ok(t)
	c.reconfigure(withSleep(), withResources(func(r *specs.LinuxResources) { r.BlockIO = &specs.LinuxBlockIO{Weight: ptr(uint16(300))} }))
	weight := cgroupFile(t, c.startSleeping().Pid, "blkio", file, file)
	want(t, file, strings.TrimPrefix(weight, "default "), "300")
}

// A process that writes to a disk past the cgroup's limit waits: 1 MiB at half a MiB a second takes its time.
func TestBlockIOLimitHolds(t *testing.T) {
	needsRoot(t)
	_, v1 := host.cgroups.v1["blkio"]
	if !v1 {
		needsController(t, "io")
	}
	folder, major, minor := diskFolder(t)
	c := newContainer(t, withResources(func(r *specs.LinuxResources) {
		d := specs.LinuxThrottleDevice{Rate: 512 << 10}
		d.Major, d.Minor = major, minor
		r.BlockIO = &specs.LinuxBlockIO{ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{d}}
	}),
		withMounts(specs.Mount{Destination: "/disk", Type: "bind", Source: folder, Options: []string{"bind"}}),
		// v1 limits only what does not go through the page cache.
		withArgs("dd", "if=/dev/zero", "of=/disk/file", "bs=256k", "count=4", "oflag=direct"))
	began := time.Now()
	r := c.run()
	if strings.Contains(r.stderr, "invalid argument 'direct'") {
		t.Skip("this busybox is too old to write past the page cache")
	}
	r.ok(t)
	if took := time.Since(began); took < 1200*time.Millisecond {
		t.Errorf("1 MiB was written within %v under a limit of half a MiB a second", took)
	}
}

// diskFolder makes a folder on a whole disk of the host's, whose number is what io.max takes (no partition's).
func diskFolder(t *testing.T) (folder string, major, minor int64) {
	t.Helper()
	for _, parent := range []string{host.scratch, "/var/tmp"} {
		var st unix.Stat_t
		if err := unix.Stat(parent, &st); err != nil {
			continue
		}
		major, minor = int64(unix.Major(st.Dev)), int64(unix.Minor(st.Dev))
		if _, err := os.Stat(fmt.Sprintf("/sys/dev/block/%d:%d/queue", major, minor)); err != nil {
			continue
		}
		folder, err := os.MkdirTemp(parent, host.token+"-disk-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(folder) })
		return folder, major, minor
	}
	t.Skip("neither the tests' files nor /var/tmp are on a whole disk of this host's")
	return "", 0, 0
}

// Huge pages past the limit are not to be had.
func TestHugepageLimitHolds(t *testing.T) {
	needsController(t, "hugetlb")
	const file = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
	if n, err := strconv.Atoi(strings.TrimSpace(contents(t, mustOpen(t, file)))); err != nil || n < 4 {
		t.Skipf("%s says %d, and the test needs 4 (sysctl vm.nr_hugepages)", file, n)
	}
	c := newContainer(t,
		withMounts(specs.Mount{Destination: "/huge", Type: "hugetlbfs", Source: "hugetlbfs", Options: []string{"pagesize=2M"}}),
		withResources(func(r *specs.LinuxResources) {
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
		}),
		withScript("fallocate -l 4194304 /huge/two && echo two pages; rm -f /huge/two; fallocate -l 8388608 /huge/four || echo not four"))
	want(t, "output", c.run().ok(t).stdout, "two pages\nnot four\n")
}

// A container that may use one processor runs on no other, and one that may use one memory node takes from no other
// (which shows something where there are two, as in the machine unified).
func TestCpusetLimitHolds(t *testing.T) {
	t.Parallel()
	needsController(t, "cpuset")
	allowed := withScript("taskset -p 3 $$ >/dev/null 2>&1; grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status; nproc")
	all := newContainer(t, allowed).run().ok(t).stdout
	if strings.HasSuffix(all, "\n1\n") {
		t.Skip("this host has one processor")
	}
	c := newContainer(t, allowed, withResources(func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Cpus: "1", Mems: "0"} }))
	want(t, "output", c.run().ok(t).stdout, "Cpus_allowed_list:\t1\nMems_allowed_list:\t0\n1\n")
}

// A process gets no more of what the misc controller counts than its cgroup may have: keys of a processor that encrypts
// virtual machines, which a module stands in for in the test machines. Where there are none the kernel refuses the limit,
// and no container is made without it.
func TestMiscLimitHolds(t *testing.T) {
	needsRoot(t)
	if _, v1 := host.cgroups.v1["misc"]; v1 || host.cgroups.kind() == "v1" {
		t.Skip("cgroup v1 takes no linux.resources.unified")
	}
	needsController(t, "misc")
	c := newContainer(t, withScript(`exec 3</proc/misc_keys 4</proc/misc_keys && echo two keys
		(exec 5</proc/misc_keys) || echo not three`),
		withResources(func(r *specs.LinuxResources) { r.Unified = map[string]string{"misc.max": "sev 2"} }))
	if strings.HasPrefix(contents(t, mustOpen(t, filepath.Join(host.cgroups.v2, "misc.capacity"))), "sev ") {
		if _, err := os.Stat("/proc/misc_keys"); err != nil {
			t.Skip("this processor has keys that only virtual machines use")
		}
		want(t, "output", c.run().ok(t).stdout, "two keys\nnot three\n")
		return
	}
	hostUnchanged(t)
	r := c.create()
	if r.code == 0 {
		t.Fatal("a container was made with a limit that the kernel has not taken")
	}
	wantContains(t, "error", r.stderr, "misc.max", "invalid argument")
}

// newFiles says since which Linux 5 a file is there that not every kernel has which berth runs on.
var newFiles = map[string]int{"cpu.max.burst": 14, "cpu.idle": 15}

// Values that only one layout has, or that the layouts have under other names, arrive in their files.
func TestMoreLimitsArrive(t *testing.T) {
	t.Parallel()
	for _, limit := range []struct {
		controller     string
		set            func(*specs.LinuxResources)
		v1File, v2File string // "" where the layout has none
		v1, v2         string
	}{
		{"cpu", func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Shares: ptr(uint64(2048))} },
			"cpu.shares", "cpu.weight", "2048", "174"},
		{"cpu", func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Idle: ptr(int64(1))} }, "cpu.idle", "cpu.idle", "1", "1"},
		{"cpu", func(r *specs.LinuxResources) {
			r.CPU = &specs.LinuxCPU{Quota: ptr(int64(50000)), Burst: ptr(uint64(20000))}
		}, "cpu.cfs_burst_us", "cpu.max.burst", "20000", "20000"},
		{"cpuset", func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Mems: "0"} }, "cpuset.mems", "cpuset.mems", "0", "0"},
		{"memory", func(r *specs.LinuxResources) {
			r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20))}
		}, "memory.memsw.limit_in_bytes", "memory.swap.max", "100663296", "33554432"},
		{"memory", func(r *specs.LinuxResources) { r.Memory = &specs.LinuxMemory{Swappiness: ptr(uint64(30))} },
			"memory.swappiness", "", "30", ""},
		{"hugetlb", func(r *specs.LinuxResources) {
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 6 << 20}}
		}, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", "6291456", "6291456"},
		{"hugetlb", func(r *specs.LinuxResources) {
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 6 << 20}}
		}, "hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max", "6291456", "6291456"},
		{"net_cls", func(r *specs.LinuxResources) { r.Network = &specs.LinuxNetwork{ClassID: ptr(uint32(0x100001))} },
			"net_cls.classid", "", "1048577", ""},
		{"net_prio", func(r *specs.LinuxResources) {
			r.Network = &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 7}}}
		}, "net_prio.ifpriomap", "", "lo 7", ""},
		{"memory", func(r *specs.LinuxResources) { r.Unified = map[string]string{"memory.high": "50331648"} },
			"", "memory.high", "", "50331648"},
	} {
		t.Run(limit.controller+" "+limit.v1File+" "+limit.v2File, func(t *testing.T) {
			t.Parallel()
			needsRoot(t)
			_, v1 := host.cgroups.v1[limit.controller]
			file, wanted := limit.v2File, limit.v2
			if v1 {
				file, wanted = limit.v1File, limit.v1
			}
			c := newContainer(t, withSleep(), withResources(limit.set))
			if file == "" {
				return // TestBadLimits and the unit tests see to what is said then
			}
			needsController(t, limit.controller)
			if limit.v2File == "cpu.idle" || limit.v2File == "cpu.max.burst" || limit.controller == "hugetlb" && host.cgroups.kind() == "hybrid" {
				newerThanReference(t, limit.v2File)
			}
			if minor, ok := newFiles[limit.v2File]; ok && !kernelAtLeast(t, 5, minor) {
				wantContains(t, "error", c.create().exits(t, 1).stderr, fmt.Sprintf("it came with Linux 5.%d", minor))
				return
			}
			if v1 && strings.HasPrefix(limit.v1File, "memory.memsw") {
				text, err := os.ReadFile("/proc/swaps")
				if err != nil || strings.Count(string(text), "\n") < 2 {
					// The file is there only where the kernel counts swap.
					if _, err := os.Stat(filepath.Join(host.cgroups.v1["memory"], "memory.memsw.usage_in_bytes")); err != nil {
						t.Skip("this kernel does not count swap")
					}
				}
			}
			s := c.startSleeping()
			got := cgroupFile(t, s.Pid, limit.controller, limit.v1File, limit.v2File)
			if limit.controller == "net_prio" {
				wantContains(t, file, got+"\n", wanted+"\n")
				return
			}
			want(t, file, got, wanted)
		})
	}
}

// A container in a user namespace of its own, that may write its cgroup, owns what the kernel says may be handed over,
// and nothing else: it makes cgroups below, and cannot lift its own limits.
func TestCgroupDelegation(t *testing.T) {
	newerThanReference(t, "a cgroup that belongs to the container's root")
	t.Parallel()
	if host.cgroups.kind() != "v2" {
		t.Skipf("a cgroup is handed over on v2 alone, and this layout is %s", host.cgroups.kind())
	}
	const root = 710000000
	c := newContainer(t,
		withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace}), withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}),
		withLinux(func(l *specs.Linux) {
			l.UIDMappings = []specs.LinuxIDMapping{{HostID: root, Size: 65536}}
			l.GIDMappings = l.UIDMappings
		}),
		withResources(func(r *specs.LinuxResources) {
			if hasController("pids") {
				r.Pids = &specs.LinuxPids{Limit: ptr(int64(50))}
			}
		}),
		withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "rw"}}),
		withScript(`cd /sys/fs/cgroup && cat /proc/self/cgroup && mkdir below && echo $$ >below/cgroup.procs && echo moved
			( echo max >pids.max ) 2>/dev/null || echo kept
			echo ready; exec sleep 600`))
	if err := os.Chown(c.rootfs, root, root); err != nil {
		t.Fatal(err)
	}
	s := c.startSleeping()
	wantContains(t, "output", c.output(), "0::/\n", "moved\nkept\nready\n")
	text, err := os.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(host.cgroups.v2, filepath.Dir(membership(contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/cgroup", s.Pid))))[""]))
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		var owner uint32
		if slices.Contains(strings.Fields(string(text)), e.Name()) {
			owner = root
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		want(t, "owner of "+e.Name(), info.Sys().(*syscall.Stat_t).Uid, owner)
	}
}

// delete --force waits for nothing but the kernel: the quickest of some takes well under what any fixed sleep would.
func TestDeleteForceIsQuick(t *testing.T) {
	c := newContainer(t, withScript("trap '' TERM; echo ready; while :; do sleep 600; done"))
	quickest := time.Hour
	for range 10 {
		c.startSleeping()
		began := time.Now()
		c.delete("--force").ok(t)
		quickest = min(quickest, time.Since(began))
		c.created = nil
	}
	most := 100 * time.Millisecond
	if !isBerth() {
		most *= 5 // the reference takes long to start
	}
	if os.Getenv("BERTH_VM") != "" {
		most *= 20 // an emulated processor
	}
	if quickest > most {
		t.Errorf("the quickest of 10 calls of delete --force took %v", quickest)
	}
}

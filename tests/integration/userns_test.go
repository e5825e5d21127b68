package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// withMappings gives the container a user namespace of its own, with ids that no user of the host has.
func withMappings(uids ...specs.LinuxIDMapping) option {
	return func(s *specs.Spec) {
		withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace})(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = uids, uids
	}
}

const foreignIDs = 720000000

// Many ranges, with holes between them, of which root is one.
func TestUserNamespaceRanges(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withMappings(
		specs.LinuxIDMapping{ContainerID: 0, HostID: foreignIDs + 500, Size: 10},
		specs.LinuxIDMapping{ContainerID: 100, HostID: foreignIDs, Size: 100},
		specs.LinuxIDMapping{ContainerID: 1000, HostID: foreignIDs + 5000, Size: 1},
	), withScript("cat /proc/self/uid_map; touch /tmp/root; chown 100:1000 /tmp/root; stat -c %u:%g /tmp/root; id -G"),
		withProcess(func(p *specs.Process) { p.User.AdditionalGids = []uint32{105, 1000} }))
	ordinaryOwn(t, c.rootfs, foreignIDs+500)
	out := strings.Join(strings.Fields(c.run().ok(t).stdout), " ")
	want(t, "output", out, fmt.Sprintf("0 %d 10 100 %d 100 1000 %d 1 100:1000 0 105 1000", foreignIDs+500, foreignIDs, foreignIDs+5000))
}

// ordinaryOwn gives a rootfs to who is root in the container.
func ordinaryOwn(t *testing.T, rootfs string, id uint32) {
	t.Helper()
	a := account{uid: id, gid: id}
	a.own(t, rootfs)
}

// A container with a user namespace of its own joins namespaces by path that belong to the host: that takes powers
// which are gone once it is in its user namespace.
func TestUserNamespaceWithJoined(t *testing.T) {
	t.Parallel()
	first := newContainer(t, withSleep())
	pid := first.startSleeping().Pid
	for _, kinds := range [][]specs.LinuxNamespaceType{
		{specs.NetworkNamespace}, {specs.IPCNamespace}, {specs.UTSNamespace}, {specs.PIDNamespace},
		{specs.CgroupNamespace}, {specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace},
	} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			options := []option{withMappings(specs.LinuxIDMapping{ContainerID: 0, HostID: foreignIDs, Size: 65536}),
				func(s *specs.Spec) { s.Hostname = "" }, withBindOfSys}
			for _, kind := range kinds {
				options = append(options, withNamespace(specs.LinuxNamespace{Type: kind, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, nsFiles()[kind])}))
				if kind == specs.PIDNamespace {
					// A procfs of the host's pid namespace cannot be mounted.
					options = append(options, withBindOfProc)
				}
			}
			c := newContainer(t, append(options, withScript("id -u; cd /proc/self/ns; for n in *; do echo $n $(readlink $n); done"))...)
			ordinaryOwn(t, c.rootfs, foreignIDs)
			out := c.run().ok(t).stdout
			for _, kind := range kinds {
				name := nsFiles()[kind]
				link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
				if err != nil {
					t.Fatal(err)
				}
				wantContains(t, "namespaces", out, name+" "+link+"\n")
			}
			own, err := os.Readlink("/proc/self/ns/user")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out, "user "+own) {
				t.Error("the user namespace is the host's")
			}
			want(t, "user", strings.SplitN(out, "\n", 2)[0], "0")
		})
	}
}

func withBindOfProc(s *specs.Spec) {
	for i, m := range s.Mounts {
		if m.Type == "proc" {
			s.Mounts[i] = specs.Mount{Destination: m.Destination, Type: "bind", Source: "/proc", Options: []string{"rbind"}}
		}
	}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
}

// A container joins another's user namespace by path, and others of it or new ones with it.
func TestUserNamespaceByPath(t *testing.T) {
	t.Parallel()
	for name, newFirst := range map[string]func(*testing.T, ...option) *container{"root": newContainer, "ordinary": newRootless} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := newFirst(t, withSleep())
			if name == "root" {
				first = newContainer(t, withSleep(), withMappings(specs.LinuxIDMapping{ContainerID: 0, HostID: foreignIDs, Size: 65536}))
				ordinaryOwn(t, first.rootfs, foreignIDs)
			}
			pid := first.startSleeping().Pid
			for _, kinds := range [][]specs.LinuxNamespaceType{
				nil, {specs.IPCNamespace}, {specs.UTSNamespace, specs.PIDNamespace},
			} {
				t.Run(fmt.Sprint(kinds), func(t *testing.T) {
					path := func(file string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, file) }
					mappings := withMappings(specs.LinuxIDMapping{ContainerID: 0, HostID: foreignIDs, Size: 65536})
					if name != "root" {
						mappings = rootless
					}
					options := []option{mappings, withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace, Path: path("user")}),
						func(s *specs.Spec) { s.Hostname = "" }, withScript("id -u; cd /proc/self/ns; for n in *; do echo $n $(readlink $n); done")}
					for _, kind := range kinds {
						options = append(options, withNamespace(specs.LinuxNamespace{Type: kind, Path: path(nsFiles()[kind])}))
					}
					c := newFirst(t, options...)
					if name == "root" {
						ordinaryOwn(t, c.rootfs, foreignIDs)
					}
					out := c.run().ok(t).stdout
					want(t, "user", strings.SplitN(out, "\n", 2)[0], "0")
					for _, file := range []string{"user", "ipc", "uts", "pid"} {
						link, err := os.Readlink(path(file))
						if err != nil {
							t.Fatal(err)
						}
						joined := file == "user"
						for _, kind := range kinds {
							joined = joined || nsFiles()[kind] == file
						}
						want(t, file+" namespace is the other's", strings.Contains(out, file+" "+link+"\n"), joined)
					}
				})
			}
		})
	}
}

// Root of a user namespace that somebody else made runs containers without a user namespace of their own, as rootless
// engines do. Kinds of such namespaces differ in who owns the mounts.
func TestInsideUserNamespace(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"with mounts":           {"--user", "--map-root-user", "--mount"},
		"mounts of others":      {"--user", "--map-root-user"},
		"and network":           {"--user", "--map-root-user", "--mount", "--net"},
		"with a pid namespace":  {"--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"},
		"and a control group's": {"--user", "--map-root-user", "--mount", "--cgroup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "mounts of others" {
				newerThanRunc(t, "a mount namespace that belongs to another user namespace")
			}
			none := withLinux(func(l *specs.Linux) { l.UIDMappings, l.GIDMappings = nil, nil })
			configs := [][]option{
				{none, withoutNamespace(specs.UserNamespace)},
				{withMappings(specs.LinuxIDMapping{ContainerID: 0, HostID: 0, Size: 1})},
			}
			if isBerth() { // runc 1.1 wants mappings beside a path
				configs = append(configs, []option{none, withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace, Path: "/proc/self/ns/user"})})
			}
			for _, options := range configs {
				c := newRootless(t, append(options, withScript("id -u; ls /sys/kernel >/dev/null && echo x >/dev/null && stat -c %t:%T /dev/null; hostname"))...)
				p := c.call()
				p.program = lookPath(t, "unshare")
				args := append(append(append([]string{}, flags...), "--", ordinary.runtime), c.args(c.command("run", nil)...)...)
				r := p.run(t, args...).ok(t)
				want(t, "output", r.stdout, "0\n1:3\ninside\n")
			}
		})
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// In such a user namespace ids can be mapped only where they are mapped themselves.
func TestInsideUserNamespaceUnmapped(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withMappings(specs.LinuxIDMapping{ContainerID: 0, HostID: 0, Size: 2}))
	p := c.call()
	p.program = lookPath(t, "unshare")
	r := p.run(t, append([]string{"--user", "--map-root-user", "--mount", "--", ordinary.runtime}, c.args(c.command("run", nil)...)...)...).exits(t, 1)
	if isBerth() {
		wantContains(t, "error", r.stderr, "linux.uidMappings[0]", "hostID 1 ")
	}
}

// Ids that are nobody's to map are refused by the field, and nothing is left behind.
func TestRootlessMappingRefused(t *testing.T) {
	hostUnchanged(t)
	for name, mapping := range map[string]specs.LinuxIDMapping{
		"root":     {ContainerID: 0, HostID: 0, Size: 1},
		"a range":  {ContainerID: 0, HostID: ordinary.uid, Size: 2},
		"a friend": {ContainerID: 0, HostID: ordinary.uid + 1, Size: 1},
	} {
		c := newRootless(t, withLinux(func(l *specs.Linux) { l.UIDMappings[0] = mapping }))
		r := c.run().exits(t, 1)
		if isBerth() {
			wantContains(t, name, r.stderr, "linux.uidMappings")
		}
		p := c.call()
		p.env = append(p.env, "PATH=/nowhere")
		r = p.run(t, c.args(c.command("run", nil)...)...).exits(t, 1)
		if isBerth() {
			wantContains(t, name, r.stderr, "linux.uidMappings", "newuidmap", "uidmap")
		}
	}
}

// The OOM score can be made worse, but not better than the runtime's own.
func TestRootlessOOMScoreAdj(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withScript("cat /proc/self/oom_score_adj"), withProcess(func(p *specs.Process) { p.OOMScoreAdj = ptr(321) }))
	want(t, "oom_score_adj", c.run().ok(t).stdout, "321\n")
	c = newRootless(t, withProcess(func(p *specs.Process) { p.OOMScoreAdj = ptr(-321) }))
	r := c.run().exits(t, 1)
	if isBerth() {
		wantContains(t, "error", r.stderr, "process.oomScoreAdj", "-321", "permission denied")
	}
}

// Devices are the host's nodes, with the user's own access, and none can be made.
func TestRootlessDevices(t *testing.T) {
	t.Parallel()
	c := newRootless(t,
		withLinux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200}}
		}),
		withReport(map[string]string{
			"nodes": "cd /dev; stat -c '%n %F %t:%T' null zero full random urandom tty",
			"use":   "echo x >/dev/null && head -c 3 /dev/zero | wc -c",
			"make":  "mknod /tmp/null c 1 3 2>&1 || true",
		}))
	out := c.run()
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		if isBerth() {
			wantContains(t, "error", out.exits(t, 1).stderr, "linux.devices[0]", "/dev/net/tun")
		}
		return
	}
	want(t, "nodes", section(t, out.ok(t).stdout, "nodes"), "null character special file 1:3\nzero character special file 1:5\n"+
		"full character special file 1:7\nrandom character special file 1:8\nurandom character special file 1:9\ntty character special file 5:0\n")
	want(t, "use", section(t, out.stdout, "use"), "3\n")
	wantContains(t, "mknod", section(t, out.stdout, "make"), "not permitted")
}

// File systems that only the owner of another namespace may mount: the host's is shown in place of sysfs and mqueue.
func TestRootlessHostsSysAndMqueue(t *testing.T) {
	t.Parallel()
	sys := specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
	mqueue := specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}}
	mounts := func(s *specs.Spec) {
		for i := range s.Mounts {
			if s.Mounts[i].Destination == "/sys" {
				s.Mounts[i] = sys
			}
		}
		s.Mounts = append(s.Mounts, mqueue)
	}
	script := withScript("grep -o ' / /sys [^ ]*' /proc/self/mountinfo; ls -d /sys/class/net/lo; ls /dev/mqueue; touch /sys/x 2>/dev/null || echo read-only")
	t.Run("own", func(t *testing.T) {
		t.Parallel()
		r := newRootless(t, mounts, script, withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace})).run().ok(t)
		want(t, "output", r.stdout, " / /sys ro,nosuid,nodev,noexec,relatime\n/sys/class/net/lo\nread-only\n")
	})
	t.Run("host", func(t *testing.T) {
		t.Parallel()
		newerThanRunc(t, "the host's mqueue in place of one of the container's own")
		if _, err := os.Stat("/dev/mqueue"); err != nil {
			t.Skip("the host has no /dev/mqueue")
		}
		r := newRootless(t, mounts, script, withoutNamespace(specs.IPCNamespace), withLinux(func(l *specs.Linux) { l.Sysctl = nil })).run().ok(t)
		wantContains(t, "output", r.stdout, " /sys ro,nosuid,nodev,noexec", "/sys/class/net/lo\n", "read-only")
	})
}

// What a mount of the host has, a user namespace cannot take away: it stays, also where the config does not ask for
// it; a config that asks for the opposite is refused.
func TestRootlessLockedFlags(t *testing.T) {
	needsRoot(t)
	newerThanRunc(t, "locked flags that the config does not ask for")
	source := filepath.Join(host.scratch, "locked")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "mount", "-t", "tmpfs", "-o", "ro,nosuid,nodev,noexec,noatime", "tmpfs", source)
	t.Cleanup(func() { runProgram(t, "umount", source) })
	bind := func(words ...string) option {
		return withMounts(specs.Mount{Destination: "/kept", Type: "bind", Source: source, Options: append([]string{"rbind"}, words...)})
	}
	for _, words := range [][]string{nil, {"nosuid"}, {"ro"}, {"noexec", "nodev"}} {
		c := newRootless(t, bind(words...), withScript("cat /proc/self/mountinfo"))
		m := mountAt(t, parseMountinfo(c.run().ok(t).stdout), "/kept")
		want(t, fmt.Sprint(words), strings.Join(m.options, ","), "ro,nosuid,nodev,noexec,noatime")
	}
	for _, word := range []string{"relatime", "strictatime"} {
		c := newRootless(t, bind(word), withScript("cat /proc/self/mountinfo"))
		m := mountAt(t, parseMountinfo(c.run().ok(t).stdout), "/kept")
		want(t, word, strings.Join(m.options, ","), "ro,nosuid,nodev,noexec,noatime")
	}
	for _, word := range []string{"rw", "suid", "dev", "exec"} {
		c := newRootless(t, bind(word))
		if isBerth() {
			wantContains(t, word, c.run().exits(t, 1).stderr, "mounts[5] (/kept)", "locked for this user namespace")
		}
	}
}

// What is mounted on the host's folders inside a container with a user namespace stays inside: the suite's own end
// looks for mounts on the host, and so does this test at once.
func TestUserNamespaceMountsStay(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t, withMappings(specs.LinuxIDMapping{ContainerID: 0, HostID: foreignIDs, Size: 65536}), withBindOfSys,
		withLinux(func(l *specs.Linux) {
			l.ReadonlyPaths = append(l.ReadonlyPaths, "/sys/kernel")
		}), withScript("grep -c ' /sys/firmware ' /proc/self/mountinfo"))
	ordinaryOwn(t, c.rootfs, foreignIDs)
	want(t, "mounts on /sys/firmware inside", c.run().ok(t).stdout, "1\n")
}

// Without root's powers, a container in the pid namespace of the host has that one's /proc, through which what set-up
// writes goes as well.
func TestRootlessHostPidNamespace(t *testing.T) {
	t.Parallel()
	newerThanRunc(t, "kernel parameters without a /proc of the container's own")
	c := newRootless(t, withoutNamespace(specs.PIDNamespace), withBindOfProc,
		withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace}),
		withLinux(func(l *specs.Linux) { l.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} }),
		withScript("cat /proc/sys/net/ipv4/ip_forward; readlink /proc/self/ns/pid"))
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "output", c.run().ok(t).stdout, "1\n"+own+"\n")
}

// The container's view of its cgroups, with a cgroup namespace and without, where none is the user's.
func TestRootlessCgroupMount(t *testing.T) {
	t.Parallel()
	newerThanRunc(t, "cgroup mounts without cgroups of the container's own")
	mount := withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}})
	script := withScript("grep ' / /sys/fs/cgroup\\| /sys/fs/cgroup' /proc/self/mountinfo | grep -c cgroup; ls /sys/fs/cgroup | wc -l; mkdir /sys/fs/cgroup/x 2>/dev/null || echo read-only")
	for name, options := range map[string][]option{"namespace": {withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace})}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := newRootless(t, append(options, withSysMount, mount, script)...).run().ok(t).stdout
			fields := strings.Fields(out)
			if len(fields) != 3 || fields[0] == "0" || fields[1] == "0" || fields[2] != "read-only" {
				t.Errorf("got %q", out)
			}
		})
	}
}

// withSysMount has a sysfs of its own in place of the host's, so that what is mounted below is the container's alone.
func withSysMount(s *specs.Spec) {
	withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace})(s)
	for i := range s.Mounts {
		if s.Mounts[i].Destination == "/sys" {
			s.Mounts[i] = specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
		}
	}
}

// Clocks of a time namespace can be set by an ordinary user.
func TestRootlessTimeNamespace(t *testing.T) {
	t.Parallel()
	berthOnlyAnyUser(t, "time namespaces")
	if _, err := os.Stat("/proc/self/ns/time"); err != nil {
		t.Skip("this kernel has no time namespaces")
	}
	const day = 24 * 60 * 60
	c := newRootless(t, withNamespace(specs.LinuxNamespace{Type: specs.TimeNamespace}),
		withLinux(func(l *specs.Linux) {
			l.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000 * day}, "monotonic": {Secs: 3 * day, Nanosecs: 5}}
		}), withScript("cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets"))
	fields := strings.Fields(c.run().ok(t).stdout)
	up, err := strconv.Atoi(fields[0])
	if err != nil || up < 1000*day {
		t.Errorf("up for %s seconds", fields[0])
	}
	want(t, "offsets", strings.Join(fields[1:], " "), fmt.Sprintf("monotonic %d 5 boottime %d 0", 3*day, 1000*day))
}

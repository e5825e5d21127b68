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

// nsFiles names each namespace type's file in /proc/PID/ns.
func nsFiles() map[specs.LinuxNamespaceType]string {
	return map[specs.LinuxNamespaceType]string{
		specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.MountNamespace: "mnt",
		specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.CgroupNamespace: "cgroup",
	}
}

// namespacesInside runs the bundle and gives the links in the container's /proc/self/ns.
func namespacesInside(t *testing.T, options ...option) map[string]string {
	t.Helper()
	c := newContainer(t, append(options, withScript("cd /proc/self/ns; for n in *; do echo $n $(readlink $n); done"))...)
	found := map[string]string{}
	for line := range strings.Lines(c.run().ok(t).stdout) {
		if name, link, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			found[name] = link
		}
	}
	return found
}

// A runtime that waits for its container is in none of its namespaces, with no thread: they end with the container.
func TestForegroundIsInNoNamespace(t *testing.T) {
	t.Parallel()
	for range 5 {
		c := newContainer(t, withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}), withArgs("/bin/sleep", "1000"))
		p := call{}.start(t, c.args(c.command("run", nil)...)...)
		waitFor(t, "it runs", func() bool { r := c.oci("state", c.id); return r.code == 0 && strings.Contains(r.stdout, `"running"`) })
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", p.cmd.Process.Pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("no threads: %v", err)
		}
		for _, file := range nsFiles() {
			hosts, err := os.Readlink("/proc/self/ns/" + file)
			if err != nil {
				t.Fatal(err)
			}
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", c.state().Pid, file)); err != nil || link == hosts {
				t.Fatalf("the container has no %s namespace of its own: %v", file, err)
			}
			for _, thread := range threads {
				if link, err := os.Readlink(thread + "/ns/" + file); err == nil && link != hosts {
					t.Errorf("%s is in %s, not in %s", thread, link, hosts)
				}
			}
		}
		c.kill("KILL").ok(t)
		p.wait(t).exits(t, 128+9)
	}
}

// Each namespace that the config lists is new, each that it does not list is the host's.
func TestNamespacesAreNew(t *testing.T) {
	t.Parallel()
	for kind, file := range nsFiles() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			hosts, err := os.Readlink("/proc/self/ns/" + file)
			if err != nil {
				t.Fatal(err)
			}
			options := []option{withNamespace(specs.LinuxNamespace{Type: kind})}
			if got := namespacesInside(t, options...)[file]; got == hosts || !strings.HasPrefix(got, file+":[") {
				t.Errorf("listed, it is %q; the host's is %q", got, hosts)
			}
			if kind == specs.MountNamespace {
				return // a container without one is refused, since its root would be the host's
			}
			without := []option{withoutNamespace(kind)}
			switch kind {
			case specs.UTSNamespace:
				without = append(without, func(s *specs.Spec) { s.Hostname = "" })
			case specs.NetworkNamespace:
				// sysfs can only be mounted by who owns the network namespace.
				without = append(without, withBindOfSys)
			}
			want(t, "not listed", namespacesInside(t, without...)[file], hosts)
		})
	}
}

// withBindOfSys replaces the sysfs mount by the host's, read-only.
func withBindOfSys(s *specs.Spec) {
	for i, m := range s.Mounts {
		if m.Type == "sysfs" {
			s.Mounts[i] = specs.Mount{Destination: m.Destination, Type: "bind", Source: "/sys", Options: []string{"rbind", "ro"}}
		}
	}
}

// A namespace with a path is joined: here those of another container.
func TestNamespacesByPath(t *testing.T) {
	t.Parallel()
	first := newContainer(t, withSleep())
	pid := first.startSleeping().Pid
	for _, kind := range []specs.LinuxNamespaceType{
		specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace, specs.CgroupNamespace,
	} {
		t.Run(string(kind), func(t *testing.T) {
			path := fmt.Sprintf("/proc/%d/ns/%s", pid, nsFiles()[kind])
			firsts, err := os.Readlink(path)
			if err != nil {
				t.Fatal(err)
			}
			got := namespacesInside(t, withNamespace(specs.LinuxNamespace{Type: kind, Path: path}),
				func(s *specs.Spec) { s.Hostname = "" })
			want(t, "namespace inside", got[nsFiles()[kind]], firsts)
		})
	}
}

// A new time namespace beside a pid namespace that is joined. The kernel gives a time namespace only to who shares its
// memory with nobody, as a process does for a moment that has just been forked.
func TestNewTimeNamespaceInJoinedPid(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "time namespaces")
	if _, err := os.Stat("/proc/self/ns/time"); err != nil {
		t.Skip("this kernel has no time namespaces")
	}
	first := newContainer(t, withSleep())
	pid := first.startSleeping().Pid
	c := newContainer(t, withNamespace(specs.LinuxNamespace{Type: specs.PIDNamespace, Path: fmt.Sprintf("/proc/%d/ns/pid", pid)}),
		withNamespace(specs.LinuxNamespace{Type: specs.TimeNamespace}),
		withLinux(func(l *specs.Linux) { l.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 5000}} }),
		withScript("cat /proc/self/timens_offsets"))
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		wantContains(t, "offsets", strings.Join(strings.Fields(c.run().ok(t).stdout), " "), "boottime 5000 0")
		if t.Failed() {
			return
		}
	}
}

// A namespace path that is no namespace, or one of another type, is refused with the field.
func TestNamespacePathOfWrongType(t *testing.T) {
	hostUnchanged(t)
	for _, path := range []string{"/proc/self/ns/uts", "/etc/passwd", "/no/such/file"} {
		c := newContainer(t, withNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path}))
		r := c.run().exits(t, 1)
		if isBerth() {
			wantContains(t, "error", r.stderr, "linux.namespaces[4]", path)
		}
	}
}

// The hostname is the config's, in the container and not on the host.
func TestHostname(t *testing.T) {
	t.Parallel()
	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, withScript("hostname; cat /proc/sys/kernel/hostname"), func(s *specs.Spec) { s.Hostname = "a-name.example" })
	want(t, "hostname inside", c.run().ok(t).stdout, "a-name.example\na-name.example\n")
	after, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "hostname outside", after, before)
}

// The NIS domain name is the config's.
func TestDomainname(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "domainname (runtime-spec 1.1)")
	c := newContainer(t, withScript("cat /proc/sys/kernel/domainname"), func(s *specs.Spec) { s.Domainname = "domain.example" })
	want(t, "domainname inside", c.run().ok(t).stdout, "domain.example\n")
}

// A hostname without a namespace for it would be set on the host: refused.
func TestHostnameWithoutNamespace(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t, withoutNamespace(specs.UTSNamespace))
	r := c.run().exits(t, 1)
	if isBerth() {
		wantContains(t, "error", r.stderr, "hostname", "uts")
	}
}

// A new network namespace's loopback device is up.
func TestLoopbackIsUp(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("cat /sys/class/net/lo/flags; ls /sys/class/net"))
	out := strings.Fields(c.run().ok(t).stdout)
	var flags int
	if _, err := fmt.Sscanf(out[0], "0x%x", &flags); err != nil || flags&unix.IFF_UP == 0 {
		t.Errorf("flags of lo: %s, not up", out[0])
	}
	want(t, "devices", strings.Join(out[1:], " "), "lo")
}

// sysctl sets kernel parameters of the container's namespaces and leaves the host's alone.
func TestSysctl(t *testing.T) {
	t.Parallel()
	before, err := os.ReadFile("/proc/sys/kernel/msgmax")
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(t,
		withLinux(func(l *specs.Linux) {
			l.Sysctl = map[string]string{
				"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096", "fs.mqueue.msg_max": "7", "net/ipv4/conf/lo/forwarding": "1",
			}
		}),
		withScript("cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax fs/mqueue/msg_max net/ipv4/conf/lo/forwarding"))
	want(t, "values inside", c.run().ok(t).stdout, "1\n4096\n7\n1\n")
	after, err := os.ReadFile("/proc/sys/kernel/msgmax")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "kernel.msgmax outside", string(after), string(before))
}

// A kernel parameter that is the whole host's, or of a namespace that the container shares, is refused by name.
func TestSysctlOfTheHost(t *testing.T) {
	hostUnchanged(t)
	for name, options := range map[string][]option{
		"vm.swappiness":       nil,
		"kernel.panic":        nil,
		"kernel.msgmax":       {withoutNamespace(specs.IPCNamespace)},
		"net.ipv4.ip_forward": {withoutNamespace(specs.NetworkNamespace), withBindOfSys},
	} {
		file := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := newContainer(t, append(options, withLinux(func(l *specs.Linux) { l.Sysctl = map[string]string{name: "17"} }))...)
		r := c.run().exits(t, 1)
		wantContains(t, "error", r.stderr, name)
		if isBerth() {
			wantContains(t, "error", r.stderr, "linux.sysctl")
		}
		after, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want(t, name+" on the host", string(after), string(before))
	}
}

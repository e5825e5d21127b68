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

// newRootless makes a container of an ordinary user's: root inside is that user, the network and /sys are the host's.
func newRootless(t *testing.T, options ...option) *container {
	t.Helper()
	c := newBundle(t)
	c.as = &ordinary
	s := baseSpec(c.id)
	rootless(s)
	for _, o := range options {
		o(s)
	}
	c.writeConfig(s)
	ordinary.own(t, filepath.Dir(c.bundle))
	return c
}

// rootless is what `spec --rootless` does to a configuration.
func rootless(s *specs.Spec) {
	withoutNamespace(specs.NetworkNamespace)(s)
	withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace})(s)
	withBindOfSys(s)
	s.Linux.UIDMappings, s.Linux.GIDMappings = ordinary.mapRoot(false)
	s.Linux.CgroupsPath = ""
	for i := range s.Mounts {
		if s.Mounts[i].Type == "devpts" {
			s.Mounts[i].Options = []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
		}
	}
}

// withSubordinates maps the user's subordinate ids too.
func withSubordinates(t *testing.T) option {
	t.Helper()
	needsSubordinates(t)
	return withLinux(func(l *specs.Linux) { l.UIDMappings, l.GIDMappings = ordinary.mapRoot(true) })
}

// An ordinary user runs a container in which they are root, with their own id alone.
func TestRootlessRun(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withReport(map[string]string{
		"id": "id -u; id -g", "map": "cat /proc/self/uid_map", "groups": "cat /proc/self/setgroups",
		"file": "echo hello >/tmp/file && stat -c %u:%g /tmp/file", "hostname": "hostname",
	}))
	out := c.run().ok(t).stdout
	want(t, "ids inside", section(t, out, "id"), "0\n0\n")
	want(t, "uid_map", strings.Join(strings.Fields(section(t, out, "map")), " "), fmt.Sprintf("0 %d 1", ordinary.uid))
	want(t, "setgroups", section(t, out, "groups"), "deny\n")
	want(t, "owner of a file inside", section(t, out, "file"), "0:0\n")
	want(t, "hostname", section(t, out, "hostname"), "inside\n")
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(c.rootfs, "tmp/file"), &st); err != nil {
		t.Fatal(err)
	}
	want(t, "owner of the file on the host", st.Uid, ordinary.uid)
}

// The process's exit code is the runtime's.
func TestRootlessExitCode(t *testing.T) {
	t.Parallel()
	newRootless(t, withScript("exit 37")).run().exits(t, 37)
}

// With subordinate ids the container has many users, and groups besides their own.
func TestRootlessSubordinateIDs(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withSubordinates(t), withScript("id -u; id -g; touch /tmp/file; stat -c %u:%g /tmp/file"),
		withProcess(func(p *specs.Process) { p.User = specs.User{UID: 5, GID: 6} }))
	want(t, "output", c.run().ok(t).stdout, "5\n6\n5:6\n")
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(c.rootfs, "tmp/file"), &st); err != nil {
		t.Fatal(err)
	}
	want(t, "owner on the host", st.Uid, ordinary.subuid.HostID+4)
}

// With subordinate group ids a process can have more groups.
func TestRootlessSubordinateGroups(t *testing.T) {
	t.Parallel()
	newerThanRunc(t, "additional groups of a rootless container")
	c := newRootless(t, withSubordinates(t), withScript("id -G"),
		withProcess(func(p *specs.Process) { p.User.AdditionalGids = []uint32{7, 8} }))
	want(t, "groups", c.run().ok(t).stdout, "0 7 8\n")
}

// newerThanRunc skips the test under runc, which lacks what is said.
func newerThanRunc(t *testing.T, what string) {
	t.Helper()
	if host.name == "runc" {
		t.Skipf("%s %s lacks it: %s", host.name, host.version, what)
	}
}

// With the user's own ids alone the kernel denies setgroups(2): more groups are refused by their field.
func TestRootlessGroupsDenied(t *testing.T) {
	t.Parallel()
	gid := ordinary.gid
	c := newRootless(t, withProcess(func(p *specs.Process) { p.User.AdditionalGids = []uint32{gid} }),
		withLinux(func(l *specs.Linux) { l.GIDMappings[0].ContainerID = gid }), withProcess(func(p *specs.Process) { p.User.GID = gid }))
	r := c.run().exits(t, 1)
	if isBerth() {
		wantContains(t, "error", r.stderr, "process.user.additionalGids", "setgroups")
	}
}

// Each step of a container's life, by its owner.
func TestRootlessLifecycle(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withSleep())
	c.create().ok(t)
	want(t, "status", c.state().Status, "created")
	c.start().ok(t)
	want(t, "status", c.waitStatus("running").Status, "running")
	wantContains(t, "list", c.oci("list").ok(t).stdout, c.id)
	r := c.exec(nil, "sh", "-c", "id -u; exit 5")
	want(t, "exit code of exec", r.exits(t, 5).stdout, "0\n")
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	c.delete().ok(t)
	c.oci("state", c.id).exits(t, 1)
}

// exec as any user that is mapped, with a limit that delete --force ends a container of many users.
func TestRootlessExecUser(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withSubordinates(t), withSleep(), withProcess(func(p *specs.Process) { p.User = specs.User{UID: 9, GID: 9} }))
	c.startSleeping()
	want(t, "ids", c.exec([]string{"--user", "5:6"}, "sh", "-c", "id -u; id -g").ok(t).stdout, "5\n6\n")
	c.delete("--force").ok(t)
}

// A terminal of run and one of exec.
func TestRootlessTerminal(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"own id": nil, "subordinate ids": {nil}} {
		t.Run(name, func(t *testing.T) {
			if options != nil {
				options = []option{withSubordinates(t)}
			}
			term := newTerminal(t, 24, 80)
			c := newRootless(t, append(options, withTerminal(), withScript("tty; until stty size 2>/dev/null | grep .; do sleep 0.05; done; stat -c %u /dev/console; echo done"))...)
			p := c.call()
			p.stdin, p.stdout = term.slave, term.slave
			if p.attr == nil {
				p.attr = controllingTerminal()
			} else {
				p.attr.Setsid, p.attr.Setctty = true, true
			}
			p.start(t, c.args(c.command("run", nil)...)...).wait(t).ok(t)
			term.waitShown("done")
			wantContains(t, "terminal", strings.ReplaceAll(term.shown(), "\r", ""), "/dev/pts/0\n24 80\n0\n")
		})
	}
}

// Without a user namespace an ordinary user gets no container, and is told what to do.
func TestRootlessNeedsUserNamespace(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withoutNamespace(specs.UserNamespace), withLinux(func(l *specs.Linux) { l.UIDMappings, l.GIDMappings = nil, nil }))
	r := c.run().exits(t, 1)
	if !isBerth() {
		return
	}
	wantContains(t, "error", r.stderr, "linux.namespaces", "user namespace", "berth spec --rootless")
	// Also where there is more in the way, such as the terminal that `spec` asks for.
	c.setConfig(t, withTerminal())
	wantContains(t, "error with a terminal", c.run().exits(t, 1).stderr, "berth spec --rootless")
}

// The configuration that `spec --rootless` writes runs as it is.
func TestRootlessSpec(t *testing.T) {
	t.Parallel()
	c := newRootless(t)
	if err := os.Remove(filepath.Join(c.bundle, "config.json")); err != nil {
		t.Fatal(err)
	}
	spec := c.call()
	spec.dir = c.bundle
	spec.run(t, "spec", "--rootless").ok(t)
	text, err := os.ReadFile(filepath.Join(c.bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.writeConfigText(strings.NewReplacer(`"terminal": true`, `"terminal": false`, `"sh"`, `"id", "-u"`).Replace(string(text)))
	want(t, "output", c.run().ok(t).stdout, "0\n")
}

// Without --root the state is in XDG_RUNTIME_DIR, and no one else may look at it.
func TestRootlessState(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withSleep())
	folder := filepath.Dir(c.bundle)
	p := c.call()
	p.env = []string{"XDG_RUNTIME_DIR=" + folder}
	p.run(t, append([]string{}, c.command("run", []string{"--detach"})...)...).ok(t)
	state := filepath.Join(folder, host.name, c.id)
	info, err := os.Stat(filepath.Dir(state))
	if err != nil {
		t.Fatal(err)
	}
	// Sticky, so that what cleans up there leaves it alone.
	want(t, "mode of the state root", info.Mode(), os.ModeDir|os.ModeSticky|0o700)
	if _, err := os.Stat(state); err != nil {
		t.Error(err)
	}
	p.run(t, "delete", "--force", c.id).ok(t)
	if _, err := os.Stat(state); err == nil {
		t.Errorf("%s is there after delete", state)
	}
	if !isBerth() {
		return
	}
	p.env = []string{"XDG_RUNTIME_DIR="}
	wantContains(t, "error", p.run(t, "list").exits(t, 1).stderr, "XDG_RUNTIME_DIR", "--root")
}

// Nothing is asked of a cgroup, so none is needed; a limit that cannot be set is refused by its field.
func TestRootlessLimitWithoutCgroup(t *testing.T) {
	t.Parallel()
	if isDelegated() {
		t.Skip("cgroups are delegated to this user")
	}
	newRootless(t, withLinux(func(l *specs.Linux) { l.Resources = nil })).run().ok(t)
	devices := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	withDevices := withLinux(func(l *specs.Linux) { l.Resources = &specs.LinuxResources{Devices: devices} })
	r := newRootless(t, withDevices).run().ok(t)
	if isBerth() {
		want(t, "a list as engines write it: stderr", r.stderr, "")
		devices = append(devices, specs.LinuxDeviceCgroup{Type: "c", Major: ptr[int64](10), Minor: ptr[int64](200), Access: "rwm"})
		wantContains(t, "warning", newRootless(t, withDevices).run().ok(t).stderr, "warning: linux.resources.devices[1]: only root")
	}
	field, resources := "linux.resources.pids.limit", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](7)}}
	if host.cgroups.v1["pids"] == "" {
		// The private view of v2 that the tests make on a hybrid host has no controllers.
		field, resources = "linux.resources.unified", &specs.LinuxResources{Unified: map[string]string{"cgroup.max.depth": "7"}}
	}
	c := newRootless(t, withLinux(func(l *specs.Linux) { l.Resources = resources }))
	r = c.run()
	if isBerth() {
		wantContains(t, "error", r.exits(t, 1).stderr, field, "permission denied", "delegated")
		wantContains(t, "error of --rootless false", c.oci(append([]string{"--rootless", "false"}, c.command("run", nil)...)...).exits(t, 1).stderr,
			"linux.cgroupsPath", "permission denied")
	}
}

// isDelegated says whether the tests' own cgroup on v2 is this user's.
func isDelegated() bool {
	if os.Geteuid() == 0 {
		return false
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return false
	}
	_, own, ok := strings.Cut(string(text), "0::")
	return ok && unix.Access(filepath.Join("/sys/fs/cgroup", filepath.Dir(strings.TrimSpace(own)), "cgroup.procs"), unix.W_OK) == nil
}

// Without a cgroup the processes are known by their pid namespace, and signalled.
func TestRootlessProcessesWithoutCgroup(t *testing.T) {
	t.Parallel()
	berthOnlyAnyUser(t, "processes of a container without a cgroup")
	c := newRootless(t, withScript("trap 'echo outer' USR1; (trap 'echo inner; exit' USR1; echo ready; while :; do sleep 0.05; done) & while :; do wait; sleep 0.05; done"))
	c.startSleeping()
	lines := strings.Split(strings.TrimSpace(c.oci("ps", "--format", "json", c.id).ok(t).stdout), ",")
	if len(lines) < 2 {
		t.Errorf("ps: %q", lines)
	}
	c.oci("kill", "--all", c.id, "USR1").ok(t)
	waitFor(t, "both have the signal", func() bool {
		return strings.Contains(c.output(), "outer\n") && strings.Contains(c.output(), "inner\n")
	})
	if isBerth() {
		for command, word := range map[string]string{"pause": "no cgroup", "update": "no cgroup"} {
			args := []string{command, c.id}
			if command == "update" {
				args = []string{command, "--pids-limit", "9", c.id}
			}
			if r := c.oci(args...); !isDelegated() {
				wantContains(t, command, r.exits(t, 1).stderr, word)
			}
		}
	}
	c.oci("kill", "--all", c.id, "KILL").ok(t)
	c.waitStatus("stopped")
}

// berthOnlyAnyUser is berthOnly for tests that need no root.
func berthOnlyAnyUser(t *testing.T, what string) {
	t.Helper()
	if !isBerth() {
		t.Skipf("berth only: %s", what)
	}
}

// Hooks run as the user, those in the container as its root.
func TestRootlessHooks(t *testing.T) {
	t.Parallel()
	c := newRootless(t)
	log := filepath.Join(filepath.Dir(c.bundle), "hooks")
	c.setConfig(t, func(s *specs.Spec) {
		hook := func(name string) []specs.Hook {
			return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + name + " $(id -u) >>" + log}}}
		}
		s.Hooks = &specs.Hooks{CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
			Poststart: hook("poststart"), Poststop: hook("poststop")}
	})
	c.run().ok(t)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "hooks", string(text), fmt.Sprintf("createRuntime %[1]d\ncreateContainer 0\npoststart %[1]d\npoststop %[1]d\n", ordinary.uid))
}

// A seccomp filter without no_new_privs, capabilities, limits: as root's containers have them.
func TestRootlessRestrictions(t *testing.T) {
	t.Parallel()
	c := newRootless(t, withCapabilities("CAP_CHOWN", "CAP_KILL"),
		withProcess(func(p *specs.Process) {
			p.NoNewPrivileges = false
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 99, Hard: 100}}
		}),
		withLinux(func(l *specs.Linux) {
			l.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
				Names: []string{"sethostname"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(77))}}}
		}), withScript("grep -e CapEff -e Seccomp: /proc/self/status; ulimit -n; hostname x || true"))
	out := c.run().ok(t).stdout
	wantContains(t, "status", out, "CapEff:\t0000000000000021\n", "Seccomp:\t2\n", "\n99\n")
}

// An id in a mount option that is not mapped is named.
func TestRootlessUnmappedMountOption(t *testing.T) {
	t.Parallel()
	c := newRootless(t, func(s *specs.Spec) {
		for i := range s.Mounts {
			if s.Mounts[i].Type == "devpts" {
				s.Mounts[i].Options = append(s.Mounts[i].Options, "gid=5")
			}
		}
	})
	r := c.run().exits(t, 1)
	if isBerth() {
		wantContains(t, "error", r.stderr, "mounts[2] (/dev/pts)", "gid=", "mapped") // older kernels do not say which
	}
}

// Root of a host whose cgroups are read-only, as in many a container, does without them when told to.
func TestRootlessTrueForRoot(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	berthOnly(t, "--rootless true of root")
	if host.systemd {
		t.Skip("root has no systemd manager of a user's own")
	}
	var remount strings.Builder
	for _, at := range host.cgroups.mountPoints() {
		fmt.Fprintf(&remount, "mount --make-rprivate %[1]s && mount -o remount,bind,ro %[1]s && ", at)
	}
	c := newContainer(t)
	run := func(rootless string) result {
		p := c.call()
		p.program = "/bin/sh"
		return p.run(t, append([]string{"-c", "exec unshare --mount sh -c '" + remount.String() + `exec "$@"' sh "$@"`, "sh", host.runtime},
			c.args(append([]string{"--rootless", rootless}, c.command("run", nil)...)...)...)...)
	}
	wantContains(t, "error", run("auto").exits(t, 1).stderr, "read-only")
	run("true").ok(t)
	c.setConfig(t, func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](7)}}
	})
	if host.cgroups.v1["pids"] != "" {
		wantContains(t, "error", run("true").exits(t, 1).stderr, "linux.resources.pids.limit", "read-only")
	}
}

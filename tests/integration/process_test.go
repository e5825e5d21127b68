package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Arguments reach the program as they are, empty ones and special characters included.
func TestArgs(t *testing.T) {
	t.Parallel()
	args := []string{"/bin/printf", "<%s>", "", "two words", `"quoted" 'too' $HOME \n`, "ünïcödé", "-x", strings.Repeat("long", 1000)}
	c := newContainer(t, withArgs(args...))
	want(t, "output", c.run().ok(t).stdout, "<"+strings.Join(args[2:], "><")+">")
}

// The program is looked for in the PATH of the config's environment, in the order of its folders.
func TestProgramInPath(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("tool"), withEnv("PATH=/nowhere:/first:/second"))
	c.writeFile("second/tool", "#!/bin/sh\necho second\n", 0o755)
	c.writeFile("first/tool", "not to be run, since it has no x bit", 0o644)
	want(t, "output", c.run().ok(t).stdout, "second\n")
}

// A program's name with a slash is a path from cwd; a script runs by its #! line.
func TestProgramRelativeToCwd(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("./tool", "argument"), withProcess(func(p *specs.Process) { p.Cwd = "/home/alice" }))
	c.writeFile("home/alice/tool", "#!/bin/sh\necho $0 $1 in $(pwd)\n", 0o755)
	want(t, "output", c.run().ok(t).stdout, "./tool argument in /home/alice\n")
}

// The environment is the config's, in its order, and nothing of the runtime's own; HOME is added when it is unset.
func TestEnv(t *testing.T) {
	t.Parallel()
	env := []string{"PATH=/bin", "B=2", "A=one two", "EMPTY=", "EQUALS=a=b", "HOME=/elsewhere"}
	c := newContainer(t, withArgs("env"), withEnv(env...))
	r := call{env: []string{"LEAKED=1", "_LIBCONTAINER_X=1"}}.run(t, c.args(c.command("run", nil)...)...).ok(t)
	want(t, "environment", r.stdout, strings.Join(env, "\n")+"\n")
}

// HOME, when the config does not set it, is the user's folder in the rootfs's passwd; / for a user that is not there.
func TestHomeFromPasswd(t *testing.T) {
	t.Parallel()
	for uid, home := range map[uint32]string{0: "/root", 1000: "/home/alice", 4242: "/"} {
		c := newContainer(t, withScript("echo $HOME"), withEnv("PATH=/bin"),
			withProcess(func(p *specs.Process) { p.User = specs.User{UID: uid, GID: uid} }))
		want(t, fmt.Sprintf("HOME of user %d", uid), c.run().ok(t).stdout, home+"\n")
	}
	noPasswd := newContainer(t, withScript("echo $HOME"), withEnv("PATH=/bin"))
	if err := os.RemoveAll(noPasswd.rootfs + "/etc"); err != nil {
		t.Fatal(err)
	}
	want(t, "HOME without a passwd", noPasswd.run().ok(t).stdout, "/\n")
}

// cwd is the working directory; one that is missing is made.
func TestCwd(t *testing.T) {
	t.Parallel()
	for _, cwd := range []string{"/", "/home/alice", "/made/by/the/runtime", "/proc/sys"} {
		c := newContainer(t, withScript("pwd"), withProcess(func(p *specs.Process) { p.Cwd = cwd }))
		want(t, "pwd", c.run().ok(t).stdout, cwd+"\n")
	}
}

// A working directory that only the target user may enter works.
func TestCwdOfUser(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("pwd; ls"), withProcess(func(p *specs.Process) {
		p.Cwd = "/home/alice"
		p.User = specs.User{UID: 1000, GID: 1000}
		p.Capabilities = nil
	}))
	c.writeFile("home/alice/file", "", 0o644)
	home := c.rootfs + "/home/alice"
	if err := os.Chown(home, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	want(t, "output", c.run().ok(t).stdout, "/home/alice\nfile\n")
}

// User and group ids, additional groups and umask are the config's.
func TestUser(t *testing.T) {
	t.Parallel()
	c := newContainer(t,
		withReport(map[string]string{"status": "cat /proc/self/status", "umask": "umask", "file": "echo > /tmp/f; stat -c '%u:%g %a' /tmp/f"}),
		withProcess(func(p *specs.Process) {
			p.User = specs.User{UID: 1000, GID: 2000, AdditionalGids: []uint32{5, 77}, Umask: ptr(uint32(0o027))}
		}))
	out := c.run().ok(t).stdout
	status := section(t, out, "status")
	want(t, "Uid", statusField(t, status, "Uid"), "1000\t1000\t1000\t1000")
	want(t, "Gid", statusField(t, status, "Gid"), "2000\t2000\t2000\t2000")
	want(t, "Groups", statusField(t, status, "Groups"), "5 77")
	want(t, "umask", section(t, out, "umask"), "0027\n")
	want(t, "file", section(t, out, "file"), "1000:2000 640\n")
}

// Without additionalGids the process has no groups of the caller's.
func TestNoGroupsOfTheCaller(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("cat", "/proc/self/status"))
	caller := call{attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{20, 27}}}}
	r := caller.run(t, c.args(c.command("run", nil)...)...).ok(t)
	want(t, "Groups", strings.Trim(statusField(t, r.stdout, "Groups"), "0 "), "")
}

// crun's annotation keeps them, for exec's process too, whatever additionalGids says.
func TestGroupsOfTheCallerAreKept(t *testing.T) {
	berthOnly(t, "crun's annotation")
	t.Parallel()
	caller := call{attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{20, 27}}}}
	for value, groups := range map[string]string{"1": "20 27", "0": "77"} {
		c := newContainer(t, withScript("cat /proc/self/status; echo ready; exec sleep 600"),
			withProcess(func(p *specs.Process) { p.User.AdditionalGids = []uint32{77} }),
			func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.keep_original_groups": value} })
		c.created = caller.start(t, c.args(c.command("create", nil)...)...)
		c.created.wait(t).ok(t)
		c.start().ok(t)
		waitFor(t, "the script says ready", func() bool { return strings.Contains(c.output(), "ready\n") })
		want(t, "Groups", statusField(t, c.output(), "Groups"), groups)
		r := caller.run(t, c.args(c.execArgs(nil, "cat", "/proc/self/status")...)...).ok(t)
		want(t, "Groups of exec's process", statusField(t, r.stdout, "Groups"), groups)
	}
	// In a user namespace they are there as the group that stands for all that have no number in it.
	c := inUserNamespace(t, withArgs("cat", "/proc/self/status"), withUserNamespace,
		func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.keep_original_groups": "1"} })
	r := caller.run(t, c.args(c.command("run", nil)...)...).ok(t)
	want(t, "Groups in a user namespace", statusField(t, r.stdout, "Groups"), "65534 65534")
}

// The five capability sets are as the config has them.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	status := withArgs("cat", "/proc/self/status")
	for _, set := range []struct {
		name string
		user uint32
		caps *specs.LinuxCapabilities
		want string // inheritable, permitted, effective, bounding, ambient, as capability numbers
	}{
		{"root's own", 0, &specs.LinuxCapabilities{
			Bounding: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_CHOWN", "CAP_KILL"},
		}, " | 0 5 | 0 5 | 0 5 | "},
		// A program that root runs gets all of the bounding set (capabilities(7)).
		{"all five", 0, &specs.LinuxCapabilities{
			Bounding:    []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"},
			Permitted:   []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID"},
			Inheritable: []string{"CAP_CHOWN", "CAP_KILL"},
			Effective:   []string{"CAP_CHOWN", "CAP_KILL"},
			Ambient:     []string{"CAP_KILL"},
		}, "0 5 | 0 5 7 13 | 0 5 7 13 | 0 5 7 13 | 5"},
		{"ambient for a user", 1000, &specs.LinuxCapabilities{
			Bounding: []string{"CAP_NET_BIND_SERVICE", "CAP_KILL"}, Permitted: []string{"CAP_NET_BIND_SERVICE"},
			Inheritable: []string{"CAP_NET_BIND_SERVICE"}, Effective: []string{"CAP_NET_BIND_SERVICE"},
			Ambient: []string{"CAP_NET_BIND_SERVICE"},
		}, "10 | 10 | 10 | 5 10 | 10"},
		{"none for a user", 1000, &specs.LinuxCapabilities{
			Bounding: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"},
		}, " |  |  | 5 | "},
		{"empty sets", 0, &specs.LinuxCapabilities{}, " |  |  |  | "},
		{"not set", 0, nil, " |  |  |  | "},
	} {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, status, withProcess(func(p *specs.Process) {
				p.User = specs.User{UID: set.user, GID: set.user}
				p.Capabilities = set.caps
				p.NoNewPrivileges = false
			}))
			out := c.run().ok(t).stdout
			var sets []string
			for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
				sets = append(sets, capabilityNumbers(t, statusField(t, out, field)))
			}
			want(t, "inheritable | permitted | effective | bounding | ambient", strings.Join(sets, " | "), set.want)
		})
	}
}

// capabilityNumbers lists the bits of a set as /proc/PID/status has it.
func capabilityNumbers(t *testing.T, hex string) string {
	t.Helper()
	var mask uint64
	if _, err := fmt.Sscanf(hex, "%x", &mask); err != nil {
		t.Fatalf("capability set %q: %v", hex, err)
	}
	var numbers []string
	for bit := range 64 {
		if mask&(1<<bit) != 0 {
			numbers = append(numbers, fmt.Sprint(bit))
		}
	}
	return strings.Join(numbers, " ")
}

// hasCapability tells whether this process has a capability in effect.
func hasCapability(t *testing.T, number int) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	all := capabilityNumbers(t, statusField(t, string(status), "CapEff"))
	return slices.Contains(strings.Fields(all), fmt.Sprint(number))
}

// A capability that the kernel does not know is warned of by name, and the container runs with the others.
func TestUnknownCapability(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("cat", "/proc/self/status"), withCapabilities("CAP_KILL", "CAP_NO_SUCH_THING"))
	r := c.run().ok(t)
	want(t, "effective", capabilityNumbers(t, statusField(t, r.stdout, "CapEff")), "5")
	wantContains(t, "warning", r.stderr, "CAP_NO_SUCH_THING")
}

// rlimits are set, soft and hard; those the config does not name stay as the caller had them.
func TestRlimits(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("cat", "/proc/self/limits"), withProcess(func(p *specs.Process) {
		p.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200},
			{Type: "RLIMIT_CORE", Soft: 0, Hard: ^uint64(0)},
			{Type: "RLIMIT_NPROC", Soft: 500, Hard: 500},
			{Type: "RLIMIT_STACK", Soft: 1 << 22, Hard: 1 << 23},
			{Type: "RLIMIT_RTTIME", Soft: 1000000, Hard: 2000000},
		}
	}))
	limits := map[string]string{}
	for line := range strings.Lines(c.run().ok(t).stdout) {
		if len(line) > 66 {
			limits[strings.TrimSpace(line[:26])] = strings.Join(strings.Fields(line[26:66]), " ")
		}
	}
	for name, wanted := range map[string]string{
		"Max open files": "100 200", "Max core file size": "0 unlimited", "Max processes": "500 500",
		"Max stack size": "4194304 8388608", "Max realtime timeout": "1000000 2000000",
	} {
		want(t, name, limits[name], wanted)
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MSGQUEUE, &own); err != nil {
		t.Fatal(err)
	}
	want(t, "Max msgqueue size", limits["Max msgqueue size"], fmt.Sprintf("%d %d", own.Cur, own.Max))
}

// noNewPrivileges is the process's no_new_privs bit.
func TestNoNewPrivileges(t *testing.T) {
	t.Parallel()
	for value, bit := range map[bool]string{true: "1", false: "0"} {
		c := newContainer(t, withArgs("cat", "/proc/self/status"),
			withProcess(func(p *specs.Process) { p.NoNewPrivileges = value }))
		want(t, "NoNewPrivs", statusField(t, c.run().ok(t).stdout, "NoNewPrivs"), bit)
	}
}

// A capability that the runtime itself does not have cannot be granted: the container runs with the others, and a
// warning names it (config.md, Linux Process).
func TestCapabilityThatCannotBeGranted(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "a warning, not an error, for a capability that cannot be granted")
	c := newContainer(t, withArgs("cat", "/proc/self/status"), withCapabilities("CAP_KILL", "CAP_SYS_NICE"))
	r := call{without: unix.CAP_SYS_NICE}.run(t, c.args(c.command("run", nil)...)...).ok(t)
	want(t, "effective", capabilityNumbers(t, statusField(t, r.stdout, "CapEff")), "5")
	want(t, "bounding", capabilityNumbers(t, statusField(t, r.stdout, "CapBnd")), "5")
	wantContains(t, "warning", r.stderr, "CAP_SYS_NICE")
}

// oomScoreAdj is set where the config has it, and else stays as the caller's.
func TestOOMScoreAdj(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	values := []*int{ptr(500), ptr(1000), nil}
	if hasCapability(t, unix.CAP_SYS_RESOURCE) {
		values = append(values, ptr(-500)) // lower than the caller's takes CAP_SYS_RESOURCE
	}
	for _, value := range values {
		wanted := string(own)
		if value != nil {
			wanted = fmt.Sprintln(*value)
		}
		c := newContainer(t, withArgs("cat", "/proc/self/oom_score_adj"),
			withProcess(func(p *specs.Process) { p.OOMScoreAdj = value }))
		want(t, "oom_score_adj", c.run().ok(t).stdout, wanted)
	}
}

// Any 1.x of the runtime-spec is accepted: minor versions are compatible.
func TestSpecVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.0.0", "1.0.0-rc5", "1.0.2-dev", "1.1.0+build.7", "1.3.0", "1.99.99"} {
		c := newContainer(t, withScript("echo ran"), func(s *specs.Spec) { s.Version = version })
		want(t, "output of version "+version, c.run().ok(t).stdout, "ran\n")
	}
}

// Members that the runtime-spec does not know are passed over (config.md, Extensibility).
func TestUnknownMembers(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo ran"))
	inConfig(`{`, `{"x-unknown": {"deep": [1, 2, {"a": null}]}, `)(c)
	inConfig(`"user": {`, `"user": {"x-name": "nobody", `)(c)
	r := c.run().ok(t)
	want(t, "output", r.stdout, "ran\n")
	want(t, "stderr", r.stderr, "")
}

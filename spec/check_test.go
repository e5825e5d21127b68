package spec

import (
	"errors"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

// A checkCase changes the default config.json and says what is to be said.
type checkCase struct {
	name     string
	change   func(s *specs.Spec)
	problems []string
	warnings []string
}

// ns keeps only the namespaces of these types.
func ns(types ...specs.LinuxNamespaceType) func(s *specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = nil
		for _, t := range types {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t})
		}
	}
}

func addNS(s *specs.Spec, t specs.LinuxNamespaceType, path string) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t, Path: path})
}

// addUserNS adds a user namespace with 65536 ids.
func addUserNS(s *specs.Spec) {
	addNS(s, specs.UserNamespace, "")
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
}

// addMount adds a mount behind the seven of the default.
func addMount(m specs.Mount) func(s *specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) }
}

func runChecks(t *testing.T, cases []checkCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := Default()
			c.change(s)
			problems, warnings := Check(s)
			compare(t, problems, warnings, c.problems, c.warnings)
		})
	}
}

func compare(t *testing.T, problems Problems, warnings, wantProblems, wantWarnings []string) {
	t.Helper()
	var have []string
	for _, p := range problems {
		have = append(have, p.String())
		if p.Field == "" || p.Cause == "" || p.Fix == "" {
			t.Errorf("a problem wants field, cause and fix: %#v", p)
		}
	}
	if !slices.Equal(have, wantProblems) {
		t.Errorf("problems\nhave %s\nwant %s", strings.Join(have, "\n     "), strings.Join(wantProblems, "\n     "))
	}
	if !slices.Equal(warnings, wantWarnings) {
		t.Errorf("warnings\nhave %s\nwant %s", strings.Join(warnings, "\n     "), strings.Join(wantWarnings, "\n     "))
	}
}

func TestCheckTakesWhatEnginesWrite(t *testing.T) {
	for _, name := range workloads(t) {
		s, err := Parse(workload(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if problems, warnings := Check(s); problems != nil || warnings != nil {
			t.Errorf("%s: %v, %q", name, problems, warnings)
		}
	}
}

func TestCheckDocument(t *testing.T) {
	runChecks(t, []checkCase{
		{"as it is", func(*specs.Spec) {}, nil, nil},
		{"no process", func(s *specs.Spec) { s.Process = nil }, nil, nil},
		{"ociVersion missing", func(s *specs.Spec) { s.Version = "" }, []string{`ociVersion: is missing: set it to "1.3.0"`}, nil},
		{"ociVersion dev", func(s *specs.Spec) { s.Version = "1.0.2-dev" }, nil, nil},
		{"ociVersion pre-release", func(s *specs.Spec) { s.Version = "1.99.0-rc.1+build.5" }, nil, nil},
		{"ociVersion short", func(s *specs.Spec) { s.Version = "1.0" }, nil, []string{`ociVersion: "1.0" is not of the form 1.2.3: taken as 1.x`}},
		{"ociVersion odd", func(s *specs.Spec) { s.Version = "1.0.0-" }, nil, []string{`ociVersion: "1.0.0-" is not of the form 1.2.3: taken as 1.x`}},
		{"ociVersion zeros", func(s *specs.Spec) { s.Version = "1.00.0" }, nil, []string{`ociVersion: "1.00.0" is not of the form 1.2.3: taken as 1.x`}},
		{"ociVersion 0", func(s *specs.Spec) { s.Version = "0.2.0" }, []string{`ociVersion: "0.2.0" is of another major version of the runtime-spec, and only 1.x is known here: write the config.json for 1.x`}, nil},
		{"ociVersion 2", func(s *specs.Spec) { s.Version = "2.0.0" }, []string{`ociVersion: "2.0.0" is of another major version of the runtime-spec, and only 1.x is known here: write the config.json for 1.x`}, nil},
		{"ociVersion 10", func(s *specs.Spec) { s.Version = "10.0.0" }, []string{`ociVersion: "10.0.0" is of another major version of the runtime-spec, and only 1.x is known here: write the config.json for 1.x`}, nil},
		{"ociVersion text", func(s *specs.Spec) { s.Version = "v1.0.0" }, []string{`ociVersion: "v1.0.0" is not a version of the runtime-spec: use one of the form "1.3.0"`}, nil},

		{"windows", func(s *specs.Spec) { *s = specs.Spec{Version: Version, Windows: &specs.Windows{}} }, []string{"windows: this is a config for Windows, and berth runs Linux containers: use a runtime for Windows, or give the config a linux section"}, nil},
		{"solaris", func(s *specs.Spec) { s.Linux, s.Solaris = nil, &specs.Solaris{} }, []string{"solaris: this is a config for Solaris, and berth runs Linux containers: use a runtime for Solaris, or give the config a linux section"}, nil},
		{"vm", func(s *specs.Spec) { s.Linux, s.VM = nil, &specs.VM{} }, []string{"vm: this is a config for virtual machines, and berth runs Linux containers: use a runtime for virtual machines, or give the config a linux section"}, nil},
		{"zos", func(s *specs.Spec) { s.Linux, s.ZOS = nil, &specs.ZOS{} }, []string{"zos: this is a config for z/OS, and berth runs Linux containers: use a runtime for z/OS, or give the config a linux section"}, nil},
		{"freebsd", func(s *specs.Spec) { s.Linux, s.FreeBSD = nil, &specs.FreeBSD{} }, []string{"freebsd: this is a config for FreeBSD, and berth runs Linux containers: use a runtime for FreeBSD, or give the config a linux section"}, nil},
		{"windows and linux", func(s *specs.Spec) { s.Windows = &specs.Windows{} }, nil, []string{"windows: ignored, since there is a linux section"}},
		{"neither", func(s *specs.Spec) {
			*s = specs.Spec{Version: Version, Process: s.Process, Root: &specs.Root{Path: "/"}}
		}, nil, nil},

		{"root missing", func(s *specs.Spec) { s.Root = nil }, []string{`root: is missing: set root.path to the folder of the container's files, usually "rootfs"`}, nil},
		{"root empty", func(s *specs.Spec) { s.Root.Path = "" }, []string{`root.path: is empty: set it to the folder of the container's files, usually "rootfs"`}, nil},
		{"root NUL", func(s *specs.Spec) { s.Root.Path = "/a\x00b" }, []string{`root.path: "/a\x00b" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},

		{"hostname long", func(s *specs.Spec) { s.Hostname = strings.Repeat("a", 65) }, []string{`hostname: "` + strings.Repeat("a", 65) + `" is longer than 64 bytes: shorten it`}, nil},
		{"hostname 64", func(s *specs.Spec) { s.Hostname = strings.Repeat("a", 64) }, nil, nil},
		{"domainname", func(s *specs.Spec) { s.Domainname = "example.org" }, nil, nil},
		{"domainname NUL", func(s *specs.Spec) { s.Domainname = "a\x00" }, []string{`domainname: "a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
		{"names without uts", func(s *specs.Spec) { ns("mount")(s); s.Domainname = "a" }, []string{
			`hostname: would change the host's: add {"type": "uts"} to linux.namespaces`,
			`domainname: would change the host's: add {"type": "uts"} to linux.namespaces`,
		}, nil},
		{"names in a joined uts", func(s *specs.Spec) { ns("mount")(s); addNS(s, "uts", "/proc/1/ns/uts") }, nil, nil},
		{"annotation", func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} }, nil, []string{"annotations: a key is empty, which the runtime-spec does not allow"}},

		{"hooks", func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{
				Prestart:        []specs.Hook{{Path: "/bin/a", Args: []string{"a"}, Env: []string{"A=b"}, Timeout: ptr(1)}},
				CreateRuntime:   []specs.Hook{{}},
				CreateContainer: []specs.Hook{{Path: "/ok"}, {Path: "bin/a"}},
				StartContainer:  []specs.Hook{{Path: "/a", Timeout: ptr(0)}},
				Poststart:       []specs.Hook{{Path: "/a", Timeout: ptr(-1)}},
				Poststop:        []specs.Hook{{Path: "/a\x00", Args: []string{"\x00"}, Env: []string{"A", "B=\x00"}}},
			}
		}, []string{
			"hooks.createRuntime[0].path: is empty: name the program to run, with its absolute path",
			`hooks.createContainer[1].path: "bin/a" is relative: make it absolute: hooks are not looked up in PATH`,
			"hooks.startContainer[0].timeout: is not greater than 0: give the seconds that the hook may take, or leave it out for no limit",
			"hooks.poststart[0].timeout: is not greater than 0: give the seconds that the hook may take, or leave it out for no limit",
			`hooks.poststop[0].path: "/a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`hooks.poststop[0].args[0]: "\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`hooks.poststop[0].env[1]: "B=\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
		}, []string{`hooks.poststop[0].env[0]: "A" is not of the form NAME=VALUE`}},
	})
}

func TestCheckProcess(t *testing.T) {
	process := func(change func(p *specs.Process)) func(s *specs.Spec) {
		return func(s *specs.Spec) { change(s.Process) }
	}
	const noUser = "4294967295 means no user or group to the kernel: use an id below it"
	runChecks(t, []checkCase{
		{"args missing", process(func(p *specs.Process) { p.Args = nil }), []string{"process.args: is empty: name the program to run"}, nil},
		{"args[0] empty", process(func(p *specs.Process) { p.Args = []string{"", "a"} }), []string{"process.args[0]: is empty: name the program to run"}, nil},
		{"args empty later", process(func(p *specs.Process) { p.Args = []string{"sh", ""} }), nil, nil},
		{"args NUL", process(func(p *specs.Process) { p.Args = []string{"sh", "a\x00b"} }), []string{`process.args[1]: "a\x00b" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
		{"cwd missing", process(func(p *specs.Process) { p.Cwd = "" }), []string{`process.cwd: is missing: set it to a folder in the container, for instance "/"`}, nil},
		{"cwd relative", process(func(p *specs.Process) { p.Cwd = "tmp" }), []string{`process.cwd: "tmp" is relative: make it absolute`}, nil},
		{"cwd NUL", process(func(p *specs.Process) { p.Cwd = "/\x00" }), []string{`process.cwd: "/\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`}, nil},
		{"env", process(func(p *specs.Process) { p.Env = []string{"A=", "B", "=C", "", "D=\x00", "E=f=g"} }),
			[]string{`process.env[4]: "D=\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`},
			[]string{`process.env[1]: "B" is not of the form NAME=VALUE`, `process.env[2]: "=C" is not of the form NAME=VALUE`, `process.env[3]: "" is not of the form NAME=VALUE`}},
		{"no user", process(func(p *specs.Process) { p.User = specs.User{UID: noID, GID: noID, AdditionalGids: []uint32{1, noID}} }),
			[]string{"process.user.uid: " + noUser, "process.user.gid: " + noUser, "process.user.additionalGids[1]: " + noUser}, nil},
		{"last user", process(func(p *specs.Process) { p.User = specs.User{UID: noID - 1, GID: noID - 1, Umask: ptr(uint32(0o777))} }), nil, nil},
		{"umask", process(func(p *specs.Process) { p.User.Umask = ptr(uint32(0o1000)) }), nil, []string{"process.user.umask: 512 has bits beyond 511 (octal 777): they have no effect"}},
		{"console", process(func(p *specs.Process) { p.ConsoleSize = &specs.Box{Height: 65536} }), nil, []string{"process.consoleSize: a terminal has at most 65535 rows and columns: more are not set"}},
		{"console without terminal", process(func(p *specs.Process) { p.Terminal, p.ConsoleSize = false, &specs.Box{Height: 65536} }), nil, nil},
		{"labels", process(func(p *specs.Process) { p.ApparmorProfile, p.SelinuxLabel = "a\x00", "b\x00" }), []string{
			`process.apparmorProfile: "a\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
			`process.selinuxLabel: "b\x00" has a NUL in it, which ends it for the kernel: remove the \u0000`,
		}, nil},
		{"oom", process(func(p *specs.Process) { p.OOMScoreAdj = ptr(1001) }), []string{"process.oomScoreAdj: 1001 is out of range: use -1000 to 1000"}, nil},
		{"oom low", process(func(p *specs.Process) { p.OOMScoreAdj = ptr(-1001) }), []string{"process.oomScoreAdj: -1001 is out of range: use -1000 to 1000"}, nil},
		{"oom edge", process(func(p *specs.Process) { p.OOMScoreAdj = ptr(-1000) }), nil, nil},

		{"capabilities none", process(func(p *specs.Process) { p.Capabilities = nil }), nil, nil},
		{"capabilities unknown", process(func(p *specs.Process) {
			p.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_FOO", "cap_kill"}, Permitted: []string{"CAP_FOO"}}
		}), nil, []string{`process.capabilities: "CAP_FOO" is unknown: left out`, `process.capabilities: "cap_kill" is unknown: left out`}},
		{"capabilities that do not fit", process(func(p *specs.Process) {
			p.Capabilities = &specs.LinuxCapabilities{
				Bounding: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL", "CAP_CHOWN", "CAP_FOWNER"},
				Inheritable: []string{"CAP_CHOWN"}, Ambient: []string{"CAP_KILL"},
			}
		}), nil, []string{
			"process.capabilities.effective: CAP_CHOWN, CAP_FOWNER not in permitted: cannot be granted",
			"process.capabilities.inheritable: CAP_CHOWN not in bounding: cannot be granted",
			"process.capabilities.ambient: CAP_KILL not in both permitted and inheritable: cannot be granted",
		}},
		{"capabilities all", process(func(p *specs.Process) {
			all := []string{"CAP_KILL", "CAP_CHECKPOINT_RESTORE"}
			p.Capabilities = &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all, Inheritable: all, Ambient: all}
		}), nil, nil},

		{"rlimits", process(func(p *specs.Process) {
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 3}, {Type: "NOFILE"}, {Type: "RLIMIT_NOFILE"}, {Type: "RLIMIT_CORE", Soft: 2, Hard: 1}, {Type: "RLIMIT_RTTIME", Soft: ^uint64(0), Hard: ^uint64(0)}}
		}), []string{
			`process.rlimits[1].type: "NOFILE" is no resource limit: use a name of getrlimit(2), such as RLIMIT_NOFILE`,
			"process.rlimits[2].type: RLIMIT_NOFILE is given twice: keep one of them",
			"process.rlimits[3].soft: 2 is above the hard limit of 1: lower it, or raise hard",
		}, nil},
	})
}

func TestCheckScheduling(t *testing.T) {
	scheduler := func(sch specs.Scheduler) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Process.Scheduler = &sch }
	}
	priority := func(class specs.IOPriorityClass, n int) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: n} }
	}
	policy := func(p specs.LinuxMemoryPolicy) func(s *specs.Spec) {
		return func(s *specs.Spec) { s.Linux.MemoryPolicy = &p }
	}
	runChecks(t, []checkCase{
		{"other", scheduler(specs.Scheduler{Policy: "SCHED_OTHER", Nice: 19, Flags: []specs.LinuxSchedulerFlag{"SCHED_FLAG_RESET_ON_FORK"}}), nil, nil},
		{"batch", scheduler(specs.Scheduler{Policy: "SCHED_BATCH", Nice: -20}), nil, nil},
		{"fifo", scheduler(specs.Scheduler{Policy: "SCHED_FIFO", Priority: 99}), nil, nil},
		{"deadline", scheduler(specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 1024, Deadline: 1024, Period: 1024}), nil, nil},
		{"deadline without period", scheduler(specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 5000, Deadline: 6000}), nil, nil},
		{"iso", scheduler(specs.Scheduler{Policy: "SCHED_ISO"}), nil, []string{"process.scheduler.policy: SCHED_ISO is a reserved name: no kernel has it so far"}},
		{"no policy", scheduler(specs.Scheduler{}), []string{`process.scheduler.policy: "" is no scheduling policy: use SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR or SCHED_DEADLINE`}, nil},
		{"nice", scheduler(specs.Scheduler{Policy: "SCHED_IDLE", Nice: 20}), []string{"process.scheduler.nice: 20 is out of range: use -20 to 19"}, nil},
		{"priority for other", scheduler(specs.Scheduler{Policy: "SCHED_OTHER", Priority: 1}), []string{"process.scheduler.priority: has no meaning for SCHED_OTHER: leave it out, or use SCHED_FIFO or SCHED_RR"}, nil},
		{"priority missing", scheduler(specs.Scheduler{Policy: "SCHED_RR"}), []string{"process.scheduler.priority: 0 is out of range for SCHED_RR: use 1 to 99"}, nil},
		{"times for other", scheduler(specs.Scheduler{Policy: "SCHED_OTHER", Period: 1}), []string{"process.scheduler: runtime, deadline and period have no meaning for SCHED_OTHER: leave them out, or use SCHED_DEADLINE"}, nil},
		{"runtime short", scheduler(specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 1023, Deadline: 2000}), []string{"process.scheduler.runtime: 1023 ns is below the kernel's least of 1024: raise it"}, nil},
		{"deadline short", scheduler(specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 2000, Deadline: 1999}), []string{"process.scheduler.deadline: is shorter than runtime: raise it, or lower runtime"}, nil},
		{"period short", scheduler(specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 2000, Deadline: 2001, Period: 2000}), []string{"process.scheduler.period: is shorter than deadline: raise it, or leave it out to make it the deadline"}, nil},
		{"period huge", scheduler(specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 2000, Deadline: 2001, Period: 1 << 63}), []string{"process.scheduler: deadline or period is beyond 9223372036854775807 ns: lower it"}, nil},
		{"flag", scheduler(specs.Scheduler{Policy: "SCHED_OTHER", Flags: []specs.LinuxSchedulerFlag{"SCHED_FLAG_RECLAIM", "FOO"}}), []string{`process.scheduler.flags[1]: "FOO" is no flag of sched_setattr(2): correct or remove it`}, nil},

		{"io", priority("IOPRIO_CLASS_IDLE", 7), nil, nil},
		{"io class", priority("", 0), []string{`process.ioPriority.class: "" is no I/O scheduling class: use IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE`}, nil},
		{"io priority", priority("IOPRIO_CLASS_BE", 8), []string{"process.ioPriority.priority: 8 is out of range: use 0 (highest) to 7 (lowest)"}, nil},
		{"io priority low", priority("IOPRIO_CLASS_BE", -1), []string{"process.ioPriority.priority: -1 is out of range: use 0 (highest) to 7 (lowest)"}, nil},

		{"affinity", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0-3,7", Final: ""} }, nil, nil},
		{"affinity wrong", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "a", Final: "3-1"} }, []string{
			`process.execCPUAffinity.initial: "a" is no number: write CPUs as in 0-3,7`,
			`process.execCPUAffinity.final: "3-1" runs backwards: write CPUs as in 0-3,7`,
		}, nil},

		{"memory", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_INTERLEAVE", Nodes: "2-3", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_STATIC_NODES"}}), nil, nil},
		{"memory preferred", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_PREFERRED"}), nil, nil},
		{"memory balancing", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES"}}), nil, nil},
		{"memory mode", policy(specs.LinuxMemoryPolicy{Nodes: "0"}), []string{`linux.memoryPolicy.mode: "" is no memory policy: use MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, MPOL_PREFERRED_MANY or MPOL_LOCAL`}, nil},
		{"memory no nodes", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_BIND"}), []string{"linux.memoryPolicy.nodes: MPOL_BIND wants at least one node: name some, as in 0-1"}, nil},
		{"memory nodes", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_LOCAL", Nodes: "0"}), []string{"linux.memoryPolicy.nodes: MPOL_LOCAL takes no nodes: leave them out"}, nil},
		{"memory bad nodes", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0,,1"}), []string{"linux.memoryPolicy.nodes: a number is missing in the list: write nodes as in 0-3,7"}, nil},
		{"memory flags", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_INTERLEAVE", Nodes: "0", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_NUMA_BALANCING", "FOO", "MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"}}), []string{
			"linux.memoryPolicy.flags[0]: MPOL_F_NUMA_BALANCING does not go with MPOL_INTERLEAVE: remove it, or use MPOL_BIND",
			`linux.memoryPolicy.flags[1]: "FOO" is no flag of set_mempolicy(2): use MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES or MPOL_F_STATIC_NODES`,
			"linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other: remove one",
		}, nil},
		{"memory flag without nodes", policy(specs.LinuxMemoryPolicy{Mode: "MPOL_PREFERRED", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_STATIC_NODES"}}), []string{"linux.memoryPolicy.flags: there are no nodes for MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES to be about: remove the flag"}, nil},
	})
}

func TestProblems(t *testing.T) {
	if err := Validate(Default()).Err(); err != nil {
		t.Error(err)
	}
	s := Default()
	s.Process.Cwd = "tmp"
	err := Validate(s).Err()
	if want := `config.json: process.cwd: "tmp" is relative: make it absolute`; err == nil || err.Error() != want {
		t.Errorf("have %v, want %s", err, want)
	}
	s.Root.Path = ""
	err = Validate(s).Err()
	if want := `2 problems in config.json: process.cwd: "tmp" is relative: make it absolute; root.path: is empty: set it to the folder of the container's files, usually "rootfs"`; err == nil || err.Error() != want {
		t.Errorf("have %v, want %s", err, want)
	}
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("the list does not come out of the error: %v", problems)
	}
	s.Process.Args = slices.Repeat([]string{"\x00"}, 30)
	line := Validate(s).Error()
	if !strings.HasPrefix(line, "32 problems in config.json: ") || !strings.HasSuffix(line, "; and 7 more") || strings.Count(line, "process.args[") != 25 {
		t.Error(line)
	}
	if have := Warnings(s); have != nil {
		t.Error(have)
	}
	if err := RequireProcess(s); err != nil {
		t.Error(err)
	}
	s.Process = nil
	if err := RequireProcess(s); err == nil || err.Error() != "config.json: process: is missing: name a program in process.args and a folder in process.cwd" {
		t.Error(err)
	}
}

func TestCheckParts(t *testing.T) {
	problems, warnings := CheckProcess(&specs.Process{Cwd: "a", Args: []string{"sh"}, Env: []string{"A"}})
	compare(t, problems, warnings, []string{`cwd: "a" is relative: make it absolute`}, []string{`env[0]: "A" is not of the form NAME=VALUE`})
	if want := `process.json: cwd: "a" is relative: make it absolute`; problems.Line("process.json") != want {
		t.Errorf("have %s, want %s", problems.Line("process.json"), want)
	}
	problems, warnings = CheckResources(&specs.LinuxResources{Unified: map[string]string{"a/b": ""}})
	compare(t, problems, warnings, []string{`unified["a/b"]: is a path, not the name of a file: name a file of the container's cgroup, such as memory.max`}, nil)
}

// oneLine fails when a message could be cut in two by who shows it.
func oneLine(t testing.TB, s *specs.Spec) {
	t.Helper()
	problems, warnings := Check(s)
	for _, line := range append(warnings, problems.Error()) {
		if strings.ContainsAny(line, "\n\r\x00") {
			t.Fatalf("not one line: %q", line)
		}
	}
}

// Whatever the values are, checking neither panics nor breaks its lines.
func TestCheckTakesAnyValues(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for range 300 {
		s := new(specs.Spec)
		fill(r, reflect.ValueOf(s).Elem(), 0)
		oneLine(t, s)
	}
	for _, s := range []*specs.Spec{{}, {Linux: &specs.Linux{}}, {Process: &specs.Process{}, Root: &specs.Root{}, Hooks: &specs.Hooks{}}} {
		oneLine(t, s)
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, name := range workloads(b) {
		s, err := Parse(workload(b, name))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if problems, _ := Check(s); problems != nil {
					b.Fatal(problems)
				}
			}
		})
	}
}

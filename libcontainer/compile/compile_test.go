package compile

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// small returns a configuration that compiles.
func small() *specs.Spec {
	return &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: []string{"/bin/true"}, Cwd: "/", Env: []string{"HOME=/"}},
		Linux:   &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}}},
	}
}

// Every problem names its place in config.json in front, and there is one for
// each mistake.
func TestProblems(t *testing.T) {
	mounts := func(m ...specs.Mount) func(*Input) {
		return func(in *Input) { in.Spec.Mounts = m }
	}
	linux := func(change func(*specs.Linux)) func(*Input) {
		return func(in *Input) { change(in.Spec.Linux) }
	}
	namespaces := func(n ...specs.LinuxNamespace) func(*Input) {
		return linux(func(l *specs.Linux) { l.Namespaces = n })
	}
	bind := func(options ...string) specs.Mount {
		return specs.Mount{Destination: "/d", Source: "/s", Options: append(options, "bind")}
	}
	mountNS := specs.LinuxNamespace{Type: specs.MountNamespace}
	for want, change := range map[string]func(*Input){
		"root: is missing":            func(in *Input) { in.Spec.Root = nil },
		"process: is missing":         func(in *Input) { in.Spec.Process = nil },
		"process.args: is empty":      func(in *Input) { in.Spec.Process.Args = nil },
		`linux.rootfsPropagation: "x`: linux(func(l *specs.Linux) { l.RootfsPropagation = "x" }),

		`linux.namespaces[1]: "dream" is no namespace type`: namespaces(mountNS, specs.LinuxNamespace{Type: "dream"}),
		"linux.namespaces[1]: a mount namespace stands":     namespaces(mountNS, mountNS),
		// Counted as in the config, of which Spec lacks berth's own user namespace.
		`linux.namespaces[2]: "behind" is no namespace type`: func(in *Input) {
			in.OwnUserns = 2
			in.Spec.Linux.Namespaces = []specs.LinuxNamespace{mountNS, {Type: "behind"}}
		},
		`linux.namespaces[1]: "before" is no namespace type`: func(in *Input) {
			in.OwnUserns = 3
			in.Spec.Linux.Namespaces = []specs.LinuxNamespace{mountNS, {Type: "before"}}
		},

		"mounts: need a mount namespace": func(in *Input) {
			in.Spec.Linux.Namespaces, in.Spec.Mounts = nil, []specs.Mount{bind()}
		},
		"linux.maskedPaths: masked and read-only paths need": linux(func(l *specs.Linux) {
			l.Namespaces, l.ReadonlyPaths = nil, []string{"/proc/sys"}
		}),
		"mounts[0]: destination is missing":                  mounts(specs.Mount{Type: "tmpfs"}),
		"mounts[1] (/d): type is missing":                    mounts(bind(), specs.Mount{Destination: "/d"}),
		"mounts[0] (/d): source is missing":                  mounts(specs.Mount{Destination: "/d", Type: "bind"}),
		`mounts[0] (/d): unknown mount option "bnd"`:         mounts(bind("bnd")),
		"mounts[0] (/d): tmpcopyup has no meaning":           mounts(bind("tmpcopyup")),
		"mounts[0] (/d): tmpcopyup cannot be combined":       mounts(specs.Mount{Destination: "/d", Type: "tmpfs", Options: []string{"tmpcopyup", "silent"}}),
		"mounts[0] (/proc/sys): destination /proc/sys lies":  mounts(specs.Mount{Destination: "/proc/sys", Source: "/s", Options: []string{"bind"}}),
		"mounts[0] (/proc/../proc//net): destination /proc/": mounts(specs.Mount{Destination: "/proc/../proc//net", Type: "tmpfs"}),

		"mounts[0] (/cg): the host has no cgroup": func(in *Input) {
			in.Host.Cgroups, in.Cgroup = nil, nil
			in.Spec.Mounts = []specs.Mount{{Destination: "/cg", Type: "cgroup"}}
		},
		"linux.sysctl.net..x: is no kernel parameter": linux(func(l *specs.Linux) { l.Sysctl = map[string]string{"net..x": "1"} }),
		`linux.devices[0] (/dev/x): type "d" is none`: linux(func(l *specs.Linux) { l.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "d"}} }),
		`process.rlimits[0]: "RLIMIT_FUN" is no`:      func(in *Input) { in.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_FUN"}} },
		"linux.resources.devices[0]": linux(func(l *specs.Linux) {
			l.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Type: "z"}}}
		}),
		"linux.resources.devices: the host has neither": func(in *Input) {
			in.Host.Cgroups = layout(t, "v1")
			h := in.Host.Cgroups.Hierarchies
			in.Host.Cgroups.Hierarchies = h[:len(h)-1] // devices
		},
	} {
		in := inputOf(t, small(), "v2")
		change(&in)
		out, err := Compile(in)
		if err == nil || out != nil {
			t.Errorf("no problem found, and %q was to be", want)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.HasPrefix(lines[0], want) {
			t.Errorf("got %q, want %q…", err, want)
		}
	}
}

// All problems are told at once, each as a *Problem where it is the compiler's.
func TestAllProblems(t *testing.T) {
	s := small()
	s.Mounts = []specs.Mount{{Destination: "/a"}, {Destination: "/b", Type: "tmpfs"}, {Destination: "/c"}}
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x"}}
	_, err := Compile(inputOf(t, s, "v2"))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v", err)
	}
	var origins []string
	for _, e := range joined.Unwrap() {
		var p *Problem
		if !errors.As(e, &p) || p.Cause == "" {
			t.Errorf("%v is no problem with a cause", e)
			continue
		}
		origins = append(origins, p.Origin.String())
	}
	if want := []string{"mounts[0] (/a)", "mounts[2] (/c)", "linux.devices[0] (/dev/x)"}; !reflect.DeepEqual(origins, want) {
		t.Errorf("origins: got %q, want %q", origins, want)
	}
}

// The executor has a fixed number of slots; a configuration that needs more is
// refused, not cut short.
func TestSlotsRunOut(t *testing.T) {
	c := &compiler{nextSlot: plan.SlotCount - 1}
	if s := c.slot(plan.At("x")); s != plan.SlotCount-1 || len(c.errs) != 0 {
		t.Errorf("the last slot: got %v, %v", s, c.errs)
	}
	c.slot(plan.At("x"))
	if len(c.errs) != 1 {
		t.Errorf("one slot too many: got %v", c.errs)
	}
}

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		file string
		env  []string
		want string
	}{
		{"/bin/sh", []string{"PATH=/x"}, "/bin/sh"},
		{"./sh", []string{"PATH=/x"}, "./sh"},
		{"bin/sh", nil, "bin/sh"},
		{"", nil, ""},
		{"sh", nil, "/bin/sh /usr/bin/sh"},
		{"sh", []string{"HOME=/", "XPATH=/x", "PATHS=/y"}, "/bin/sh /usr/bin/sh"},
		{"sh", []string{"PATH=/a:/b/"}, "/a/sh /b/sh"},
		{"sh", []string{"PATH=/a:/b", "PATH=/c:/d"}, "/c/sh /d/sh"},
		{"sh", []string{"PATH=/a::rel"}, "/a/sh sh rel/sh"},
		{"sh", []string{"PATH="}, "sh"},
		{"sh", []string{"PATH=/only"}, "/only/sh"},
	} {
		if got := strings.Join(candidates(c.file, c.env), " "); got != c.want {
			t.Errorf("%q with %q: got %q, want %q", c.file, c.env, got, c.want)
		}
	}
}

// A capability is left out, with a warning that names it, where it is unknown,
// newer than the kernel, or not berth's own to give.
func TestCapabilitiesLeftOut(t *testing.T) {
	for name, want := range map[string]struct {
		bits    uint64
		warning string
	}{
		"CAP_CHOWN":              {1, ""},
		"CAP_CHECKPOINT_RESTORE": {0, "process.capabilities.bounding: this kernel has no CAP_CHECKPOINT_RESTORE; it is left out"}, // 40
		"CAP_BPF":                {1 << 39, ""},
		"CAP_DREAM":              {0, `process.capabilities.bounding: unknown capability "CAP_DREAM" is left out`},
		"CAP_SYS_ADMIN":          {0, "process.capabilities: left out, since berth itself does not have them to give: CAP_SYS_ADMIN"},
	} {
		s := small()
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{name, "CAP_KILL"}}
		in := inputOf(t, s, "v2")
		in.Host.LastCap = 39
		in.Host.Permitted &^= 1 << 21
		out, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range out.Plan.Steps {
			if op, ok := step.Op.(plan.Bounding); ok && op.Keep != want.bits|1<<5 {
				t.Errorf("%s: got %#x, want %#x", name, op.Keep, want.bits|1<<5)
			}
		}
		if got := strings.Join(out.Warnings, "; "); got != want.warning {
			t.Errorf("%s: warns %q, want %q", name, got, want.warning)
		}
	}
}

// What capset(2) and PR_CAP_AMBIENT_RAISE would refuse never gets to them.
func TestCapabilitiesFit(t *testing.T) {
	sets := [][]string{nil, {"CAP_CHOWN"}, {"CAP_CHOWN", "CAP_KILL"}, {"CAP_KILL", "CAP_NET_RAW"}}
	n := len(sets)
	for i := range int(math.Pow(float64(n), 4)) {
		caps := &specs.LinuxCapabilities{Bounding: sets[i%n], Permitted: sets[i/n%n], Effective: sets[i/n/n%n],
			Inheritable: sets[i/n/n/n%n], Ambient: []string{"CAP_CHOWN", "CAP_KILL"}}
		s := small()
		s.Process.Capabilities = caps
		out, err := Compile(inputOf(t, s, "v2"))
		if err != nil {
			t.Fatal(err)
		}
		var bounding, ambient uint64
		var set plan.Capset
		for _, step := range out.Plan.Steps {
			switch op := step.Op.(type) {
			case plan.Bounding:
				bounding = op.Keep
			case plan.Capset:
				set = op
			case plan.Ambient:
				ambient = op.Set
			}
		}
		if set.Effective&^set.Permitted != 0 || set.Inheritable&^bounding != 0 || ambient&^(set.Permitted&set.Inheritable) != 0 {
			t.Errorf("bounding %q, permitted %q, effective %q, inheritable %q: %+v, ambient %#x", caps.Bounding, caps.Permitted,
				caps.Effective, caps.Inheritable, set, ambient)
		}
	}
}

// Each type of namespace has its bit and its name, in the first clone or as one
// to join; a cgroup namespace is made once the process is in its cgroup.
func TestNamespaces(t *testing.T) {
	for kind, flag := range map[specs.LinuxNamespaceType]uint64{
		specs.PIDNamespace: cloneNewpid, specs.NetworkNamespace: cloneNewnet, specs.IPCNamespace: cloneNewipc,
		specs.UTSNamespace: cloneNewuts, specs.CgroupNamespace: cloneNewcgroup,
	} {
		s := small()
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
		out, err := Compile(inputOf(t, s, "v2"))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		want, unshares := cloneNewns|flag, 0
		if kind == specs.CgroupNamespace {
			want, unshares = cloneNewns, 1
		}
		if out.Cloneflags != want || len(out.Joins) != 0 || count[plan.Unshare](out) != unshares {
			t.Errorf("new %s: flags %#x, joins %v, %d unshare", kind, out.Cloneflags, out.Joins, count[plan.Unshare](out))
		}

		s.Linux.Namespaces[1].Path = "/proc/1/ns/x"
		out, err = Compile(inputOf(t, s, "v2"))
		if err != nil {
			t.Fatalf("%s by path: %v", kind, err)
		}
		if out.Cloneflags != cloneNewns || len(out.Joins) != 1 || out.Joins[0].Flag != flag || out.Joins[0].Origin.Index != 1 {
			t.Errorf("joined %s: flags %#x, joins %+v", kind, out.Cloneflags, out.Joins)
		}
		// A joined pid namespace is for children only, and others live there.
		forks := 0
		if kind == specs.PIDNamespace {
			forks = 1
		}
		if count[plan.Fork](out) != forks || count[plan.Undumpable](out) != forks || count[plan.Unshare](out) != 0 {
			t.Errorf("joined %s: %d fork, %d undumpable", kind, count[plan.Fork](out), count[plan.Undumpable](out))
		}
	}
	if got := CloneNames(cloneNewpid | cloneNewtime | cloneNewuser); fmt.Sprint(got) != "[CLONE_NEWUSER CLONE_NEWPID CLONE_NEWTIME]" {
		t.Errorf("names: %v", got)
	}
}

// systemd is told of the process as soon as that runs, unless it is not the one yet that the
// container will have.
func TestScopeAhead(t *testing.T) {
	for _, c := range []struct {
		systemd, joins, ahead bool
	}{{false, false, false}, {true, false, true}, {true, true, false}} {
		s := small()
		pid := specs.LinuxNamespace{Type: specs.PIDNamespace}
		if c.joins {
			pid.Path = "/proc/1/ns/pid"
		}
		s.Linux.Namespaces = append(s.Linux.Namespaces, pid)
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"kexec_load"}, Action: specs.ActErrno}}}
		in := inputOf(t, s, "hybrid")
		in.Systemd = c.systemd
		out, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		asked := c.systemd && !c.ahead
		if out.ScopeAhead != c.ahead || !out.AtCgroup || out.SeccompAhead == asked {
			t.Errorf("%+v: scope ahead %v, at cgroup %v, seccomp ahead %v", c, out.ScopeAhead, out.AtCgroup, out.SeccompAhead)
		}
		for _, step := range out.Plan.Steps {
			if sync, ok := step.Op.(plan.Sync); ok && sync.Point == plan.PointCgroup && sync.Quiet == asked {
				t.Errorf("%+v: the executor asks: %v", c, !sync.Quiet)
			}
		}
	}
}

// count counts the operations of one type.
func count[T plan.Op](out *Output) int {
	n := 0
	for _, s := range out.Plan.Steps {
		if _, ok := s.Op.(T); ok {
			n++
		}
	}
	return n
}

// Only files that no part of the set-up relies on may be mounted below /proc.
func TestProcTarget(t *testing.T) {
	for _, c := range []struct {
		target           string
		bind, inProc, ok bool
	}{
		{"/proc", true, false, true},
		{"/process", true, false, true},
		{"/srv/proc/sys", true, false, true},
		{"/proc/cpuinfo", true, true, true},
		{"/proc/net/dev", true, true, true},
		{"/proc/net", true, true, false},
		{"/proc/self", true, true, false},
		{"/proc/self/attr/exec", true, true, false},
		{"/proc/sys", true, true, false},
		{"/proc/sys/kernel/core_pattern", true, true, false},
		{"/proc/cpuinfo/x", true, true, false},
		{"/proc/cpuinfo", false, true, false},
		{"/proc/sys/fs/binfmt_misc", false, true, true},
		{"/proc/sys/fs/binfmt_misc", true, true, false},
	} {
		if inProc, ok := procTarget(c.target, c.bind); inProc != c.inProc || ok != c.ok {
			t.Errorf("%s, bind %v: got %v, %v", c.target, c.bind, inProc, ok)
		}
	}
}

// A rootfs is taken from the bundle.
func TestRootfs(t *testing.T) {
	for in, want := range map[string]string{"rootfs": "/b/rootfs", "/abs//r/": "/abs/r", "../x": "/x", ".": "/b"} {
		if got := Rootfs(&specs.Spec{Root: &specs.Root{Path: in}}, "/b"); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := Rootfs(&specs.Spec{}, "/b"); got != "" {
		t.Errorf("without root: got %s", got)
	}
}

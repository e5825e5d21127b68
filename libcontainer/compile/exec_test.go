package compile

import (
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
)

// lines prints a plan's operations with the arguments that are set.
func lines(p *plan.Plan) string {
	var b strings.Builder
	for i := range p.Steps {
		b.WriteString(p.Steps[i].Op.Code().String())
		for _, a := range p.Steps[i].Op.Args() {
			switch v := fmt.Sprint(a.Value); v {
			case "", "0", "false", "none", "[]":
			default:
				b.WriteString(" " + a.Name + "=" + v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// inOrder fails the test unless text has all parts, each behind the one before.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		_, after, ok := strings.Cut(rest, p)
		if !ok {
			t.Fatalf("no %q, or not in its place, in\n%s", p, text)
		}
		rest = after
	}
}

func execInput() ExecInput {
	return ExecInput{
		Spec: &specs.Spec{Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace, Path: "/n"}},
			Seccomp:    &specs.LinuxSeccomp{DefaultAction: specs.ActAllow},
		}},
		Process: &specs.Process{Args: []string{"true"}, Cwd: "/", Env: []string{"PATH=/bin:/sbin"}, NoNewPrivileges: true,
			OOMScoreAdj: new(int)},
		ID: "c", Host: &facts.Host{LastCap: 40, Permitted: ^uint64(0)}, Rootfs: "/b/rootfs", Tasks: 1,
	}
}

// TestExecOrder fixes what must come before what: the cgroup before the fork,
// files of the host's procfs before the namespaces, no process that others of
// the container could trace after them.
func TestExecOrder(t *testing.T) {
	in := execInput()
	in.Namespaces = JoinFlags(in.Spec)
	out, err := Exec(in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, lines(&out.Plan), "write_slot to=cgroup0\n", "dir_open path=/proc into=proc\n", "write_proc proc=proc path=self/oom_score_adj\n",
		"close_slot slot=proc\n", "undumpable\n", "setns from=pidfd flags=1610743808\n", "fork\n", "setsid\n",
		"dir_open path=/ into=root\n", "keyring name=_ses.c\n", "chdir path=/ defer=true\n",
		"open_file root=root path=/etc/passwd into=passwd\n", "no_new_privs\n", "setids\n", "capset\n", "chdir path=/ again=true\n",
		"find_exec name=true candidates=[/bin/true /sbin/true]\n", "sync point=created send=passwd into=seccomp fds=1\n",
		"seccomp program=seccomp", "execve argv=[true] envp=[PATH=/bin:/sbin] late=true\n")
	if out.SeccompAt != plan.PointCreated || !out.Home || out.Console {
		t.Errorf("SeccompAt %s, Home %v, Console %v", out.SeccompAt, out.Home, out.Console)
	}
}

// TestExecWithoutNamespaces has no fork, and the rootfs for a root.
func TestExecWithoutNamespaces(t *testing.T) {
	in := execInput()
	in.Spec.Linux.Namespaces = nil
	out, err := Exec(in)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(&out.Plan)
	for _, not := range []string{"setns", "fork"} {
		if strings.Contains(got, not) {
			t.Errorf("%s in\n%s", not, got)
		}
	}
	if !strings.Contains(got, "dir_open path=/b/rootfs into=root\nchroot root=root\n") {
		t.Errorf("no chroot in\n%s", got)
	}
}

func TestExecProcess(t *testing.T) {
	mask := uint32(0o27)
	score := 5
	s := &specs.Spec{Process: &specs.Process{
		Capabilities:    &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}},
		Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}},
		User:            specs.User{UID: 7, Umask: &mask},
		OOMScoreAdj:     &score,
		ApparmorProfile: "profile",
		SelinuxLabel:    "label",
		NoNewPrivileges: true,
		Env:             []string{"A=1"},
	}}
	p := ExecProcess(s, &specs.Process{Args: []string{"x"}, SelinuxLabel: "other"})
	switch {
	case p.Capabilities != s.Process.Capabilities, len(p.Rlimits) != 1, p.User.Umask != &mask, p.OOMScoreAdj != &score,
		p.ApparmorProfile != "profile":
		t.Errorf("not taken from the container: %+v", p)
	case p.SelinuxLabel != "other", p.User.UID != 0, p.NoNewPrivileges, p.Env != nil:
		t.Errorf("not left as it was: %+v", p)
	}
	own := &specs.Process{Args: []string{"x"}}
	if got := ExecProcess(&specs.Spec{}, own); got.Args[0] != "x" || got == own {
		t.Errorf("without a process in the container: %+v", got)
	}
}

// A createContainer hook has berth's rights, a startContainer hook those of the
// container's process: its program is the image's.
func TestHookPlans(t *testing.T) {
	in := execInput()
	in.Spec.Process = &specs.Process{Args: []string{"main"}, Cwd: "/w", User: specs.User{UID: 5}}
	in.Namespaces = JoinFlags(in.Spec)
	h := &specs.Hook{Path: "/h", Args: []string{"x", "y"}, Env: []string{"A=1"}}
	created := lines(&CreateContainerHook(in, h).Plan)
	inOrder(t, created, "write_slot to=cgroup0\n", "undumpable\n", "setns from=pidfd", "fork\n", "setsid\n", "chdir path=/b/rootfs\n",
		"umask mask=18\n", "find_exec name=/h candidates=[/h]\n", "sync point=created\n", "execve argv=[x y] envp=[A=1]\n")
	if strings.Contains(created, "setids") || strings.Contains(created, "seccomp") {
		t.Errorf("createContainer has an identity:\n%s", created)
	}
	out, err := StartContainerHook(in, h)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, lines(&out.Plan), "write_slot to=cgroup0\n", "undumpable\n", "setns from=pidfd", "fork\n", "chdir path=/w", "setids uid=5\n",
		"seccomp program=seccomp", "capset\n", "find_exec name=/h candidates=[/h]\n", "execve argv=[x y] envp=[A=1]\n")
	for i := range out.Plan.Steps {
		if o := out.Plan.Steps[i].Origin; o != plan.At("") {
			t.Fatalf("step %d has the origin %s", i, o)
		}
	}
}

// A filter that asks an agent is loaded while the parent is there to hand the
// listener over; the limits, which a descriptor could break, come behind it.
func TestNotifyOrder(t *testing.T) {
	for _, nnp := range []bool{true, false} {
		in := execInput()
		in.Process.NoNewPrivileges = nnp
		in.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 3}}
		in.Spec.Linux.Seccomp.Syscalls = []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}
		out, err := Exec(in)
		if err != nil {
			t.Fatal(err)
		}
		inOrder(t, lines(&out.Plan), "setids", "sync point=seccomp into=seccomp fds=1", "seccomp program=seccomp listen=listen\nlistener from=listen\n",
			"sync point=created send=passwd\n", "rlimit", "execve")
		if out.SeccompAt != plan.PointSeccomp {
			t.Errorf("the program goes along at %s", out.SeccompAt)
		}
	}
	// An empty profile is none.
	in := execInput()
	in.Spec.Linux.Seccomp = &specs.LinuxSeccomp{}
	out, err := Exec(in)
	if err != nil {
		t.Fatal(err)
	}
	if text := lines(&out.Plan); strings.Contains(text, "seccomp") || out.SeccompAt != plan.PointNone {
		t.Errorf("a filter in\n%s", text)
	}
}

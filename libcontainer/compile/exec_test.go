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
	const want = `set_name name=berth:exec
write_slot to=cgroup0
dir_open path=/proc into=proc
write_proc proc=proc path=self/oom_score_adj
close_slot slot=proc
undumpable
setns from=pidfd flags=1610743808
fork
setsid
dir_open path=/ into=root
keyring name=_ses.c
chdir path=/ defer=true
open_file root=root path=/etc/passwd into=passwd
no_new_privs
bounding
umask mask=18
setgroups
setids
capset
chdir path=/ again=true
find_exec name=true candidates=[/bin/true /sbin/true]
sync point=created send=passwd into=seccomp fds=1
seccomp program=seccomp
execve argv=[true] envp=[PATH=/bin:/sbin] late=true
`
	if got := lines(&out.Plan); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
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
	const join = `set_name name=berth:hook
write_slot to=cgroup0
undumpable
setns from=pidfd flags=1610743808
fork
setsid
dir_open path=/ into=root
`
	const created = join + `chdir path=/b/rootfs
umask mask=18
find_exec name=/h candidates=[/h]
sync point=created
execve argv=[x y] envp=[A=1]
`
	if got := lines(&CreateContainerHook(in, h).Plan); got != created {
		t.Errorf("createContainer: got\n%swant\n%s", got, created)
	}
	out, err := StartContainerHook(in, h)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(&out.Plan)
	for _, part := range []string{join, "setids uid=5\n", "capset\n", "seccomp program=seccomp\n", "find_exec name=/h candidates=[/h]\n", "execve argv=[x y] envp=[A=1]\n"} {
		if !strings.Contains(got, part) {
			t.Errorf("startContainer: no %q in\n%s", part, got)
		}
	}
	for i := range out.Plan.Steps {
		if o := out.Plan.Steps[i].Origin; o != plan.At("") {
			t.Fatalf("step %d has the origin %s", i, o)
		}
	}
}

package compile

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
)

// ExecInput is all that the plan of another process in a container follows
// from.
type ExecInput struct {
	// Spec is the container's configuration.
	Spec *specs.Spec
	// Process is the process to start; see ExecProcess.
	Process *specs.Process
	ID      string
	Host    *facts.Host
	// Rootfs is the container's root folder on the host.
	Rootfs string
	// Namespaces are the CLONE_NEW* bits of the namespaces to join, which are
	// those of the process in plan.SlotPidfd.
	Namespaces uint64
	// Tasks is how many tasks files of v1 hierarchies are in slots from
	// plan.SlotCgroup on.
	Tasks int
	// NoNewKeyring keeps the caller's session keyring.
	NoNewKeyring bool
}

// Exec returns the plan for another process in a container that runs: one
// setns(2) into all of its namespaces and one fork.
func Exec(in ExecInput) (*Output, error) {
	c := execCompiler(&in)
	c.p.Add(plan.At("process"), plan.SetName{Name: "berth:exec"})
	c.compileJoin(&in)
	c.compileConsole()
	c.compileProcess()
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return &c.out, nil
}

// execCompiler sees the container's configuration with another process in it.
func execCompiler(in *ExecInput) *compiler {
	s := *in.Spec
	s.Process = in.Process
	c := &compiler{exec: true, nextSlot: plan.SlotFree,
		Input: Input{Spec: &s, ID: in.ID, Host: in.Host, NoNewKeyring: in.NoNewKeyring}}
	c.p = &c.out.Plan
	c.execUserns = in.Namespaces&cloneNewuser != 0
	c.noGroups = in.Host.NoSetgroups
	c.p.Steps = make([]plan.Step, 0, 40)
	return c
}

// compileJoin enters the container: cgroup, namespaces, root folder.
func (c *compiler) compileJoin(in *ExecInput) {
	for i := range in.Tasks {
		c.p.Add(plan.At("linux.cgroupsPath"), plan.WriteSlot{To: plan.SlotCgroup + plan.Slot(i), Data: "0"})
	}
	// The host's procfs is in reach still; the container's may be covered.
	c.compileOwnProc(in.Process)
	if c.procMount {
		c.p.Add(plan.At("process"), plan.CloseSlot{Slot: plan.SlotProc})
	}
	// From here on the container's processes can see this one.
	c.p.Add(plan.At("process"), plan.Undumpable{})
	origin := plan.At("linux.namespaces")
	if in.Namespaces != 0 {
		c.p.Add(origin, plan.Setns{From: plan.SlotPidfd, Flags: in.Namespaces})
	}
	if in.Namespaces&cloneNewuser != 0 {
		// This user has no number in there yet.
		c.p.Add(origin, plan.Setids{})
	}
	if in.Namespaces&cloneNewpid != 0 {
		// setns(2): a pid namespace takes effect for children only.
		c.p.Add(origin, plan.Fork{})
	}
	c.p.Add(plan.At("process"), plan.Setsid{})
	root := "/"
	if in.Namespaces&cloneNewns == 0 {
		root = in.Rootfs
	}
	c.p.Add(plan.At("root.path"), plan.DirOpen{Path: root, Into: plan.SlotRoot})
	if root != "/" {
		c.p.Add(plan.At("root.path"), plan.Chroot{Root: plan.SlotRoot})
	}
}

// JoinFlags returns the CLONE_NEW* bits of the namespaces that a container has
// of its own, new ones and those joined by path.
func JoinFlags(s *specs.Spec) uint64 {
	var flags uint64
	if s.Linux == nil {
		return 0
	}
	for i := range s.Linux.Namespaces {
		flags |= cloneFlag(s.Linux.Namespaces[i].Type)
	}
	return flags
}

// ExecProcess returns the process to start as p describes it, with what p
// leaves open taken from the container's own: capabilities, limits, labels,
// umask, OOM score, scheduling.
func ExecProcess(s *specs.Spec, p *specs.Process) *specs.Process {
	out := *p
	own := s.Process
	if own == nil {
		return &out
	}
	if out.Capabilities == nil {
		out.Capabilities = own.Capabilities
	}
	if out.Rlimits == nil {
		out.Rlimits = own.Rlimits
	}
	if out.ApparmorProfile == "" {
		out.ApparmorProfile = own.ApparmorProfile
	}
	if out.SelinuxLabel == "" {
		out.SelinuxLabel = own.SelinuxLabel
	}
	if out.OOMScoreAdj == nil {
		out.OOMScoreAdj = own.OOMScoreAdj
	}
	if out.User.Umask == nil {
		out.User.Umask = own.User.Umask
	}
	if out.Scheduler == nil {
		out.Scheduler = own.Scheduler
	}
	if out.IOPriority == nil {
		out.IOPriority = own.IOPriority
	}
	if out.ExecCPUAffinity == nil {
		out.ExecCPUAffinity = own.ExecCPUAffinity
	}
	return &out
}

// CreateContainerHook returns the plan for a hook that runs in the container's
// namespaces before pivot_root: its path is one of the host's still, and as the
// host's administrator chose it, it has berth's own rights.
func CreateContainerHook(in ExecInput, h *specs.Hook) *Output {
	in.Process = &specs.Process{}
	c := execCompiler(&in)
	c.program = h.Path
	c.p.Add(plan.Origin{}, plan.SetName{Name: "berth:hook"})
	c.compileJoin(&in)
	c.p.Add(plan.Origin{}, plan.Chdir{Path: in.Rootfs})
	c.p.Add(plan.Origin{}, plan.Umask{Mask: defaultUmask})
	c.p.Add(plan.Origin{}, plan.FindExec{Name: h.Path, Candidates: []string{h.Path}})
	c.p.Add(plan.Origin{}, plan.Sync{Point: plan.PointCreated})
	c.p.Add(plan.Origin{}, plan.Execve{Argv: hookArgs(h), Envp: h.Env})
	return c.hookOutput()
}

// StartContainerHook returns the plan for a hook whose path lies in the
// container: what is there may be anybody's, so it is run just as the
// container's own process would be, by the same user, with no more rights.
func StartContainerHook(in ExecInput, h *specs.Hook) (*Output, error) {
	p := *in.Spec.Process
	p.Args, p.Env, p.Terminal = hookArgs(h), h.Env, false
	in.Process = &p
	c := execCompiler(&in)
	c.program = h.Path
	c.p.Add(plan.Origin{}, plan.SetName{Name: "berth:hook"})
	c.compileJoin(&in)
	c.compileProcess()
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return c.hookOutput(), nil
}

// hookOutput leaves the operations' origins to who names the hook.
func (c *compiler) hookOutput() *Output {
	for i := range c.p.Steps {
		c.p.Steps[i].Origin = plan.At("")
	}
	return &c.out
}

func hookArgs(h *specs.Hook) []string {
	if len(h.Args) > 0 {
		return h.Args
	}
	return []string{h.Path}
}

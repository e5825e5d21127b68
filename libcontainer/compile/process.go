package compile

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
	"berth/spec"
)

// defaultUmask is the file mode creation mask where the config sets none.
const defaultUmask = 0o022

// compileProcess makes the executor the process that the config describes.
func (c *compiler) compileProcess() {
	p := c.Spec.Process
	if p == nil {
		c.problem(plan.At("process"), "is missing: say in process.args what to run")
		return
	}
	if len(p.Args) == 0 {
		c.problem(plan.At("process.args"), "is empty: say what to run")
		return
	}
	if !c.exec {
		c.compileOwnProc(p)
	}
	if !c.NoNewKeyring {
		// A kernel without keyrings, or a profile around us that forbids the
		// call, must not keep a container from starting.
		c.p.AddTolerant(plan.At("keyring"), plan.Keyring{Name: "_ses." + c.ID}, 0, errEPERM, errENOSYS)
	}
	// A folder that exec is told of by mistake must not appear in the image.
	c.p.Add(plan.At("process.cwd"), plan.Chdir{Path: p.Cwd, Create: !c.exec, Defer: true})
	if c.program == "" && !hasEnv(p.Env, "HOME") {
		c.out.Home = true
		c.p.Add(plan.At("process.env"), plan.OpenFile{Root: plan.SlotRoot, Path: "/etc/passwd", Into: plan.SlotPasswd})
	}
	c.compileScheduling(p)
	c.compileIdentity(p)
	c.p.Add(plan.At("process.cwd"), plan.Chdir{Path: p.Cwd, Again: true})
	find := plan.FindExec{Name: p.Args[0], Candidates: candidates(p.Args[0], p.Env)}
	if c.program != "" {
		find = plan.FindExec{Name: c.program, Candidates: []string{c.program}}
	}
	c.p.Add(plan.At("process.args"), find)
	c.compileStart(p)
}

// compileOwnProc writes what is set through the process's files in procfs.
func (c *compiler) compileOwnProc(p *specs.Process) {
	c.compileLabels(p)
	if p.OOMScoreAdj != nil && c.has(specs.UserNamespace) && !c.exec {
		c.out.OOMScoreAdj = p.OOMScoreAdj // lowering it takes a power over the host
	} else if p.OOMScoreAdj != nil {
		origin := plan.At("process.oomScoreAdj")
		c.needProc(origin)
		c.p.Add(origin, plan.WriteProc{Proc: plan.SlotProc, Path: "self/oom_score_adj", Data: strconv.Itoa(*p.OOMScoreAdj)})
	}
}

// compileStart ends the plan: created, started, executed.
func (c *compiler) compileStart(p *specs.Process) {
	created := plan.Sync{Point: plan.PointCreated}
	if c.out.Home {
		created.Send = plan.SlotPasswd
	}
	late := c.seccomp() != nil && p.NoNewPrivileges
	if late && notifies(c.seccomp()) {
		// The agent must have its descriptor before this parent is gone.
		c.compileSeccomp()
		late = false
	}
	if late {
		created.Into, created.Fds = plan.SlotSeccomp, 1
		c.out.SeccompAt = plan.PointCreated
	}
	c.p.Add(plan.At("process"), created)
	if c.Wait {
		c.p.Add(plan.At("process"), plan.WaitStart{Fifo: plan.SlotFifo, Report: plan.SlotReport})
	}
	if !c.limited {
		c.compileRlimits(p)
	}
	if late {
		c.p.Add(plan.At("linux.seccomp"), plan.Seccomp{Program: plan.SlotSeccomp})
	}
	c.p.Add(plan.At("process.args"), plan.Execve{Argv: p.Args, Envp: p.Env, Late: c.out.Home || c.LateEnv})
}

// compileSeccomp loads a filter while the parent is there still. A listener is
// a descriptor more, so the limits on those come behind it.
func (c *compiler) compileSeccomp() {
	origin := plan.At("linux.seccomp")
	c.out.SeccompAt = plan.PointSeccomp
	c.p.Add(origin, plan.Sync{Point: plan.PointSeccomp, Into: plan.SlotSeccomp, Fds: 1, Quiet: c.seccompAhead()})
	if !notifies(c.seccomp()) {
		c.compileRlimits(c.Spec.Process)
		c.p.Add(origin, plan.Seccomp{Program: plan.SlotSeccomp})
		return
	}
	c.p.Add(origin, plan.Seccomp{Program: plan.SlotSeccomp, Listen: plan.SlotListen})
	c.p.Add(origin, plan.Listener{From: plan.SlotListen})
}

// seccomp returns the profile; nil for none, and for an empty one, which sets
// no filter.
func (c *compiler) seccomp() *specs.LinuxSeccomp {
	p := c.linux().Seccomp
	if p == nil || p.DefaultAction == "" && len(p.Architectures) == 0 && len(p.Syscalls) == 0 {
		return nil
	}
	return p
}

// notifies says whether an agent decides about some system calls.
func notifies(p *specs.LinuxSeccomp) bool {
	for i := range p.Syscalls {
		if p.Syscalls[i].Action == specs.ActNotify && len(p.Syscalls[i].Names) > 0 {
			return true
		}
	}
	return false
}

// seccompAhead says whether the seccomp program can be sent before it is asked
// for: no question of another point comes between.
func (c *compiler) seccompAhead() bool {
	c.out.SeccompAhead = !c.out.Console && !c.out.Hooks && (!c.Systemd || c.out.ScopeAhead)
	return c.out.SeccompAhead
}

// compileRlimits comes after everything that opens files, forks or changes the
// user: the limits are the container's and must not break the set-up. It comes
// before the seccomp filter, which may forbid the call. Raising a hard limit
// takes a privilege that is gone by then; the parent has done that, and its
// limits are inherited.
func (c *compiler) compileRlimits(p *specs.Process) {
	c.limited = true
	for i := range p.Rlimits {
		origin := plan.Origin{Field: "process.rlimits", Index: i}
		number, ok := spec.Rlimit(p.Rlimits[i].Type)
		if !ok {
			c.problem(origin, quote(p.Rlimits[i].Type)+" is no resource limit; see getrlimit(2)")
			continue
		}
		c.p.Add(origin, plan.Rlimit{Resource: uint32(number), Soft: p.Rlimits[i].Soft, Hard: p.Rlimits[i].Hard})
	}
}

// compileIdentity sets who the process is, in the only order that works: the
// bounding set and the groups while there is the privilege, then the ids, then
// the capabilities that are left.
func (c *compiler) compileIdentity(p *specs.Process) {
	if p.NoNewPrivileges {
		c.p.Add(plan.At("process.noNewPrivileges"), plan.NoNewPrivs{})
	}
	// Without process.capabilities the process has none.
	caps := p.Capabilities
	if caps == nil {
		caps = &specs.LinuxCapabilities{}
	}
	bounding := c.capSet("bounding", caps.Bounding)
	c.p.Add(plan.At("process.capabilities.bounding"), plan.Bounding{Keep: bounding})
	umask := uint32(defaultUmask)
	if p.User.Umask != nil {
		umask = *p.User.Umask
	}
	c.p.Add(plan.At("process.user.umask"), plan.Umask{Mask: umask})
	gids := make([]byte, 0, 4*len(p.User.AdditionalGids))
	for _, g := range p.User.AdditionalGids {
		gids = binary.NativeEndian.AppendUint32(gids, g)
	}
	// A process that is not root could not open /dev/stdout otherwise, and one
	// that is could give the host's /dev/null away.
	c.p.Add(plan.At("process.user"), plan.OwnStdio{Root: plan.SlotRoot, UID: p.User.UID})
	c.compileGroups(gids)
	c.p.Add(plan.At("process.user"), plan.Setids{UID: p.User.UID, GID: p.User.GID})

	if c.seccomp() != nil && !p.NoNewPrivileges {
		// Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes
		// before the capabilities go.
		full := uint64(1)<<(c.Host.LastCap+1) - 1
		if !c.inUserns() {
			full &= c.Host.Permitted
		}
		if p.User.UID != 0 {
			c.p.Add(plan.At("linux.seccomp"), plan.Capset{Effective: full, Permitted: full})
		}
		c.compileSeccomp()
	}
	c.compileCapabilities(caps, bounding)
}

// keepsGroups says whether the process is to have the supplementary groups of
// berth's caller.
func keepsGroups(s *specs.Spec) bool {
	value, ok := s.Annotations["run.oci.keep_original_groups"]
	return ok && value != "0"
}

// compileGroups sets the supplementary groups. Where the kernel denies that,
// those of the caller stay, and none can be added; and they stay where crun's
// annotation asks for it, as `podman run --group-add keep-groups` does: then the
// config's own are passed over.
func (c *compiler) compileGroups(gids []byte) {
	c.out.KeepGroups = keepsGroups(c.Spec)
	origin := plan.At("process.user.additionalGids")
	switch {
	case c.out.KeepGroups:
	case c.noGroups && len(gids) > 0:
		c.problem(origin, "cannot be set: without root's powers and without subordinate group ids in linux.gidMappings the kernel denies setgroups(2) (user_namespaces(7)): take them out, or map a range of /etc/subgid")
	case c.noGroups:
	case len(gids) == 0 && c.has(specs.UserNamespace) && !c.newUserns():
		// Whether it is denied in a namespace that is joined, only the kernel knows.
		c.p.AddTolerant(origin, plan.Setgroups{}, 0, errEPERM)
	default:
		c.p.Add(origin, plan.Setgroups{Gids: gids})
	}
}

// compileCapabilities sets what is left. What capset(2) and PR_CAP_AMBIENT_RAISE
// would refuse, such as an ambient capability that is not inheritable, is left
// out: config.md wants a warning there, which spec.Check gives, and no failure.
func (c *compiler) compileCapabilities(caps *specs.LinuxCapabilities, bounding uint64) {
	permitted := c.capSet("permitted", caps.Permitted)
	effective := c.capSet("effective", caps.Effective) & permitted
	inheritable := c.capSet("inheritable", caps.Inheritable) & bounding
	ambient := c.capSet("ambient", caps.Ambient) & permitted & inheritable
	if len(c.refused) > 0 {
		c.warn("process.capabilities: left out, since berth itself does not have them to give: " + strings.Join(c.refused, " "))
		c.refused = nil
	}
	c.p.Add(plan.At("process.capabilities"), plan.Capset{Effective: effective, Permitted: permitted, Inheritable: inheritable})
	if ambient != 0 {
		c.p.Add(plan.At("process.capabilities.ambient"), plan.Ambient{Set: ambient})
	}
}

// capSet returns a set of capabilities as bits. Names and numbers that the
// kernel does not know are warned of and left out.
func (c *compiler) capSet(set string, names []string) uint64 {
	var bits uint64
	for _, name := range names {
		n, ok := spec.Capability(name)
		switch {
		case !ok:
			c.warn("process.capabilities." + set + ": unknown capability " + quote(name) + " is left out")
		case n > c.Host.LastCap:
			c.warn("process.capabilities." + set + ": this kernel has no " + name + "; it is left out")
		case c.Host.Permitted&(1<<n) == 0 && !c.inUserns():
			if !slices.Contains(c.refused, name) {
				c.refused = append(c.refused, name)
			}
		default:
			bits |= 1 << n
		}
	}
	return bits
}

func hasEnv(env []string, name string) bool {
	for _, e := range env {
		if strings.HasPrefix(e, name) && len(e) > len(name) && e[len(name)] == '=' {
			return true
		}
	}
	return false
}

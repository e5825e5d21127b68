package compile

import (
	"encoding/binary"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
	"berth/spec"
)

// compileScheduling sets where and when the process runs. It comes while the
// process has its privileges, once it is in its cgroup, and after the last
// fork, which SCHED_DEADLINE does not allow.
func (c *compiler) compileScheduling(p *specs.Process) {
	c.compileAffinity(p)
	c.compileMemoryPolicy(c.linux().MemoryPolicy)
	c.compilePersonality(c.linux().Personality)
	c.compileIOPriority(p.IOPriority)
	c.compileScheduler(p.Scheduler)
}

// compileAffinity frees the process from what berth's caller was bound to. For
// exec, config.md leaves it to the kernel where only execCPUAffinity.initial
// is given.
func (c *compiler) compileAffinity(p *specs.Process) {
	if !c.exec || p.ExecCPUAffinity == nil {
		c.p.Add(plan.At("cpu affinity"), plan.Affinity{})
		return
	}
	if p.ExecCPUAffinity.Final == "" {
		return
	}
	origin := plan.At("process.execCPUAffinity.final")
	if mask, ok := c.bitmap(origin, p.ExecCPUAffinity.Final); ok {
		c.p.Add(origin, plan.Affinity{Cpus: mask})
	}
}

// InitialAffinity returns the CPUs that exec's process is to be started on,
// before it enters the container's cgroup, as sched_setaffinity(2) takes them;
// nil where the config says none.
func InitialAffinity(p *specs.Process) ([]uint64, error) {
	if p.ExecCPUAffinity == nil || p.ExecCPUAffinity.Initial == "" {
		return nil, nil
	}
	mask, err := spec.Bitmap(p.ExecCPUAffinity.Initial)
	if err != nil {
		return nil, &Problem{plan.At("process.execCPUAffinity.initial"), err.Error() + ": write CPUs as in 0-3,7"}
	}
	return mask, nil
}

// bitmap returns a list of CPUs or nodes as the kernel takes it.
func (c *compiler) bitmap(origin plan.Origin, list string) ([]byte, bool) {
	words, err := spec.Bitmap(list)
	if err != nil {
		c.problem(origin, err.Error()+": write numbers as in 0-3,7")
		return nil, false
	}
	mask := make([]byte, 0, 8*len(words))
	for _, w := range words {
		mask = binary.NativeEndian.AppendUint64(mask, w)
	}
	return mask, true
}

func (c *compiler) compileScheduler(s *specs.Scheduler) {
	if s == nil {
		return
	}
	origin := plan.At("process.scheduler")
	policy, ok := schedulerPolicy(s.Policy)
	if !ok {
		c.problem(origin, quote(string(s.Policy))+" is no scheduling policy: use one of sched(7)")
		return
	}
	var flags uint64
	for _, f := range s.Flags {
		bit, ok := schedulerFlag(f)
		if !ok {
			c.problem(origin, quote(string(f))+" is no flag of sched_setattr(2): take it out")
		}
		flags |= bit
	}
	c.p.Add(origin, plan.Scheduler{Policy: policy, Flags: flags, Nice: uint32(s.Nice), Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period})
}

// schedulerPolicy returns the number of a policy; sched(7).
func schedulerPolicy(p specs.LinuxSchedulerPolicy) (uint32, bool) {
	switch p {
	case specs.SchedOther:
		return 0, true
	case specs.SchedFIFO:
		return 1, true
	case specs.SchedRR:
		return 2, true
	case specs.SchedBatch:
		return 3, true
	case specs.SchedISO:
		return 4, true
	case specs.SchedIdle:
		return 5, true
	case specs.SchedDeadline:
		return 6, true
	}
	return 0, false
}

// schedulerFlag returns a flag's bit; sched_setattr(2), uapi/linux/sched.h.
func schedulerFlag(f specs.LinuxSchedulerFlag) (uint64, bool) {
	switch f {
	case specs.SchedFlagResetOnFork:
		return 0x01, true
	case specs.SchedFlagReclaim:
		return 0x02, true
	case specs.SchedFlagDLOverrun:
		return 0x04, true
	case specs.SchedFlagKeepPolicy:
		return 0x08, true
	case specs.SchedFlagKeepParams:
		return 0x10, true
	case specs.SchedFlagUtilClampMin:
		return 0x20, true
	case specs.SchedFlagUtilClampMax:
		return 0x40, true
	}
	return 0, false
}

// compileIOPriority packs class and level as ioprio_set(2) describes.
func (c *compiler) compileIOPriority(p *specs.LinuxIOPriority) {
	if p == nil {
		return
	}
	const classShift = 13
	class := uint32(0)
	switch p.Class {
	case specs.IOPRIO_CLASS_RT:
		class = 1
	case specs.IOPRIO_CLASS_BE:
		class = 2
	case specs.IOPRIO_CLASS_IDLE:
		class = 3
	}
	if class == 0 || p.Priority < 0 || p.Priority > 7 {
		c.problem(plan.At("process.ioPriority"), "has no class of ioprio_set(2), or a priority outside 0 to 7: correct it")
		return
	}
	c.p.Add(plan.At("process.ioPriority"), plan.Ioprio{Priority: class<<classShift | uint32(p.Priority)})
}

func (c *compiler) compileMemoryPolicy(p *specs.LinuxMemoryPolicy) {
	if p == nil {
		return
	}
	origin := plan.At("linux.memoryPolicy")
	mode, since, ok := memoryMode(p.Mode)
	switch {
	case !ok:
		c.problem(origin, quote(string(p.Mode))+" is no mode of set_mempolicy(2): use one of its")
		return
	case !c.Host.Kernel.AtLeast(since.Major, since.Minor):
		c.problem(origin, string(p.Mode)+" needs Linux "+since.String()+", this is "+c.Host.Kernel.String()+": use another mode")
		return
	}
	for _, f := range p.Flags {
		switch f {
		case specs.MpolFNumaBalancing:
			if !c.Host.Kernel.AtLeast(5, 12) {
				c.problem(origin, string(f)+" needs Linux 5.12, this is "+c.Host.Kernel.String()+": take it out")
				return
			}
			mode |= 1 << 13
		case specs.MpolFRelativeNodes:
			mode |= 1 << 14
		case specs.MpolFStaticNodes:
			mode |= 1 << 15
		default:
			c.problem(origin, quote(string(f))+" is no flag of set_mempolicy(2): take it out")
			return
		}
	}
	op := plan.Mempolicy{Mode: mode}
	if p.Nodes != "" {
		if op.Nodes, ok = c.bitmap(origin, p.Nodes); !ok {
			return
		}
	}
	c.p.Add(origin, op)
}

// memoryMode returns a mode's number and the kernel that brought it.
func memoryMode(m specs.MemoryPolicyModeType) (mode uint32, since facts.Kernel, ok bool) {
	switch m {
	case specs.MpolDefault:
		return 0, facts.Oldest, true
	case specs.MpolPreferred:
		return 1, facts.Oldest, true
	case specs.MpolBind:
		return 2, facts.Oldest, true
	case specs.MpolInterleave:
		return 3, facts.Oldest, true
	case specs.MpolLocal:
		return 4, facts.Oldest, true
	case specs.MpolPreferredMany:
		return 5, facts.Kernel{Major: 5, Minor: 15}, true
	case specs.MpolWeightedInterleave:
		return 6, facts.Kernel{Major: 6, Minor: 9}, true
	}
	return 0, facts.Kernel{}, false
}

func (c *compiler) compilePersonality(p *specs.LinuxPersonality) {
	if p == nil {
		return
	}
	origin := plan.At("linux.personality")
	switch {
	case len(p.Flags) > 0:
		c.problem(origin, "flags are not supported: leave them out")
	case p.Domain == specs.PerLinux:
		c.p.Add(origin, plan.Personality{Persona: 0})
	case p.Domain == specs.PerLinux32:
		c.p.Add(origin, plan.Personality{Persona: 8})
	default:
		c.problem(origin, quote(string(p.Domain))+" is no execution domain: use LINUX or LINUX32")
	}
}

package spec

import (
	"math"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// scheduler checks what sched_setattr(2) is going to be asked for (config.md,
// Linux Process, scheduler; sched(7)).
func (c *checker) scheduler(s *specs.Scheduler) {
	if s == nil {
		return
	}
	realTime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	switch s.Policy {
	case specs.SchedOther, specs.SchedBatch, specs.SchedIdle, specs.SchedFIFO, specs.SchedRR:
	case specs.SchedISO:
		c.warn("scheduler.policy", "SCHED_ISO is a reserved name: no kernel has it so far")
	case specs.SchedDeadline:
		c.deadline(s)
	default:
		c.problem("scheduler.policy", quote(string(s.Policy))+" is no scheduling policy",
			"use "+wordList("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE", "SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"))
		return
	}
	if s.Nice < -20 || s.Nice > 19 {
		c.problem("scheduler.nice", strconv.Itoa(int(s.Nice))+" is out of range", "use -20 to 19")
	}
	switch {
	case realTime && (s.Priority < 1 || s.Priority > 99):
		c.problem("scheduler.priority", strconv.Itoa(int(s.Priority))+" is out of range for "+string(s.Policy), "use 1 to 99")
	case !realTime && s.Priority != 0:
		c.problem("scheduler.priority", "has no meaning for "+string(s.Policy), "leave it out, or use SCHED_FIFO or SCHED_RR")
	}
	if s.Policy != specs.SchedDeadline && s.Runtime|s.Deadline|s.Period != 0 {
		c.problem("scheduler", "runtime, deadline and period have no meaning for "+string(s.Policy), "leave them out, or use SCHED_DEADLINE")
	}
	for i, f := range s.Flags {
		switch f {
		case specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
			specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax:
		default:
			c.problem(item("scheduler.flags", i), quote(string(f))+" is no flag of sched_setattr(2)", "correct or remove it")
		}
	}
}

// deadline checks the three times of SCHED_DEADLINE against what the kernel
// demands: 1024 ns <= runtime <= deadline <= period, where a period of 0
// stands for the deadline (sched(7)).
func (c *checker) deadline(s *specs.Scheduler) {
	switch {
	case s.Runtime < 1024:
		c.problem("scheduler.runtime", strconv.FormatUint(s.Runtime, 10)+" ns is below the kernel's least of 1024", "raise it")
	case s.Runtime > s.Deadline:
		c.problem("scheduler.deadline", "is shorter than runtime", "raise it, or lower runtime")
	case s.Period != 0 && s.Deadline > s.Period:
		c.problem("scheduler.period", "is shorter than deadline", "raise it, or leave it out to make it the deadline")
	case max(s.Deadline, s.Period) > math.MaxInt64:
		c.problem("scheduler", "deadline or period is beyond 9223372036854775807 ns", "lower it")
	}
}

// ioPriority checks what ioprio_set(2) is going to be asked for.
func (c *checker) ioPriority(p *specs.LinuxIOPriority) {
	if p == nil {
		return
	}
	switch p.Class {
	case specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE:
	default:
		c.problem("ioPriority.class", quote(string(p.Class))+" is no I/O scheduling class", "use "+wordList("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"))
	}
	if p.Priority < 0 || p.Priority > 7 {
		c.problem("ioPriority.priority", strconv.Itoa(p.Priority)+" is out of range", "use 0 (highest) to 7 (lowest)")
	}
}

// cpuList checks a list of CPUs; "" is none asked for.
func (c *checker) cpuList(field, list string) {
	if list == "" {
		return
	}
	if _, err := Bitmap(list); err != nil {
		c.problem(field, err.Error(), "write CPUs as in 0-3,7")
	}
}

// memoryPolicy checks what set_mempolicy(2) is going to be asked for
// (config-linux.md, Memory policy).
func (c *checker) memoryPolicy(p *specs.LinuxMemoryPolicy) {
	var empty, some bool // what the mode asks of nodes
	switch p.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		empty = true
	case specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave, specs.MpolPreferredMany:
		some = true
	case specs.MpolPreferred:
	default:
		c.problem("mode", quote(string(p.Mode))+" is no memory policy",
			"use "+wordList("MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"))
		return
	}
	switch {
	case empty && p.Nodes != "":
		c.problem("nodes", string(p.Mode)+" takes no nodes", "leave them out")
	case some && p.Nodes == "":
		c.problem("nodes", string(p.Mode)+" wants at least one node", "name some, as in 0-1")
	case p.Nodes != "":
		if _, err := Bitmap(p.Nodes); err != nil {
			c.problem("nodes", err.Error(), "write nodes as in 0-3,7")
		}
	}
	c.memoryPolicyFlags(p)
}

func (c *checker) memoryPolicyFlags(p *specs.LinuxMemoryPolicy) {
	var fixed, relative bool
	for i, f := range p.Flags {
		switch f {
		case specs.MpolFStaticNodes:
			fixed = true
		case specs.MpolFRelativeNodes:
			relative = true
		case specs.MpolFNumaBalancing:
			if p.Mode != specs.MpolBind && p.Mode != specs.MpolPreferredMany {
				c.problem(item("flags", i), string(f)+" does not go with "+string(p.Mode), "remove it, or use MPOL_BIND")
			}
		default:
			c.problem(item("flags", i), quote(string(f))+" is no flag of set_mempolicy(2)",
				"use "+wordList("MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"))
		}
	}
	switch {
	case fixed && relative:
		c.problem("flags", "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other", "remove one")
	case (fixed || relative) && (p.Mode == specs.MpolLocal || p.Mode == specs.MpolPreferred && p.Nodes == ""):
		c.problem("flags", "there are no nodes for MPOL_F_STATIC_NODES or MPOL_F_RELATIVE_NODES to be about", "remove the flag")
	}
}

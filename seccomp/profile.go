package seccomp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// condition is one comparison of a rule.
type condition struct {
	index           uint32
	op              operator
	value, valueTwo uint64
}

// rule gives all of names one return value where all of conds hold.
type rule struct {
	entry int // index in linux.seccomp.syscalls, for messages
	names []string
	ret   uint32
	conds []condition
}

// profile is linux.seccomp with its words understood.
type profile struct {
	defaultRet uint32
	archs      []arch // those of the machine, native first
	rules      []rule
	flags      uint32 // for seccomp(2)
	notify     bool
}

// parse checks every word of p for machine m and says of each problem where it
// is and what to do; the profile is nil when there is any. Notes are for the
// debug log.
func parse(p *specs.LinuxSeccomp, m machine) (prof *profile, notes []string, problems []error) {
	c := parser{prof: &profile{}}
	c.defaultAction(p)
	c.architectures(p, m)
	c.flags(p)
	for i := range p.Syscalls {
		c.syscall(i, &p.Syscalls[i])
	}
	c.listener()
	if len(c.problems) > 0 {
		return nil, c.notes, c.problems
	}
	return c.prof, c.notes, nil
}

type parser struct {
	prof     *profile
	notes    []string
	problems []error
}

func (c *parser) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf(format, args...))
}

func (c *parser) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// action understands an action and its errno value. field and errnoField are the
// places in config.json.
func (c *parser) action(name specs.LinuxSeccompAction, errno *uint, field, errnoField string) (uint32, bool) {
	ret, ok := actionReturn(string(name))
	switch {
	case name == "":
		c.problem("linux.seccomp.%s: missing: set it to one of %s", field, strings.Join(actionNames(), ", "))
		return 0, false
	case !ok:
		c.problem("linux.seccomp.%s: unknown action %q: use one of %s", field, name, strings.Join(actionNames(), ", "))
		return 0, false
	}
	limit := uint(0)
	switch ret {
	case unix.SECCOMP_RET_ERRNO:
		limit = maxErrno
	case unix.SECCOMP_RET_TRACE:
		limit = unix.SECCOMP_RET_DATA
	default:
		if errno != nil {
			// "the runtime MUST print and error and fail", config-linux.md#seccomp.
			c.problem("linux.seccomp.%s: %s takes no errno value: remove it, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE", errnoField, name)
			return 0, false
		}
		return ret, true
	}
	value := uint(unix.EPERM)
	if errno != nil {
		value = *errno
	}
	if value > limit {
		c.problem("linux.seccomp.%s: %d is more than %s can carry: use 0 to %d", errnoField, value, name, limit)
		return 0, false
	}
	return ret | uint32(value), true
}

func (c *parser) defaultAction(p *specs.LinuxSeccomp) {
	ret, ok := c.action(p.DefaultAction, p.DefaultErrnoRet, "defaultAction", "defaultErrnoRet")
	if ok && ret == unix.SECCOMP_RET_USER_NOTIF {
		c.problem("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would stop the container before its listener can be handed over: " +
			"name the system calls to notify in linux.seccomp.syscalls")
	}
	c.prof.defaultRet = ret
}

func (c *parser) architectures(p *specs.LinuxSeccomp, m machine) {
	if len(m) == 0 {
		c.problem("linux.seccomp: seccomp is not supported on this processor: remove linux.seccomp")
		return
	}
	wanted := []arch{m[0]}
	for i, name := range p.Architectures {
		a := arch(name)
		switch {
		case m.has(a):
			wanted = append(wanted, a)
		case slices.Contains(archNames(), string(name)):
			c.note("linux.seccomp.architectures[%d]: %s does not run on this machine (%s): no code made for it", i, name, m[0])
		default:
			c.problem("linux.seccomp.architectures[%d]: unknown architecture %q: use one of %s", i, name, strings.Join(archNames(), ", "))
		}
	}
	for _, a := range m {
		if slices.Contains(wanted, a) {
			c.prof.archs = append(c.prof.archs, a)
		}
	}
}

func (c *parser) flags(p *specs.LinuxSeccomp) {
	if p.Flags == nil {
		c.prof.flags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	for i, name := range p.Flags {
		flag, ok := flagOf(string(name))
		if !ok {
			c.problem("linux.seccomp.flags[%d]: unknown flag %q: use %s", i, name, strings.Join(flagNames(), ", "))
		}
		c.prof.flags |= flag
	}
}

func (c *parser) syscall(i int, s *specs.LinuxSyscall) {
	at := fmt.Sprintf("syscalls[%d]", i)
	ret, ok := c.action(s.Action, s.ErrnoRet, at+".action", at+".errnoRet")
	notify := ok && ret == unix.SECCOMP_RET_USER_NOTIF
	for j, name := range s.Names {
		switch {
		case name == "":
			c.problem("linux.seccomp.%s.names[%d]: empty: name a system call, or remove the entry", at, j)
		case strings.IndexByte(name, 0) >= 0: // libseccomp would read up to there
			c.problem("linux.seccomp.%s.names[%d]: %q is no name of a system call: correct or remove it", at, j, name)
		case notify && name == "write":
			// The executor reports the listener's number with write(2) after the
			// filter is on; nobody could answer the notification yet.
			c.problem("linux.seccomp.%s.names[%d]: write cannot be SCMP_ACT_NOTIFY, it is needed to hand the listener over: "+
				"give write another action", at, j)
		}
	}
	if len(s.Names) == 0 {
		c.note("linux.seccomp.%s: names is empty: nothing to do", at)
		return
	}
	conds, repeated := c.args(at, s.Args)
	c.prof.notify = c.prof.notify || notify
	if !repeated {
		c.prof.rules = append(c.prof.rules, rule{entry: i, names: s.Names, ret: ret, conds: conds})
		return
	}
	for k := range conds {
		c.prof.rules = append(c.prof.rules, rule{entry: i, names: s.Names, ret: ret, conds: conds[k : k+1]})
	}
}

// args understands the conditions of one rule, and says whether an index is
// there twice.
func (c *parser) args(at string, args []specs.LinuxSeccompArg) (conds []condition, repeated bool) {
	var seen [6]bool
	for j := range args {
		a := &args[j]
		op, ok := operatorOf(string(a.Op))
		if !ok {
			c.problem("linux.seccomp.%s.args[%d].op: unknown operator %q: use one of %s", at, j, a.Op, strings.Join(operatorNames(), ", "))
			continue
		}
		if a.Index >= uint(len(seen)) {
			c.problem("linux.seccomp.%s.args[%d].index: %d: a system call has six arguments: use 0 to 5", at, j, a.Index)
			continue
		}
		repeated = repeated || seen[a.Index]
		seen[a.Index] = true
		conds = append(conds, condition{index: uint32(a.Index), op: op, value: a.Value, valueTwo: a.ValueTwo})
	}
	if !repeated {
		slices.SortFunc(conds, func(x, y condition) int { return int(x.index) - int(y.index) })
	}
	return conds, repeated
}

// listener settles the flags that go with SCMP_ACT_NOTIFY, by the rules of
// seccomp(2): WAIT_KILLABLE_RECV means nothing without a listener and is
// refused then; TSYNC beside a listener needs TSYNC_ESRCH (Linux 5.7), because
// the return value is already the listener.
func (c *parser) listener() {
	const killable = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	if !c.prof.notify {
		if c.prof.flags&killable != 0 {
			c.prof.flags &^= killable
			c.note("linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV has no effect without SCMP_ACT_NOTIFY: left out")
		}
		return
	}
	c.prof.flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	if c.prof.flags&unix.SECCOMP_FILTER_FLAG_TSYNC != 0 {
		c.prof.flags |= unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	}
}

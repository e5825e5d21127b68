package nsenter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/entry"
	"berth/libcontainer/plan"
	"berth/memfd"
)

// Command is an executor to be started.
type Command struct {
	// Plan is what it carries out.
	Plan *plan.Plan
	// Stdio holds the descriptors of standard input, output and error.
	Stdio [3]int
	// Preserve is how many of the caller's descriptors from 3 on the
	// container's process keeps under their numbers.
	Preserve int
	// Slots are descriptors that the plan finds in slots from the start.
	Slots []SlotFD
	// Cloneflags are the CLONE_NEW* bits of the namespaces to make; clone(2).
	Cloneflags uintptr
	// UIDMappings and GIDMappings are written for a new user namespace.
	UIDMappings, GIDMappings []syscall.SysProcIDMap
	// DenySetgroups denies setgroups(2) in it, as a user without root's powers
	// must before the groups' mapping is written; user_namespaces(7).
	DenySetgroups bool
	// KeepGroups keeps the caller's supplementary groups in it.
	KeepGroups bool
	// UID and GID are who the executor is in it: a user that is mapped.
	UID, GID uint32
	// KeepCaps keeps all capabilities up to the highest one over execve
	// where the user namespace has no root; -1 for none.
	KeepCaps int
	// CPUs is a mask of those to start on, in words of 64 bits; empty for
	// those that this process runs on.
	CPUs []uint64
	// Trace has the executor note when each operation began and ended.
	Trace bool
	// CgroupFD is a folder of the cgroup v2 hierarchy to start in
	// (CLONE_INTO_CGROUP, Linux 5.7), or -1.
	CgroupFD int
}

// SlotFD is a descriptor and the slot where the plan looks for it.
type SlotFD struct {
	Slot plan.Slot
	FD   int
}

// Process is a started executor.
type Process struct {
	// Pid is its process id in this pid namespace.
	Pid int
	// PidFD refers to the process; the caller closes it with Close.
	PidFD int

	plan   *plan.Plan
	socket int
	times  []byte // shared with the executor
	reaped bool
	status unix.WaitStatus // once it is reaped
}

// Start starts the executor. It is this process's child. The descriptors of
// the command stay the caller's.
func (c *Command) Start() (*Process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	p := &Process{plan: c.Plan, PidFD: -1, socket: pair[0]}
	if forks(c.Plan) {
		err = p.expectFork()
	}
	if err == nil && c.Trace {
		var fd int
		if p.times, fd, err = newTimes(len(c.Plan.Steps)); err == nil {
			defer unix.Close(fd)
			own := *c // the caller may start it once more
			own.Slots = append(slices.Clip(c.Slots), SlotFD{Slot: plan.SlotTrace, FD: fd})
			c = &own
		}
	}
	if err == nil {
		err = c.start(p, pair[1])
	}
	unix.Close(pair[1])
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// start lays the child's descriptors out: standard ones, preserved ones, plan,
// socket, slots, and last the executor itself, which closes what lies above
// its slots.
func (c *Command) start(p *Process, socket int) error {
	exe, err := executable()
	if err != nil {
		return err
	}
	defer unix.Close(exe)

	planAt := 3 + c.Preserve
	env := plan.Env{
		Socket:    uint32(planAt + 1),
		Preserve:  uint32(c.Preserve),
		SlotsFrom: uint32(planAt + 2),
		Slots:     make([]plan.Slot, len(c.Slots)),
	}
	for i := range c.Slots {
		env.Slots[i] = c.Slots[i].Slot
	}
	data, err := c.Plan.Encode(env)
	if err != nil {
		return err
	}
	planFD, err := memfd.Sealed("berth-plan", data)
	if err != nil {
		return err
	}
	defer unix.Close(planFD)

	files := make([]uintptr, 0, planAt+3+len(c.Slots))
	for _, fd := range c.Stdio {
		files = append(files, uintptr(fd))
	}
	for fd := 3; fd < planAt; fd++ {
		files = append(files, uintptr(fd))
	}
	files = append(files, uintptr(planFD), uintptr(socket))
	for i := range c.Slots {
		files = append(files, uintptr(c.Slots[i].FD))
	}
	files = append(files, uintptr(exe))

	attr := &syscall.ProcAttr{
		Files: files,
		Sys: &syscall.SysProcAttr{
			Cloneflags:  c.Cloneflags,
			UseCgroupFD: c.CgroupFD >= 0,
			CgroupFD:    max(c.CgroupFD, 0),
			PidFD:       &p.PidFD,
		},
	}
	c.userns(attr.Sys)
	path := "/proc/self/fd/" + strconv.Itoa(len(files)-1)
	return onCPUs(c.CPUs, func() error {
		entry.RestoreTimerSlack()
		p.Pid, err = syscall.ForkExec(path, []string{"berth-init", strconv.Itoa(planAt)}, attr)
		if err != nil {
			return startError(err)
		}
		return nil
	})
}

func startError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("clone the container's process: %w: a limit of user.max_*_namespaces (sysctl) is reached", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("clone the container's process: %w: new namespaces need root or a user namespace in linux.namespaces, and that the host lets ordinary users make one (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)", err)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("clone the container's process: %w: a pids limit or RLIMIT_NPROC is reached", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES):
		return fmt.Errorf("execute the executor through /proc/self/fd: %w: is /proc mounted, and may memfds be executed (sysctl vm.memfd_noexec)?", err)
	}
	return fmt.Errorf("clone the container's process: %w", err)
}

// userns has the runtime write the mappings and makes the executor the
// namespace's root, or keeps its capabilities where there is none, or none yet.
func (c *Command) userns(sys *syscall.SysProcAttr) {
	if c.Cloneflags&unix.CLONE_NEWUSER == 0 {
		return
	}
	if len(c.UIDMappings) > 0 {
		sys.UidMappings, sys.GidMappings = c.UIDMappings, c.GIDMappings
		sys.GidMappingsEnableSetgroups = !c.DenySetgroups
		sys.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID, NoSetGroups: c.DenySetgroups || c.KeepGroups}
	}
	for n := 0; n <= c.KeepCaps; n++ {
		sys.AmbientCaps = append(sys.AmbientCaps, uintptr(n))
	}
}

package libcontainer

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
	"berth/libcontainer/compile"
	"berth/libcontainer/plan"
	"berth/nsenter"
)

// entrance is what another process needs to get into a container that exists:
// one of exec, or a hook that runs in the container's namespaces.
type entrance struct {
	pid    int    // the container's first process
	pidfd  int    // refers to it; the caller's
	flags  uint64 // CLONE_NEW* bits of the namespaces to join
	cgroup *fs.Manager
	join   *fs.Join
	named  bool // the cgroup was asked for by name: no other will do
}

// newEntrance opens the cgroup's files; below names cgroups below the
// container's, as exec --cgroup does.
func newEntrance(s *specs.Spec, pid, pidfd int, cgroup *fs.State, below []string) (*entrance, error) {
	e := &entrance{pid: pid, pidfd: pidfd, named: len(below) > 0, join: &fs.Join{Unified: -1}}
	var err error
	if e.flags, err = joinFlags(s, pid); err != nil {
		return nil, err
	}
	if cgroup == nil {
		if e.named {
			return nil, errors.New("--cgroup: the container has no cgroup: leave it out")
		}
		return e, nil
	}
	e.cgroup = fs.Load(*cgroup)
	if e.named {
		sub, err := e.cgroup.Sub(below)
		e.cgroup.Close()
		if err != nil {
			return nil, err
		}
		e.cgroup = sub
	}
	join, err := e.cgroup.JoinFiles()
	if err != nil {
		e.cgroup.Close()
		return nil, err
	}
	e.join = join
	return e, nil
}

func (e *entrance) close() {
	e.join.Close()
	if e.cgroup != nil {
		e.cgroup.Close()
	}
}

// joinFlags returns which namespaces to join. A user namespace that is berth's
// own must not be among them: setns(2) answers EINVAL.
func joinFlags(s *specs.Spec, pid int) (uint64, error) {
	flags := compile.JoinFlags(s)
	if flags&unix.CLONE_NEWUSER == 0 {
		return flags, nil
	}
	var own, theirs unix.Stat_t
	path := fmt.Sprintf("/proc/%d/ns/user", pid)
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return 0, fmt.Errorf("stat /proc/self/ns/user: %w", err)
	}
	if err := unix.Stat(path, &theirs); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	if own.Ino == theirs.Ino && own.Dev == theirs.Dev {
		flags &^= unix.CLONE_NEWUSER
	}
	return flags, nil
}

// start starts an executor in the container's cgroup. Where that passes
// controllers on to cgroups below it and so takes no processes, the new one
// goes where the container's first process went.
func (e *entrance) start(cmd *nsenter.Command) (*nsenter.Process, error) {
	cmd.CgroupFD = e.join.Unified
	cmd.Slots = make([]nsenter.SlotFD, 0, len(e.join.Tasks)+2)
	cmd.Slots = append(cmd.Slots, nsenter.SlotFD{Slot: plan.SlotPidfd, FD: e.pidfd})
	for i := range e.join.Tasks {
		cmd.Slots = append(cmd.Slots, nsenter.SlotFD{Slot: plan.SlotCgroup + plan.Slot(i), FD: e.join.Tasks[i].FD})
	}
	p, err := cmd.Start()
	if !errors.Is(err, unix.EBUSY) || e.cgroup == nil {
		return p, err
	}
	if e.named {
		return nil, fmt.Errorf("--cgroup: %w: the cgroup passes controllers on to cgroups below it, and then holds no processes itself (cgroups(7), no internal processes): name one below it", unix.EBUSY)
	}
	below, err := e.cgroup.JoinFilesOf(e.pid)
	if err != nil {
		return nil, err
	}
	defer below.Close()
	cmd.CgroupFD = below.Unified
	return cmd.Start()
}

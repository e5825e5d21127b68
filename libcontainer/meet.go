package libcontainer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
	"berth/nsenter"
)

// The points where executor and parent meet while a container is made. A line
// is a process, time goes down; not every container has all points.
//
//	parent                                executor
//	  v2 cgroup
//	  clone ------------------------------> checks the plan, begins
//	  systemd's scope; v1 cgroups, limits   rootfs, first mounts, devices; without
//	                                        hooks names, sysctl, masks
//	  limits, OOM score - PointUserns ----> (with a user namespace only)
//	  id maps                               is made when others were joined, or
//	                                        mapped by newuidmap(1), here
//	  tasks files ------- PointCgroup ----> enters its v1 cgroups
//	  keeps config.json                     cgroup mounts
//	  makes the seccomp program
//	  relays or sends <-- PointConsole ---- terminal's master
//	  network devices
//	  runs hooks -------- PointHooks -----> names, sysctl, masks; pivot_root
//	  program ----------- PointSeccomp ---> loads the filter, drops privileges
//	  to its agent <----- PointListener --- the filter's listener, if it has one
//	  state, pid file --- PointCreated ---> waits for start, or goes on
//	  end of file <------------------------ execve
//
// The first answers, and the seccomp program where nothing comes between, are
// sent before the other side gets there, and it does not ask for them. A parent that is
// killed closes the socket, and the executor ends itself at the next point.

// meet answers the executor until it has become the container's process or
// waits for start.
func (m *creation) meet() error {
	p := m.process
	if m.compile.AsksAtUserns {
		// Answers that nobody asks for come after this one.
		if _, err := p.Recv(); err != nil {
			return err
		}
	}
	if m.compile.AtUserns {
		if err := m.atUserns(); err != nil {
			return err
		}
	}
	if m.compile.ScopeAhead {
		if err := m.makeScopeAhead(); err != nil {
			return err
		}
	}
	if m.compile.AtCgroup && (m.unit == nil || m.compile.ScopeAhead) {
		if err := m.answerCgroup(); err != nil {
			return err
		}
	}
	if err := m.keepConfig(); err != nil {
		return err
	}
	program := -1
	if m.compile.SeccompAt != plan.PointNone {
		var err error
		compiled := m.runtime.Trace.Span("seccomp program")
		program, err = m.runtime.seccompProgram(m.opt.Bundle.Spec.Linux.Seccomp)
		compiled()
		if err != nil {
			return err
		}
		m.fds = append(m.fds, program)
	}
	if m.compile.SeccompAhead {
		if err := p.Answer(plan.PointSeccomp, nil, program); err != nil {
			return err
		}
	}
	if err := m.prepareState(); err != nil {
		return err
	}
	for {
		waited := m.runtime.Trace.Span("wait for the executor")
		report, err := p.Recv()
		waited()
		if errors.Is(err, io.EOF) {
			return m.vanished()
		}
		if err != nil {
			return err
		}
		done, err := m.answer(report, program)
		if done || err != nil {
			return err
		}
	}
}

// makeScopeAhead has systemd make the scope while the executor is at its first operations.
// What one of these failed at is the cause where systemd finds the process gone.
func (m *creation) makeScopeAhead() error {
	err := m.makeScope(m.process.Pid)
	if err == nil {
		return nil
	}
	failed := m.process.Failed()
	switch {
	case errors.Is(failed, io.EOF):
		return m.vanished()
	case failed != nil:
		return failed
	}
	return err
}

// answerCgroup hands over what the executor enters its v1 cgroups through.
func (m *creation) answerCgroup() error {
	fds := make([]int, len(m.join.Tasks))
	for i := range m.join.Tasks {
		fds[i] = m.join.Tasks[i].FD
	}
	return m.process.Answer(plan.PointCgroup, nil, fds...)
}

// answer does the parent's part at one point. It is done when the container
// needs its parent no more.
func (m *creation) answer(r nsenter.Report, program int) (done bool, err error) {
	if r.FD >= 0 {
		defer unix.Close(r.FD)
	}
	switch r.Point {
	case plan.PointCgroup:
		if err := m.makeScope(m.process.Pid); err != nil {
			return false, err
		}
		return false, m.answerCgroup()
	case plan.PointSeccomp:
		return false, m.process.Answer(plan.PointSeccomp, nil, program)
	case plan.PointListener:
		return false, m.sendListener(m.opt.Bundle.Spec.Linux.Seccomp, r.FD, m.process.Pid, m.hookState(specs.StateCreating))
	case plan.PointConsole:
		if err := handTerminal(r.FD, m.opt.ConsoleSocket, m.opt.Console); err != nil {
			return false, err
		}
		return false, m.process.Answer(plan.PointConsole, nil)
	case plan.PointHooks:
		if err := m.moveNetDevices(); err != nil {
			return false, err
		}
		if err := m.setupHooks(); err != nil {
			return false, err
		}
		return false, m.process.Answer(plan.PointHooks, nil)
	case plan.PointCreated:
		return true, m.created(r.FD, program)
	}
	return false, fmt.Errorf("the executor waits at %s, which no plan of this version has", r.Point)
}

// created is the last meeting: the container is on disk before it may go on.
func (m *creation) created(passwd, program int) error {
	if err := m.saveCreated(); err != nil {
		return err
	}
	if err := m.joinRdt(m.Pid); err != nil {
		return err
	}
	if err := sendPidfd(m.opt.PidfdSocket, m.process.PidFD); err != nil {
		return err
	}
	if err := m.relayNotify(); err != nil {
		return err
	}
	late, err := m.lateEnv(passwd)
	if err != nil {
		return err
	}
	var fds []int
	if m.compile.SeccompAt == plan.PointCreated {
		fds = append(fds, program)
	}
	if !m.opt.Wait {
		if err := m.startHooks(); err != nil {
			return err
		}
	}
	if m.opt.Wait {
		// Whoever reads the pid file may call start at once.
		if err := writePidFile(m.opt.PidFile, m.Pid); err != nil {
			return err
		}
	}
	err = m.process.Answer(plan.PointCreated, late, fds...)
	if errors.Is(err, io.EOF) {
		return m.vanished()
	}
	if m.opt.Wait || err != nil {
		return err
	}
	if err := executed(m.process); err != nil {
		return err
	}
	return writePidFile(m.opt.PidFile, m.Pid)
}

// prepareState writes the state that the container will have once it is created,
// while the executor is at work: all that is left for then is to rename it.
func (m *creation) prepareState() error {
	if m.unit != nil && !m.compile.ScopeAhead {
		return nil // the scope's cgroup is to be written down before
	}
	stat, err := processStat(m.process.Pid)
	if err != nil {
		return nil // it has ended: its report says why
	}
	s := m.State
	s.Pid, s.StartTime = m.process.Pid, stat.started
	m.prepared = &s
	return writeAside(filepath.Join(m.dir, stateFile), s.encode())
}

// saveCreated makes it known that the container is created.
func (m *creation) saveCreated() error {
	// A process that joins a pid namespace gets another number on the way.
	if m.prepared != nil && m.prepared.Pid == m.process.Pid {
		m.State = *m.prepared
		return putInPlace(filepath.Join(m.dir, stateFile))
	}
	stat, err := processStat(m.process.Pid)
	if err != nil {
		return fmt.Errorf("start time of process %d: %w", m.process.Pid, err)
	}
	m.Pid, m.StartTime = m.process.Pid, stat.started
	return m.save()
}

// executed waits until the process has been executed: its socket is closed
// then. A failure comes as a report.
func executed(p *nsenter.Process) error {
	r, err := p.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the executor waits at %s after it was told to go on", r.Point)
}

// writePidFile writes the pid file that was asked for, if any.
func writePidFile(path string, pid int) error {
	if path == "" {
		return nil
	}
	if err := writePid(path, pid); err != nil {
		return fmt.Errorf("--pid-file: %w", err)
	}
	return nil
}

// writePid writes a pid file so that a reader never sees a part of it.
func writePid(path string, pid int) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := writeFile(tmp, []byte(strconv.Itoa(pid)), 0o666); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// vanished says how an executor ended that sent no report.
func (m *creation) vanished() error {
	status, err := m.process.Wait()
	if err != nil {
		return err
	}
	switch {
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return errors.New("the container's process was killed while it was set up (SIGKILL): is linux.resources.memory.limit too small, or did somebody delete the container?")
	case status.Signaled() && status.Signal() == unix.SIGSYS:
		return errors.New("linux.seccomp: the profile forbids a call that the container's process needs to start (SIGSYS)")
	case status.Signaled():
		return fmt.Errorf("the container's process was ended by signal %d while it was set up", status.Signal())
	}
	return fmt.Errorf("the container's process ended with status %d while it was set up", status.ExitStatus())
}

// state of a container under way, for hooks.
func (m *creation) hookState(status specs.ContainerState) *specs.State {
	s := m.OCIState(status)
	s.Pid = m.process.Pid
	return s
}

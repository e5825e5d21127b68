package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/libcontainer/facts"
	"berth/libcontainer/facts/probe"
	"berth/libcontainer/plan"
	"berth/nsenter"
)

// ExecOptions say how another process is started in a container.
type ExecOptions struct {
	// Process is what to run. What it leaves open is as the container's own
	// process has it; see compile.ExecProcess.
	Process *specs.Process
	// Cgroups names cgroups below the container's for the process to run in,
	// each as [CONTROLLER[,CONTROLLER…]:]PATH.
	Cgroups []string
	// IgnorePaused lets the process be started in a paused container; it goes
	// on when the container is resumed.
	IgnorePaused bool
	// PreserveFDs is how many descriptors from 3 on the process keeps.
	PreserveFDs int
	// PidFile gets the process's pid once it runs; empty for none.
	PidFile string
	// ConsoleSocket is a unix socket that gets the terminal's master.
	ConsoleSocket string
	// PidfdSocket is a unix socket that gets a pidfd of the process.
	PidfdSocket string
	// Console takes the terminal's master where there is no ConsoleSocket.
	Console func(master *os.File) error
}

// execution is a process while it is started in a container.
type execution struct {
	*Container
	spec    *specs.Spec // the container's
	opt     *ExecOptions
	compile *compile.Output
	init    int // pidfd of the container's first process
	process *nsenter.Process
}

// Exec starts another process in a container that is created or running, and
// returns its pid when it has been executed. It is a child of this process.
// No lock is taken: the container may end at any time, and then so does the
// process, which is told as an error or by how the process ends. s is the
// container's own configuration.
func (c *Container) Exec(s *specs.Spec, opt *ExecOptions) (pid int, err error) {
	e := &execution{Container: c, spec: s, opt: opt, init: -1}
	defer e.close()
	err = e.run()
	if e.compile != nil {
		c.runtime.Trace.executor(e.process, e.compile.Plan.Steps)
	}
	if err == nil {
		return e.process.Pid, nil
	}
	if e.process != nil {
		err = errors.Join(err, e.process.Kill())
	}
	return 0, e.explain(err)
}

// notRunning is the error of an exec into a container that is not there to
// take it. Engines look for "container not running".
func (c *Container) notRunning(status specs.ContainerState) error {
	return fmt.Errorf("cannot exec in container %q: container not running (it is %s)", c.ID, status)
}

// explain tells that the container has stopped meanwhile, whatever step noticed
// it first.
func (e *execution) explain(err error) error {
	if e.init < 0 {
		return err
	}
	if !refusedByDying(err) && !e.dying() {
		return err
	}
	return fmt.Errorf("cannot exec in container %q: container not running: it stopped meanwhile (%w)", e.ID, err)
}

// dying says whether the container's first process has ended or is about to:
// while it waits for the rest of its pid namespace to end it is no zombie yet.
func (c *Container) dying() bool {
	if alive, err := c.alive(); err != nil || !alive {
		return true
	}
	data, err := readFile("/proc/" + strconv.Itoa(c.Pid) + "/stat")
	if err != nil {
		return true
	}
	const flags, exiting = 6, 0x4 // PF_EXITING in field 9 of proc_pid_stat(5)
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) <= flags {
		return false
	}
	n, err := strconv.ParseUint(string(fields[flags]), 10, 32)
	return err == nil && n&exiting != 0
}

// refusedByDying says whether err is how the kernel refuses to let a process
// into namespaces whose first process is about to end.
func refusedByDying(err error) bool {
	var step *nsenter.StepError
	if !errors.As(err, &step) {
		return false
	}
	switch step.Op.(type) {
	case plan.Setns:
		return step.Errno == unix.ESRCH
	case plan.Fork:
		return step.Errno == unix.ENOMEM
	}
	return false
}

func (e *execution) close() {
	if e.process != nil {
		e.process.Close()
	}
	if e.init >= 0 {
		unix.Close(e.init)
	}
}

func (e *execution) run() error {
	opened := e.runtime.Trace.Span("find the container")
	if err := e.open(); err != nil {
		return err
	}
	opened()
	entrance := e.runtime.Trace.Span("open its cgroup")
	in, err := newEntrance(e.spec, e.Pid, e.init, e.Cgroup, e.opt.Cgroups)
	if err != nil {
		return err
	}
	entrance()
	defer in.close()
	compiled := e.runtime.Trace.Span("compile")
	process := compile.ExecProcess(e.spec, e.opt.Process)
	if err := e.plan(in, process); err != nil {
		return err
	}
	compiled()
	if err := raiseLimits(process.Rlimits); err != nil {
		return err
	}
	cpus, err := compile.InitialAffinity(process)
	if err != nil {
		return err
	}
	cloned := e.runtime.Trace.Span("clone")
	e.process, err = in.start(&nsenter.Command{
		Plan:     &e.compile.Plan,
		Stdio:    [3]int{0, 1, 2},
		Preserve: e.opt.PreserveFDs,
		CPUs:     cpus,
		Trace:    e.runtime.Trace != nil,
	})
	cloned()
	if err != nil {
		return err
	}
	return e.meet()
}

// open takes hold of the container's first process and checks that it is fit
// to be joined.
func (e *execution) open() error {
	if e.Pid == 0 {
		status, err := e.Status()
		if err != nil {
			return err
		}
		return e.notRunning(status)
	}
	fd, err := unix.PidfdOpen(e.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return e.notRunning(specs.StateStopped)
	}
	if err != nil {
		return fmt.Errorf("exec in container %q: pidfd_open: %w", e.ID, err)
	}
	// Only now is it sure that the number is not another process's by then.
	stat, alive, err := e.stat()
	if err == nil && !alive {
		err = e.notRunning(specs.StateStopped)
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	e.init = fd
	if e.opt.IgnorePaused {
		return nil
	}
	frozen, err := e.frozen(stat.state)
	if err == nil && frozen {
		err = fmt.Errorf("cannot exec in container %q: it is paused: resume it, or use --ignore-paused to have the process wait for that", e.ID)
	}
	return err
}

func (e *execution) plan(in *entrance, process *specs.Process) error {
	host, err := hostOf(in, process)
	if err != nil {
		return err
	}
	e.compile, err = compile.Exec(compile.ExecInput{
		Spec:         e.spec,
		Process:      process,
		ID:           e.ID,
		Host:         host,
		Rootfs:       e.Rootfs,
		Namespaces:   in.flags,
		Tasks:        len(in.join.Tasks),
		NoNewKeyring: e.NoNewKeyring,
	})
	if err != nil {
		return err
	}
	for _, w := range e.compile.Warnings {
		e.runtime.Log("warning", w)
	}
	return nil
}

// hostOf returns what the plan of a process that joins a container depends on.
func hostOf(in *entrance, process *specs.Process) (*facts.Host, error) {
	host, err := probe.Self()
	if err != nil {
		return nil, err
	}
	if in.flags&unix.CLONE_NEWUSER != 0 {
		host.Permitted = ^uint64(0) // in there it has them all
		if host.NoSetgroups, err = probe.SetgroupsDenied(strconv.Itoa(in.pid)); err != nil {
			return nil, fmt.Errorf("user namespace of process %d: %w", in.pid, err)
		}
	}
	return host, probeLabels(host, process, "")
}

// probeLabels finds out about the security modules that a config asks for.
func probeLabels(host *facts.Host, p *specs.Process, mountLabel string) error {
	if p == nil {
		return nil // which the compiler tells
	}
	return probe.Labels(host, p.ApparmorProfile, probe.Label{Field: "process.selinuxLabel", Value: p.SelinuxLabel},
		probe.Label{Field: "linux.mountLabel", Value: mountLabel})
}

// meet answers the executor until it has become the process. The points are
// those of create, less what only a new container has; see creation.meet.
func (e *execution) meet() error {
	program := -1
	if e.compile.SeccompAt != plan.PointNone {
		var err error
		program, err = e.runtime.seccompProgram(e.spec.Linux.Seccomp)
		if err != nil {
			return err
		}
		defer unix.Close(program)
	}
	if e.compile.SeccompAhead {
		if err := e.process.Answer(plan.PointSeccomp, nil, program); err != nil {
			return err
		}
	}
	for {
		waited := e.runtime.Trace.Span("wait for the executor")
		report, err := e.process.Recv()
		waited()
		if errors.Is(err, io.EOF) {
			return e.vanished()
		}
		if err != nil {
			return err
		}
		done, err := e.answer(report, program)
		if done || err != nil {
			return err
		}
	}
}

func (e *execution) answer(r nsenter.Report, program int) (done bool, err error) {
	if r.FD >= 0 {
		defer unix.Close(r.FD)
	}
	switch r.Point {
	case plan.PointSeccomp:
		return false, e.process.Answer(plan.PointSeccomp, nil, program)
	case plan.PointListener:
		return false, e.sendListener(e.spec.Linux.Seccomp, r.FD, e.process.Pid, e.OCIState(specs.StateRunning))
	case plan.PointConsole:
		if err := handTerminal(r.FD, e.opt.ConsoleSocket, e.opt.Console); err != nil {
			return false, err
		}
		return false, e.process.Answer(plan.PointConsole, nil)
	case plan.PointCreated:
		return true, e.created(r.FD, program)
	}
	return false, fmt.Errorf("the executor waits at %s, which no plan of this version has", r.Point)
}

// created lets the process be executed, and tells of it once it is.
func (e *execution) created(passwd, program int) error {
	if err := e.joinRdt(e.process.Pid); err != nil {
		return err
	}
	if err := sendPidfd(e.opt.PidfdSocket, e.process.PidFD); err != nil {
		return err
	}
	var home []byte
	if e.compile.Home {
		home = []byte("HOME=" + homeFolder(passwd, e.opt.Process.User.UID))
	}
	var fds []int
	if e.compile.SeccompAt == plan.PointCreated {
		fds = append(fds, program)
	}
	if err := e.process.Answer(plan.PointCreated, home, fds...); errors.Is(err, io.EOF) {
		return e.vanished()
	} else if err != nil {
		return err
	}
	if err := executed(e.process); err != nil {
		return err
	}
	return writePidFile(e.opt.PidFile, e.process.Pid)
}

// vanished says how an executor ended that sent no report.
func (e *execution) vanished() error {
	status, err := e.process.Wait()
	if err != nil {
		return err
	}
	if status.Signaled() {
		return fmt.Errorf("exec in container %q: the process was ended by signal %d while it was set up", e.ID, status.Signal())
	}
	return fmt.Errorf("exec in container %q: the process was ended while it was set up", e.ID)
}

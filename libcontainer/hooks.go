package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/entry"
	"berth/libcontainer/compile"
	"berth/memfd"
	"berth/nsenter"
)

// hooks are the hooks of one kind, under way.
type hooks struct {
	field string // such as hooks.prestart
	list  []specs.Hook
	state *specs.State
	// annotations may name files for what the hooks print.
	annotations map[string]string
	// start starts one of them with the descriptors as standard input, output
	// and error.
	start func(h *specs.Hook, stdio [3]int) (*hookProcess, error)
}

// hookProcess is a started hook: a child that leads its process group.
type hookProcess struct {
	pid   int
	pidfd int // closed when it is done
}

// setupHooks runs what runtime.md puts between the making of the namespaces
// and pivot_root.
func (m *creation) setupHooks() error {
	h := m.opt.Bundle.Spec.Hooks
	if h == nil {
		return nil // it is for the network devices
	}
	m.hooked = true
	state := m.hookState(specs.StateCreating)
	//lint:ignore SA1019 prestart is deprecated and still what Docker's network needs
	if err := m.runtimeHooks("hooks.prestart", h.Prestart, state, m.Bundle).run(); err != nil {
		return err
	}
	if err := m.runtimeHooks("hooks.createRuntime", h.CreateRuntime, state, m.Bundle).run(); err != nil {
		return err
	}
	if len(h.CreateContainer) == 0 {
		return nil
	}
	return m.containerHooks("hooks.createContainer", h.CreateContainer, m.opt.Bundle.Spec, state, m.process.PidFD,
		func(in compile.ExecInput, h *specs.Hook) (*compile.Output, error) {
			return compile.CreateContainerHook(in, h), nil
		})
}

// startHooks runs what comes right before the process of a run.
func (m *creation) startHooks() error {
	h := m.opt.Bundle.Spec.Hooks
	if h == nil || len(h.StartContainer) == 0 {
		return nil
	}
	m.hooked = true
	return m.startContainerHooks(m.opt.Bundle.Spec, m.process.PidFD)
}

// startContainerHooks runs the hooks that lie in the container, before its
// process is let go.
func (c *Container) startContainerHooks(s *specs.Spec, pidfd int) error {
	return c.containerHooks("hooks.startContainer", s.Hooks.StartContainer, s, c.OCIState(specs.StateCreated), pidfd,
		compile.StartContainerHook)
}

// runtimeHooks are hooks that run in berth's own namespaces, in the folder dir.
func (c *Container) runtimeHooks(field string, list []specs.Hook, state *specs.State, dir string) *hooks {
	start := func(h *specs.Hook, stdio [3]int) (*hookProcess, error) {
		args, env := h.Args, h.Env
		if len(args) == 0 {
			args = []string{h.Path}
		}
		if env == nil {
			env = []string{} // nil would be berth's own
		}
		p := &hookProcess{pidfd: -1}
		var err error
		entry.RestoreTimerSlack()
		p.pid, err = syscall.ForkExec(h.Path, args, &syscall.ProcAttr{Dir: dir, Env: env,
			Files: []uintptr{uintptr(stdio[0]), uintptr(stdio[1]), uintptr(stdio[2])},
			Sys:   &syscall.SysProcAttr{Setpgid: true, PidFD: &p.pidfd}})
		return p, err
	}
	return &hooks{field, list, state, c.Annotations, start}
}

// containerHooks runs hooks in the container's namespaces; pidfd is its first
// process.
func (c *Container) containerHooks(field string, list []specs.Hook, s *specs.Spec, state *specs.State, pidfd int,
	plan func(compile.ExecInput, *specs.Hook) (*compile.Output, error)) error {
	in, err := newEntrance(s, state.Pid, pidfd, c.Cgroup, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	defer in.close()
	host, err := hostOf(in, s.Process)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	inside, err := pidInside(state.Pid)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	seen := *state
	seen.Pid = inside
	start := func(h *specs.Hook, stdio [3]int) (*hookProcess, error) {
		out, err := plan(compile.ExecInput{Spec: s, ID: c.ID, Host: host, Rootfs: c.Rootfs, Namespaces: in.flags,
			Tasks: len(in.join.Tasks), NoNewKeyring: c.NoNewKeyring}, h)
		if err != nil {
			return nil, err
		}
		return c.startInside(in, s, out, stdio)
	}
	return (&hooks{field, list, &seen, c.Annotations, start}).run()
}

// startInside starts a hook as exec starts a process.
func (c *Container) startInside(in *entrance, s *specs.Spec, out *compile.Output, stdio [3]int) (*hookProcess, error) {
	e := &execution{Container: c, spec: s, opt: &ExecOptions{Process: s.Process}, init: -1, compile: out}
	defer e.close()
	var err error
	e.process, err = in.start(&nsenter.Command{Plan: &out.Plan, Stdio: stdio})
	if err != nil {
		return nil, err
	}
	if err := e.meet(); err != nil {
		return nil, errors.Join(err, e.process.Kill())
	}
	fd, err := unix.FcntlInt(uintptr(e.process.PidFD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fcntl: %w", err), e.process.Kill())
	}
	return &hookProcess{e.process.Pid, fd}, nil
}

// pidInside returns a process's number in its own pid namespace, which is what
// a hook in there has to know it by.
func pidInside(pid int) (int, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			numbers := strings.Fields(list)
			return strconv.Atoi(numbers[len(numbers)-1])
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no NSpid", pid)
}

// run runs the hooks one after the other; the first that fails ends it.
func (k *hooks) run() error {
	for i := range k.list {
		if err := k.runAt(i); err != nil {
			return err
		}
	}
	return nil
}

// runAt runs one of them.
func (k *hooks) runAt(i int) error {
	input, err := json.Marshal(k.state)
	if err == nil {
		err = k.runOne(&k.list[i], input)
	}
	if err != nil {
		return fmt.Errorf("%s[%d] (%s): %w", k.field, i, k.list[i].Path, err)
	}
	return nil
}

// runOne gives a hook the state on its standard input and waits for it.
func (k *hooks) runOne(h *specs.Hook, input []byte) error {
	begin := time.Now()
	out, err := openHookOutput(k.annotations)
	if err != nil {
		return err
	}
	defer out.close()
	stdin, err := memfd.Sealed("berth-state", input)
	if err != nil {
		return err
	}
	defer unix.Close(stdin)
	p, err := k.start(h, [3]int{stdin, out.stdout, out.pipe[1]})
	if err != nil {
		return err
	}
	defer unix.Close(p.pidfd)
	var deadline time.Time
	if h.Timeout != nil {
		deadline = begin.Add(time.Duration(*h.Timeout) * time.Second)
	}
	killed, err := p.wait(out, deadline)
	if err != nil {
		err = errors.Join(err, unix.Kill(-p.pid, unix.SIGKILL))
	}
	status, err2 := p.reap()
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	return hookResult(h, status, killed, time.Since(begin), out.last)
}

// hookResult words how a hook ended that did not succeed.
func hookResult(h *specs.Hook, status unix.WaitStatus, killed bool, took time.Duration, last []byte) error {
	var how string
	switch {
	case killed:
		how = fmt.Sprintf("killed at its timeout of %d s", *h.Timeout)
	case status.Signaled():
		how = fmt.Sprintf("ended by signal %d (%s)", status.Signal(), unix.SignalName(status.Signal()))
	case status.ExitStatus() != 0:
		how = fmt.Sprintf("exit status %d", status.ExitStatus())
	default:
		return nil
	}
	text := strings.TrimSpace(string(last))
	if text == "" {
		return fmt.Errorf("%s after %s", how, took.Round(time.Millisecond))
	}
	return fmt.Errorf("%s after %s; its standard error ends with %q", how, took.Round(time.Millisecond), text)
}

package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups"
	"berth/cgroups/fs"
	"berth/cgroups/systemd"
	"berth/libcontainer/compile"
	"berth/libcontainer/facts"
	"berth/libcontainer/facts/probe"
	"berth/libcontainer/plan"
	"berth/libcontainer/resctrl"
	"berth/nsenter"
)

// CreateOptions say how a container is created.
type CreateOptions struct {
	ID     string
	Bundle *Bundle
	// Wait makes the container wait for Start, as create does; without it its
	// process runs when Create returns, as in run.
	Wait bool
	// NoPivot uses MS_MOVE and chroot(2) in place of pivot_root(2).
	NoPivot bool
	// NoNewKeyring keeps the caller's session keyring.
	NoNewKeyring bool
	// PreserveFDs is how many descriptors from 3 on the process keeps.
	PreserveFDs int
	// ListenFDs is how many of those, from 3 on, are sockets of systemd's
	// socket activation, and ListenNames their names; sd_listen_fds(3).
	ListenFDs   int
	ListenNames string
	// NotifySocket is the socket where systemd waits to be told that the
	// service is ready, or empty; sd_notify(3).
	NotifySocket string
	// NotifyAsMain says that berth stays the service's main process.
	NotifyAsMain bool
	// PidFile gets init's pid once it exists for good; empty for none.
	PidFile string
	// ConsoleSocket is a unix socket that gets the terminal's master.
	ConsoleSocket string
	// PidfdSocket is a unix socket that gets a pidfd of init.
	PidfdSocket string
	// Console takes the terminal's master where there is no ConsoleSocket.
	Console func(master *os.File) error
}

// creation is a container while it is made: what it holds is given back when
// a step fails.
type creation struct {
	*Container
	opt     *CreateOptions
	compile *compile.Output
	host    *facts.Host
	place   *cgroups.Placement
	cgroup  *fs.Manager
	unit    *systemd.Unit
	systemd *systemd.Conn
	scoped  bool // the scope has been started
	planned bool // nothing but the plan is wanted
	join    *fs.Join
	unified int // the v2 folder's descriptor, cgroup's own; -1 for none
	process *nsenter.Process
	devices *netDevices
	resctrl *resctrl.Tree
	fds     []int // to be closed at the end
	notify  int   // the container's own notify socket, one of fds
	// hooked says that hooks have run: those of poststop come after a failure.
	hooked bool
	// prepared is the state of the created container once it is written aside.
	prepared *State
	// more are mounts of a checkpoint that config.json does not name.
	more []specs.Mount
}

// Create makes a container from a bundle: state runtime.md calls created, or
// running without opt.Wait. When it fails, nothing is left.
func (r *Runtime) Create(opt *CreateOptions) (*Container, error) {
	if err := checkID(opt.ID); err != nil {
		return nil, err
	}
	own := *opt
	own.Bundle = r.activated(opt)
	opt = &own
	m := &creation{opt: opt, unified: -1}
	defer m.close()
	if err := r.connect(m); err != nil {
		return nil, err
	}
	compiled := r.Trace.Span("compile")
	out, err := r.compile(m)
	compiled()
	if err != nil {
		return nil, err
	}
	for _, w := range append(opt.Bundle.Warnings, out.Warnings...) {
		r.Log("warning", w)
	}
	r.Log("debug", fmt.Sprintf("container %q: %d operations for the executor", opt.ID, len(out.Plan.Steps)))
	if err := m.findResctrl(); err != nil {
		return nil, err
	}
	c, err := r.reserve(opt)
	if err != nil {
		return nil, err
	}
	defer c.release()
	m.Container = c
	err = m.make()
	r.Trace.executor(m.process, m.compile.Plan.Steps)
	if err != nil {
		err = errors.Join(err, m.undo())
		if m.hooked {
			c.poststop(opt.Bundle.Spec)
		}
		return nil, err
	}
	return c, nil
}

// connect opens what Create needs besides the kernel; nothing is changed.
func (r *Runtime) connect(m *creation) (err error) {
	if r.CgroupManager == Systemd {
		m.systemd, err = r.connectSystemd()
	}
	return err
}

// compile turns the bundle into a plan; nothing on the host is changed.
func (r *Runtime) compile(m *creation) (*compile.Output, error) {
	host, err := probe.Host()
	if err != nil {
		return nil, err
	}
	m.host = host
	opt, b := m.opt, m.opt.Bundle
	s, ownUserns, err := withoutOwnUserns(b.Spec)
	if err != nil {
		return nil, err
	}
	// One that is not there is told of when it is joined; a plan shows the rest.
	own, err := ownNamespace(s, specs.CgroupNamespace)
	host.OwnCgroupNamespace = err == nil && own >= 0
	lenient := r.Rootless
	if !host.Has(unix.CAP_SYS_ADMIN) && compile.JoinFlags(s)&unix.CLONE_NEWUSER == 0 {
		if !m.planned {
			return nil, noUserns(host)
		}
		// Such a plan can only be meant for root.
		host.Permitted, lenient = ^uint64(0), false
	}
	in := compile.Input{Spec: s, ID: opt.ID, Bundle: b.Path, Host: host, OwnUserns: ownUserns,
		NoPivot: opt.NoPivot, NoNewKeyring: opt.NoNewKeyring, Wait: opt.Wait, LateEnv: opt.ListenFDs > 0}
	controlGroup := "/"
	if m.systemd != nil {
		controlGroup = m.systemd.ControlGroup()
	}
	m.place, m.unit, err = r.place(b.Spec, opt.ID, host, controlGroup, lenient)
	if err != nil {
		return nil, err
	}
	in.Cgroup, in.Systemd = m.place, m.unit != nil
	if l := b.Spec.Linux; l != nil && (l.RootfsPropagation == "shared" || l.RootfsPropagation == "rshared") {
		host.RootfsMount, err = probe.MountPoint(compile.Rootfs(b.Spec, b.Path))
		if err != nil {
			return nil, fmt.Errorf("root.path: %w", err)
		}
	}
	if opt.NoPivot {
		if host.KernelMounts, err = probe.KernelMounts(); err != nil {
			return nil, fmt.Errorf("--no-pivot: %w", err)
		}
	}
	mountLabel := ""
	if b.Spec.Linux != nil {
		mountLabel = b.Spec.Linux.MountLabel
	}
	if err := probeLabels(host, b.Spec.Process, mountLabel); err != nil {
		return nil, err
	}
	out, err := compile.Compile(in)
	if err != nil {
		return nil, err
	}
	m.compile = out
	return out, nil
}

// Plan returns what Create would do, without doing any of it.
func (r *Runtime) Plan(opt *CreateOptions) (*compile.Output, error) {
	return r.compile(&creation{opt: opt, planned: true})
}

// makeRoot makes the state root. One in $XDG_RUNTIME_DIR is to stay there, which
// the sticky bit says (XDG Base Directory Specification); others may not look.
func (r *Runtime) makeRoot() error {
	err := unix.Mkdir(r.Root, 0o711)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return os.MkdirAll(r.Root, 0o711)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); r.Rootless && dir != "" && filepath.Dir(r.Root) == filepath.Clean(dir) {
		return os.Chmod(r.Root, 0o700|os.ModeSticky)
	}
	return nil
}

// reserve makes the container's folder, which is what makes the id taken, and
// locks it.
func (r *Runtime) reserve(opt *CreateOptions) (*Container, error) {
	if err := r.makeRoot(); err != nil {
		return nil, fmt.Errorf("make the state root: %w: choose another with --root", err)
	}
	c := &Container{runtime: r, dir: r.dir(opt.ID)}
	if err := os.Mkdir(c.dir, 0o711); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("container with id %q exists already: choose another id, or remove it with delete", opt.ID)
		}
		return nil, fmt.Errorf("make the container's state folder: %w", err)
	}
	c.State = State{
		OCIVersion:   specs.Version,
		ID:           opt.ID,
		Bundle:       opt.Bundle.Path,
		Rootfs:       compile.Rootfs(opt.Bundle.Spec, opt.Bundle.Path),
		Created:      time.Now().UTC(),
		Annotations:  opt.Bundle.Spec.Annotations,
		Owner:        owner(),
		NoNewKeyring: opt.NoNewKeyring,
		Poststop:     opt.Bundle.Spec.Hooks != nil && len(opt.Bundle.Spec.Hooks.Poststop) > 0,
		Berth:        r.Version,
	}
	if err := c.acquire(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

// owner is who creates the container; root is known without reading passwd.
func owner() string {
	uid := os.Getuid()
	if uid == 0 {
		return "root"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// make goes through the steps that leave something on the host. The state is
// written before each, so that delete finds what a killed create left.
func (m *creation) make() error {
	if err := m.planCgroup(); err != nil {
		return err
	}
	if m.unit == nil {
		if err := m.beginCgroup(0); err != nil {
			return err
		}
	}
	if err := m.makeRdt(); err != nil {
		return err
	}
	if err := m.makeNotifySocket(); err != nil {
		return err
	}
	slots, err := m.slots()
	if err != nil {
		return err
	}
	if err := raiseLimits(m.opt.Bundle.Spec.Process.Rlimits); err != nil {
		return err
	}
	if err := m.start(slots); err != nil {
		return err
	}
	if m.unit == nil { // the scope wants the process, see meet
		if err := m.finishCgroup(0); err != nil {
			return err
		}
	}
	return m.meet()
}

// keepConfig writes down the configuration as it was given.
func (m *creation) keepConfig() error {
	if err := writeFile(filepath.Join(m.dir, configFile), m.opt.Bundle.Config, 0o600); err != nil {
		return fmt.Errorf("keep config.json: %w", err)
	}
	return nil
}

// slots opens what the plan finds in slots from the start.
func (m *creation) slots() ([]nsenter.SlotFD, error) {
	var slots []nsenter.SlotFD
	for i := range m.compile.Joins {
		j := &m.compile.Joins[i]
		fd, err := openNamespace(j)
		if err != nil {
			return nil, err
		}
		m.fds = append(m.fds, fd)
		slots = append(slots, nsenter.SlotFD{Slot: j.Slot, FD: fd})
	}
	if err := checkMountOwner(m.compile.Joins, slots); err != nil {
		return nil, err
	}
	sources, err := openSources(m.compile.Sources, m.host)
	m.fds = append(m.fds, sources...)
	if err != nil {
		return nil, err
	}
	for i, fd := range sources {
		slots = append(slots, nsenter.SlotFD{Slot: m.compile.Sources[i].Slot, FD: fd})
	}
	if !m.opt.Wait {
		return slots, nil
	}
	fifo, err := m.fifo(fifoFile, unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	// The container must be the report's only writer: that it has closed it is
	// how start knows of success.
	report, err := m.fifo(reportFile, unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	return append(slots, nsenter.SlotFD{Slot: plan.SlotFifo, FD: fifo}, nsenter.SlotFD{Slot: plan.SlotReport, FD: report}), nil
}

func (m *creation) fifo(name string, flags int) (int, error) {
	path := filepath.Join(m.dir, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return -1, fmt.Errorf("mkfifo %s: %w", path, err)
	}
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	m.fds = append(m.fds, fd)
	return fd, nil
}

// start starts the executor.
func (m *creation) start(slots []nsenter.SlotFD) error {
	cmd := &nsenter.Command{
		Plan:       &m.compile.Plan,
		Stdio:      [3]int{0, 1, 2},
		Preserve:   m.opt.PreserveFDs,
		Slots:      slots,
		Cloneflags: uintptr(m.compile.Cloneflags),
		Trace:      m.runtime.Trace != nil,
		CgroupFD:   -1,
	}
	mapIDs(cmd, m.compile, m.host)
	if m.compile.IntoCgroup {
		cmd.CgroupFD = m.unified
	}
	defer m.runtime.Trace.Span("clone")()
	p, err := cmd.Start()
	if err != nil {
		return err
	}
	m.process = p
	return nil
}

// close gives back what Create needed only for itself.
func (m *creation) close() {
	if m.process != nil {
		m.process.Close()
	}
	if m.devices != nil {
		m.devices.close()
	}
	if m.join != nil {
		m.join.Close()
	}
	if m.systemd != nil {
		// Nothing is written to it any more that an error could be about.
		_ = m.systemd.Close()
	}
	if m.cgroup != nil {
		m.cgroup.Close()
	}
	for _, fd := range m.fds {
		unix.Close(fd)
	}
}

// undo takes back what make has done: process, cgroup, state.
func (m *creation) undo() error {
	var errs []error
	if m.devices != nil {
		errs = append(errs, m.devices.giveBack())
	}
	if m.process != nil {
		errs = append(errs, m.process.Kill())
	}
	if m.scoped {
		errs = append(errs, m.systemd.Stop(*m.unit))
	}
	if m.cgroup != nil {
		errs = append(errs, m.cgroup.Remove())
	}
	errs = append(errs, m.removeRdt())
	if m.opt.PidFile != "" && m.Pid != 0 {
		if err := os.Remove(m.opt.PidFile); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, os.RemoveAll(m.dir))
	return errors.Join(errs...)
}

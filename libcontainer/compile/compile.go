// Package compile turns a config.json and facts about the host into a plan for
// the executor. It is a pure function: no file is opened and no system call is
// made here, so what a container's set-up will be can be tested and printed
// without root.
package compile

import (
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
)

// Input is all that a plan follows from.
type Input struct {
	Spec *specs.Spec
	ID   string
	// Bundle is the bundle's absolute path.
	Bundle string
	Host   *facts.Host
	// Cgroup is where the container's cgroup is, or nil for none.
	Cgroup *cgroups.Placement
	// Systemd says that systemd puts the process into its cgroup; the process
	// waits for that.
	Systemd bool

	// OwnUserns counts, from 1, to where the config has a user namespace in linux.namespaces
	// that is berth's own and that Spec does not have; 0 for none.
	OwnUserns int
	// NoPivot uses MS_MOVE and chroot(2) in place of pivot_root(2).
	NoPivot bool
	// NoNewKeyring keeps the caller's session keyring.
	NoNewKeyring bool
	// Wait makes the process wait on a FIFO for start, as create does; without
	// it the process goes on as soon as the parent says so, as in run.
	Wait bool
	// LateEnv says that entries of the environment come at plan.PointCreated.
	LateEnv bool
}

// InitName is what the container's process is called until it is executed.
const InitName = "berth:init"

// Output is a plan and what the parent must do for it.
type Output struct {
	Plan plan.Plan
	// Cloneflags are the CLONE_NEW* bits of the first clone.
	Cloneflags uint64
	// Cgroup is where the container's cgroup is made; nil for none.
	Cgroup *cgroups.Placement
	// Limits are for the cgroup, before the process is in it.
	Limits Limits
	// AtCgroup says that the plan stops at plan.PointCgroup.
	AtCgroup bool
	// ScopeAhead says that systemd may put the process into its scope from the start on,
	// and not only there.
	ScopeAhead bool
	// CgroupTasks is how many tasks files of v1 hierarchies go along with the
	// answer there.
	CgroupTasks int
	// IntoCgroup says that the process starts in its cgroup v2 folder.
	IntoCgroup bool
	// SeccompAt is the point where the compiled seccomp program goes along, or
	// plan.PointNone.
	SeccompAt plan.Point
	// SeccompAhead says that it is not asked for there, but expected.
	SeccompAhead bool
	// Hooks says that the plan stops at plan.PointHooks, for hooks or
	// NetDevices.
	Hooks bool
	// NetDevices are moved there, before the hooks run.
	NetDevices []NetDevice
	// IntelRdt is what the parent does with resctrl, or nil.
	IntelRdt *specs.LinuxIntelRdt
	// Console says that the terminal's master comes at plan.PointConsole.
	Console bool
	// Home says that the container's passwd comes at plan.PointCreated and that
	// HOME is expected back.
	Home bool
	// UIDMappings and GIDMappings are of the new user namespace, if any.
	UIDMappings, GIDMappings []specs.LinuxIDMapping
	// AtUserns says that the plan stops at plan.PointUserns.
	AtUserns bool
	// AsksAtUserns says that the executor tells when it is there.
	AsksAtUserns bool
	// MapAtUserns says that the parent writes the mappings there, and not before
	// the executor is executed: newuidmap(1) and newgidmap(1) write those that
	// UIDHelper and GIDHelper say.
	MapAtUserns          bool
	UIDHelper, GIDHelper bool
	// DenySetgroups says that setgroups(2) must be denied in the user namespace
	// before the groups' mapping can be written.
	DenySetgroups bool
	// KeepGroups says that the caller's supplementary groups stay.
	KeepGroups bool
	// Delegate says that the container may manage its cgroup itself.
	Delegate bool
	// Sources are the bind mounts' sources that the plan expects in slots.
	Sources []Source
	// OOMScoreAdj is for the parent to set where the executor may not.
	OOMScoreAdj *int
	// Joins are the namespaces that the plan expects in slots from the start.
	Joins []Join
	// Warnings are what is passed over, for the log.
	Warnings []string
}

// compiler holds the work in progress.
type compiler struct {
	Input
	out      Output
	p        *plan.Plan
	errs     []error
	nextSlot plan.Slot

	namespaces map[specs.LinuxNamespaceType]*specs.LinuxNamespace
	procMount  bool      // SlotProc holds a procfs
	cgroupDone bool      // the process is in its cgroup and cgroup namespace
	deviceDone bool      // device nodes and the links beside them are made
	closed     bool      // names, kernel parameters and masks are set
	execUserns bool      // exec joins a user namespace
	refused    []string  // capabilities that cannot be granted
	late       []refresh // mounts that become read-only after all others
	devBind    bool      // /dev is a bind: its nodes are the user's
	adding     bool      // mounts are made in a container that runs
	exec       bool      // the process joins a container that runs
	program    string    // a hook's path, in place of args[0]; "" for a process
	unlabelled bool      // that labels are passed over has been warned of
	limited    bool      // the resource limits are set
	noGroups   bool      // setgroups(2) is denied to the process
}

// Compile returns the plan for a container's first process. All problems it
// finds are joined in the error; each names its place in config.json.
func Compile(in Input) (*Output, error) {
	c := &compiler{Input: in, nextSlot: plan.SlotFree}
	c.out.Cgroup = in.Cgroup
	c.p = &c.out.Plan
	c.p.Steps = make([]plan.Step, 0, 96)

	c.out.IntelRdt = c.linux().IntelRdt
	c.compileLimits()
	c.compileNamespaces()
	c.compileRootfs()
	c.compileMounts()
	c.beforeCgroup(nil)
	c.joinCgroup()
	c.compileConsole()
	c.compileHooks()
	c.compileClosing()
	c.compilePivot()
	c.compileProcess()
	if err := c.join(); err != nil {
		return nil, err
	}
	return &c.out, nil
}

// Problem is an error with its place in config.json and what to do.
type Problem struct {
	Origin plan.Origin
	Cause  string
}

// Error returns "origin: cause".
func (p *Problem) Error() string { return p.Origin.String() + ": " + p.Cause }

func (c *compiler) problem(origin plan.Origin, cause string) {
	c.errs = append(c.errs, &Problem{origin, cause})
}

func (c *compiler) warn(text string) { c.out.Warnings = append(c.out.Warnings, text) }

func (c *compiler) linux() *specs.Linux {
	if c.Spec.Linux == nil {
		return &specs.Linux{}
	}
	return c.Spec.Linux
}

// slot gives out a slot of the compiler's own.
func (c *compiler) slot(origin plan.Origin) plan.Slot {
	s := c.nextSlot
	if s >= plan.SlotCount {
		c.problem(origin, "more descriptors are needed at once than the executor has slots")
		return plan.SlotMount
	}
	c.nextSlot++
	return s
}

// rootfs is the absolute path of the container's root folder on the host.
func (c *compiler) rootfs() string { return Rootfs(c.Spec, c.Bundle) }

// Rootfs returns the absolute path of the rootfs of a bundle.
func Rootfs(s *specs.Spec, bundle string) string {
	if s.Root == nil {
		return ""
	}
	if path.IsAbs(s.Root.Path) {
		return path.Clean(s.Root.Path)
	}
	return path.Join(bundle, s.Root.Path)
}

// compileRootfs makes the mount namespace independent of the host's and the
// rootfs a mount of its own.
func (c *compiler) compileRootfs() {
	if c.rootfs() == "" {
		c.problem(plan.At("root"), "is missing: name the rootfs in root.path")
		return
	}
	if !c.has(specs.MountNamespace) {
		// Nothing is mounted in a mount namespace that is not the container's.
		c.p.Add(plan.At("root.path"), plan.DirOpen{Path: c.rootfs(), Into: plan.SlotRoot})
		return
	}
	origin := plan.At("linux.rootfsPropagation")
	word := c.linux().RootfsPropagation
	flags, ok := rootPropagation(word)
	if !ok {
		c.problem(origin, quote(word)+" is not a propagation: use private, slave, shared or unbindable, or their r forms")
	}
	if c.isNew(specs.MountNamespace) {
		c.p.Add(origin, plan.Propagation{Path: "/", Flags: flags})
		if flags&msShared != 0 && c.Host.RootfsMount != "" {
			// A mount under a shared parent would appear on the host, and
			// pivot_root(2) refuses it.
			c.p.Add(origin, plan.Propagation{Path: c.Host.RootfsMount, Flags: msPrivate})
		}
	}
	c.p.Add(plan.At("root.path"), plan.RootOpen{Path: c.rootfs(), Into: plan.SlotRoot, Recursive: true})
}

// compilePivot makes the rootfs the root folder.
func (c *compiler) compilePivot() {
	if !c.has(specs.MountNamespace) {
		c.p.Add(plan.At("root.path"), plan.Chroot{Root: plan.SlotRoot})
		return
	}
	for _, r := range c.late {
		c.p.Add(r.origin, plan.OpenPath{Root: plan.SlotRoot, Path: r.target, Into: plan.SlotMount})
		c.p.Add(r.origin, plan.MountSetattr{Mount: plan.SlotMount, Set: attrRdonly})
	}
	word := c.linux().RootfsPropagation
	flags, _ := rootPropagation(word)
	if c.NoPivot {
		c.p.Add(plan.At("root.path"), c.moveRoot())
	} else {
		// What is slave or private already need not become so once more.
		c.p.Add(plan.At("root.path"), plan.PivotRoot{Root: plan.SlotRoot, Slave: flags&msShared != 0})
	}
	if word != "" {
		// Not recursive: the mounts inside have what their own options say.
		c.p.Add(plan.At("linux.rootfsPropagation"), plan.RootPropagation{Flags: propagationWord(word) &^ msRec})
	}
	if r := c.Spec.Root; r != nil && r.Readonly {
		c.p.Add(plan.At("root.readonly"), plan.MountSetattr{Mount: plan.SlotRoot, Set: attrRdonly})
	}
}

// compileHooks stops the plan where hooks run: all mounts are done and the
// host is still in reach.
func (c *compiler) compileHooks() {
	c.compileNetDevices()
	switch {
	case c.hasHooks():
		c.p.Add(plan.At("hooks"), plan.Sync{Point: plan.PointHooks})
	case len(c.out.NetDevices) > 0:
		c.p.Add(plan.At("linux.netDevices"), plan.Sync{Point: plan.PointHooks})
	default:
		return
	}
	c.out.Hooks = true
}

// hasHooks says whether any hook runs while the container is made.
func (c *compiler) hasHooks() bool {
	h := c.Spec.Hooks
	//lint:ignore SA1019 prestart is deprecated and still what Docker's network needs
	return h != nil && len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0
}

// needProc makes sure that SlotProc holds a procfs that shows this process:
// one of the container's pid namespace, a detached one where the container has
// none of its own; for exec, which comes before the namespaces are joined, the
// host's.
func (c *compiler) needProc(origin plan.Origin) {
	if c.procMount {
		return
	}
	c.procMount = true
	if c.exec {
		c.p.Add(origin, plan.DirOpen{Path: "/proc", Into: plan.SlotProc})
		return
	}
	proc := plan.Fsmount{Fstype: "proc", Attr: attrNosuid | attrNodev | attrNoexec, Into: plan.SlotProc}
	if c.unprivileged() && !c.isNew(specs.PIDNamespace) {
		// That of another's pid namespace cannot be mounted, but be used.
		c.p.AddTolerant(origin, proc, 1, errEPERM)
		c.p.Add(origin, plan.DirOpen{Path: "/proc", Into: plan.SlotProc})
		return
	}
	c.p.Add(origin, proc)
}

func quote(s string) string { return `"` + s + `"` }

// absolute takes a relative path from /, as runc and crun do.
func absolute(p string) string { return path.Clean("/" + p) }

// moveRoot takes the host's procfs and sysfs out of a mount namespace of the
// container's own.
func (c *compiler) moveRoot() plan.MoveRoot {
	op := plan.MoveRoot{Root: plan.SlotRoot}
	if !c.isNew(specs.MountNamespace) {
		return op
	}
	for _, m := range c.Host.KernelMounts {
		op.Hide = append(op.Hide, m.Path)
		if !slices.Contains(op.Private, m.Parent) {
			op.Private = append(op.Private, m.Parent)
		}
	}
	return op
}

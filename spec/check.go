package spec

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Check finds everything that is wrong with a config.json as far as the
// document alone tells: problems, which keep it from running, and warnings,
// for what is odd and is run nevertheless.
//
// The measure is the runtime-spec's MUST, read with what users of runc and
// crun are used to: a config that runc runs is not refused for form's sake,
// so what runc shrugs at is a warning here. Refused beyond runc is only what
// would be applied otherwise than it reads (a mount on the host for want of a
// mount namespace, a NUL that cuts a string short on its way into the kernel)
// and what the kernel is known to refuse. Whether this host can do what is
// asked for is not asked here.
//
// A missing process is no problem: create does without, see [RequireProcess].
func Check(s *specs.Spec) (Problems, []string) {
	c := checker{spec: s}
	c.version()
	if c.platform() {
		c.everything()
	}
	return c.problems, c.warnings
}

// Validate gives the problems that Check finds.
func Validate(s *specs.Spec) Problems {
	problems, _ := Check(s)
	return problems
}

// Warnings gives the warnings of Check, one line each.
func Warnings(s *specs.Spec) []string {
	_, warnings := Check(s)
	return warnings
}

// CheckProcess is Check for a process of its own, as exec --process reads it.
// Fields are named from its top: args, not process.args.
func CheckProcess(p *specs.Process) (Problems, []string) {
	c := checker{spec: &specs.Spec{}}
	c.process(p)
	return c.problems, c.warnings
}

// CheckResources is Check for resources of their own, as update --resources
// reads them. Fields are named from their top: pids.limit.
func CheckResources(r *specs.LinuxResources) (Problems, []string) {
	c := checker{spec: &specs.Spec{}}
	c.resources(r)
	return c.problems, c.warnings
}

// RequireProcess gives the problem of a config.json without a process: create
// may do without one, start must not (runtime.md, Start).
func RequireProcess(s *specs.Spec) error {
	if s.Process != nil {
		return nil
	}
	return Problems{{"process", "is missing", "name a program in process.args and a folder in process.cwd"}}
}

// A checker gathers what is wrong. Checking is on the way of every start, so
// paths of fields are put together only once there is something to say.
type checker struct {
	spec     *specs.Spec
	base     string // what field names are relative to, "" or e.g. linux.seccomp
	problems Problems
	warnings []string
}

func (c *checker) problem(field, cause, fix string) {
	c.problems = append(c.problems, Problem{c.path(field), cause, fix})
}

func (c *checker) warn(field, text string) {
	c.warnings = append(c.warnings, c.path(field)+": "+text)
}

func (c *checker) path(field string) string {
	switch {
	case c.base == "":
		return field
	case field == "":
		return c.base
	}
	return c.base + "." + field
}

// text refuses a NUL: the kernel's strings end there, so what was checked
// would not be what is used.
func (c *checker) text(field, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		c.problem(field, quote(s)+" has a NUL in it, which ends it for the kernel", `remove the \u0000`)
	}
}

// texts is text for each of a list.
func (c *checker) texts(field string, list []string) {
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			c.text(item(field, i), s)
		}
	}
}

// everything runs the checks, section by section of config.json.
func (c *checker) everything() {
	s := c.spec
	if s.Process != nil {
		c.base = "process"
		c.process(s.Process)
	}
	c.base = ""
	c.root()
	c.names()
	c.mounts()
	if s.Hooks != nil {
		c.base = "hooks"
		c.hooks(s.Hooks)
		c.base = ""
	}
	if _, empty := s.Annotations[""]; empty {
		c.warn("annotations", "a key is empty, which the runtime-spec does not allow")
	}
	if s.Linux != nil {
		c.linux(s.Linux)
	}
}

// linux runs the checks of the linux section.
func (c *checker) linux(l *specs.Linux) {
	c.base = "linux"
	c.namespaces(l.Namespaces)
	c.userNamespace(l)
	c.timeOffsets(l.TimeOffsets)
	c.sysctls(l.Sysctl)
	c.cgroupsPath(l.CgroupsPath)
	c.devices(l.Devices)
	c.netDevices(l.NetDevices)
	c.rootfsPropagation(l.RootfsPropagation)
	c.hiddenPaths("maskedPaths", l.MaskedPaths)
	c.hiddenPaths("readonlyPaths", l.ReadonlyPaths)
	c.text("mountLabel", l.MountLabel)
	c.personality(l.Personality)
	if l.Resources != nil {
		c.base = "linux.resources"
		c.resources(l.Resources)
	}
	if l.Seccomp != nil {
		c.base = "linux.seccomp"
		c.seccomp(l.Seccomp)
	}
	if l.IntelRdt != nil {
		c.base = "linux.intelRdt"
		c.intelRdt(l.IntelRdt)
	}
	if l.MemoryPolicy != nil {
		c.base = "linux.memoryPolicy"
		c.memoryPolicy(l.MemoryPolicy)
	}
	c.base = ""
}

// wordList spells out words for a message: a, b or c.
func wordList(words ...string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

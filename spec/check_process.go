package spec

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// process checks the process (config.md, Process).
func (c *checker) process(p *specs.Process) {
	c.args(p.Args)
	c.cwd(p.Cwd)
	c.environment("env", p.Env)
	c.user(&p.User)
	if p.Terminal && p.ConsoleSize != nil && max(p.ConsoleSize.Height, p.ConsoleSize.Width) > math.MaxUint16 {
		c.warn("consoleSize", "a terminal has at most 65535 rows and columns: more are not set")
	}
	c.capabilities(p.Capabilities)
	c.rlimits(p.Rlimits)
	c.text("apparmorProfile", p.ApparmorProfile)
	c.text("selinuxLabel", p.SelinuxLabel)
	if p.OOMScoreAdj != nil && (*p.OOMScoreAdj < -1000 || *p.OOMScoreAdj > 1000) {
		c.problem("oomScoreAdj", strconv.Itoa(*p.OOMScoreAdj)+" is out of range", "use -1000 to 1000")
	}
	c.scheduler(p.Scheduler)
	c.ioPriority(p.IOPriority)
	if a := p.ExecCPUAffinity; a != nil {
		c.cpuList("execCPUAffinity.initial", a.Initial)
		c.cpuList("execCPUAffinity.final", a.Final)
	}
}

func (c *checker) args(args []string) {
	switch {
	case len(args) == 0:
		c.problem("args", "is empty", "name the program to run")
	case args[0] == "":
		c.problem("args[0]", "is empty", "name the program to run")
	}
	c.texts("args", args)
}

func (c *checker) cwd(cwd string) {
	switch {
	case cwd == "":
		c.problem("cwd", "is missing", `set it to a folder in the container, for instance "/"`)
	case cwd[0] != '/':
		c.problem("cwd", quote(cwd)+" is relative", "make it absolute")
	}
	c.text("cwd", cwd)
}

// environment checks env of the process and of hooks. environ(7) wants
// name=value; anything else reaches the program as it is, which is seldom
// meant, but programs cope.
func (c *checker) environment(field string, env []string) {
	for i, v := range env {
		if strings.IndexByte(v, '=') <= 0 {
			c.warn(item(field, i), quote(v)+" is not of the form NAME=VALUE")
		}
		if strings.IndexByte(v, 0) >= 0 {
			c.text(item(field, i), v)
		}
	}
}

// noID is (uid_t)-1. setresuid(2) and its sisters read it as "leave as it is":
// who asks for this user would stay root.
const noID = math.MaxUint32

func (c *checker) user(u *specs.User) {
	const cause, fix = "4294967295 means no user or group to the kernel", "use an id below it"
	if u.UID == noID {
		c.problem("user.uid", cause, fix)
	}
	if u.GID == noID {
		c.problem("user.gid", cause, fix)
	}
	if i := slices.Index(u.AdditionalGids, noID); i >= 0 {
		c.problem(item("user.additionalGids", i), cause, fix)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		c.warn("user.umask", strconv.FormatUint(uint64(*u.Umask), 10)+" has bits beyond 511 (octal 777): they have no effect")
	}
}

// capabilities warns of what cannot be granted; the runtime-spec forbids to
// fail for it (config.md, Linux Process, capabilities).
func (c *checker) capabilities(caps *specs.LinuxCapabilities) {
	if caps == nil {
		return
	}
	var unknown []string
	set := func(names []string) (bits uint64) {
		for _, name := range names {
			if n, ok := Capability(name); ok {
				bits |= 1 << n
			} else if !slices.Contains(unknown, name) {
				unknown = append(unknown, name)
			}
		}
		return bits
	}
	bounding, effective, permitted := set(caps.Bounding), set(caps.Effective), set(caps.Permitted)
	inheritable, ambient := set(caps.Inheritable), set(caps.Ambient)
	for _, name := range unknown {
		c.warn("capabilities", quote(name)+" is unknown: left out")
	}
	// What capset(2) and prctl(2) PR_CAP_AMBIENT_RAISE ask of the sets.
	left := func(names []string, bits uint64) string {
		var out []string
		for _, name := range names {
			if n, ok := Capability(name); ok && bits&(1<<n) != 0 {
				out = append(out, name)
			}
		}
		return strings.Join(out, ", ")
	}
	if bits := effective &^ permitted; bits != 0 {
		c.warn("capabilities.effective", left(caps.Effective, bits)+" not in permitted: cannot be granted")
	}
	if bits := inheritable &^ bounding; bits != 0 {
		c.warn("capabilities.inheritable", left(caps.Inheritable, bits)+" not in bounding: cannot be granted")
	}
	if bits := ambient &^ (permitted & inheritable); bits != 0 {
		c.warn("capabilities.ambient", left(caps.Ambient, bits)+" not in both permitted and inheritable: cannot be granted")
	}
}

func (c *checker) rlimits(limits []specs.POSIXRlimit) {
	seen := 0
	for i := range limits {
		l := &limits[i]
		n, ok := Rlimit(l.Type)
		switch {
		case !ok:
			c.problem(item("rlimits", i)+".type", quote(l.Type)+" is no resource limit", "use a name of getrlimit(2), such as RLIMIT_NOFILE")
			continue
		case seen&(1<<n) != 0:
			c.problem(item("rlimits", i)+".type", l.Type+" is given twice", "keep one of them")
		case l.Soft > l.Hard:
			c.problem(item("rlimits", i)+".soft", strconv.FormatUint(l.Soft, 10)+" is above the hard limit of "+strconv.FormatUint(l.Hard, 10), "lower it, or raise hard")
		}
		seen |= 1 << n
	}
}

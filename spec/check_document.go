package spec

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// version checks ociVersion (config.md, Specification version). Every 1.x is
// taken: within a major version old configs stay valid, and fields of a newer
// minor one are either unknown, and to be ignored, or refused by their values.
func (c *checker) version() {
	v := c.spec.Version
	major, ok := semver(v)
	switch {
	case v == "":
		c.problem("ociVersion", "is missing", `set it to "`+Version+`"`)
	case major == "1" && !ok:
		c.warn("ociVersion", quote(v)+" is not of the form 1.2.3: taken as 1.x")
	case !ok:
		c.problem("ociVersion", quote(v)+" is not a version of the runtime-spec", `use one of the form "`+Version+`"`)
	case major != "1":
		c.problem("ociVersion", quote(v)+" is of another major version of the runtime-spec, and only 1.x is known here", "write the config.json for 1.x")
	}
}

// semver cuts a version apart as SemVer 2.0.0 wants it. The major number is
// given even when what follows is not as it must be.
func semver(v string) (major string, ok bool) {
	core, build, plus := strings.Cut(v, "+")
	core, pre, dash := strings.Cut(core, "-")
	numbers := strings.Split(core, ".")
	ok = len(numbers) == 3 && (!plus || identifiers(build)) && (!dash || identifiers(pre))
	for _, n := range numbers {
		ok = ok && n != "" && digits(n, 0) == len(n) && (n == "0" || n[0] != '0')
	}
	return numbers[0], ok
}

// identifiers reports whether s is what SemVer allows behind - and +.
func identifiers(s string) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" {
			return false
		}
		for i := range len(id) {
			if c := id[i]; c != '-' && c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

// platform checks whom the config is for and reports whether it makes sense to
// look further: a config for Windows is refused for that, and not for the lack
// of what a Linux one has.
func (c *checker) platform() bool {
	s, ours := c.spec, true
	foreign := func(present bool, field, name string) {
		switch {
		case !present:
		case s.Linux == nil:
			ours = false
			c.problem(field, "this is a config for "+name+", and berth runs Linux containers", "use a runtime for "+name+", or give the config a linux section")
		default:
			c.warn(field, "ignored, since there is a linux section")
		}
	}
	foreign(s.Solaris != nil, "solaris", "Solaris")
	foreign(s.Windows != nil, "windows", "Windows")
	foreign(s.VM != nil, "vm", "virtual machines")
	foreign(s.ZOS != nil, "zos", "z/OS")
	foreign(s.FreeBSD != nil, "freebsd", "FreeBSD")
	return ours
}

// root checks the root filesystem (config.md, Root).
func (c *checker) root() {
	r := c.spec.Root
	switch {
	case r == nil:
		c.problem("root", "is missing", `set root.path to the folder of the container's files, usually "rootfs"`)
		return
	case r.Path == "":
		c.problem("root.path", "is empty", `set it to the folder of the container's files, usually "rootfs"`)
	}
	c.text("root.path", r.Path)
	if r.Readonly && !c.has(specs.MountNamespace) {
		c.problem("root.readonly", "would change the host's mounts", needs(specs.MountNamespace))
	}
}

// nameMax is __NEW_UTS_LEN, what sethostname(2) and setdomainname(2) take.
const nameMax = 64

// names checks hostname and domainname (config.md).
func (c *checker) names() {
	c.utsName("hostname", c.spec.Hostname)
	c.utsName("domainname", c.spec.Domainname)
}

func (c *checker) utsName(field, name string) {
	if name == "" {
		return
	}
	c.text(field, name)
	if len(name) > nameMax {
		c.problem(field, quote(name)+" is longer than 64 bytes", "shorten it")
	}
	if !c.has(specs.UTSNamespace) {
		c.problem(field, "would change the host's", needs(specs.UTSNamespace))
	}
}

// hooks checks the hooks (config.md, POSIX-platform Hooks).
func (c *checker) hooks(h *specs.Hooks) {
	c.hookList("prestart", h.Prestart) //nolint:staticcheck // deprecated, and still what engines write
	c.hookList("createRuntime", h.CreateRuntime)
	c.hookList("createContainer", h.CreateContainer)
	c.hookList("startContainer", h.StartContainer)
	c.hookList("poststart", h.Poststart)
	c.hookList("poststop", h.Poststop)
}

func (c *checker) hookList(name string, hooks []specs.Hook) {
	for i := range hooks {
		h, field := &hooks[i], item(name, i)
		switch {
		case h.Path == "":
			c.problem(field+".path", "is empty", "name the program to run, with its absolute path")
		case h.Path[0] != '/':
			c.problem(field+".path", quote(h.Path)+" is relative", "make it absolute: hooks are not looked up in PATH")
		}
		c.text(field+".path", h.Path)
		c.texts(field+".args", h.Args)
		c.environment(field+".env", h.Env)
		if h.Timeout != nil && *h.Timeout <= 0 {
			c.problem(field+".timeout", "is not greater than 0", "give the seconds that the hook may take, or leave it out for no limit")
		}
	}
}

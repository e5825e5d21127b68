package compile

import (
	"slices"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
	"berth/spec"
)

// beforeCgroup compiles what needs no cgroup, so that the process does it while the
// parent still makes that. rest are the mounts that are to come: what these could cover,
// or be covered by, comes after them, as config.json has it.
func (c *compiler) beforeCgroup(rest []specs.Mount) {
	later := make([]string, 0, len(rest)+2)
	for i := range rest {
		later = append(later, absolute(rest[i].Destination))
	}
	if !slices.ContainsFunc(later, c.coversDevice) {
		c.compileDevices()
	}
	if p := c.Spec.Process; p != nil && p.Terminal {
		later = append(later, "/dev/pts", "/dev/console")
	}
	// Devices are moved into the network namespace before anything is set there.
	if !c.hasHooks() && len(c.linux().NetDevices) == 0 && !slices.ContainsFunc(later, c.touchesMask) {
		c.compileClosing()
	}
}

// coversDevice says whether a mount at target would hide a device node or a link beside
// them.
func (c *compiler) coversDevice(target string) bool {
	for _, d := range defaultDevices() {
		if below(d.path, target) {
			return true
		}
	}
	for _, l := range devLinks() {
		if l.at == target {
			return true
		}
	}
	return slices.ContainsFunc(c.linux().Devices, func(d specs.LinuxDevice) bool { return below(absolute(d.Path), target) })
}

// touchesMask says whether a masked or read-only path lies at a mount's target, below it
// or above it.
func (c *compiler) touchesMask(target string) bool {
	touches := func(p string) bool {
		p = absolute(p)
		return below(p, target) || below(target, p)
	}
	l := c.linux()
	return slices.ContainsFunc(l.MaskedPaths, touches) || slices.ContainsFunc(l.ReadonlyPaths, touches)
}

// below says whether p is folder or lies in it; both are clean and absolute.
func below(p, folder string) bool {
	return p == folder || folder == "/" || strings.HasPrefix(p, folder) && p[len(folder)] == '/'
}

// compileClosing gives the container its names and kernel parameters, and closes what its
// processes are not to see or write. Hooks come before.
func (c *compiler) compileClosing() {
	if c.closed {
		return
	}
	c.closed = true
	c.compileNames()
	c.compileSysctl()
	c.compileMasks()
}

func (c *compiler) compileNames() {
	if c.isNew(specs.NetworkNamespace) {
		c.p.Add(plan.At("linux.namespaces"), plan.Loopback{})
	}
	if c.Spec.Hostname != "" {
		c.p.Add(plan.At("hostname"), plan.Sethostname{Name: c.Spec.Hostname})
	}
	if c.Spec.Domainname != "" {
		c.p.Add(plan.At("domainname"), plan.Setdomainname{Name: c.Spec.Domainname})
	}
}

// compileSysctl writes the kernel parameters of the container's namespaces.
func (c *compiler) compileSysctl() {
	sysctl := c.linux().Sysctl
	if len(sysctl) == 0 {
		return
	}
	keys := make([]string, 0, len(sysctl))
	for k := range sysctl {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		origin := plan.At("linux.sysctl." + k)
		path, ok := spec.SysctlPath(k)
		if !ok {
			c.problem(origin, "is no kernel parameter: name it as sysctl(8) does, such as net.ipv4.ip_forward")
			continue
		}
		c.needProc(origin)
		c.p.Add(origin, plan.WriteProc{Proc: plan.SlotProc, Path: "sys/" + path, Data: sysctl[k]})
	}
}

func (c *compiler) compileMasks() {
	l := c.linux()
	if !c.has(specs.MountNamespace) {
		if len(l.MaskedPaths) > 0 || len(l.ReadonlyPaths) > 0 {
			c.problem(plan.At("linux.maskedPaths"), "masked and read-only paths need a mount namespace in linux.namespaces")
		}
		return
	}
	for i, p := range l.ReadonlyPaths {
		c.p.Add(plan.Origin{Field: "linux.readonlyPaths", Index: i}, plan.Readonly{Root: plan.SlotRoot, Path: absolute(p)})
	}
	if label := c.mountContext("tmpfs"); label != "" && len(l.MaskedPaths) > 0 {
		// The executor would make one without a label.
		c.p.Add(plan.At("linux.mountLabel"), plan.Fsmount{Fstype: "tmpfs", Source: "tmpfs", Into: plan.SlotMaskDir,
			Params: []string{"nr_blocks=1", "nr_inodes=1", "mode=0755", "ro", label}, Attr: attrRdonly | attrNosuid | attrNodev | attrNoexec})
	}
	for i, p := range l.MaskedPaths {
		c.p.Add(plan.Origin{Field: "linux.maskedPaths", Index: i},
			plan.Mask{Root: plan.SlotRoot, Path: absolute(p), Null: plan.SlotNull, Dir: plan.SlotMaskDir})
	}
}

package compile

import (
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// device is a node to make.
type device struct {
	path         string
	kind         string
	major, minor int64
	mode         uint32
	uid, gid     uint32
	origin       plan.Origin
}

// defaultDevices are those of config-linux.md, "Default Devices". /dev/console
// comes with a terminal, /dev/ptmx with devpts.
func defaultDevices() []device {
	origin := plan.At("default devices")
	return []device{
		{"/dev/null", "c", 1, 3, 0o666, 0, 0, origin},
		{"/dev/zero", "c", 1, 5, 0o666, 0, 0, origin},
		{"/dev/full", "c", 1, 7, 0o666, 0, 0, origin},
		{"/dev/tty", "c", 5, 0, 0o666, 0, 0, origin},
		{"/dev/random", "c", 1, 8, 0o666, 0, 0, origin},
		{"/dev/urandom", "c", 1, 9, 0o666, 0, 0, origin},
	}
}

func (c *compiler) compileDevices() {
	if c.deviceDone || !c.has(specs.MountNamespace) || c.devBind {
		return
	}
	c.deviceDone = true
	asked := c.linux().Devices
	for _, d := range defaultDevices() {
		if !named(asked, d.path) {
			c.mknod(&d)
		}
	}
	for i := range asked {
		c.mknod(specDevice(&asked[i], i))
	}
	c.compileLinks()
}

func named(devices []specs.LinuxDevice, p string) bool {
	for i := range devices {
		if absolute(devices[i].Path) == p {
			return true
		}
	}
	return false
}

func specDevice(d *specs.LinuxDevice, i int) *device {
	out := &device{path: absolute(d.Path), kind: d.Type, major: d.Major, minor: d.Minor, mode: 0o666,
		origin: plan.Origin{Field: "linux.devices", Index: i, Name: d.Path}}
	if d.FileMode != nil {
		out.mode = uint32(*d.FileMode) & 0o7777
	}
	if d.UID != nil {
		out.uid = *d.UID
	}
	if d.GID != nil {
		out.gid = *d.GID
	}
	return out
}

// mknod makes a node, or binds the host's where making one is not permitted.
func (c *compiler) mknod(d *device) {
	var kind uint32
	switch d.kind {
	case "c", "u":
		kind = sIFCHR
	case "b":
		kind = sIFBLK
	case "p":
		kind = sIFIFO
	default:
		c.problem(d.origin, "type "+quote(d.kind)+" is none of c, b, u and p")
		return
	}
	if d.path == "/dev/ptmx" {
		return // a link into the container's own devpts
	}
	op := plan.Mknod{Root: plan.SlotRoot, Path: d.path, Mode: kind | d.mode, UID: d.uid, GID: d.gid}
	if kind == sIFIFO {
		c.p.Add(d.origin, op)
		return
	}
	op.Dev = makedev(d.major, d.minor)
	c.p.AddTolerant(d.origin, op, 3, errEPERM)
	c.p.Add(d.origin, plan.OpenTree{Path: d.path, Into: plan.SlotMount})
	// It can be written to as before; its owner and mode are the host's affair.
	c.p.Add(d.origin, plan.MountSetattr{Mount: plan.SlotMount, Set: attrRdonly | attrNosuid | attrNoexec})
	c.p.Add(d.origin, plan.Attach{Mount: plan.SlotMount, Root: plan.SlotRoot, Target: d.path, Create: plan.KindFile, Nofollow: true})
}

// devLink is a link that every container has in /dev.
type devLink struct{ at, to string }

// devLinks are those of config-linux.md, "Dev symbolic links".
func devLinks() []devLink {
	return []devLink{
		{"/dev/ptmx", "pts/ptmx"},
		{"/dev/fd", "/proc/self/fd"},
		{"/dev/stdin", "/proc/self/fd/0"},
		{"/dev/stdout", "/proc/self/fd/1"},
		{"/dev/stderr", "/proc/self/fd/2"},
		{"/dev/core", "/proc/kcore"}, // where the host has that
	}
}

func (c *compiler) compileLinks() {
	for _, l := range devLinks() {
		if l.at != "/dev/core" || c.Host.Kcore {
			c.p.Add(plan.At("default devices"), plan.Symlink{Root: plan.SlotRoot, Path: l.at, To: l.to})
		}
	}
}

// compileConsole makes the terminal of process.terminal and binds it over
// /dev/console.
func (c *compiler) compileConsole() {
	p := c.Spec.Process
	if p == nil || !p.Terminal {
		return
	}
	origin := plan.At("process.terminal")
	c.out.Console = true
	open := plan.PtyOpen{Pts: plan.SlotPts, Master: plan.SlotMaster, Slave: plan.SlotSlave, UID: p.User.UID}
	if p.ConsoleSize != nil {
		open.Rows, open.Cols = uint32(p.ConsoleSize.Height), uint32(p.ConsoleSize.Width)
	}
	c.p.Add(origin, plan.OpenPath{Root: plan.SlotRoot, Path: "/dev/pts", Into: plan.SlotPts})
	c.p.Add(origin, open)
	if c.has(specs.MountNamespace) {
		c.p.Add(origin, plan.OpenTree{From: plan.SlotSlave, Into: plan.SlotMount})
		// A link there would bring the terminal to where it leads (CVE-2025-52565).
		c.p.Add(origin, plan.Attach{Mount: plan.SlotMount, Root: plan.SlotRoot, Target: "/dev/console", Create: plan.KindFile, Nofollow: true})
	}
	c.p.Add(origin, plan.Sync{Point: plan.PointConsole, Send: plan.SlotMaster})
	c.p.Add(origin, plan.CloseSlot{Slot: plan.SlotMaster})
	c.p.Add(origin, plan.PtyStdio{Slave: plan.SlotSlave})
}

// candidates lists where a program may be; execvp(3).
func candidates(file string, env []string) []string {
	if strings.Contains(file, "/") || file == "" {
		return []string{file}
	}
	search := "/bin:/usr/bin" // confstr(3), _CS_PATH
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	var out []string
	for _, dir := range strings.Split(search, ":") {
		if dir == "" {
			dir = "."
		}
		out = append(out, path.Join(dir, file))
	}
	return out
}

package compile

import (
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// fsconfigMax is the longest value that fsconfig(2) takes; longer options go
// through mount(2).
const fsconfigMax = 255

// refresh is a mount that becomes read-only once everything is mounted and
// made inside it.
type refresh struct {
	origin plan.Origin
	target string
}

func (c *compiler) compileMounts() {
	mounts := c.Spec.Mounts
	if !c.has(specs.MountNamespace) {
		if len(mounts) > 0 {
			c.problem(plan.At("mounts"), "need a mount namespace: add {\"type\": \"mount\"} to linux.namespaces")
		}
		return
	}
	if len(c.linux().MaskedPaths) > 0 {
		c.p.Add(plan.At("linux.maskedPaths"), plan.OpenNull{Into: plan.SlotNull})
	}
	for i := range mounts {
		if t := mounts[i].Type; t == "cgroup" || t == "cgroup2" {
			c.beforeCgroup(mounts[i:])
		}
		c.compileMount(i, &mounts[i])
	}
}

func (c *compiler) compileMount(i int, m *specs.Mount) {
	origin := plan.Origin{Field: "mounts", Index: i, Name: m.Destination}
	target := path.Clean("/" + m.Destination)
	if m.Destination == "" {
		c.problem(origin, "destination is missing: say where in the container to mount")
		return
	}
	o := parseOptions(m.Options)
	if m.Type == "bind" {
		o.bind = true
	}
	idmap, ok := c.idmap(origin, m, &o)
	if !ok || !c.canRecurse(origin, &o) {
		return
	}
	if !o.bind && m.Type == "" && o.legacy&msRemount == 0 {
		c.problem(origin, "type is missing: name a file system, or bind in options")
		return
	}
	inProc, ok := procTarget(target, o.bind)
	if !ok {
		c.problem(origin, "destination "+target+" lies inside /proc, where only files such as /proc/cpuinfo may be bound: mount it elsewhere")
		return
	}
	if c.adding && !c.canAdd(origin, m, &o) {
		return
	}
	at := plan.Attach{Mount: plan.SlotMount, Root: plan.SlotRoot, Target: target, Create: plan.KindDir,
		Nofollow: o.dstNofollow, InProc: inProc}
	switch {
	case o.bind && o.legacy&msRemount == 0:
		c.compileBind(origin, m, &o, at, idmap)
	case o.legacy != 0 || tooLong(o.params):
		c.compileLegacy(origin, m, &o, at)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		c.compileCgroupMount(origin, m, &o, at)
	default:
		c.compileFsmount(origin, m, &o, at)
	}
}

// procTarget says whether a target lies in /proc, and whether that is allowed:
// what set-up itself relies on there must not be covered (CVE-2019-16884).
func procTarget(target string, bind bool) (inProc, ok bool) {
	rest, inProc := strings.CutPrefix(target, "/proc/")
	if !inProc {
		return false, true
	}
	if !bind {
		// A file system below /proc, such as binfmt_misc, covers no file that
		// set-up writes to.
		return true, rest == "sys/fs/binfmt_misc"
	}
	switch rest {
	case "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
		"sys/kernel/ns_last_pid", "sys/crypto/fips_enabled", "net/dev":
		return true, true
	}
	return true, false
}

func tooLong(params []string) bool {
	for _, p := range params {
		if _, v, _ := strings.Cut(p, "="); len(v) > fsconfigMax {
			return true
		}
	}
	return false
}

// compileBind clones a tree of the host's and mounts the clone.
func (c *compiler) compileBind(origin plan.Origin, m *specs.Mount, o *options, at plan.Attach, idmap *IDMap) {
	if o.dropSuper() {
		c.warn(origin.String() + ": what acts on a whole file system (sync, dirsync, lazytime, mand, acl, iversion and their opposites, parameters such as size=1k) has no effect on a bind mount and is left out")
	}
	if len(o.params) > 0 {
		c.problem(origin, "unknown mount option "+quote(o.params[0])+" of a bind mount: take it out")
		return
	}
	if o.copyUp {
		c.problem(origin, "tmpcopyup has no meaning for a bind mount: take it out")
		return
	}
	if m.Source == "" {
		c.problem(origin, "source is missing: a bind mount needs a file or folder of the host")
		return
	}
	source := m.Source
	if !path.IsAbs(source) {
		source = path.Join(c.Bundle, source)
	}
	if at.Target == "/dev" {
		c.devBind = true
	}
	at.Mount = c.bindSource(origin, Source{Path: source, Recursive: o.rbind, Nofollow: o.srcNofollow || o.copySymlink, IDMap: idmap})
	link := len(c.p.Steps)
	if o.copySymlink {
		// Where the source is no link, all the rest up to Attach.
		c.p.AddTolerant(origin, plan.CopyLink{From: at.Mount, Root: plan.SlotRoot, Path: at.Target}, 0, errEINVAL)
	}
	c.attributes(origin, at.Mount, o)
	wholeSys := source == "/sys" && o.rbind && o.set&attrRdonly != 0
	if wholeSys {
		// The cgroups of who runs berth are mounted in it, and "ro" is not for
		// what lies below (CVE-2023-25809). Before 5.12 each is made so where it is.
		c.p.AddTolerant(origin, plan.MountSetattr{Mount: at.Mount, Recursive: true, Set: attrRdonly}, 0, errENOSYS)
	}
	at.Create = plan.KindSource
	c.p.Add(origin, at)
	if wholeSys {
		c.readonlySys(origin, at.Target)
	}
	if o.copySymlink {
		c.p.Steps[link].Else = len(c.p.Steps) - link - 1
	}
	if at.Target == "/proc" {
		c.procMount = false // set-up writes to a procfs of its own
	}
}

// readonlySys makes what is mounted in the host's /sys read-only where that is
// bound at a target, on a kernel that cannot do so with the whole tree. What the
// container's user may not reach is not reached here either.
func (c *compiler) readonlySys(origin plan.Origin, target string) {
	for _, point := range c.Host.SysMounts {
		c.p.AddTolerant(origin, plan.Readonly{Root: plan.SlotRoot, Path: target + strings.TrimPrefix(point, "/sys")}, 0, errEACCES)
	}
}

// attributes changes what the option words ask for on the mount at hand.
func (c *compiler) attributes(origin plan.Origin, mount plan.Slot, o *options) {
	const times = attrAtimeMask | attrNodiratime
	whole := plan.MountSetattr{Mount: mount, Set: o.set, Clear: o.clear}
	rest := plan.MountSetattr{Mount: mount, Set: o.set &^ times, Clear: o.clear &^ times}
	switch {
	case o.set|o.clear == 0:
	case rest == whole || !c.unprivileged():
		c.p.Add(origin, whole)
	case rest.Set|rest.Clear == 0:
		// How access times are kept is locked in a user namespace, and no more than a
		// preference: what the host has stays.
		c.p.AddTolerant(origin, whole, 0, errEPERM)
	default:
		c.p.AddTolerant(origin, whole, 1, errEPERM)
		c.p.Add(origin, rest)
	}
	c.recursive(origin, mount, o)
}

// recursive changes the propagation, and with r words the mounts below too.
func (c *compiler) recursive(origin plan.Origin, mount plan.Slot, o *options) {
	if o.recSet|o.recClear != 0 {
		c.p.Add(origin, plan.MountSetattr{Mount: mount, Recursive: true, Set: o.recSet, Clear: o.recClear})
	}
	for _, f := range o.propagation {
		c.p.Add(origin, plan.MountSetattr{Mount: mount, Recursive: f&msRec != 0, Propagation: f &^ msRec})
	}
}

// compileFsmount makes a new mount of a file system.
func (c *compiler) compileFsmount(origin plan.Origin, m *specs.Mount, o *options, at plan.Attach) {
	into := plan.SlotMount
	if m.Type == "proc" && at.Target == "/proc" {
		into = plan.SlotProc
		c.procMount = true
	}
	at.Nosymlink = kernelTree(m.Type)
	set := o.set
	if set&attrRdonly != 0 && !sharedSuper(m.Type) && !c.fillsLater(m.Type, at.Target) {
		o.params = append(o.params, "ro")
	}
	if set&attrRdonly != 0 && c.fillsLater(m.Type, at.Target) {
		set &^= attrRdonly
		c.late = append(c.late, refresh{origin, at.Target})
	}
	source := m.Source
	if source == "" {
		source = m.Type
	}
	fsmount := plan.Fsmount{Fstype: m.Type, Source: source, Params: c.labelled(m.Type, o.params), Attr: set, Into: into}
	nosymfollow := c.tooOldForFsmount(set)
	if nosymfollow {
		fsmount.Attr &^= attrNosymfollow
	}
	hosts := ""
	if c.unprivileged() {
		hosts = hostsOwn(m.Type)
	}
	if hosts != "" {
		c.p.AddTolerant(origin, fsmount, 2, errEPERM)
		c.p.Add(origin, plan.OpenTree{Path: hosts, Recursive: true, Into: into})
		c.p.Add(origin, plan.MountSetattr{Mount: into, Recursive: c.Host.MountSetattr, Set: set})
	} else {
		c.p.Add(origin, fsmount)
	}
	if o.copyUp {
		c.p.Add(origin, plan.CopyUp{Root: plan.SlotRoot, Path: at.Target, Mount: into})
	}
	at.Mount = into
	if nosymfollow {
		c.p.Add(origin, plan.MountSetattr{Mount: into, Set: attrNosymfollow})
	}
	c.recursive(origin, into, o)
	c.p.Add(origin, at)
	if hosts == "/sys" && set&attrRdonly != 0 {
		c.readonlySys(origin, at.Target)
	}
	if m.Type == "proc" && at.Target == "/proc" && hidesSys(o.params) {
		c.procMount = false // sysctl needs one with /proc/sys
	}
}

// tooOldForFsmount says whether a mount is to have nosymfollow on a kernel that
// knows this of mount(2) only (Linux 5.10), and not yet of fsmount(2) and
// mount_setattr(2) (5.14).
func (c *compiler) tooOldForFsmount(set uint64) bool {
	return set&attrNosymfollow != 0 && !c.Host.Kernel.AtLeast(5, 14)
}

// hostsOwn is where the host has a file system that shows the same as a new one
// would, which may be mounted only by who owns the network namespace (sysfs) or
// the IPC namespace (mqueue); "" for others.
func hostsOwn(fstype string) string {
	switch fstype {
	case "sysfs":
		return "/sys"
	case "mqueue":
		return "/dev/mqueue"
	}
	return ""
}

// kernelTree says whether a file system must be mounted where its target says,
// and not where a link in the rootfs leads: what is written to and hidden in
// /proc and /sys is the kernel's own (CVE-2019-19921).
func kernelTree(fstype string) bool { return fstype == "proc" || fstype == "sysfs" }

func hidesSys(params []string) bool {
	for _, p := range params {
		if strings.HasPrefix(p, "subset=") {
			return true
		}
	}
	return false
}

// sharedSuper says whether a file system's superblock may be shared with the
// host or another container: then only the mount becomes read-only.
func sharedSuper(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "mqueue", "devpts", "cgroup", "cgroup2", "tmpfs", "ramfs":
		return true
	}
	return false
}

// fillsLater says whether set-up still makes files in a mount: nodes in /dev,
// mount points of later mounts in a tmpfs.
func (c *compiler) fillsLater(fstype, target string) bool {
	return target == "/dev" || fstype == "tmpfs"
}

// compileLegacy mounts with mount(2) what the newer calls cannot express.
func (c *compiler) compileLegacy(origin plan.Origin, m *specs.Mount, o *options, at plan.Attach) {
	flags := o.mountFlags()
	if o.bind {
		flags |= msBind
	}
	create := at.Create
	if o.legacy&msRemount != 0 {
		create = plan.KindNone
	}
	if o.copyUp {
		c.problem(origin, "tmpcopyup cannot be combined with remount, acl, iversion or silent: take one out")
	}
	data := o.data()
	if label := c.mountContext(m.Type); label != "" && flags&(msBind|msRemount) == 0 {
		// A label may have commas in it, which quotes keep together.
		key, value, _ := strings.Cut(label, "=")
		data = strings.TrimPrefix(data+","+key+`="`+value+`"`, ",")
	}
	c.p.Add(origin, plan.MountData{Fstype: m.Type, Source: m.Source, Data: data, Flags: flags,
		Root: plan.SlotRoot, Target: at.Target, Create: create,
		Nosymlink: kernelTree(m.Type), InProc: at.InProc || at.Target == "/proc"})
	if len(o.propagation) > 0 || o.recSet|o.recClear != 0 {
		c.p.Add(origin, plan.OpenPath{Root: plan.SlotRoot, Path: at.Target, Into: plan.SlotMount})
		c.recursive(origin, plan.SlotMount, o)
	}
}

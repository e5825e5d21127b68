// Package cgroups turns the resource limits of a container's configuration into
// writes to cgroup files, and the kernel's cgroup files into statistics.
//
// It is pure: it neither reads nor writes anything. What it has to know of the
// host comes in as a [Layout]; what is to be done goes out as a [Placement]
// (which folder in which hierarchy) and a list of [Write] (which value to which
// file, and the place in config.json that asked for it). Package
// cgroups/fs carries both out; cgroups/systemd hands them to systemd.
//
// Sources: runtime-spec config-linux.md ("Control groups"), cgroups(7), the
// kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
package cgroups

import (
	"bytes"
	"errors"
	"strings"
)

// Mode says which of the kernel's two cgroup interfaces a host has mounted.
type Mode uint8

// The three layouts found on hosts, named as systemd names them.
const (
	// V1 is the legacy layout: a hierarchy for each controller, no v2 mount.
	V1 Mode = iota + 1
	// Hybrid has v1 hierarchies and a v2 hierarchy beside them; a controller
	// lives in exactly one of the two.
	Hybrid
	// V2 is the unified layout: one v2 hierarchy with all controllers.
	V2
)

// String names the layout as messages and `berth features` show it.
func (m Mode) String() string {
	switch m {
	case V1:
		return "cgroup v1"
	case Hybrid:
		return "cgroup hybrid"
	case V2:
		return "cgroup v2"
	}
	return "no cgroups"
}

// SystemdName is the name of the controller-less v1 hierarchy in which systemd
// keeps its units; a container gets a folder there like in any other.
const SystemdName = "systemd"

// Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	// Mountpoint is where the tree is mounted, for example
	// /sys/fs/cgroup/cpu,cpuacct.
	Mountpoint string
	// Root is the cgroup seen at Mountpoint, "/" unless the mount shows only a
	// part of the tree (field 4 of mountinfo).
	Root string
	// Own is the cgroup of this process, as /proc/self/cgroup gives it:
	// relative to the cgroup namespace's root, not to Mountpoint.
	Own string
	// Controllers are those of a v1 mount (several when co-mounted), or those a
	// v2 mount's cgroup.controllers lists.
	Controllers []string
	// Name is that of a named v1 hierarchy (name=systemd), else empty.
	Name string
	// Unified marks the v2 hierarchy.
	Unified bool
}

// Has tells whether the hierarchy has the controller.
func (h *Hierarchy) Has(controller string) bool {
	return has(h.Controllers, controller)
}

func has(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}

// Layout is what limits and placement depend on of this host: its mounted
// hierarchies, v1 ones in the order of /proc/self/cgroup, the v2 one last.
type Layout struct {
	Mode        Mode
	Hierarchies []Hierarchy
}

// Find returns the hierarchy that has the controller, nil where none has it.
// The v1 and v2 names of the block controller differ: blkio and io.
func (l *Layout) Find(controller string) *Hierarchy {
	for i := range l.Hierarchies {
		if l.Hierarchies[i].Has(controller) {
			return &l.Hierarchies[i]
		}
	}
	return nil
}

// Unified returns the v2 hierarchy, nil on a pure v1 host.
func (l *Layout) Unified() *Hierarchy {
	for i := range l.Hierarchies {
		if l.Hierarchies[i].Unified {
			return &l.Hierarchies[i]
		}
	}
	return nil
}

// ErrNoCgroups is returned where the kernel has cgroups but none is mounted.
var ErrNoCgroups = errors.New("no cgroup hierarchy is mounted: mount one (mount -t cgroup2 none /sys/fs/cgroup)")

// ParseV2 describes a host whose /sys/fs/cgroup is itself a cgroup2 mount,
// which spares reading mountinfo. selfCgroup is the content of
// /proc/self/cgroup, controllers that of cgroup.controllers at mountpoint.
func ParseV2(mountpoint string, selfCgroup, controllers []byte) *Layout {
	h := Hierarchy{Mountpoint: mountpoint, Root: "/", Own: "/", Unified: true, Controllers: ParseControllers(controllers)}
	for _, own := range ParseSelfCgroup(selfCgroup) {
		if own.Unified {
			h.Own = own.Own
		}
	}
	return &Layout{Mode: V2, Hierarchies: []Hierarchy{h}}
}

// Parse describes a v1 or hybrid host from the contents of /proc/self/cgroup
// and /proc/self/mountinfo. The v2 hierarchy's controllers are left empty: they
// stand in its cgroup.controllers, see [ParseControllers]. A hierarchy that is
// mounted nowhere is left out.
func Parse(selfCgroup, mountinfo []byte) (*Layout, error) {
	hierarchies := ParseSelfCgroup(selfCgroup)
	ParseMountinfo(mountinfo, hierarchies)
	l := &Layout{}
	unified := -1
	for i := range hierarchies {
		switch {
		case hierarchies[i].Mountpoint == "":
		case hierarchies[i].Unified:
			unified = i
		default:
			l.Hierarchies = append(l.Hierarchies, hierarchies[i])
		}
	}
	switch {
	case unified >= 0 && len(l.Hierarchies) > 0:
		l.Mode = Hybrid
	case unified >= 0:
		l.Mode = V2
	case len(l.Hierarchies) > 0:
		l.Mode = V1
	default:
		return nil, ErrNoCgroups
	}
	if unified >= 0 {
		l.Hierarchies = append(l.Hierarchies, hierarchies[unified])
	}
	return l, nil
}

// ParseControllers splits the content of cgroup.controllers or
// cgroup.subtree_control: names with single spaces between.
func ParseControllers(b []byte) []string {
	return strings.Fields(string(b))
}

// ParseSelfCgroup reads /proc/self/cgroup (cgroups(7)): lines of
// ID:CONTROLLERS:PATH. The hierarchies come back without a mount. Lines of
// another form are passed over.
func ParseSelfCgroup(b []byte) []Hierarchy {
	text := string(b)
	list := make([]Hierarchy, 0, 16)
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		id, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		controllers, own, ok := strings.Cut(rest, ":")
		if !ok || !strings.HasPrefix(own, "/") {
			continue
		}
		h := Hierarchy{Own: own}
		name, named := strings.CutPrefix(controllers, "name=")
		switch {
		case id == "0" && controllers == "":
			h.Unified = true
		case named:
			h.Name = name
		case controllers != "":
			h.Controllers = strings.Split(controllers, ",")
		default:
			continue
		}
		list = append(list, h)
	}
	return list
}

// ParseMountinfo fills in where each of the hierarchies is mounted, from the
// content of /proc/self/mountinfo (proc_pid_mountinfo(5)).
//
// A host may have thousands of mounts, so lines are not split until their
// type is known to be a cgroup's. Where a hierarchy is mounted more than once,
// a mount below /sys/fs/cgroup is taken before any other, and the first of
// several; a later mount on the same mount point hides the earlier one.
func ParseMountinfo(b []byte, hierarchies []Hierarchy) {
	// Spaces inside fields are escaped as \040, so " - " is the separator.
	separator := []byte(" - cgroup")
	for len(b) > 0 {
		at := bytes.Index(b, separator)
		if at < 0 {
			return
		}
		start := bytes.LastIndexByte(b[:at], '\n') + 1
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			end = len(b)
		} else {
			end += at
		}
		addMount(b[start:at], b[at+len(" - "):end], hierarchies)
		b = b[min(end+1, len(b)):]
	}
}

// addMount takes the two halves of a mountinfo line, before and after its
// separator.
func addMount(left, right []byte, hierarchies []Hierarchy) {
	kind, rest, _ := bytes.Cut(right, []byte{' '})
	_, options, _ := bytes.Cut(rest, []byte{' '})
	unified := string(kind) == "cgroup2"
	if !unified && string(kind) != "cgroup" {
		return
	}
	var fields [5][]byte
	for i := range fields {
		var ok bool
		fields[i], left, ok = bytes.Cut(left, []byte{' '})
		if !ok && i < len(fields)-1 {
			return
		}
	}
	for i := range hierarchies {
		h := &hierarchies[i]
		if h.Unified != unified || !unified && !h.mountedBy(options) {
			continue
		}
		root, mountpoint := unescape(fields[3]), unescape(fields[4])
		if h.Mountpoint == "" || h.Mountpoint == mountpoint || standard(mountpoint) && !standard(h.Mountpoint) {
			h.Mountpoint, h.Root = mountpoint, root
		}
		return
	}
}

// mountedBy tells whether a v1 mount's super options name this hierarchy.
func (h *Hierarchy) mountedBy(options []byte) bool {
	for len(options) > 0 {
		var option []byte
		option, options, _ = bytes.Cut(options, []byte{','})
		if h.Name != "" {
			if bytes.HasPrefix(option, []byte("name=")) && string(option[len("name="):]) == h.Name {
				return true
			}
		} else if len(h.Controllers) > 0 && string(option) == h.Controllers[0] {
			return true
		}
	}
	return false
}

func standard(mountpoint string) bool {
	return strings.HasPrefix(mountpoint, "/sys/fs/cgroup/")
}

// unescape undoes the octal escapes of mountinfo (\040 for a space, \011, \012
// and \134).
func unescape(b []byte) string {
	at := bytes.IndexByte(b, '\\')
	if at < 0 {
		return string(b)
	}
	out := append(make([]byte, 0, len(b)), b[:at]...)
	for i := at; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && octal(b[i+1]) && octal(b[i+2]) && octal(b[i+3]) {
			out = append(out, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, b[i])
	}
	return string(out)
}

func octal(c byte) bool { return '0' <= c && c <= '7' }

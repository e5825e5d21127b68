package fs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Permit looks which of a placement's folders this user may make and put
// processes into, as one without root's powers may do only where a cgroup is
// delegated (cgroups(7), "Cgroup delegation"), and moves the others to its
// Refused. It makes nothing.
//
// bySystemd says that systemd makes the folders in its own hierarchy, and moves
// the process there.
func Permit(p *cgroups.Placement, l *cgroups.Layout, bySystemd bool) {
	all := p.Folders
	p.Folders = nil
	for i := range all {
		f := &all[i]
		if bySystemd && (f.Unified || f.Name == cgroups.SystemdName) {
			p.Folders = append(p.Folders, *f)
			continue
		}
		if err := permitted(f, l); err != nil {
			p.Refused = append(p.Refused, cgroups.Refusal{Folder: *f, Cause: err.Error()})
			continue
		}
		p.Folders = append(p.Folders, *f)
	}
}

func permitted(f *cgroups.Folder, l *cgroups.Layout) error {
	at := f.Path
	err := allowed(f.Mountpoint+at+"/cgroup.procs", unix.W_OK)
	for absent(err) && at != "" {
		at = above(at)
		err = allowed(f.Mountpoint+at, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return fmt.Errorf("no cgroup can be made at %s: %w", f.Full(), err)
	}
	if !f.Unified {
		return nil
	}
	// A process moves only where its user may write to the cgroup.procs of the
	// nearest cgroup that is above both places (cgroup-v2.rst, "Delegation
	// Containment").
	h := l.Unified()
	if h == nil {
		return nil
	}
	own, ok := h.OwnBelowMount()
	if !ok {
		return nil // only the kernel can tell
	}
	common := f.Mountpoint + commonAncestor(own, f.Path) + "/cgroup.procs"
	if err := allowed(common, unix.W_OK); err != nil {
		return fmt.Errorf("no process can be moved from cgroup %s to %s: write %s: %w", own, f.Path, common, err)
	}
	return nil
}

// allowed asks with the effective ids; faccessat2(2).
func allowed(path string, mode uint32) error {
	return interrupted(func() error { return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS) })
}

// commonAncestor is the deepest cgroup that a and b are both in or below; "" for
// the root.
func commonAncestor(a, b string) string {
	for at := strings.TrimSuffix(a, "/"); at != ""; at = above(at) {
		if b == at || strings.HasPrefix(b, at+"/") {
			return at
		}
	}
	return ""
}

package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
	"berth/cgroups/fs"
)

// yard is a folder in which CRIU finds the host's cgroup hierarchies (criu(8), --cgroup-yard; CRIU 3.13). By itself CRIU
// mounts them anew, and a new mount of cgroup v2 takes the host's options away: nsdelegate, memory_recursiveprot
// (docs/decisions/016-hosts-unified-mount.md).
type yard struct {
	folder      string            // empty for none: CRIU mounts them
	hierarchies map[string]string // mount points by CRIU's names
}

// cgroupYard begins a yard below the container's own folder, none where a hierarchy is mounted nowhere or only in part.
func (c *Container) cgroupYard() (yard, error) {
	hierarchies, err := yardHierarchies()
	if err != nil || hierarchies == nil {
		return yard{}, err
	}
	y := yard{filepath.Join(c.dir, "criu-cgroups"), hierarchies}
	if err := y.remove(); err != nil { // one may be left of a checkpoint that was killed
		return yard{}, err
	}
	return y, os.Mkdir(y.folder, 0o700)
}

// remove takes away what is in the yard, a folder too that CRIU has made for a hierarchy of the image's alone. It goes no
// deeper: there would be cgroups of the host's, were the mounts still to be seen.
func (y yard) remove() error {
	if y.folder == "" {
		return nil
	}
	entries, err := os.ReadDir(y.folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(y.folder, e.Name())))
	}
	return errors.Join(err, os.Remove(y.folder))
}

// link fills the yard for a CRIU that stays in the host's root.
func (y yard) link() error {
	for name, mountpoint := range y.hierarchies {
		if err := os.Symlink(mountpoint, filepath.Join(y.folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// bind fills it with mounts, in a mount namespace of CRIU's own. A restored process goes on into its cgroup through the
// yard's descriptor when it has another root, where a link would lead astray.
func (y yard) bind() error {
	for name, mountpoint := range y.hierarchies {
		place := filepath.Join(y.folder, name)
		if err := os.Mkdir(place, 0o700); err != nil {
			return err
		}
		if err := unix.Mount(mountpoint, place, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind mount %s to %s: %w", mountpoint, place, err)
		}
	}
	return nil
}

func yardHierarchies() (map[string]string, error) {
	l, err := fs.Probe()
	if errors.Is(err, cgroups.ErrNoCgroups) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	self, err := readFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("read /proc/self/cgroup: %w", err)
	}
	if len(l.Hierarchies) < len(cgroups.ParseSelfCgroup(self)) {
		return nil, nil
	}
	all := make(map[string]string, len(l.Hierarchies))
	for i := range l.Hierarchies {
		h := &l.Hierarchies[i]
		if h.Root != "/" {
			return nil, nil
		}
		switch {
		case h.Unified:
			all["unified"] = h.Mountpoint
		case h.Name != "":
			all[h.Name] = h.Mountpoint
		default:
			all[strings.Join(h.Controllers, ",")] = h.Mountpoint
		}
	}
	return all, nil
}

// Package fs carries out on the kernel's cgroup filesystems what package
// cgroups worked out: it finds the host's hierarchies, makes a container's
// folders, writes its limits, lets processes in, freezes, kills, measures and
// removes them.
//
// Folders are reached through directory file descriptors opened with openat2(2)
// below the hierarchy's mount, so a path from config.json cannot lead elsewhere.
// Linux 5.10 or newer is assumed; what needs a newer kernel falls back.
package fs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// root is where every distribution mounts its cgroups (hier(7), cgroups(7)).
const root = "/sys/fs/cgroup"

// Probe finds out the host's cgroup layout. On a v2 host one statfs(2) tells,
// and /proc/self/mountinfo, which may have thousands of lines, is not read.
//
// The error is cgroups.ErrNoCgroups where none is mounted.
func Probe() (*cgroups.Layout, error) {
	self, err := readFile(unix.AT_FDCWD, "/proc/self/cgroup", make([]byte, 0, 1024))
	if err != nil {
		return nil, fmt.Errorf("read /proc/self/cgroup: %w: is /proc mounted?", err)
	}
	var st unix.Statfs_t
	if err := interrupted(func() error { return unix.Statfs(root, &st) }); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		controllers, err := readControllers(root)
		if err != nil {
			return nil, err
		}
		return cgroups.ParseV2(root, self, controllers), nil
	}
	mounts, err := readFile(unix.AT_FDCWD, "/proc/self/mountinfo", make([]byte, 0, 16<<10))
	if err != nil {
		return nil, fmt.Errorf("read /proc/self/mountinfo: %w: is /proc mounted?", err)
	}
	l, err := cgroups.Parse(self, mounts)
	if err != nil {
		return nil, err
	}
	if h := l.Unified(); h != nil {
		controllers, err := readControllers(h.Mountpoint)
		if err != nil {
			return nil, err
		}
		h.Controllers = cgroups.ParseControllers(controllers)
	}
	return l, nil
}

func readControllers(mountpoint string) ([]byte, error) {
	name := mountpoint + "/cgroup.controllers"
	b, err := readFile(unix.AT_FDCWD, name, make([]byte, 0, 128))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

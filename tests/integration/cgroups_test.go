package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// layout is where the host's cgroup hierarchies are mounted.
type layout struct {
	v1 map[string]string // controller (or name=systemd) → mount point
	v2 string            // mount point of the unified hierarchy, "" for none
}

// kind names the layout as cgroups(7) does: v1, hybrid or v2.
func (l layout) kind() string {
	switch {
	case len(l.v1) == 0:
		return "v2"
	case l.v2 == "":
		return "v1"
	default:
		return "hybrid"
	}
}

// mountPoints are all hierarchies' mount points, each once, in order.
func (l layout) mountPoints() []string {
	var points []string
	for _, p := range l.v1 {
		points = append(points, p)
	}
	if l.v2 != "" {
		points = append(points, l.v2)
	}
	slices.Sort(points)
	return slices.Compact(points)
}

// detectLayout reads the layout from this process's mounts.
func detectLayout() (layout, error) {
	l := layout{v1: map[string]string{}}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return l, err
	}
	for _, m := range parseMountinfo(string(text)) {
		switch {
		case m.fstype == "cgroup2" && l.v2 == "":
			l.v2 = m.target
		case m.fstype == "cgroup":
			for _, word := range strings.Split(m.superOptions, ",") {
				if word == "name=systemd" || isV1Controller(word) {
					l.v1[word] = m.target
				}
			}
		}
	}
	if l.v2 == "" && len(l.v1) == 0 {
		return l, fmt.Errorf("no cgroup hierarchy is mounted")
	}
	return l, nil
}

// isV1Controller tells controllers from the generic mount options that stand beside them.
func isV1Controller(word string) bool {
	switch word {
	case "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls", "net_prio",
		"perf_event", "hugetlb", "rdma", "misc":
		return true
	}
	return false
}

// showCgroups leaves one kind of hierarchy visible in this mount namespace: "v1", "v2", or "" for what the host has.
func showCgroups(kind string) error {
	const top = "/sys/fs/cgroup"
	switch kind {
	case "":
		return nil
	case "v1":
		l, err := detectLayout()
		if err != nil {
			return err
		}
		if l.v2 == "" {
			return nil
		}
		if err := unix.Unmount(l.v2, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", l.v2, err)
		}
		return nil
	case "v2":
		unified, err := hostsUnified()
		if err != nil {
			return err
		}
		if unified >= 0 {
			defer unix.Close(unified)
		}
		for {
			// What is mounted below goes first, else the detection would still find it there.
			l, err := detectLayout()
			if err != nil || len(l.v1) == 0 {
				break
			}
			for _, point := range l.mountPoints() {
				if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
					return fmt.Errorf("unmount %s: %w", point, err)
				}
			}
		}
		if unified < 0 {
			if err := unix.Mount("none", top, "cgroup2", 0, ""); err != nil {
				return fmt.Errorf("mount cgroup2 on %s: %w", top, err)
			}
			return nil
		}
		if err := unix.MoveMount(unified, "", unix.AT_FDCWD, top, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("bind the host's cgroup2 to %s: %w", top, err)
		}
		return nil
	default:
		return fmt.Errorf("BERTH_TEST_CGROUPS=%s: want v1, v2 or nothing", kind)
	}
}

// hostsUnified is a clone of the host's mount of cgroup v2, or -1 where it has none. A new mount would give its options
// to the host's hierarchy (docs/decisions/016-hosts-unified-mount.md).
func hostsUnified() (int, error) {
	l, err := detectLayout()
	if err != nil || l.v2 == "" {
		return -1, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, l.v2, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("clone the mount on %s: %w", l.v2, err)
	}
	return fd, nil
}

// cgroupFolders lists all cgroups of the host.
func cgroupFolders() []string {
	var found []string
	for _, point := range host.cgroups.mountPoints() {
		// A folder that goes away meanwhile is not there, which is all that is asked.
		_ = filepath.WalkDir(point, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipDir
			}
			if d.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

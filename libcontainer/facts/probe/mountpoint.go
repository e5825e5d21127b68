package probe

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"

	"berth/libcontainer/facts"
)

// KernelMounts returns the mounts of procfs and sysfs.
func KernelMounts() ([]facts.KernelMount, error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("find the mounts of procfs and sysfs: %w", err)
	}
	points := make(map[int]string, len(mounts))
	for _, m := range mounts {
		points[m.ID] = m.Mountpoint
	}
	var found []facts.KernelMount
	for _, m := range mounts {
		if parent, ok := points[m.Parent]; ok && (m.FSType == "proc" || m.FSType == "sysfs") {
			found = append(found, facts.KernelMount{Path: m.Mountpoint, Parent: parent})
		}
	}
	return found, nil
}

// mountsBelow returns the mount points below a folder, parents first.
func mountsBelow(folder string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
	if err != nil {
		return nil, fmt.Errorf("find the mounts below %s: %w", folder, err)
	}
	var points []string
	for _, m := range mounts {
		if m.Mountpoint != folder {
			points = append(points, m.Mountpoint)
		}
	}
	slices.Sort(points)
	return slices.Compact(points), nil
}

// MountPoint returns the mount point that path lies on.
func MountPoint(path string) (string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
	if err != nil {
		return "", fmt.Errorf("find the mount of %s: %w", path, err)
	}
	if len(mounts) == 0 {
		return "", fmt.Errorf("find the mount of %s: %w", path, errors.Join(unix.ENOENT))
	}
	longest := mounts[0].Mountpoint
	for _, m := range mounts {
		if len(m.Mountpoint) >= len(longest) {
			longest = m.Mountpoint
		}
	}
	return longest, nil
}

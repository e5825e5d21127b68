package probe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"
)

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

package libcontainer

import (
	"fmt"

	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
)

// openNamespace opens a namespace that the config names by path and checks
// that it is of the kind that it is listed as; ioctl_ns(2).
func openNamespace(j *compile.Join) (int, error) {
	fd, err := unix.Open(j.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%s.path: open %s: %w", j.Origin, j.Path, err)
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s.path: %s is no namespace (%w): name a file such as /proc/PID/ns/net", j.Origin, j.Path, err)
	}
	if uint64(kind) != j.Flag {
		unix.Close(fd)
		return -1, fmt.Errorf("%s.path: %s is a namespace of another type than the config says", j.Origin, j.Path)
	}
	return fd, nil
}

package probe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/libcontainer/facts"
)

// initialUserns is the inode number of the user namespace that the kernel
// starts with (PROC_USER_INIT_INO of include/linux/proc_ns.h).
const initialUserns = 0xeffffffd

// InUserns says whether this process is in a user namespace that somebody made.
func InUserns() (bool, error) {
	var st unix.Stat_t
	err := unix.Stat("/proc/self/ns/user", &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil // a kernel without them, or no /proc, which others tell of
	}
	if err != nil {
		return false, fmt.Errorf("stat /proc/self/ns/user: %w", err)
	}
	return st.Ino != initialUserns, nil
}

// usernsFacts finds out about the user namespace that berth is in.
func usernsFacts(h *facts.Host) (err error) {
	if h.UIDMap, err = idRanges("/proc/self/uid_map"); err != nil {
		return err
	}
	if h.GIDMap, err = idRanges("/proc/self/gid_map"); err != nil {
		return err
	}
	if h.NoSetgroups, err = SetgroupsDenied("self"); err != nil {
		return err
	}
	h.ForeignMounts, err = foreignMounts()
	return err
}

// idRanges reads which ids have a meaning in a user namespace; field 1 and 3 of
// /proc/PID/uid_map as user_namespaces(7) has it.
func idRanges(file string) ([]facts.IDRange, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []facts.IDRange
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s: the line %q has not three numbers", file, line)
		}
		first, err := strconv.ParseUint(string(fields[0]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		size, err := strconv.ParseUint(string(fields[2]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, facts.IDRange{First: uint32(first), Size: uint32(size)})
	}
	return out, nil
}

// SetgroupsDenied says whether setgroups(2) is denied for good in the user
// namespace of a process, which is "self" or its number; user_namespaces(7).
func SetgroupsDenied(process string) (bool, error) {
	data, err := os.ReadFile("/proc/" + process + "/setgroups")
	if err != nil {
		return false, err
	}
	return string(bytes.TrimSpace(data)) == "deny", nil
}

// foreignMounts says whether another user namespace than this process's own
// owns its mount namespace; ioctl_ns(2).
func foreignMounts() (bool, error) {
	fd, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("open /proc/self/ns/mnt: %w", err)
	}
	defer unix.Close(fd)
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if errors.Is(err, unix.EPERM) {
		return true, nil // one above, which cannot be seen from here
	}
	if err != nil {
		return false, fmt.Errorf("ioctl NS_GET_USERNS: %w", err)
	}
	defer unix.Close(owner)
	var own, theirs unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return false, fmt.Errorf("stat /proc/self/ns/user: %w", err)
	}
	if err := unix.Fstat(owner, &theirs); err != nil {
		return false, fmt.Errorf("stat of a user namespace: %w", err)
	}
	return own.Ino != theirs.Ino, nil
}

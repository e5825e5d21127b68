package libcontainer

import (
	"errors"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/nsenter"
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

// checkMountOwner refuses a mount namespace and a user namespace, both joined by
// path, of which the second has no power over the first: that may be joined, and
// nothing mounted in it. joins[i] is open in slots[i].
func checkMountOwner(joins []compile.Join, slots []nsenter.SlotFD) error {
	flag := func(flag uint64) int {
		return slices.IndexFunc(joins, func(j compile.Join) bool { return j.Flag == flag })
	}
	mount, user := flag(unix.CLONE_NEWNS), flag(unix.CLONE_NEWUSER)
	if mount < 0 || user < 0 {
		return nil
	}
	ok, err := owns(slots[user].FD, slots[mount].FD)
	if err != nil {
		return fmt.Errorf("%s.path: who owns %s: %w", joins[mount].Origin, joins[mount].Path, err)
	}
	if !ok {
		return fmt.Errorf("%s.path: the mount namespace %s does not belong to the user namespace of %s, which may mount nothing in it: name the user namespace that owns it there, or take one of the two out", joins[mount].Origin, joins[mount].Path, joins[user].Origin)
	}
	return nil
}

// owns says whether a user namespace, or one below it, owns another namespace.
func owns(user, namespace int) (bool, error) {
	var own, st unix.Stat_t
	if err := unix.Fstat(user, &own); err != nil {
		return false, fmt.Errorf("fstat: %w", err)
	}
	owner, err := unix.IoctlRetInt(namespace, unix.NS_GET_USERNS)
	for {
		// EPERM: it is not below berth's own user namespace.
		if errors.Is(err, unix.EPERM) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("ioctl_ns: %w", err)
		}
		if err := unix.Fstat(owner, &st); err != nil {
			unix.Close(owner)
			return false, fmt.Errorf("fstat: %w", err)
		}
		if st.Ino == own.Ino && st.Dev == own.Dev {
			unix.Close(owner)
			return true, nil
		}
		below := owner
		owner, err = unix.IoctlRetInt(below, unix.NS_GET_PARENT)
		unix.Close(below)
	}
}

// ownNamespace is the index of a user or cgroup namespace of the config that is named by path and is berth's own, -1 for
// none.
func ownNamespace(s *specs.Spec, t specs.LinuxNamespaceType) (int, error) {
	if s.Linux == nil {
		return -1, nil
	}
	at := slices.IndexFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t && n.Path != "" })
	if at < 0 {
		return -1, nil
	}
	path := s.Linux.Namespaces[at].Path
	var own, theirs unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+string(t), &own); err != nil { // both have the kernel's names
		return -1, fmt.Errorf("stat /proc/self/ns/%s: %w", t, err)
	}
	if err := unix.Stat(path, &theirs); err != nil {
		return -1, fmt.Errorf("linux.namespaces[%d].path: stat %s: %w", at, path, err)
	}
	if own.Ino != theirs.Ino || own.Dev != theirs.Dev {
		return -1, nil
	}
	return at, nil
}

// withoutOwnUserns leaves a user namespace out that is named by path and is
// berth's own: setns(2) refuses to join that once more. place counts, from 1, to
// where it was; 0 for nowhere.
func withoutOwnUserns(s *specs.Spec) (without *specs.Spec, place int, err error) {
	at, err := ownNamespace(s, specs.UserNamespace)
	if at < 0 {
		return s, 0, err
	}
	out, linux := *s, *s.Linux
	linux.Namespaces = slices.Delete(slices.Clone(linux.Namespaces), at, at+1)
	linux.UIDMappings, linux.GIDMappings = nil, nil
	out.Linux = &linux
	return &out, at + 1, nil
}

package libcontainer

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
	"berth/nsenter"
)

// openSources clones bind mounts' sources in the host's mount namespace, and
// idmaps them. What it returns is the caller's to close, after an error too.
func openSources(sources []compile.Source, host *facts.Host) ([]int, error) {
	var fds []int
	var users []mappedUser
	defer func() {
		for i := range users {
			unix.Close(users[i].fd)
		}
	}()
	for i := range sources {
		s := &sources[i]
		fd, err := openSource(s)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		if s.IDMap == nil {
			continue
		}
		userns := -1
		for j := range users {
			if reflect.DeepEqual(users[j].idmap, s.IDMap) {
				userns = users[j].fd
			}
		}
		if userns < 0 {
			if userns, err = openUserns(s.IDMap, host); err != nil {
				return fds, fmt.Errorf("%s: %w", s.Origin, err)
			}
			users = append(users, mappedUser{s.IDMap, userns})
		}
		if err := idmapMount(s, fd, userns); err != nil {
			return fds, err
		}
	}
	return fds, nil
}

// mappedUser is a user namespace that has the mappings of some mounts.
type mappedUser struct {
	idmap *compile.IDMap
	fd    int
}

func openSource(s *compile.Source) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	if s.Nofollow {
		flags |= unix.AT_SYMLINK_NOFOLLOW
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, s.Path, flags)
	if err != nil {
		return -1, fmt.Errorf("%s: open_tree %s: %w: make the source, or take the mount out", s.Origin, s.Path, err)
	}
	return fd, nil
}

// idmapMount gives a mount that is nowhere yet its mapping.
func idmapMount(s *compile.Source, fd, userns int) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if s.IDMap.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	err := unix.MountSetattr(fd, "", flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns)})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: idmap %s: %w: %s cannot be idmapped with this kernel, or the mount is idmapped already: %s", s.Origin, s.Path, err, kindOf(s, fd), insteadOfIdmap(fd))
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: idmap %s: %w: that takes power over the whole file system (CAP_SYS_ADMIN in the user namespace that it was mounted in): run berth as root, or take idmap out", s.Origin, s.Path, err)
	}
	return fmt.Errorf("%s: idmap %s: mount_setattr: %w", s.Origin, s.Path, err)
}

// kindOf names the file system that the kernel does not idmap.
func kindOf(s *compile.Source, fd int) string {
	kind := "its file system"
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err == nil {
		kind += " (" + fileSystem(int64(fs.Type)) + ")"
	}
	if s.IDMap.Recursive {
		kind += " or one mounted below it"
	}
	return kind
}

// insteadOfIdmap says what to do about a mount that cannot be idmapped.
func insteadOfIdmap(fd int) string {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err == nil {
		switch int64(fs.Type) {
		case unix.OVERLAYFS_SUPER_MAGIC:
			return "idmap the overlay's layers (Linux 5.19) before it is mounted, or take idmap and the mappings out"
		case unix.FUSE_SUPER_MAGIC:
			return "that takes Linux 6.12, a server that allows it (FUSE_ALLOW_IDMAP) and the mount option default_permissions; or take idmap and the mappings out"
		}
	}
	return "take idmap and the mappings out"
}

// fileSystem is a file system's name by its number in statfs(2), or that number.
func fileSystem(magic int64) string {
	switch magic {
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE"
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.PROC_SUPER_MAGIC:
		return "proc"
	case unix.SYSFS_MAGIC:
		return "sysfs"
	case unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return "cgroup"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	}
	return "type " + strconv.FormatInt(magic, 16) + "h, statfs(2)"
}

// openUserns returns a user namespace with the mappings. One is made by a
// process that does nothing but wait in it, and lives on by its descriptor.
func openUserns(m *compile.IDMap, host *facts.Host) (int, error) {
	if m.Join != nil {
		return openNamespace(m.Join)
	}
	cmd := &nsenter.Command{
		Plan:       &plan.Plan{Steps: []plan.Step{{Op: plan.Sync{Point: plan.PointUserns, Quiet: true}, Origin: plan.At("mounts")}}},
		Stdio:      [3]int{0, 1, 2},
		Cloneflags: unix.CLONE_NEWUSER,
		CgroupFD:   -1,
	}
	mapIDs(cmd, &compile.Output{UIDMappings: m.UIDs, GIDMappings: m.GIDs}, host)
	p, err := cmd.Start()
	if err != nil {
		return -1, fmt.Errorf("make a user namespace for the mappings: %w", err)
	}
	defer p.Close()
	path := "/proc/" + strconv.Itoa(p.Pid) + "/ns/user"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		err = fmt.Errorf("open %s: %w", path, err)
	}
	if killErr := p.Kill(); killErr != nil {
		err = errors.Join(err, killErr)
	}
	if err != nil && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	return fd, err
}

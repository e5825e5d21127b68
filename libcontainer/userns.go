package libcontainer

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/compile"
	"berth/libcontainer/facts"
	"berth/nsenter"
)

// idMaps turns mappings into what the clone takes.
func idMaps(mappings []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(mappings))
	for i := range mappings {
		m := &mappings[i]
		out[i] = syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)}
	}
	return out
}

// mapIDs fills in what a new user namespace needs of the clone.
func mapIDs(cmd *nsenter.Command, out *compile.Output, host *facts.Host) {
	cmd.KeepCaps = -1
	if len(out.UIDMappings) == 0 {
		return
	}
	cmd.UIDMappings, cmd.GIDMappings = idMaps(out.UIDMappings), idMaps(out.GIDMappings)
	if !out.RootMapped() {
		// Files can be made by a mapped user only.
		cmd.KeepCaps = host.LastCap
		cmd.UID, cmd.GID = out.UIDMappings[0].ContainerID, out.GIDMappings[0].ContainerID
	}
}

// openSource clones a bind mount's source in the host's mount namespace.
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

// grant does for the executor in a user namespace what takes a power over the
// host: a lower OOM score. (Hard limits above berth's own are raised by
// raiseLimits, and inherited.)
func (m *creation) grant() error {
	if adj := m.compile.OOMScoreAdj; adj != nil {
		path := "/proc/" + strconv.Itoa(m.process.Pid) + "/oom_score_adj"
		if err := os.WriteFile(path, []byte(strconv.Itoa(*adj)), 0); err != nil {
			return fmt.Errorf("process.oomScoreAdj: %w", err)
		}
	}
	return nil
}

// delegate gives the cgroup to the container's root where its config lets it
// manage that itself; config-linux.md, "Cgroup ownership".
func (m *creation) delegate() error {
	if !m.compile.Delegate || m.cgroup == nil {
		return nil
	}
	uid, ok := compile.HostID(m.compile.UIDMappings, 0)
	if !ok {
		return nil
	}
	return m.cgroup.Delegate(int(uid))
}

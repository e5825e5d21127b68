package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Sub returns the Manager of cgroups below the container's, for a process that
// is to run there: `exec --cgroup [CONTROLLER[,CONTROLLER…]:]PATH`, where several
// are given on v1. A PATH is taken from the container's cgroup, and must exist.
// Hierarchies that no spec names stay at the container's own.
//
// Only Join, JoinFiles and Close are of use on the result.
func (m *Manager) Sub(specs []string) (*Manager, error) {
	sub := Load(m.State())
	for _, spec := range specs {
		controllers, path, named := strings.Cut(spec, ":")
		if !named {
			controllers, path = "", spec
		}
		if err := checkSub(path); err != nil {
			return nil, fmt.Errorf("--cgroup %s: %w", spec, err)
		}
		if err := sub.descend(controllers, path); err != nil {
			sub.Close()
			return nil, fmt.Errorf("--cgroup %s: %w", spec, err)
		}
	}
	return sub, nil
}

func checkSub(path string) error {
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." {
			return errors.New("the path must not have .. in it")
		}
	}
	return nil
}

// descend moves the folders of the controllers, or all with "", down by path.
func (m *Manager) descend(controllers, path string) error {
	path = strings.Trim(path, "/")
	for name := range strings.SplitSeq(controllers, ",") {
		found := false
		for i := range m.folders {
			f := &m.folders[i]
			if name != "" && !f.has(name) && name != "name="+f.Name {
				continue
			}
			found = true
			if path == "" {
				continue
			}
			f.close()
			f.Path += "/" + path
			if _, err := f.dir(); err != nil {
				return err
			}
		}
		if !found {
			return fmt.Errorf("the container has no cgroup v1 hierarchy with the controller %q: on cgroup v2 give the path alone", name)
		}
	}
	return nil
}

// JoinFilesOf is JoinFiles, but for the v2 folder, which is the one that the
// process pid is in. It is for a container that made cgroups of its own (systemd
// does) and passes controllers on to them: its own cgroup then takes no
// processes (EBUSY; cgroups(7), "no internal processes"), and a new one goes where
// the container's first process went. It fails where that is not below the
// container's cgroup.
func (m *Manager) JoinFilesOf(pid int) (*Join, error) {
	f := m.unified()
	if f == nil {
		return m.JoinFiles()
	}
	file := "/proc/" + strconv.Itoa(pid) + "/cgroup"
	b, err := readFile(unix.AT_FDCWD, file, make([]byte, 0, 1024))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	path := ""
	for _, h := range cgroups.ParseSelfCgroup(b) {
		if h.Unified {
			path = h.Own
		}
	}
	below, ok := strings.CutPrefix(path, f.Path+"/")
	if !ok || checkSub(below) != nil {
		return nil, fmt.Errorf("join cgroup %s: process %d is in %q, which is not below it: it passes controllers on and takes no processes itself, so name one below it (exec --cgroup)", f.Full(), pid, path)
	}
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	fd, err := openFolder(dir, below)
	if err != nil {
		return nil, fmt.Errorf("open cgroup %s/%s: %w", f.Full(), below, err)
	}
	j, err := m.JoinFiles()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	j.Unified, j.owned = fd, true
	return j, nil
}

// Delegate gives the container's root user, uid on the host, its v2 cgroup to
// manage, as runtime-spec's "Cgroup ownership" says: the folder itself and the
// files in it that /sys/kernel/cgroup/delegate lists, and no others, which
// would let the container lift its own limits. v1 folders stay as they are:
// delegation is not safe there.
func (m *Manager) Delegate(uid int) error {
	f := m.unified()
	if f == nil {
		return nil
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	list, err := os.ReadFile("/sys/kernel/cgroup/delegate")
	if errors.Is(err, os.ErrNotExist) {
		list = []byte("cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n")
	} else if err != nil {
		return fmt.Errorf("delegate cgroup %s: %w", f.Full(), err)
	}
	// An O_PATH descriptor takes fchownat with an empty path.
	if err := unix.Fchownat(dir, "", uid, -1, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("delegate cgroup %s to user %d: %w", f.Full(), uid, err)
	}
	for name := range bytes.Lines(list) {
		name := strings.TrimSpace(string(name))
		if name == "" || strings.Contains(name, "/") {
			continue
		}
		err := unix.Fchownat(dir, name, uid, -1, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && !absent(err) {
			return fmt.Errorf("delegate %s of cgroup %s to user %d: %w", name, f.Full(), uid, err)
		}
	}
	return nil
}

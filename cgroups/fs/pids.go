package fs

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Pids lists the processes of the container, in this process's pid namespace and
// in order; with recursive also those in cgroups that the container made below
// its own. A cgroup that is gone has none.
func (m *Manager) Pids(recursive bool) ([]int, error) {
	f := m.census()
	if f == nil {
		return nil, nil
	}
	pids, err := f.pids(recursive, nil)
	if err != nil {
		return nil, err
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// census is the folder whose list of processes stands for all: the v2 one, or
// the freezer's, which must see every process to be of use.
func (m *Manager) census() *folder {
	if f := m.unified(); f != nil {
		return f
	}
	if f := m.legacy("freezer"); f != nil {
		return f
	}
	for i := range m.folders {
		if !m.folders[i].planned {
			return &m.folders[i]
		}
	}
	return nil
}

func (f *folder) pids(recursive bool, pids []int) ([]int, error) {
	dir, err := f.dir()
	if err != nil {
		if absent(err) {
			return pids, nil
		}
		return nil, err
	}
	pids, err = listPids(dir, recursive, pids)
	if err != nil {
		return nil, fmt.Errorf("list the processes of cgroup %s: %w", f.Full(), err)
	}
	return pids, nil
}

// listPids adds the processes of the folder dir to pids. A folder that is
// removed meanwhile (ENODEV from a file that was opened before) has none.
func listPids(dir int, recursive bool, pids []int) ([]int, error) {
	b, err := readFile(dir, "cgroup.procs", make([]byte, 0, 512))
	switch {
	case err == nil:
		pids = parsePids(b, pids)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return pids, nil
	case errors.Is(err, unix.EOPNOTSUPP):
		// A threaded cgroup lists processes only at its domain (cgroups(7)).
	default:
		return nil, err
	}
	if !recursive {
		return pids, nil
	}
	err = eachChild(dir, func(child int, _ string) error {
		var err error
		pids, err = listPids(child, true, pids)
		return err
	})
	return pids, err
}

func parsePids(b []byte, pids []int) []int {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		// 0 stands for a process outside of this pid namespace.
		if n, ok := cgroups.Number(line); ok && n > 0 {
			pids = append(pids, int(n))
		}
	}
	return pids
}

// eachChild calls visit for every cgroup directly below the folder dir, with a
// descriptor that is closed after. One that vanishes meanwhile is passed over.
func eachChild(dir int, visit func(child int, name string) error) error {
	// kernfs counts a folder's subfolders in its links: 2 and one for each. So
	// the long list of control files is read only where there is a child.
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	if st.Nlink <= 2 {
		return nil
	}
	names, err := childNames(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		child, err := openFolder(dir, name)
		if err != nil {
			if absent(err) {
				continue
			}
			return err
		}
		err = visit(child, name)
		unix.Close(child)
		if err != nil {
			return err
		}
	}
	return nil
}

// childNames lists the folders below dir. The d_type of kernfs is reliable.
func childNames(dir int) ([]string, error) {
	fd, err := openFile(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			if absent(err) {
				return nil, nil
			}
			return nil, err
		}
		if n == 0 {
			return names, nil
		}
		names = folderNames(buf[:n], names)
	}
}

// folderNames picks the folders out of linux_dirent64 records (getdents64(2)).
func folderNames(b []byte, names []string) []string {
	const lengthAt, typeAt, nameAt = 16, 18, 19
	for len(b) > nameAt {
		length := int(b[lengthAt]) | int(b[lengthAt+1])<<8
		if length <= nameAt || length > len(b) {
			return names
		}
		name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
		if b[typeAt] == unix.DT_DIR && string(name) != "." && string(name) != ".." {
			names = append(names, string(name))
		}
		b = b[length:]
	}
	return names
}

// countPids puts a list of processes in words, for errors.
func countPids(pids []int) string {
	switch len(pids) {
	case 0:
		return "processes that this pid namespace does not show"
	case 1:
		return "process " + strconv.Itoa(pids[0])
	}
	shown := pids[:min(len(pids), 8)]
	words := make([]string, len(shown))
	for i, pid := range shown {
		words[i] = strconv.Itoa(pid)
	}
	text := fmt.Sprintf("%d processes (%s", len(pids), strings.Join(words, ", "))
	if len(shown) < len(pids) {
		text += ", …"
	}
	return text + ")"
}

package fs

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Join is what a new process needs to enter a container's cgroup by itself.
// Close closes the Tasks descriptors; Unified belongs to the Manager, unless it
// came from JoinFilesOf.
type Join struct {
	// Tasks has the tasks file of the folder in each v1 hierarchy, open for
	// writing. A single-threaded process enters by writing "0" to each: moving
	// only the calling thread spares the kernel its global thread-group lock
	// (since Linux 5.5), which cgroup.procs takes.
	Tasks []JoinFile
	// Unified is an O_PATH descriptor of the v2 folder, for clone3(2)'s
	// CLONE_INTO_CGROUP; -1 on a pure v1 host.
	Unified int
	// owned says that Close closes Unified too.
	owned bool
}

// JoinFile is an open control file and its path, for errors.
type JoinFile struct {
	FD   int
	Path string
}

// Close closes the descriptors that belong to it.
func (j *Join) Close() {
	if j.owned && j.Unified >= 0 {
		unix.Close(j.Unified)
		j.Unified = -1
	}
	for i := range j.Tasks {
		if j.Tasks[i].FD >= 0 {
			unix.Close(j.Tasks[i].FD)
			j.Tasks[i].FD = -1
		}
	}
}

// JoinFiles opens what a new process needs to enter the cgroup. All
// descriptors are close-on-exec.
func (m *Manager) JoinFiles() (*Join, error) {
	j := &Join{Unified: -1, Tasks: make([]JoinFile, 0, len(m.folders))}
	for i := range m.folders {
		f := &m.folders[i]
		if f.Unified {
			dir, err := f.dir()
			if err != nil {
				j.Close()
				return nil, err
			}
			j.Unified = dir
			continue
		}
		path := f.Full() + "/tasks"
		fd, err := f.openControl("tasks", unix.O_WRONLY)
		if err != nil {
			j.Close()
			return nil, fmt.Errorf("open %s for writing: %w%s", path, err, joinHint(err))
		}
		j.Tasks = append(j.Tasks, JoinFile{FD: fd, Path: path})
	}
	return j, nil
}

// Join moves a process with all its threads into every folder of the cgroup.
// When it fails half-way the process is in some of them: the caller ends it.
func (m *Manager) Join(pid int) error {
	for i := range m.folders {
		f := &m.folders[i]
		dir, err := f.dir()
		if err != nil {
			return err
		}
		if err := writeFile(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process %d into cgroup %s: write %q to cgroup.procs: %w%s", pid, f.Full(), strconv.Itoa(pid), err, joinHint(err))
		}
	}
	return nil
}

func joinHint(err error) string {
	switch err {
	case unix.EBUSY:
		return ": the cgroup passes controllers on to cgroups below it, and then holds no processes itself (cgroups(7), no internal processes): name one below it"
	case unix.ENOENT, unix.ENODEV:
		return ": the cgroup was removed meanwhile"
	case unix.ESRCH:
		return ": the process has ended"
	case unix.EOPNOTSUPP:
		return ": the cgroup is threaded or of an invalid domain (see its cgroup.type)"
	case unix.ENOSPC:
		return ": its cpuset has no CPUs or no memory nodes (see cpuset.cpus and cpuset.mems)"
	case unix.EACCES, unix.EPERM:
		return ": this user may not move processes there: run berth as root, or delegate the cgroup"
	}
	return ""
}

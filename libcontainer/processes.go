package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
)

// Processes lists the processes of a container, in order, by their numbers in
// berth's own pid namespace: those in its cgroup and in cgroups below. A stopped
// container may have some, where its pid namespace was not its own.
func (r *Runtime) Processes(id string) ([]int, error) {
	c, err := r.Load(id)
	if err != nil {
		return nil, err
	}
	if c.Cgroup == nil {
		return c.processesWithoutCgroup()
	}
	m := fs.Load(*c.Cgroup)
	defer m.Close()
	pids, err := m.Pids(true)
	if err != nil {
		return nil, fmt.Errorf("processes of container %q: %w", id, err)
	}
	return pids, nil
}

// processesWithoutCgroup knows those of init's pid namespace where that is the
// container's own, and init alone where it is not.
func (c *Container) processesWithoutCgroup() ([]int, error) {
	if c.Pid == 0 {
		return nil, nil
	}
	alive, err := c.alive()
	if err != nil || !alive {
		return nil, err
	}
	own, err := c.ownsPidNamespace()
	if err != nil {
		return nil, err
	}
	ns := pidNamespace(c.Pid)
	if !own || ns == 0 {
		return []int{c.Pid}, nil
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("processes of container %q: %w", c.ID, err)
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("processes of container %q: %w", c.ID, err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pidNamespace(pid) == ns {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// pidNamespace is the inode number of a process's pid namespace; 0 where it has
// ended, or is another user's.
func pidNamespace(pid int) uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/pid", &st); err != nil {
		return 0
	}
	return st.Ino
}

// signalNamespace signals every process of a container that has no cgroup.
func (c *Container) signalNamespace(signal int) error {
	pids, err := c.processesWithoutCgroup()
	if err != nil {
		return err
	}
	ns := pidNamespace(c.Pid)
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		// The number may be another process's by now.
		if pidNamespace(pid) == ns {
			err = unix.PidfdSendSignal(fd, unix.Signal(signal), nil, 0)
		}
		unix.Close(fd)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("send signal %d to process %d of container %q: %w", signal, pid, c.ID, err)
		}
	}
	return nil
}

// Exit is how a container's first process ended.
type Exit struct {
	// Known is false where nobody can tell any more: the process was reaped
	// before Wait looked, or by an older kernel than Linux 6.15.
	Known bool
	// Status is its status as wait(2) gives it.
	Status unix.WaitStatus
}

// Wait returns when the container's first process has ended, at once if it has
// already.
//
// How a process ended is told to its parent, which berth is not. It can be read
// from /proc/PID/stat as long as the parent has not taken notice (field 52 of
// proc_pid_stat(5)), and from a pidfd since Linux 6.15 (PIDFD_INFO_EXIT) once it
// has.
func (r *Runtime) Wait(id string) (Exit, error) {
	c, err := r.Load(id)
	if err != nil {
		return Exit{}, err
	}
	if c.Pid == 0 {
		return Exit{}, fmt.Errorf("cannot wait for container %q: it is still being created, or its create was interrupted", id)
	}
	fd, err := unix.PidfdOpen(c.Pid, 0)
	if err == unix.ESRCH {
		return Exit{}, nil
	}
	if err != nil {
		return Exit{}, fmt.Errorf("wait for container %q: pidfd_open: %w", id, err)
	}
	defer unix.Close(fd)
	stat, err := processStat(c.Pid)
	if err != nil || stat.started != c.StartTime {
		return Exit{}, nil // gone, or the number is another process's by now
	}
	if err := pollIn(fd, -1); err != nil {
		return Exit{}, fmt.Errorf("wait for container %q: %w", id, err)
	}
	return c.exit(fd), nil
}

// pollIn waits until a descriptor can be read, which a pidfd can when its
// process has ended. timeout is in milliseconds, -1 for ever.
func pollIn(fd, timeout int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(poll, timeout)
		if err != unix.EINTR {
			return err
		}
	}
}

// exit finds out how a process that has ended did so.
func (c *Container) exit(pidfd int) Exit {
	if status, err := zombieStatus(c.Pid, c.StartTime); err == nil {
		return Exit{Known: true, Status: status}
	}
	// It has been reaped.
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return Exit{} // an older kernel
	}
	return Exit{Known: true, Status: unix.WaitStatus(uint32(info.Exit_code))}
}

// zombieStatus reads how a process ended that its parent has not reaped yet.
func zombieStatus(pid int, started uint64) (unix.WaitStatus, error) {
	data, err := readFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return parseZombie(data, started)
}

// parseZombie takes field 52 of proc_pid_stat(5), if the process is the one that
// began at started and has ended.
func parseZombie(data []byte, started uint64) (unix.WaitStatus, error) {
	const exitCode = 52 - 3 // what follows the name begins with field 3
	stat, err := parseStat(data)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if stat.started != started || stat.state != 'Z' || len(fields) <= exitCode {
		return 0, errors.New("no such zombie")
	}
	n, err := strconv.ParseUint(string(fields[exitCode]), 10, 32)
	return unix.WaitStatus(n), err
}

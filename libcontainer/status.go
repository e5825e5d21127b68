package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// StatePaused is the status of a container whose processes are frozen. It is
// runc's; the specification leaves room for it.
const StatePaused specs.ContainerState = "paused"

// Status finds out whether the container's init lives and how far it has come.
func (c *Container) Status() (specs.ContainerState, error) {
	if c.Pid == 0 {
		if c.beingMade() {
			return specs.StateCreating, nil
		}
		return specs.StateStopped, nil
	}
	alive, err := c.alive()
	if err != nil {
		return "", err
	}
	if !alive {
		return specs.StateStopped, nil
	}
	// A created container can be paused too.
	frozen, err := c.frozen()
	if err != nil {
		return "", err
	}
	if frozen {
		return StatePaused, nil
	}
	waiting, err := c.waiting()
	if err != nil {
		return "", err
	}
	if waiting {
		return specs.StateCreated, nil
	}
	return specs.StateRunning, nil
}

// beingMade says whether a create is at work: it holds the lock.
func (c *Container) beingMade() bool {
	if c.isLocked {
		return false
	}
	fd, err := open(c.dir, unix.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// alive says whether init runs: its pid exists, has not become a zombie, and
// was not given to another process.
func (c *Container) alive() (bool, error) {
	state, started, err := processStat(c.Pid)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("state of process %d of container %q: %w", c.Pid, c.ID, err)
	}
	return state != 'Z' && state != 'X' && started == c.StartTime, nil
}

// waiting says whether init still waits on the FIFO: somebody has it open for
// reading.
func (c *Container) waiting() (bool, error) {
	fd, err := unix.Open(filepath.Join(c.dir, fifoFile), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		unix.Close(fd)
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO):
		return false, nil
	}
	return false, fmt.Errorf("state of container %q: open %s: %w", c.ID, fifoFile, err)
}

// processStat reads a process's state letter and start time.
func processStat(pid int) (state byte, started uint64, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseStat(data)
}

// parseStat takes fields 3 and 22 of proc_pid_stat(5). The name in field 2 may
// hold anything, so counting starts at its last parenthesis.
func parseStat(data []byte) (state byte, started uint64, err error) {
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return 0, 0, errors.New("no parenthesis in /proc/PID/stat")
	}
	fields := bytes.Fields(data[i+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return 0, 0, errors.New("too few fields in /proc/PID/stat")
	}
	started, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], started, err
}

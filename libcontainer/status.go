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

	"berth/libcontainer/compile"
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
	stat, alive, err := c.stat()
	if err != nil {
		return "", err
	}
	if !alive {
		return specs.StateStopped, nil
	}
	// A created container can be paused too.
	frozen, err := c.frozen(stat.state)
	if err != nil {
		return "", err
	}
	if frozen {
		return StatePaused, nil
	}
	if stat.name != waitingName {
		return specs.StateRunning, nil
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
	_, alive, err := c.stat()
	return alive, err
}

func (c *Container) stat() (s procStat, alive bool, err error) {
	s, err = processStat(c.Pid)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("state of process %d of container %q: %w", c.Pid, c.ID, err)
	}
	return s, s.state != 'Z' && s.state != 'X' && s.started == c.StartTime, nil
}

// waitingName is what an executor is called that waits for start. A program of
// the container's may call itself so too.
const waitingName = compile.InitName

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

// procStat is what is wanted of proc_pid_stat(5).
type procStat struct {
	name    string // field 2, at most 15 bytes
	state   byte   // field 3
	started uint64 // field 22, in ticks since boot
}

func processStat(pid int) (procStat, error) {
	// It is shorter than 400 bytes, and comes in one piece.
	var buf [512]byte
	data, err := readShort(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return procStat{}, err
	}
	return parseStat(data)
}

// parseStat takes a line of proc_pid_stat(5) apart. The name in it may hold
// anything, so it ends with the last parenthesis.
func parseStat(data []byte) (s procStat, err error) {
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return s, errors.New("no parenthesis in /proc/PID/stat")
	}
	// What is behind it is fields 3, 4 and so on, each after one space.
	rest := data[i+1:]
	if len(rest) < 3 || rest[0] != ' ' || rest[2] != ' ' {
		return s, errors.New("too few fields in /proc/PID/stat")
	}
	s.name = string(data[bytes.IndexByte(data[:i], '(')+1 : i])
	s.state = rest[1]
	for field := 2; field < 22; field++ {
		space := bytes.IndexByte(rest, ' ')
		if space < 0 {
			return s, errors.New("too few fields in /proc/PID/stat")
		}
		rest = rest[space+1:]
	}
	if end := bytes.IndexByte(rest, ' '); end >= 0 {
		rest = rest[:end]
	}
	s.started, err = strconv.ParseUint(string(rest), 10, 64)
	return s, err
}

package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups/fs"
	"berth/cgroups/systemd"
	"berth/libcontainer/resctrl"
)

// Files in a container's folder.
const (
	stateFile  = "state.json"
	configFile = "config.json"
	fifoFile   = "exec.fifo"
	reportFile = "report.fifo"
)

// Runtime is a state root and what holds for every container in it.
type Runtime struct {
	// Root is the folder that holds a folder for each container.
	Root string
	// Version is berth's own, kept in the state for later ones to read.
	Version string
	// CgroupManager says who makes containers' cgroups; empty is Cgroupfs.
	CgroupManager CgroupManager
	// Rootless says that a container without limits does without the cgroups
	// that this user may not make.
	Rootless bool
	// UserSystemd asks the caller's own systemd manager, not process 1.
	UserSystemd bool
	// Trace collects what takes how long; nil for none.
	Trace *Trace
	// Log takes warnings and debug lines; never what is returned as an error.
	Log func(level, msg string)
	// Debug says that debug lines are read, so that time may be spent on them.
	Debug bool
}

// State is what is kept of a container between commands.
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`       // init's, 0 before it exists
	StartTime   uint64            `json:"startTime"` // field 22 of proc_pid_stat(5), in ticks since boot
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
	Cgroup      *fs.State         `json:"cgroup,omitempty"`
	Unit        *systemd.Unit     `json:"unit,omitempty"` // the scope, with --systemd-cgroup
	// IntelRdt is the container's group of Intel RDT, if it has one.
	IntelRdt *resctrl.Group `json:"intelRdt,omitempty"`
	// NoNewKeyring says that the container has the caller's session keyring.
	NoNewKeyring bool `json:"noNewKeyring,omitempty"`
	// Poststop says that the configuration has hooks for after the deletion.
	Poststop bool   `json:"poststop,omitempty"`
	Berth    string `json:"berth"` // version that wrote this
}

// NotExistError says that there is no such container.
type NotExistError struct{ ID string }

// Error returns the text that engines look for.
func (e *NotExistError) Error() string { return fmt.Sprintf("container %q does not exist", e.ID) }

// damagedError says that a container's state cannot be understood.
type damagedError struct {
	id, file string
	cause    error
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("state of container %q (%s) is damaged: %v: remove the container with delete --force", e.id, e.file, e.cause)
}

func (e *damagedError) Unwrap() error { return e.cause }

// foreignError says that another runtime made the container: on a node that has
// both, an engine may have them keep their containers in the same place.
type foreignError struct{ id, file string }

func (e *foreignError) Error() string {
	return fmt.Sprintf("container %q is another runtime's: %s was not written by berth: use the runtime that made it", e.id, e.file)
}

// checkID refuses what is no container id: letters, digits and _ + - . only,
// and neither "." nor "..".
func checkID(id string) error {
	if id == "" {
		return errors.New("container id is empty: give one")
	}
	if id == "." || id == ".." {
		return fmt.Errorf("container id %q is a folder's name: choose another", id)
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_+-.", r):
		default:
			return fmt.Errorf("container id %q has the character %q: letters, digits and _ + - . are allowed", id, r)
		}
	}
	if len(id) > unix.NAME_MAX {
		return fmt.Errorf("container id has %d characters, %d are allowed", len(id), unix.NAME_MAX)
	}
	return nil
}

// Container is a container that is known under a state root.
type Container struct {
	State
	runtime  *Runtime
	dir      string
	lock     int // descriptor of dir
	isLocked bool
}

func (r *Runtime) dir(id string) string { return filepath.Join(r.Root, id) }

// Load reads a container's state. It takes no lock: the file is replaced
// atomically.
func (r *Runtime) Load(id string) (*Container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	return r.load(unix.AT_FDCWD, r.Root, id)
}

// load reads the state of a container by its id from the folder root, which is
// taken from the folder at.
func (r *Runtime) load(at int, root, id string) (*Container, error) {
	c := &Container{runtime: r, dir: r.dir(id)}
	var buf [4096]byte
	data, err := readShort(at, root+"/"+id+"/"+stateFile, buf[:])
	if len(data) == len(buf) {
		data, err = readFile(c.dir + "/" + stateFile)
	}
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(c.dir); err == nil {
			// Its create was killed before the first state was written.
			c.State = State{ID: id}
			return c, nil
		}
		return nil, &NotExistError{id}
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of container %q: %w", id, err)
	}
	if err := c.State.decode(data); err != nil {
		return nil, &damagedError{id, filepath.Join(c.dir, stateFile), err}
	}
	if c.Bundle == "" { // each state of berth's has one; runc's keeps it elsewhere
		return nil, &foreignError{id, filepath.Join(c.dir, stateFile)}
	}
	return c, nil
}

// save replaces the state file; a reader sees the old state or the new one.
func (c *Container) save() error {
	return writeFileAtomic(filepath.Join(c.dir, stateFile), c.State.encode())
}

func writeFileAtomic(path string, data []byte) error {
	if err := writeAside(path, data); err != nil {
		return err
	}
	return putInPlace(path)
}

// aside is the name under which a file is written before it gets its own.
func aside(path string) string { return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)) }

func writeAside(path string, data []byte) error {
	if err := writeFile(aside(path), data, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// putInPlace gives what writeAside has written its name.
func putInPlace(path string) error {
	if err := unix.Rename(aside(path), path); err != nil {
		os.Remove(aside(path))
		return fmt.Errorf("write %s: rename: %w", path, err)
	}
	return nil
}

// lockDeadline bounds the wait for another berth that changes a container.
const lockDeadline = 10 * time.Second

// acquire locks the container's folder. The lock goes with the process, so
// that a killed one never leaves it behind.
func (c *Container) acquire() error {
	fd, err := open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return &NotExistError{c.ID}
	}
	if err != nil {
		return fmt.Errorf("lock container %q: %w", c.ID, err)
	}
	deadline := time.Now().Add(lockDeadline)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			unix.Close(fd)
			return fmt.Errorf("lock container %q: %w", c.ID, err)
		}
		if time.Now().After(deadline) {
			unix.Close(fd)
			return fmt.Errorf("container %q is being changed by another process for more than %s: try again, or see `fuser %s`", c.ID, lockDeadline, c.dir)
		}
		time.Sleep(wait)
	}
	// Whoever held the lock may have deleted the container.
	if gone(fd, c.dir) {
		unix.Close(fd)
		return &NotExistError{c.ID}
	}
	c.lock, c.isLocked = fd, true
	return nil
}

func gone(fd int, dir string) bool {
	var mine, there unix.Stat_t
	if unix.Fstat(fd, &mine) != nil || unix.Stat(dir, &there) != nil {
		return true
	}
	return mine.Dev != there.Dev || mine.Ino != there.Ino
}

func (c *Container) release() {
	if c.isLocked {
		unix.Close(c.lock)
		c.isLocked = false
	}
}

// locked runs f on the container as it is once the lock is held.
func (r *Runtime) locked(id string, f func(*Container) error) error {
	if err := checkID(id); err != nil {
		return err
	}
	lock := Container{State: State{ID: id}, dir: r.dir(id)}
	if err := lock.acquire(); err != nil {
		return err
	}
	defer lock.release()
	c, err := r.Load(id)
	if err != nil {
		return err
	}
	c.lock, c.isLocked = lock.lock, true
	return f(c)
}

// OCIState returns the state as runtime.md's "State" section describes it.
func (c *Container) OCIState(status specs.ContainerState) *specs.State {
	s := &specs.State{Version: c.OCIVersion, ID: c.ID, Status: status, Bundle: c.Bundle, Annotations: c.Annotations}
	if status != specs.StateStopped {
		s.Pid = c.Pid
	}
	return s
}

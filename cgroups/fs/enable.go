package fs

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// measured are the controllers that a container's statistics come from; they
// are enabled where that works, also when no limit needs them.
var measured = [...]string{"cpu", "io", "memory", "pids"}

// enable turns the needed controllers on in every folder above this one, so that
// it has their files; available are those of the mount. A controller can be on
// in a folder only when it is on in all above (cgroup-v2.rst, "Top-down
// Constraint"), so where the folder has it already, nothing is to be done: the
// usual case costs one read, and none where v2 has no controllers to speak of.
func (f *folder) enable(base int, available, needed []string) error {
	if gone := without(needed, available); len(gone) > 0 {
		return &ControllerError{gone[0], fmt.Errorf("cgroup %s: the controller %s is not available at %s (it has: %s): enable it on the host, or remove the limits that need it",
			f.Full(), strings.Join(gone, ", "), f.Mountpoint, cmp.Or(strings.Join(available, " "), "none"))}
	}
	wished := without(measured[:], without(measured[:], available))
	if len(needed) == 0 && len(wished) == 0 {
		return nil
	}
	var buf [256]byte
	b, err := readFile(f.fd, "cgroup.controllers", buf[:])
	if err != nil {
		return fmt.Errorf("read %s/cgroup.controllers: %w", f.Full(), err)
	}
	here := cgroups.ParseControllers(b)
	missing := without(needed, here)
	wished = without(wished, here)
	if len(missing) == 0 && len(wished) == 0 {
		return nil
	}
	if err := f.enableIn(base, "", missing, wished); err != nil {
		return err
	}
	path := f.Path[1:]
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		if err := f.enableIn(base, path[:i], missing, wished); err != nil {
			return err
		}
	}
	return nil
}

// enableIn turns controllers on for the children of one folder.
func (f *folder) enableIn(base int, folder string, missing, wished []string) error {
	var buf [256]byte
	file := sub(folder, "cgroup.subtree_control")
	b, err := readFile(base, file, buf[:])
	if err != nil {
		return fmt.Errorf("read %s/%s: %w", f.Mountpoint, file, err)
	}
	on := cgroups.ParseControllers(b)
	missing, wished = without(missing, on), without(wished, on)
	if len(missing)+len(wished) == 0 {
		return nil
	}
	populated, err := holdsProcesses(base, folder)
	if err != nil {
		return fmt.Errorf("look for processes in %s/%s: %w", f.Mountpoint, folder, err)
	}
	if populated {
		if len(missing) == 0 {
			return nil
		}
		return f.enableError(missing[0], file, unix.EBUSY)
	}
	if writeFile(base, file, plus(missing, wished)) == nil {
		return nil
	}
	// One controller that the kernel refuses refuses them all: the ones that are
	// only wished for go one by one, and may fail.
	for i := range wished {
		_ = writeFile(base, file, plus(wished[i:i+1], nil)) // statistics without it are what remains
	}
	for i := range missing {
		if err := writeFile(base, file, plus(missing[i:i+1], nil)); err != nil {
			return f.enableError(missing[i], file, err)
		}
	}
	return nil
}

// holdsProcesses tells whether a v2 folder other than the hierarchy's root has
// processes of its own. In such a one the kernel does not enable controllers such
// as memory; but those that also work on threads (cpu, pids) it does, and turns
// the cgroup into a threaded one, so that those below take no processes.
func holdsProcesses(base int, folder string) (bool, error) {
	var buf [64]byte
	if folder == "" {
		// Only the root of all has no type. That of a cgroup namespace does.
		if _, err := readFile(base, "cgroup.type", buf[:]); absent(err) {
			return false, nil
		}
	}
	fd, err := openFile(base, sub(folder, "cgroup.procs"), unix.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	n := 0
	err = interrupted(func() (err error) {
		n, err = unix.Read(fd, buf[:])
		return err
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil // threaded already: the kernel says so on writing
	}
	return n > 0, err
}

func (f *folder) enableError(controller, file string, err error) error {
	return &ControllerError{controller, fmt.Errorf("enable the controller %s for %s: write %q to %s/%s: %w%s",
		controller, f.Full(), "+"+controller, f.Mountpoint, file, err, enableHint(err))}
}

// ControllerError says that a controller which a limit needs cannot be enabled.
type ControllerError struct {
	Controller string
	Err        error
}

// Error returns Err's text.
func (e *ControllerError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ControllerError) Unwrap() error { return e.Err }

func enableHint(err error) string {
	switch {
	case errors.Is(err, unix.EBUSY):
		return ": that cgroup has processes of its own, and one that has cannot pass controllers on (cgroups(7), no internal processes): move them to a cgroup below it, or choose another linux.cgroupsPath"
	case errors.Is(err, unix.EOPNOTSUPP):
		return ": that cgroup is threaded (see its cgroup.type), where this controller does not work: choose a linux.cgroupsPath that is not below a threaded cgroup"
	case errors.Is(err, unix.ENOENT):
		return ": the cgroup above does not have it enabled"
	case denied(err):
		return ": the controller is not delegated to this user: enable it in the cgroups above (with systemd: Delegate=), or remove the limits that need it"
	}
	return ""
}

// without returns what of list is not in other.
func without(list, other []string) []string {
	var rest []string
next:
	for _, name := range list {
		for _, o := range other {
			if o == name {
				continue next
			}
		}
		rest = append(rest, name)
	}
	return rest
}

// plus writes names in the form cgroup.subtree_control takes: "+cpu +memory".
func plus(lists ...[]string) string {
	var b strings.Builder
	for _, list := range lists {
		for _, name := range list {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteByte('+')
			b.WriteString(name)
		}
	}
	return b.String()
}

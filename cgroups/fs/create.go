package fs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// CreateOptions says how Create goes about it.
type CreateOptions struct {
	// Controllers are those the container's limits need on v2 (see
	// cgroups.Needed): Create fails where one cannot be enabled.
	Controllers []string
	// SkipDenied leaves out a hierarchy in which this user may not make
	// folders, as a rootless container without limits does. A limit that
	// then has no folder fails in Apply.
	SkipDenied bool
	// Resident is a process of the container's that may be in the folders
	// already, as systemd puts it there; 0 for none.
	Resident int
}

// Create makes the container's folders, and the folders above them that are
// missing. On v1 a new cpuset takes its CPUs and memory nodes from the one
// above; on v2 the controllers asked for, and those statistics come from (cpu,
// memory, io, pids) where the host has them, are enabled down the path.
//
// A folder that exists is used when it is empty, and will be removed with the
// container. It is refused when it has processes, or is frozen: a container
// would share limits with strangers, or never start.
//
// When it fails, everything it made is removed again. Errors begin with the
// placement's origin (linux.cgroupsPath).
func Create(p *cgroups.Placement, opt CreateOptions) (*Manager, error) {
	m, err := Begin(p, opt)
	if err == nil {
		err = m.Complete(p, opt)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Begin is the first half of Create: the v2 folder alone, into which a process
// can be cloned. Complete has to follow, and may run while the process begins.
func Begin(p *cgroups.Placement, opt CreateOptions) (*Manager, error) {
	m := &Manager{folders: make([]folder, 0, len(p.Folders))}
	if err := m.create(p, opt, true); err != nil {
		return nil, err
	}
	return m, nil
}

// Complete is the second half of Create: the folders of the v1 hierarchies.
// When it fails, what Begin made is removed too, unless a process is in it
// already: then Remove does that once the process is gone.
func (m *Manager) Complete(p *cgroups.Placement, opt CreateOptions) error {
	return m.create(p, opt, false)
}

func (m *Manager) create(p *cgroups.Placement, opt CreateOptions, unified bool) error {
	for i := range p.Folders {
		if p.Folders[i].Unified != unified {
			continue
		}
		f := folder{Folder: p.Folders[i], fd: -1}
		err := f.create(p.Available, opt.Controllers, opt.Resident)
		if err != nil {
			f.undo()
			if opt.SkipDenied && denied(err) {
				continue
			}
			m.undo()
			return fmt.Errorf("%s: %w", p.Origin, err)
		}
		m.folders = append(m.folders, f)
	}
	return nil
}

// undo removes what create made, and only that. What a process is in already is
// left to Remove.
func (m *Manager) undo() {
	left := m.folders[:0]
	for i := range m.folders {
		if f := &m.folders[i]; !f.undo() {
			left = append(left, *f)
		}
	}
	m.folders = left
}

func (f *folder) undo() (done bool) {
	f.close()
	if f.leaf && busy(unix.Rmdir(f.Full())) {
		return false
	}
	f.leaf = false
	f.removeParents()
	return true
}

// madeHere is the extended attribute of a parent folder that berth made. Containers
// that share it may come and go in any order: who leaves last takes it away, whoever
// made it. Only root of the host may set one in trusted (xattr(7)), so that no
// container's root can have a folder removed by it.
const madeHere = "trusted.berth.made"

// removeParents removes the folders above that were made for this container, or
// for another of berth's. One that others use by now refuses (EBUSY), which is as
// it should be.
func (f *folder) removeParents() {
	for path := above(f.Path); path != ""; path = above(path) {
		own := f.top != "" && len(path) >= len(f.top)
		if !own {
			if _, err := unix.Lgetxattr(f.Mountpoint+path, madeHere, nil); err != nil {
				break // not berth's, or not there
			}
		}
		err := unix.Rmdir(f.Mountpoint + path)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
	}
	f.top = ""
}

// above is the folder that holds path, "" for the root.
func above(path string) string {
	return path[:strings.LastIndexByte(path, '/')]
}

func (f *folder) create(available, needed []string, resident int) error {
	if err := checkSub(f.Path); err != nil {
		return fmt.Errorf("create cgroup %s: %w", f.Full(), err)
	}
	base, err := openRoot(f.Mountpoint)
	if err != nil {
		return fmt.Errorf("open the cgroup mount %s: %w", f.Mountpoint, err)
	}
	defer unix.Close(base)
	if err := f.mkdir(base); err != nil {
		return fmt.Errorf("create cgroup %s: %w%s", f.Full(), err, mkdirHint(err))
	}
	if f.fd, err = openFolder(base, f.Path[1:]); err != nil {
		return fmt.Errorf("open cgroup %s: %w", f.Full(), err)
	}
	if f.Unified {
		if err := f.enable(base, available, needed); err != nil {
			return err
		}
	}
	if f.has("cpuset") {
		if err := f.inheritCpuset(base); err != nil {
			return err
		}
	}
	return f.checkFit(resident)
}

func (f *folder) has(controller string) bool {
	for _, c := range f.Controllers {
		if c == controller {
			return true
		}
	}
	return false
}

// mkdir makes the folder, and the missing ones above it. Another container's
// end may remove a common parent at any moment (removeParents), so the whole is
// tried again a few times.
func (f *folder) mkdir(base int) error {
	for range 16 {
		err := f.mkdirOnce(base)
		if err == nil || errors.Is(err, unix.EEXIST) {
			f.leaf = f.leaf || err == nil
			return nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return unix.ENOENT
}

func (f *folder) mkdirOnce(base int) error {
	cut := strings.LastIndexByte(f.Path, '/')
	if cut == 0 {
		return unix.Mkdirat(base, f.Path[1:], 0o755)
	}
	parent, err := openFolder(base, f.Path[1:cut])
	if absent(err) {
		parent, err = f.mkdirParents(base, f.Path[1:cut])
	}
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	return unix.Mkdirat(parent, f.Path[cut+1:], 0o755)
}

// mkdirParents makes the folders of path that are missing, one below the other,
// and returns a descriptor of the last.
func (f *folder) mkdirParents(base int, path string) (int, error) {
	at := base
	for done := 0; done < len(path); {
		name, _, _ := strings.Cut(path[done:], "/")
		done += len(name) + 1
		err := unix.Mkdirat(at, name, 0o755)
		if err == nil {
			if f.top == "" || done < len(f.top) {
				f.top = f.Path[:done]
			}
			// Who may not, as without root, has the saved state alone to go by.
			_ = unix.Lsetxattr(f.Mountpoint+f.Path[:done], madeHere, nil, 0)
		}
		next := -1
		if err == nil || errors.Is(err, unix.EEXIST) {
			next, err = openFolder(at, name)
		}
		if at != base {
			unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

func mkdirHint(err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return ": the cgroup filesystem is mounted read-only: remount it read-write, or run berth outside of the container it is in"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return ": run berth as root, or choose a linux.cgroupsPath below a cgroup that is delegated to this user"
	case errors.Is(err, unix.EAGAIN):
		return ": a cgroup above has reached its cgroup.max.descendants or cgroup.max.depth"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		return ": the kernel has no room for another cgroup: remove unused ones (see /proc/cgroups)"
	case errors.Is(err, unix.ENOTDIR):
		return ": a part of linux.cgroupsPath is the name of a control file"
	}
	return ""
}

// checkFit refuses a cgroup in which a container would freeze, share limits
// with foreign processes, or not be let in at all.
func (f *folder) checkFit(resident int) error {
	var buf [256]byte
	switch {
	case f.Unified:
		events, err := readFile(f.fd, "cgroup.events", buf[:])
		if err != nil {
			return fmt.Errorf("read %s/cgroup.events: %w", f.Full(), err)
		}
		if cgroups.Flag(events, "frozen") {
			return fmt.Errorf("cgroup %s is frozen, a container would never start in it: write 0 to its cgroup.freeze, or that of a cgroup above, or choose another path", f.Full())
		}
		if cgroups.Flag(events, "populated") {
			if err := f.foreign(resident); err != nil {
				return err
			}
		}
		return f.checkType(buf[:])
	case f.has("freezer"):
		state, err := readFile(f.fd, "freezer.state", buf[:])
		if err != nil {
			return fmt.Errorf("read %s/freezer.state: %w", f.Full(), err)
		}
		if s := trim(state); s != "THAWED" {
			return fmt.Errorf("cgroup %s is %s, a container would never start in it: write THAWED to its freezer.state, or that of a cgroup above, or choose another path", f.Full(), s)
		}
	}
	if f.leaf {
		return nil
	}
	return f.foreign(resident)
}

func (f *folder) checkType(buf []byte) error {
	kind, err := readFile(f.fd, "cgroup.type", buf)
	if err != nil {
		return fmt.Errorf("read %s/cgroup.type: %w", f.Full(), err)
	}
	switch s := trim(kind); s {
	case "domain", "domain threaded":
		return nil
	default:
		return fmt.Errorf("cgroup %s is of type %q, which cannot hold a container's processes: the cgroup above it is threaded; choose a path that is not below a threaded cgroup", f.Full(), s)
	}
}

func (f *folder) foreign(resident int) error {
	pids, err := f.pids(true, nil)
	if err != nil {
		return err
	}
	if len(pids) == 0 || len(pids) == 1 && pids[0] == resident {
		return nil
	}
	return fmt.Errorf("cgroup %s exists and has %s in it: a container needs one of its own; choose another path, or end what runs there", f.Full(), countPids(pids))
}

// inheritCpuset gives every new cpuset on the way down the CPUs and memory nodes
// of the one above: the v1 kernel leaves them empty, and lets no process in
// (cgroup-v1/cpusets.rst). A parent that someone left empty is filled in too.
func (f *folder) inheritCpuset(base int) error {
	for _, file := range [2]string{"cpuset.cpus", "cpuset.mems"} {
		if err := f.inherit(base, file); err != nil {
			return fmt.Errorf("inherit %s in %s: %w", file, f.Full(), err)
		}
	}
	return nil
}

func (f *folder) inherit(base int, file string) error {
	path := f.Path[1:]
	// Going up to the nearest set that is not empty ends at the root, whose
	// set the kernel fills. A set made just now is empty, or a copy.
	var value string
	var buf [256]byte
	from := len(path)
	if f.leaf {
		from = max(0, strings.LastIndexByte(path, '/'))
	}
	for {
		b, err := readFile(base, sub(path[:from], file), buf[:])
		if err != nil {
			return err
		}
		if value = trim(b); value != "" || from == 0 {
			break
		}
		from = max(0, strings.LastIndexByte(path[:from], '/'))
	}
	for from < len(path) {
		next := strings.IndexByte(path[from+1:], '/')
		if next < 0 {
			from = len(path)
		} else {
			from += 1 + next
		}
		if err := writeFile(base, sub(path[:from], file), value); err != nil {
			return err
		}
	}
	return nil
}

// sub joins a folder, relative to the hierarchy's root, and a file's name.
func sub(folder, file string) string {
	if folder == "" {
		return file
	}
	return folder + "/" + file
}

package fs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Manager is a container's cgroup: its folder in each hierarchy, with a
// directory file descriptor for each. It is not safe for use by several
// goroutines at once. Close gives the descriptors back.
type Manager struct {
	folders []folder
	written openedFile // while limits are written
}

type folder struct {
	cgroups.Folder
	// fd is an O_PATH descriptor of the folder, -1 while it is not open.
	fd int
	// top is the uppermost folder above this one that Create made, as a path
	// below the mount point; "" when it made none.
	top string
	// leaf is set when Create made the folder itself.
	leaf bool
	// planned says that Create had not come to it when the state was saved.
	planned bool
}

// State is what a later command needs to find a container's cgroup again.
// It is small and goes into the container's saved state as JSON.
type State struct {
	Folders []FolderState `json:"folders"`
}

// FolderState is a folder of a saved State.
type FolderState struct {
	cgroups.Folder
	// Made is the uppermost parent folder that was made for this container,
	// below the mount point; Remove takes away the parents from there down that
	// nothing else uses by then.
	Made string `json:"made,omitempty"`
	// Planned is set in a state from Plan. No process of the container can be
	// in such a folder: what runs in it is someone else's, so that a Manager
	// loaded from it lists, stops and kills none, and Remove leaves alone what is
	// in use.
	Planned bool `json:"planned,omitempty"`
}

// State returns what Load needs.
func (m *Manager) State() State {
	s := State{Folders: make([]FolderState, len(m.folders))}
	for i := range m.folders {
		s.Folders[i] = m.folders[i].state()
	}
	return s
}

func (f *folder) state() FolderState {
	return FolderState{Folder: f.Folder, Made: f.top, Planned: f.planned}
}

// Begun takes what Begin has made into a state from Plan.
func (s *State) Begun(m *Manager) {
	for i := range s.Folders {
		if f := m.unified(); f != nil && s.Folders[i].Unified {
			s.Folders[i] = f.state()
		}
	}
}

// Plan is the state to save before Create: with it a later command can clean up
// also when this one is killed in between.
func Plan(p *cgroups.Placement) State {
	s := State{Folders: make([]FolderState, len(p.Folders))}
	for i := range p.Folders {
		f := &p.Folders[i]
		s.Folders[i].Folder, s.Folders[i].Planned = *f, true
		for path := above(f.Path); path != ""; path = above(path) {
			var st unix.Stat_t
			if err := interrupted(func() error { return unix.Stat(f.Mountpoint+path, &st) }); !absent(err) {
				break
			}
			s.Folders[i].Made = path
		}
	}
	return s
}

// Load rebuilds a Manager from a saved state. It touches nothing: the folders
// are opened when first needed.
func Load(s State) *Manager {
	m := &Manager{folders: make([]folder, len(s.Folders))}
	for i := range s.Folders {
		f := &s.Folders[i]
		m.folders[i] = folder{Folder: f.Folder, top: f.Made, planned: f.Planned, fd: -1}
	}
	return m
}

// Close closes the descriptors the Manager holds; the cgroup stays. Use after
// Close opens them again.
func (m *Manager) Close() {
	for i := range m.folders {
		m.folders[i].close()
	}
}

func (f *folder) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// dir returns the folder's descriptor, opening it where it is not open yet.
func (f *folder) dir() (int, error) {
	if f.fd >= 0 {
		return f.fd, nil
	}
	base, err := openRoot(f.Mountpoint)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", f.Mountpoint, err)
	}
	defer unix.Close(base)
	fd, err := openFolder(base, f.Path[1:])
	if err != nil {
		return -1, fmt.Errorf("open cgroup %s: %w", f.Full(), err)
	}
	f.fd = fd
	return fd, nil
}

// finished is false where a Create had not ended when the state was saved.
func (m *Manager) finished() bool {
	for i := range m.folders {
		if m.folders[i].planned {
			return false
		}
	}
	return true
}

// unified returns the v2 folder, nil on a pure v1 host, or where it is planned
// only.
func (m *Manager) unified() *folder {
	for i := range m.folders {
		if m.folders[i].Unified && !m.folders[i].planned {
			return &m.folders[i]
		}
	}
	return nil
}

// UnifiedFD is an O_PATH descriptor of the v2 folder that Create has made, for
// clone3(2)'s CLONE_INTO_CGROUP; -1 without one. It stays the Manager's.
func (m *Manager) UnifiedFD() int {
	if f := m.unified(); f != nil {
		return f.fd
	}
	return -1
}

// legacy returns the v1 folder whose hierarchy has the controller, or nil; one
// that is planned only does not count.
func (m *Manager) legacy(controller string) *folder {
	for i := range m.folders {
		f := &m.folders[i]
		for _, c := range f.Controllers {
			if c == controller && !f.Unified && !f.planned {
				return f
			}
		}
	}
	return nil
}

// Path returns the folder's absolute path on the host in the hierarchy of a v1
// controller, or in the v2 hierarchy for "" and for a controller that v1 does
// not have here; "" where there is none.
func (m *Manager) Path(controller string) string {
	f := m.legacy(controller)
	if f == nil {
		f = m.unified()
	}
	if f == nil {
		return ""
	}
	return f.Full()
}

// Paths lists the folder in each hierarchy by its controllers as
// /proc/PID/cgroup writes them ("cpu,cpuacct", "name=systemd", "" for v2).
func (m *Manager) Paths() map[string]string {
	paths := make(map[string]string, len(m.folders))
	for i := range m.folders {
		f := &m.folders[i]
		key := strings.Join(f.Controllers, ",")
		if f.Name != "" {
			key = "name=" + f.Name
		}
		paths[key] = f.Full()
	}
	return paths
}

// Exists tells whether any of the folders is there.
func (m *Manager) Exists() (bool, error) {
	for i := range m.folders {
		var st unix.Stat_t
		err := interrupted(func() error { return unix.Stat(m.folders[i].Full(), &st) })
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return false, fmt.Errorf("stat cgroup %s: %w", m.folders[i].Full(), err)
		}
	}
	return false, nil
}

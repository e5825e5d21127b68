package cgroups

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Folder is a container's cgroup in one hierarchy.
type Folder struct {
	// Mountpoint is the hierarchy's.
	Mountpoint string `json:"mountpoint"`
	// Path is the folder below Mountpoint: clean, absolute, never "/".
	Path string `json:"path"`
	// Controllers of a v1 hierarchy; empty for the v2 one, whose controllers
	// are enabled folder by folder.
	Controllers []string `json:"controllers,omitempty"`
	// Name is that of a named v1 hierarchy.
	Name string `json:"name,omitempty"`
	// Unified marks the v2 hierarchy's folder.
	Unified bool `json:"unified,omitempty"`
}

// Full is the folder's absolute path on the host.
func (f *Folder) Full() string {
	if f.Mountpoint == "/" {
		return f.Path
	}
	return f.Mountpoint + f.Path
}

// Placement is a container's cgroup: a folder in each hierarchy of the host.
type Placement struct {
	// Origin is the place in config.json that decided it, for errors.
	Origin string
	// Available are the controllers of the v2 hierarchy's mount.
	Available []string
	Folders   []Folder
	// Refused are folders that this user may not make or use, in hierarchies
	// which the container has none in then.
	Refused []Refusal
}

// Refusal is a folder that cannot be had, and why.
type Refusal struct {
	Folder
	Cause string
}

// Denies returns the refusal that a write meets; nil for none.
func (p *Placement) Denies(w *Write) *Refusal {
	for i := range p.Refused {
		r := &p.Refused[i]
		if r.Unified == w.Unified && (w.Unified || has(r.Controllers, w.Controller)) {
			return r
		}
	}
	return nil
}

// Place decides where a container's cgroup is, for the cgroupfs driver.
//
// What runtime-spec leaves to the runtime is as runc's users know it:
//   - an absolute cgroupsPath is taken below the root of each hierarchy's mount;
//   - a relative one is taken below this process's own cgroup on v1; on v2,
//     where a cgroup that has processes cannot pass controllers on to children
//     (cgroups(7), "no internal processes"), beside it, that is below its parent;
//   - an empty one is the container's id, taken as relative.
//
// Refused: the root cgroup itself, a path with "..", a systemd
// slice:prefix:name. The errors name linux.cgroupsPath.
func Place(l *Layout, cgroupsPath, id string) (*Placement, error) {
	return place(l, cgroupsPath, id, false)
}

// PlaceWherePossible is Place for who can do without a cgroup: a hierarchy in
// which the path cannot be found is among the placement's Refused, and no error.
func PlaceWherePossible(l *Layout, cgroupsPath, id string) (*Placement, error) {
	return place(l, cgroupsPath, id, true)
}

func place(l *Layout, cgroupsPath, id string, lenient bool) (*Placement, error) {
	p := &Placement{Origin: "linux.cgroupsPath", Folders: make([]Folder, 0, len(l.Hierarchies))}
	name := cgroupsPath
	if name == "" {
		if id == "" {
			return nil, errors.New("linux.cgroupsPath: it is empty, and so is the container's id that would stand in for it")
		}
		name, p.Origin = id, "linux.cgroupsPath (unset)"
	}
	if err := checkPath(name); err != nil {
		return nil, fmt.Errorf("linux.cgroupsPath: %q: %w", name, err)
	}
	for i := range l.Hierarchies {
		h := &l.Hierarchies[i]
		at := name
		if name[0] != '/' {
			parent, err := h.parent()
			if err != nil && lenient {
				p.Refused = append(p.Refused, Refusal{Cause: err.Error(),
					Folder: Folder{Mountpoint: h.Mountpoint, Controllers: h.Controllers, Name: h.Name, Unified: h.Unified}})
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("linux.cgroupsPath: %q: %w", name, err)
			}
			at = parent + "/" + name
		}
		f := Folder{Mountpoint: h.Mountpoint, Path: path.Clean(at), Name: h.Name, Unified: h.Unified}
		if h.Unified {
			p.Available = h.Controllers
		} else {
			f.Controllers = h.Controllers
		}
		p.Folders = append(p.Folders, f)
	}
	return p, nil
}

// checkPath refuses what no hierarchy could honour. mkdir of a cgroup refuses a
// newline (kernel/cgroup/cgroup.c); NUL ends a path.
func checkPath(name string) error {
	if strings.ContainsAny(name, "\x00\n") {
		return errors.New("a cgroup's name cannot have a newline or NUL in it")
	}
	if name[0] != '/' && strings.Count(name, ":") == 2 && !strings.Contains(name, "/") {
		return errors.New("this is slice:prefix:name, the form for systemd: give --systemd-cgroup, or a path such as /folder/name")
	}
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part == ".." {
			return errors.New("it must not have .. in it: give the path from the root of the hierarchy")
		}
		if len(part) > 255 {
			return fmt.Errorf("the part %.16q… is longer than the 255 bytes a file name may have", part)
		}
	}
	if c := path.Clean("/" + name); c == "/" {
		return errors.New("this is the root cgroup, which holds the host's own processes and takes no limits: name a cgroup below it")
	}
	return nil
}

// parent is the folder, below the hierarchy's mount point, in which relative
// paths are taken; without a trailing slash.
func (h *Hierarchy) parent() (string, error) {
	own, ok := h.OwnBelowMount()
	if !ok {
		return "", fmt.Errorf("a relative path is taken from the caller's own cgroup, and that (%s) is not below %s, which shows %s: give an absolute path",
			h.Own, h.Mountpoint, h.Root)
	}
	if h.Unified {
		own = path.Dir(own)
	}
	return strings.TrimSuffix(own, "/"), nil
}

// OwnBelowMount is this process's cgroup as a path below Mountpoint; false when
// the mount does not show it, or a cgroup namespace hides where it is.
func (h *Hierarchy) OwnBelowMount() (string, bool) {
	own := strings.TrimSuffix(h.Own, " (deleted)")
	if own == "/.." || strings.HasPrefix(own, "/../") || strings.HasPrefix(h.Root, "/..") {
		return "", false
	}
	if h.Root == "/" || h.Root == "" {
		return own, true
	}
	below, ok := strings.CutPrefix(own, h.Root)
	if !ok || below != "" && below[0] != '/' {
		return "", false
	}
	if below == "" {
		below = "/"
	}
	return below, true
}

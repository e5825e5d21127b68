package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where every distribution mounts its cgroup hierarchies.
const cgroupRoot = "/sys/fs/cgroup"

// layout is which cgroup hierarchies a mount namespace shows: "v1", "v2" or "hybrid" (both).
type layout string

// hierarchy is a mounted cgroup hierarchy.
type hierarchy struct {
	mountpoint  string
	unified     bool     // cgroup v2
	controllers []string // of a v1 hierarchy
}

// mountedHierarchies lists the cgroup mounts that this mount namespace shows, those covered by later ones left out.
func mountedHierarchies() ([]hierarchy, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(text)), nil
}

// parseHierarchies reads proc_pid_mountinfo(5).
func parseHierarchies(mountinfo string) []hierarchy {
	var list []hierarchy
	for line := range strings.Lines(mountinfo) {
		front, back, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(front), strings.Fields(back)
		if !ok || len(fields) < 6 || len(kind) < 3 {
			continue
		}
		at := fields[4]
		// What is mounted over a folder hides what was mounted there and below before.
		list = slices.DeleteFunc(list, func(h hierarchy) bool {
			return h.mountpoint == at || strings.HasPrefix(h.mountpoint, at+"/")
		})
		switch kind[0] {
		case "cgroup2":
			list = append(list, hierarchy{mountpoint: at, unified: true})
		case "cgroup":
			list = append(list, hierarchy{mountpoint: at, controllers: strings.Split(kind[2], ",")})
		}
	}
	return list
}

// layoutOf names what the hierarchies are.
func layoutOf(hierarchies []hierarchy) (layout, error) {
	v1, v2 := false, false
	for _, h := range hierarchies {
		v1, v2 = v1 || !h.unified, v2 || h.unified
	}
	switch {
	case v1 && v2:
		return "hybrid", nil
	case v1:
		return "v1", nil
	case v2:
		return "v2", nil
	}
	return "", errors.New("no cgroup hierarchy is mounted")
}

// layoutsOf lists the layouts that can be had on a host: its own first, and those that a private mount namespace can
// show beside it.
func layoutsOf(host layout) []layout {
	switch host {
	case "hybrid":
		return []layout{"hybrid", "v1", "v2"}
	case "v1":
		return []layout{"v1", "v2"}
	}
	return []layout{host}
}

// show turns this mount namespace, which must be a private one, into a layout.
func show(want layout) error {
	now, err := mountedHierarchies()
	if err != nil {
		return err
	}
	have, err := layoutOf(now)
	if err != nil || have == want {
		return err
	}
	switch want {
	case "v1":
		for _, h := range now {
			if h.unified {
				if err := unix.Unmount(h.mountpoint, 0); err != nil {
					return fmt.Errorf("unmount %s in a private mount namespace: %w", h.mountpoint, err)
				}
			}
		}
	case "v2":
		for _, h := range now {
			if !h.unified {
				continue
			}
			// A new mount would give its options to the host's hierarchy.
			if err := unix.Mount(h.mountpoint, cgroupRoot, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("bind %s to %s in a private mount namespace: %w", h.mountpoint, cgroupRoot, err)
			}
		}
	default:
		return fmt.Errorf("cannot show cgroup layout %s on a host with %s", want, have)
	}
	return nil
}

// lacks names the first of the controllers that a layout does not have; "" when it has them all.
func lacks(hierarchies []hierarchy, controllers ...string) string {
	for _, c := range controllers {
		found := false
		for _, h := range hierarchies {
			found = found || slices.Contains(h.controllersNow(), c)
		}
		if !found {
			return c
		}
	}
	return ""
}

// controllersNow lists a hierarchy's controllers; those of v2 are asked for.
func (h *hierarchy) controllersNow() []string {
	if !h.unified {
		return h.controllers
	}
	text, err := os.ReadFile(filepath.Join(h.mountpoint, "cgroup.controllers"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// cgroupsNamed finds the cgroups whose name begins with a token and those below them, deepest first.
func cgroupsNamed(token string, hierarchies []hierarchy) []string {
	var found []string
	for _, h := range hierarchies {
		// Other cgroups come and go meanwhile: what cannot be read is not ours.
		_ = filepath.WalkDir(h.mountpoint, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.Contains(strings.TrimPrefix(path, h.mountpoint), "/"+token) {
				found = append(found, path)
			}
			if err != nil && d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		})
	}
	slices.Reverse(found)
	return found
}

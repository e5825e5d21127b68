package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountsFile lists the mounts in a container's folder that config.json does not name, as they were added while it ran.
const mountsFile = "mounts.json"

// readMounts reads such a list; no file is an empty one.
func readMounts(folder string) ([]specs.Mount, error) {
	file := filepath.Join(folder, mountsFile)
	text, err := readFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var mounts []specs.Mount
	if err == nil {
		err = json.Unmarshal(text, &mounts)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return mounts, nil
}

// writeMounts writes such a list, which takes the place of an earlier one.
func writeMounts(folder string, mounts []specs.Mount) error {
	file := filepath.Join(folder, mountsFile)
	if len(mounts) == 0 {
		if err := unix.Unlink(file); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove %s: %w", file, err)
		}
		return nil
	}
	text, err := json.Marshal(mounts)
	if err != nil {
		return err
	}
	return writeFileAtomic(file, text)
}

// noteAdded keeps what was mounted. Relative sources are from the bundle.
func (c *Container) noteAdded(mounts []specs.Mount) error {
	all, err := readMounts(c.dir)
	if err != nil {
		return err
	}
	for i := range mounts {
		m := mounts[i]
		if isBind(&m) {
			m.Source = sourceFrom(c.Bundle, &m)
		}
		all = append(all, m)
	}
	return writeMounts(c.dir, all)
}

// noteRemoved forgets of each destination what was mounted there last.
func (c *Container) noteRemoved(mounts []specs.Mount) error {
	all, err := readMounts(c.dir)
	if err != nil || len(all) == 0 {
		return err
	}
	for i := range mounts {
		for j, m := range slices.Backward(all) {
			if filepath.Clean(m.Destination) == filepath.Clean(mounts[i].Destination) {
				all = slices.Delete(all, j, j+1)
				break
			}
		}
	}
	return writeMounts(c.dir, all)
}

// sourceFrom is a bind mount's source on the host.
func sourceFrom(bundle string, m *specs.Mount) string {
	if filepath.IsAbs(m.Source) {
		return m.Source
	}
	return filepath.Join(bundle, m.Source)
}

// isBind says whether a mount shows a part of the host's file systems.
func isBind(m *specs.Mount) bool {
	if m.Type == "bind" {
		return true
	}
	for _, o := range m.Options {
		if o == "bind" || o == "rbind" {
			return true
		}
	}
	return false
}

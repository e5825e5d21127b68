package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountsFile lists mounts that config.json does not name: in a container's folder those that were added while it ran,
// and among a checkpoint's images those of them that show a part of the host's file systems.
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

// noteAdded keeps what was mounted, for a checkpoint. Relative sources are from the bundle.
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

// hostMounts are the mounts of a container that show a part of the host's file systems and are not in config.json:
// those that were added, and those that came along below a recursive bind mount.
func (c *Container) hostMounts(s *specs.Spec) ([]specs.Mount, error) {
	added, err := readMounts(c.dir)
	if err != nil {
		return nil, err
	}
	added = slices.DeleteFunc(added, func(m specs.Mount) bool { return !isBind(&m) })
	named := append(slices.Clone(s.Mounts), added...)
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", c.Pid))
	if err != nil {
		return nil, fmt.Errorf("mounts of container %q: %w", c.ID, err)
	}
	defer f.Close()
	inside, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return nil, fmt.Errorf("mounts of container %q: %w", c.ID, err)
	}
	for _, in := range inside {
		if slices.ContainsFunc(named, func(m specs.Mount) bool { return filepath.Clean(m.Destination) == in.Mountpoint }) {
			continue
		}
		// The innermost of the mounts that it lies in decides.
		for i := range slices.Backward(named) {
			m := &named[i]
			below, ok := strings.CutPrefix(in.Mountpoint, strings.TrimSuffix(filepath.Clean(m.Destination), "/")+"/")
			if !ok {
				continue
			}
			source := filepath.Join(sourceFrom(c.Bundle, m), below)
			var st unix.Stat_t
			if isBind(m) && unix.Stat(source, &st) == nil && unix.Major(st.Dev) == uint32(in.Major) && unix.Minor(st.Dev) == uint32(in.Minor) {
				added = append(added, specs.Mount{Destination: in.Mountpoint, Source: source, Options: []string{"bind"}})
			}
			break
		}
	}
	return added, nil
}

// checkMapped refuses mounts with mappings of ids, which CRIU would bring back without them.
func checkMapped(origin string, m *specs.Mount) error {
	mapped := len(m.UIDMappings)+len(m.GIDMappings) > 0
	for _, o := range m.Options {
		word, _, _ := strings.Cut(o, "=")
		mapped = mapped || word == "idmap" || word == "ridmap"
	}
	if mapped {
		return fmt.Errorf("%s (%s): a mount with mapped ids cannot be checkpointed: CRIU would bring it back without its mappings", origin, m.Destination)
	}
	return nil
}

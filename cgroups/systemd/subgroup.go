package systemd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// EnterSubgroup makes the unit's subgroup in the v2 hierarchy mounted at
// mountpoint, and moves the process there from the scope; root is the manager's
// cgroup ([Conn.ControlGroup]). A unit without a subgroup has nothing to do.
//
// It comes between [Conn.Start] and fs.Create: the scope can pass controllers on
// to the subgroup only once it has no process of its own (cgroups(7), "no
// internal processes"). v1 has no such rule, and needs no call; there fs.Create
// and fs.Manager.Join do.
//
// When it fails, the folder it made is removed; the process stays in the scope.
func (u Unit) EnterSubgroup(mountpoint, root string, pid int) error {
	if u.Subgroup == "" {
		return nil
	}
	folder := filepath.Join(mountpoint, u.CgroupPath(root))
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("annotations[%s]: make the cgroup: %w", SubgroupAnnotation, err)
	}
	if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0); err != nil {
		return errors.Join(fmt.Errorf("annotations[%s]: move process %d there: %w", SubgroupAnnotation, pid, err), os.Remove(folder))
	}
	return nil
}

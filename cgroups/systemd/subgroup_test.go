package systemd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEnterSubgroup plays systemd's part: it makes the scope's cgroup itself.
func TestEnterSubgroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	mountpoint := ""
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			mountpoint = dir
			break
		}
	}
	if mountpoint == "" {
		t.Skip("no cgroup v2 hierarchy is mounted")
	}
	root := fmt.Sprintf("/berth-test-%d", os.Getpid())
	u := Unit{Name: "p-n.scope", Slice: rootSlice, Subgroup: "inner"}
	scope := filepath.Join(mountpoint, u.ScopePath(root))
	if err := os.MkdirAll(scope, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.Remove(scope), os.Remove(filepath.Dir(scope))); err != nil {
			t.Error(err)
		}
	})
	pid := process(t, "sleep", "100").Process.Pid
	if err := os.WriteFile(filepath.Join(scope, "cgroup.procs"), fmt.Append(nil, pid), 0); err != nil {
		t.Fatal(err)
	}
	// process kills it after the test; its cgroups have to go after that.
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			t.Error(err)
		}
		if err := os.Remove(filepath.Join(scope, "inner")); err != nil {
			t.Error(err)
		}
	}()

	if err := (Unit{Name: u.Name, Slice: u.Slice}).EnterSubgroup(mountpoint, root, pid); err != nil {
		t.Errorf("no subgroup: %v", err)
	}
	if err := u.EnterSubgroup(mountpoint, root, pid); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	if want := "0::" + root + "/p-n.scope/inner\n"; !strings.HasSuffix(string(text), want) {
		t.Errorf("the process is in %s, want %s", text, want)
	}
	err = u.EnterSubgroup(mountpoint, root, pid)
	if want := "annotations[run.oci.systemd.subgroup]: make the cgroup: "; err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v, want %s…", err, want)
	}
	other := u
	other.Subgroup = "other"
	if err := other.EnterSubgroup(mountpoint, root, 1<<30); !errors.Is(err, unix.ESRCH) {
		t.Errorf("error %v, want ESRCH", err)
	}
	if _, err := os.Stat(filepath.Join(scope, "other")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a failed move is still there: %v", err)
	}
}

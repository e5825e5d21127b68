package kubernetes

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const hierarchies = "/sys/fs/cgroup"

// unified tells whether only cgroup v2 is mounted.
func unified() bool {
	_, err := os.Stat(hierarchies + "/cgroup.controllers")
	return err == nil
}

// roots lists the root of each hierarchy.
func roots(t *testing.T) []string {
	t.Helper()
	if unified() {
		return []string{hierarchies}
	}
	entries, err := os.ReadDir(hierarchies)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		if entry.IsDir() { // cpu and cpuacct may be links to the folder that is both
			all = append(all, filepath.Join(hierarchies, entry.Name()))
		}
	}
	return all
}

// makeCgroups makes a cgroup in each hierarchy, and removes it at the test's end; what is below it then is a leak, but
// for those of the kubelet's that it never removes.
func makeCgroups(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		for _, root := range roots(t) {
			removeCgroups(t, filepath.Join(root, name))
		}
	})
	if unified() { // the kubelet asks for each of these that the kernel has; hugetlb may be missing
		for _, controller := range []string{"+cpu", "+cpuset", "+memory", "+pids", "+hugetlb"} {
			err := os.WriteFile(hierarchies+"/cgroup.subtree_control", []byte(controller), 0)
			if err != nil && controller != "+hugetlb" {
				t.Fatal(err)
			}
		}
	}
	for _, root := range roots(t) {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// removeCgroups removes a cgroup with all below it. That of a pod, or one with a process, is a leak.
func removeCgroups(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Error(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			removeCgroups(t, filepath.Join(path, entry.Name()))
		}
	}
	text, _ := os.ReadFile(path + "/cgroup.procs")
	for _, line := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
			t.Errorf("process %d is left in %s", pid, path)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	if strings.HasPrefix(filepath.Base(path), "pod") {
		t.Errorf("cgroup %s is left", path)
	}
	for range 50 {
		if err = unix.Rmdir(path); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("remove %s: %v", path, err)
}

// cgroupsNamed lists the cgroups below the cluster's whose path holds a text.
func (c *cluster) cgroupsNamed(t *testing.T, text string) []string {
	t.Helper()
	var found []string
	for _, root := range roots(t) {
		err := filepath.WalkDir(filepath.Join(root, c.cgroup), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.Contains(path, text) {
				found = append(found, path)
			}
			return nil // cgroups come and go meanwhile
		})
		if err != nil {
			t.Error(err)
		}
	}
	return found
}

// cgroupOf is the folder of a process's cgroup: the one of a controller where cgroup v1 is mounted.
func cgroupOf(t *testing.T, pid int, controller string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if unified() && fields[1] == "" {
			return hierarchies + fields[2]
		}
		for _, name := range strings.Split(fields[1], ",") {
			if !unified() && name == controller {
				return filepath.Join(hierarchies, name, fields[2])
			}
		}
	}
	t.Fatalf("process %d is in no cgroup of %s:\n%s", pid, controller, text)
	return ""
}

// limit is what a file of a process's cgroup holds, by its name in cgroup v1 ("memory.limit_in_bytes") or v2.
func limit(t *testing.T, pid int, v1, v2 string) string {
	t.Helper()
	controller, _, _ := strings.Cut(v1, ".")
	name := v1
	if unified() {
		name = v2
	}
	text, err := os.ReadFile(filepath.Join(cgroupOf(t, pid, controller), name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

package fs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// The tests marked TestHost make cgroups under a name of their own, and run
// three times: on the layout the machine has, and, in mount namespaces of their
// own, on the pure v1 and v2 views of it.
const viewVariable = "BERTH_TEST_CGROUP_VIEW"

func TestMain(m *testing.M) {
	if view := os.Getenv(viewVariable); view != "" {
		if err := enterView(view); err != nil {
			fmt.Fprintf(os.Stderr, "enter the %s view: %v\n", view, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// enterView runs in a mount namespace that TestViews made.
func enterView(view string) error {
	l, err := Probe()
	if err != nil {
		return err
	}
	if view == "v2" {
		// A new mount would give its options to the host's hierarchy.
		return unix.Mount(l.Unified().Mountpoint, root, "", unix.MS_BIND, "")
	}
	return unix.Unmount(l.Unified().Mountpoint, unix.MNT_DETACH)
}

func TestViews(t *testing.T) {
	l := host(t)
	if os.Getenv(viewVariable) != "" {
		return
	}
	if l.Mode != cgroups.Hybrid {
		t.Logf("the host is %s, on which the tests ran already: it has no other view", l.Mode)
		return
	}
	for _, view := range []string{"v1", "v2"} {
		t.Run(view, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestHost", "-test.v")
			cmd.Env = append(os.Environ(), viewVariable+"="+view)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			out, err := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "--- SKIP") {
					t.Logf("in the %s view: %s", view, strings.TrimSpace(line))
				}
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// host returns the machine's layout, or skips where cgroups cannot be made.
func host(t testing.TB) *cgroups.Layout {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making cgroups needs root")
	}
	l, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	switch view := os.Getenv(viewVariable); {
	case view == "v1" && l.Mode != cgroups.V1, view == "v2" && l.Mode != cgroups.V2:
		t.Fatalf("Probe sees %s in the %s view", l.Mode, view)
	}
	return l
}

var count atomic.Int32

// ownName is a top-level cgroup name no other test has; it is removed, and its
// being gone checked, at the test's end.
func ownName(t testing.TB, l *cgroups.Layout) string {
	name := fmt.Sprintf("/berth-test-%d-%d", os.Getpid(), count.Add(1))
	t.Cleanup(func() {
		for i := range l.Hierarchies {
			top := l.Hierarchies[i].Mountpoint + name
			if _, err := os.Stat(top); err != nil {
				continue
			}
			t.Errorf("left behind: %s", top)
			for range 100 {
				filepath.WalkDir(top, func(path string, d os.DirEntry, _ error) error {
					if d != nil && d.IsDir() {
						defer os.Remove(path)
					}
					return nil
				})
				if os.Remove(top) == nil {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
	return name
}

func create(t testing.TB, l *cgroups.Layout, path string, controllers ...string) *Manager {
	t.Helper()
	p, err := cgroups.Place(l, path, "id")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Create(p, CreateOptions{Controllers: controllers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func remove(t testing.TB, m *Manager) {
	t.Helper()
	if err := m.Remove(); err != nil {
		t.Error(err)
	}
}

// sleeper starts a process, puts it into the cgroup, and ends it with the test.
func sleeper(t testing.TB, join func(pid int) error) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	if err := join(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// script starts a shell in the cgroup, which begins with the script only once it
// is in every folder: Join moves it folder by folder.
func script(t testing.TB, m *Manager, text string) (*exec.Cmd, *os.File) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "read go; "+text)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	if err := m.Join(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	return cmd, out.(*os.File)
}

func end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

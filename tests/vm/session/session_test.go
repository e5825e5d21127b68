// Package session drives a runtime where only a test machine can: with a systemd that answers, as root and as an
// ordinary user, with cgroups delegated to that user and without. OCI_RUNTIME names the runtime.
package session

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// needsMachine skips the test outside a test machine.
func needsMachine(t *testing.T) {
	t.Helper()
	if os.Getenv("BERTH_VM") == "" {
		t.Skip("runs in a test machine: tests/vm/run")
	}
}

func runtimePath() string { return os.Getenv("OCI_RUNTIME") }

func asRoot() bool { return os.Geteuid() == 0 }

// patience is for one program: systemd takes long to reload where the processor is emulated and shared.
const patience = 3 * time.Minute

// try runs a program, within its patience, and returns what it printed on both streams. They go to a file, since
// a detached container would hold a pipe open.
func try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	file, err := os.CreateTemp(t.TempDir(), "output")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = file, file
	runErr := cmd.Run()
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %s: no end after %v\n%s", name, strings.Join(args, " "), patience, text)
	}
	return strings.TrimSpace(string(text)), runErr
}

// output is try for what must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// systemctl asks the systemd that is this account's.
func systemctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if !asRoot() {
		args = append([]string{"--user"}, args...)
	}
	return try(t, "systemctl", args...)
}

// newBundle makes a bundle of the runtime's own default configuration for this account, with busybox as its shell.
func newBundle(t *testing.T, change func(*specs.Spec)) string {
	t.Helper()
	needsMachine(t)
	bundle := t.TempDir()
	bin := filepath.Join(bundle, "rootfs/bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	busybox := output(t, "sh", "-c", "command -v busybox")
	output(t, "cp", busybox, filepath.Join(bin, "busybox"))
	for _, applet := range []string{"sh", "sleep", "id", "cat"} {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"spec", "--bundle", bundle}
	if !asRoot() {
		args = append(args, "--rootless")
	}
	output(t, runtimePath(), args...)
	config := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	s.Process.Terminal = false
	s.Process.Args = []string{"/bin/sleep", "600"}
	change(&s)
	if text, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return bundle
}

// newID is a container's id; the container is gone when the test ends, however it ends.
func newID(t *testing.T) string {
	t.Helper()
	id := fmt.Sprintf("session-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	t.Cleanup(func() {
		if out, err := try(t, runtimePath(), "delete", "--force", id); err != nil {
			t.Errorf("delete --force: %v\n%s", err, out)
		}
	})
	return id
}

// cgroupOf is the folder of a container's process, on v2 or in v1's hierarchy of the pids controller.
func cgroupOf(t *testing.T, id string) string {
	t.Helper()
	var state specs.State
	if err := json.Unmarshal([]byte(output(t, runtimePath(), "state", id)), &state); err != nil {
		t.Fatal(err)
	}
	return ownCgroup(t, fmt.Sprint(state.Pid))
}

func ownCgroup(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) != 3:
		case fields[1] == "pids":
			return filepath.Join("/sys/fs/cgroup/pids", fields[2])
		case fields[0] == "0":
			return filepath.Join("/sys/fs/cgroup", fields[2])
		}
	}
	t.Fatalf("no cgroup in %q", text)
	return ""
}

// reads fails the test unless the file holds that.
func reads(t *testing.T, file, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	if got := strings.TrimSpace(string(text)); got != want {
		t.Errorf("%s: %q, want %q", file, got, want)
	}
}

// reload makes systemd write all that it knows of its units to their cgroups.
func reload(t *testing.T) {
	t.Helper()
	if out, err := systemctl(t, "daemon-reload"); err != nil {
		t.Fatalf("daemon-reload: %v\n%s", err, out)
	}
}

func wantContains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: no %q in\n%s", what, part, text)
		}
	}
}

func withPidsLimit(s *specs.Spec, limit int64) {
	if s.Linux.Resources == nil {
		s.Linux.Resources = &specs.LinuxResources{}
	}
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &limit}
}

// A container is a scope of systemd's, under the name that cgroupsPath gives, with its limits as the unit's
// properties: so they outlive a daemon-reload, which is when systemd writes what it knows.
func TestSystemdScope(t *testing.T) {
	needsMachine(t)
	id := newID(t)
	slice := "system.slice"
	if !asRoot() {
		slice = "user.slice"
	}
	bundle := newBundle(t, func(s *specs.Spec) {
		withPidsLimit(s, 77)
		s.Linux.CgroupsPath = slice + ":vm:" + id
	})
	output(t, runtimePath(), "--systemd-cgroup", "run", "--detach", "--bundle", bundle, id)
	unit := "vm-" + id + ".scope"
	show, err := systemctl(t, "show", "--property=ActiveState,Slice,TasksMax", unit)
	if err != nil {
		t.Fatalf("systemctl show: %v\n%s", err, show)
	}
	for _, want := range []string{"ActiveState=active", "Slice=" + slice, "TasksMax=77"} {
		if !strings.Contains("\n"+show+"\n", "\n"+want+"\n") {
			t.Errorf("systemctl show %s: no %s in\n%s", unit, want, show)
		}
	}
	cgroup := cgroupOf(t, id)
	if !strings.HasSuffix(cgroup, "/"+slice+"/"+unit) {
		t.Errorf("the process is in %s", cgroup)
	}
	reads(t, filepath.Join(cgroup, "pids.max"), "77")
	reload(t)
	reads(t, filepath.Join(cgroup, "pids.max"), "77")
	output(t, runtimePath(), "--systemd-cgroup", "delete", "--force", id)
	for range 50 {
		if show, _ = systemctl(t, "show", "--property=LoadState", unit); show == "LoadState=not-found" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%s is still there: %s", unit, show)
}

// systemd's own tools show the container under its name.
func TestSystemdShows(t *testing.T) {
	id := newID(t)
	bundle := newBundle(t, func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:vm:" + id })
	output(t, runtimePath(), "--systemd-cgroup", "run", "--detach", "--bundle", bundle, id)
	unit := "vm-" + id + ".scope"
	wantContains(t, "systemd-cgtop", output(t, "systemd-cgtop", "--batch", "--iterations=1", "--depth=5"), unit)
	wantContains(t, "systemctl status", output(t, "systemctl", "--no-pager", "status", unit), "container "+id, "sleep 600")
}

// What update changes is changed in the unit too, so that a daemon-reload does not bring back what was before; what the
// kernel refuses is changed in neither.
func TestSystemdUpdate(t *testing.T) {
	id := newID(t)
	bundle := newBundle(t, func(s *specs.Spec) {
		withPidsLimit(s, 77)
		s.Linux.CgroupsPath = "user.slice:vm:" + id
	})
	output(t, runtimePath(), "--systemd-cgroup", "run", "--detach", "--bundle", bundle, id)
	file := filepath.Join(cgroupOf(t, id), "pids.max")
	tasksMax := func() string {
		show, err := systemctl(t, "show", "--property=TasksMax", "vm-"+id+".scope")
		if err != nil {
			t.Fatalf("systemctl show: %v\n%s", err, show)
		}
		return show
	}
	output(t, runtimePath(), "update", "--pids-limit", "44", id)
	reload(t)
	reads(t, file, "44")
	wantContains(t, "systemctl show", tasksMax(), "TasksMax=44")
	if out, err := try(t, runtimePath(), "update", "--pids-limit", "55", "--cpuset-cpus", "4000", id); err == nil {
		t.Errorf("update to CPU 4000 succeeded: %s", out)
	}
	reload(t)
	reads(t, file, "44")
	wantContains(t, "systemctl show", tasksMax(), "TasksMax=44")
}

// Annotations set properties of the scope, slices around it are made, and the container is in the subgroup asked for,
// where its limits hold; so is what exec starts.
func TestSystemdAnnotations(t *testing.T) {
	id := newID(t)
	slice := fmt.Sprintf("vm%d-inner.slice", os.Getpid())
	bundle := newBundle(t, func(s *specs.Spec) {
		withPidsLimit(s, 77)
		s.Linux.CgroupsPath = slice + "::" + id
		s.Annotations = map[string]string{
			"org.systemd.property.TimeoutStopUSec": "uint64 7000000",
			"org.systemd.property.Description":     "'the harbour'",
			"run.oci.systemd.subgroup":             "inner",
		}
	})
	t.Cleanup(func() {
		if out, err := systemctl(t, "stop", fmt.Sprintf("vm%d.slice", os.Getpid())); err != nil {
			t.Errorf("stop the slice: %v\n%s", err, out)
		}
	})
	output(t, runtimePath(), "--systemd-cgroup", "run", "--detach", "--bundle", bundle, id)
	check := func() {
		t.Helper()
		show, err := systemctl(t, "show", "--property=TimeoutStopUSec,Description,Slice", id+".scope")
		if err != nil {
			t.Fatalf("systemctl show: %v\n%s", err, show)
		}
		wantContains(t, "systemctl show", show, "TimeoutStopUSec=7s", "Description=the harbour", "Slice="+slice)
	}
	check()
	cgroup := cgroupOf(t, id)
	wantContains(t, "the container's cgroup", cgroup, "/"+slice+"/"+id+".scope/inner")
	// The cgroup namespace begins at the container's cgroup, which is exec's too.
	for line := range strings.Lines(output(t, runtimePath(), "exec", id, "cat", "/proc/self/cgroup")) {
		if !strings.HasSuffix(strings.TrimSpace(line), ":/") {
			t.Errorf("exec is in the cgroup %s", line)
		}
	}
	reads(t, filepath.Join(cgroup, "pids.max"), "77")
	reload(t)
	check()
	reads(t, filepath.Join(cgroup, "pids.max"), "77")
	output(t, runtimePath(), "delete", "--force", id)
	if _, err := os.Stat(filepath.Dir(cgroup)); !os.IsNotExist(err) {
		t.Errorf("%s is left (%v)", filepath.Dir(cgroup), err)
	}
}

// The rules for devices hold before and after a daemon-reload.
func TestDevicesOutliveReload(t *testing.T) {
	id := newID(t)
	bundle := newBundle(t, func(s *specs.Spec) {
		mode := os.FileMode(0o666)
		s.Linux.Devices = append(s.Linux.Devices,
			specs.LinuxDevice{Path: "/dev/denied", Type: "c", Major: 4, Minor: 64, FileMode: &mode},
			specs.LinuxDevice{Path: "/dev/allowed", Type: "c", Major: 5, Minor: 1, FileMode: &mode})
		major, minor := int64(5), int64(1)
		s.Linux.Resources.Devices = append(s.Linux.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "w"})
		s.Linux.CgroupsPath = "system.slice:vm:" + id
	})
	output(t, runtimePath(), "--systemd-cgroup", "run", "--detach", "--bundle", bundle, id)
	check := func() {
		t.Helper()
		out := output(t, runtimePath(), "exec", id, "sh", "-c", `
			for f in "> /dev/null" "< /dev/denied" "< /dev/allowed" ">> /dev/allowed"; do
				if ( eval ": $f" ) 2>/dev/null; then echo "$f opens"; else echo "$f does not"; fi
			done`)
		if want := "> /dev/null opens\n< /dev/denied does not\n< /dev/allowed does not\n>> /dev/allowed opens"; out != want {
			t.Errorf("devices:\n%s\nwant:\n%s", out, want)
		}
	}
	check()
	reload(t)
	check()
}

// With cgroups delegated, a limit of the user's holds.
func TestDelegatedLimit(t *testing.T) {
	needsMachine(t)
	// This process makes way: a cgroup with processes of its own cannot hand controllers down.
	own := ownCgroup(t, "self")
	leaf := filepath.Join(own, "tests")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		t.Fatal(err)
	}
	procs, err := os.ReadFile(filepath.Join(own, "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(procs)) {
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(pid), 0); err != nil {
			t.Fatal(err)
		}
	}
	id := newID(t)
	bundle := newBundle(t, func(s *specs.Spec) {
		withPidsLimit(s, 55)
		s.Linux.CgroupsPath = strings.TrimPrefix(filepath.Join(own, id), "/sys/fs/cgroup")
	})
	output(t, runtimePath(), "run", "--detach", "--bundle", bundle, id)
	reads(t, filepath.Join(cgroupOf(t, id), "pids.max"), "55")
}

// Without delegation, a limit that cannot be applied is an error that names it; the container does not run.
func TestLimitWithoutDelegation(t *testing.T) {
	needsMachine(t)
	id := newID(t)
	bundle := newBundle(t, func(s *specs.Spec) { withPidsLimit(s, 55) })
	out, err := try(t, runtimePath(), "run", "--detach", "--bundle", bundle, id)
	if err == nil {
		t.Fatal("run succeeded, although nobody can set the limit")
	}
	if !strings.Contains(out, "cgroup") && !strings.Contains(out, "linux.resources") {
		t.Errorf("the error says neither cgroup nor linux.resources: %s", out)
	}
}

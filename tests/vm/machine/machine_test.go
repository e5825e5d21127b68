// Package machine finds out, inside a test machine, whether it is what the suite takes it for: a skip or a failure
// of the suite is then the suite's or the runtime's. BERTH_VM_EXPECT names what the machine must have.
//
// It uses runc where it takes a runtime, since it is about the machine.
package machine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMachine makes the checks that BERTH_VM_EXPECT lists.
func TestMachine(t *testing.T) {
	expected, ok := os.LookupEnv("BERTH_VM_EXPECT")
	if !ok {
		t.Skip("runs in a test machine: tests/vm/run")
	}
	for _, name := range strings.Split(expected, ",") {
		check := checkNamed(name)
		if check == nil {
			t.Errorf("no check is called %q", name)
			continue
		}
		t.Run(name, check)
	}
}

func checkNamed(name string) func(*testing.T) {
	switch name {
	case "v1":
		return checkV1
	case "v2":
		return checkV2
	case "misc":
		return checkMisc
	case "systemd":
		return checkSystemd
	case "apparmor":
		return checkAppArmor
	case "selinux":
		return checkSELinux
	case "numa":
		return checkNUMA
	case "container":
		return checkContainer
	case "user-manager":
		return checkUserManager
	case "delegation":
		return checkDelegation
	case "no-delegation":
		return checkNoDelegation
	}
	return nil
}

// output runs a program for at most a minute.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(strings.TrimSpace(string(text)), "\x00")
}

// hasWords fails the test unless each word is in the text.
func hasWords(t *testing.T, what, text string, words ...string) {
	t.Helper()
	have := strings.Fields(strings.ReplaceAll(text, ",", " "))
	for _, w := range words {
		if !slices.Contains(have, w) {
			t.Errorf("%s: no %s in %q", what, w, text)
		}
	}
}

func fileSystem(t *testing.T, path string) int64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		t.Fatalf("statfs %s: %v", path, err)
	}
	return int64(fs.Type)
}

// The kernel's controllers are all on the unified hierarchy.
func checkV2(t *testing.T) {
	if fileSystem(t, "/sys/fs/cgroup") != unix.CGROUP2_SUPER_MAGIC {
		t.Fatal("/sys/fs/cgroup is not cgroup2")
	}
	hasWords(t, "cgroup.controllers", read(t, "/sys/fs/cgroup/cgroup.controllers"),
		"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma")
}

// The controller misc is as old as Linux 5.13.
func checkMisc(t *testing.T) {
	hasWords(t, "cgroup.controllers", read(t, "/sys/fs/cgroup/cgroup.controllers"), "misc")
}

// Each v1 controller is mounted where distributions had it, and nothing is on v2.
func checkV1(t *testing.T) {
	for _, name := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
		"net_cls", "net_prio", "hugetlb", "perf_event", "systemd"} {
		if fileSystem(t, filepath.Join("/sys/fs/cgroup", name)) != unix.CGROUP_SUPER_MAGIC {
			t.Errorf("/sys/fs/cgroup/%s is not a v1 hierarchy", name)
		}
	}
	if strings.Contains(read(t, "/proc/self/mountinfo"), " - cgroup2 ") {
		t.Error("a cgroup2 hierarchy is mounted too")
	}
	// The co-mounted pairs are one hierarchy each.
	if a, b := output(t, "stat", "-L", "-c", "%d", "/sys/fs/cgroup/cpu"),
		output(t, "stat", "-L", "-c", "%d", "/sys/fs/cgroup/cpuacct"); a != b {
		t.Error("cpu and cpuacct are not mounted together")
	}
}

// systemd is up, with no failed unit, and starts a scope when it is asked to.
func checkSystemd(t *testing.T) {
	if state := output(t, "systemctl", "is-system-running"); state != "running" {
		t.Errorf("systemd says the system is %s\n%s", state, output(t, "systemctl", "--no-pager", "--failed"))
	}
	out := output(t, "systemd-run", "--quiet", "--scope", "--unit=machine-test", "cat", "/proc/self/cgroup")
	if !strings.Contains(out, "/system.slice/machine-test.scope") {
		t.Errorf("systemd-run --scope: a process is in %q", out)
	}
}

func checkAppArmor(t *testing.T) {
	if on := read(t, "/sys/module/apparmor/parameters/enabled"); on != "Y" {
		t.Fatalf("AppArmor is not enabled: %s", on)
	}
	profile := filepath.Join(t.TempDir(), "profile")
	text := "abi <abi/4.0>,\nprofile machine-test flags=(attach_disconnected) {\n\tfile,\n\tdeny /etc/shadow r,\n}\n"
	if err := os.WriteFile(profile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "apparmor_parser", "--replace", profile)
	defer output(t, "apparmor_parser", "--remove", profile)
	if loaded := read(t, "/sys/kernel/security/apparmor/profiles"); !strings.Contains(loaded, "machine-test (enforce)") {
		t.Errorf("the profile was not loaded:\n%s", loaded)
	}
}

func checkSELinux(t *testing.T) {
	if label := read(t, "/proc/self/attr/current"); !strings.HasPrefix(label, "system_u:system_r:") {
		t.Errorf("this process is labelled %q", label)
	}
	if enforcing := read(t, "/sys/fs/selinux/enforce"); enforcing != "0" {
		t.Errorf("SELinux is not permissive: %s", enforcing)
	}
	label := make([]byte, 256)
	n, err := unix.Getxattr("/usr/bin/bash", "security.selinux", label)
	if err != nil || !bytes.Contains(label[:max(n, 0)], []byte(":shell_exec_t:")) {
		t.Errorf("/usr/bin/bash is labelled %q, %v", label[:max(n, 0)], err)
	}
	// A context for containers that the policy knows; an unknown one would be refused with EINVAL.
	// It is a thread's, and only the thread itself may write it. This one ends with its label.
	set := make(chan error)
	go func() {
		runtime.LockOSThread()
		set <- os.WriteFile("/proc/thread-self/attr/exec", []byte("system_u:system_r:container_t:s0"), 0)
	}()
	if err := <-set; err != nil {
		t.Errorf("setexeccon: %v", err)
	}
}

func checkNUMA(t *testing.T) {
	if nodes := read(t, "/sys/devices/system/node/has_memory"); nodes != "0-1" {
		t.Errorf("nodes with memory: %s, want 0-1", nodes)
	}
	for node, cpus := range []string{"0", "1"} {
		if have := read(t, "/sys/devices/system/node/node"+strconv.Itoa(node)+"/cpulist"); have != cpus {
			t.Errorf("node %d has the CPUs %s, want %s", node, have, cpus)
		}
	}
}

// An ordinary user has a systemd manager that answers, and ids to hand out.
func checkUserManager(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Fatal("this runs as root")
	}
	runtimeDir := os.Getenv("XDG_RUNTIME_DIR")
	if info, err := os.Stat(runtimeDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("XDG_RUNTIME_DIR=%q: %v", runtimeDir, err)
	}
	if version := output(t, "systemctl", "--user", "show", "--property=Version", "--value"); version == "" {
		t.Error("the user's systemd gives no version")
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if !strings.Contains(read(t, file), os.Getenv("USER")+":") {
			t.Errorf("%s has no range for %s", file, os.Getenv("USER"))
		}
	}
	output(t, "unshare", "--user", "--map-auto", "--map-root-user", "true")
}

// ownCgroup is the folder of this process's cgroup on v2.
func ownCgroup(t *testing.T) string {
	t.Helper()
	_, path, ok := strings.Cut(read(t, "/proc/self/cgroup"), "0::")
	if !ok {
		t.Fatal("no line 0:: in /proc/self/cgroup")
	}
	return filepath.Join("/sys/fs/cgroup", path)
}

// The user may make cgroups below their own, with all controllers.
func checkDelegation(t *testing.T) {
	own := ownCgroup(t)
	hasWords(t, own, read(t, filepath.Join(own, "cgroup.controllers")), "cpu", "cpuset", "io", "memory", "pids")
	child := filepath.Join(own, "machine-test")
	if err := os.Mkdir(child, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(child)
}

// A login has no cgroups delegated to it, which is the other half of what rootless users have.
func checkNoDelegation(t *testing.T) {
	own := ownCgroup(t)
	if err := os.Mkdir(filepath.Join(own, "machine-test"), 0o755); !errors.Is(err, os.ErrPermission) {
		t.Errorf("mkdir below %s: %v, want permission denied", own, err)
	}
}

// runc runs a container: the kernel and the root disk have what containers need.
func checkContainer(t *testing.T) {
	bundle := t.TempDir()
	for _, folder := range []string{"bin", "proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(bundle, "rootfs", folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox := output(t, "sh", "-c", "command -v busybox")
	output(t, "cp", busybox, filepath.Join(bundle, "rootfs/bin/sh"))
	output(t, "runc", "spec", "--bundle", bundle)
	config := filepath.Join(bundle, "config.json")
	text := strings.Replace(read(t, config), `"terminal": true`, `"terminal": false`, 1)
	text = strings.Replace(text, `"sh"`, `"sh", "-c", "echo inside"`, 1)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := output(t, "runc", "--root", t.TempDir(), "run", "--bundle", bundle, "machine-test"); out != "inside" {
		t.Errorf("the container said %q", out)
	}
}

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func hasAppArmor() bool {
	text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(text), "Y")
}

// loadProfile loads an AppArmor profile that allows all but reading /etc/passwd.
func loadProfile(t *testing.T, name string) {
	t.Helper()
	needsRoot(t)
	if !hasAppArmor() {
		t.Skip("AppArmor is not enabled here")
	}
	text := fmt.Sprintf(`profile %s flags=(attach_disconnected,mediate_deleted) {
	file,
	capability,
	network,
	mount,
	umount,
	pivot_root,
	signal,
	ptrace,
	unix,
	deny /etc/passwd r,
}
`, name)
	path := filepath.Join(host.scratch, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("apparmor_parser"); err != nil {
		t.Fatalf("AppArmor is enabled and has no tools: %v", err)
	}
	runProgram(t, "apparmor_parser", "--replace", path)
	t.Cleanup(func() { runProgram(t, "apparmor_parser", "--remove", path) })
}

func withProfile(name string) option {
	return withProcess(func(p *specs.Process) { p.ApparmorProfile = name })
}

// The process is confined by its profile from its first instruction on, and so is what exec starts.
func TestAppArmorProfile(t *testing.T) {
	t.Parallel()
	profile, other := host.token+"-profile", host.token+"-other"
	loadProfile(t, profile)
	loadProfile(t, other)
	const show = "cat /proc/self/attr/current; cat /etc/passwd || echo denied"
	for _, nnp := range []bool{true, false} {
		c := newContainer(t, withProfile(profile), withScript(show+"; echo ready; exec sleep 600"),
			withProcess(func(p *specs.Process) { p.NoNewPrivileges = nnp }))
		c.startSleeping()
		wantContains(t, "output", c.output(), profile+" (enforce)", "denied\n")
		wantContains(t, "exec's output", c.execScript(show).ok(t).stdout, profile+" (enforce)", "denied\n")
		wantContains(t, "exec's output", c.execScript(show, "--apparmor", other).ok(t).stdout, other+" (enforce)", "denied\n")
	}
}

// A profile that cannot be had is an error that says so; the container is not made.
func TestAppArmorMissing(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withProfile("berth-test-nonesuch"))
	r := c.run().exits(t, 1)
	wantContains(t, "error", strings.ToLower(r.stderr), "apparmor")
	if isBerth() {
		says := []string{"process.apparmorProfile", "not enabled"}
		if hasAppArmor() {
			says = []string{"process.apparmorProfile", "not loaded", "apparmor_parser"}
		}
		wantContains(t, "error", r.stderr, says...)
		newContainer(t, withProfile("unconfined")).run().ok(t)
	}
	c.oci("state", c.id).exits(t, 1)
}

func hasSELinux() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &fs) == nil && fs.Type == unix.SELINUX_MAGIC
}

// knownLabel gives the first label that the loaded policy has.
func knownLabel(t *testing.T, labels ...string) string {
	t.Helper()
	for _, l := range labels {
		if os.WriteFile("/sys/fs/selinux/context", append([]byte(l), 0), 0) == nil {
			return l
		}
	}
	t.Fatalf("the policy has none of %q", labels)
	return ""
}

// The process has its label, so has what exec starts, and file systems that are the container's own have theirs.
func TestSELinuxLabels(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	if !hasSELinux() {
		t.Skip("SELinux is not enabled here")
	}
	process := knownLabel(t, "system_u:system_r:container_t:s0:c1,c2", "system_u:system_r:initrc_t:s0:c1,c2", "system_u:system_r:initrc_t:s0")
	other := knownLabel(t, "system_u:system_r:container_t:s0:c3,c4", "system_u:system_r:getty_t:s0:c3,c4", "system_u:system_r:getty_t:s0")
	file := knownLabel(t, "system_u:object_r:container_file_t:s0:c1,c2", "system_u:object_r:tmp_t:s0:c1,c2", "system_u:object_r:tmp_t:s0")
	c := newContainer(t, withScript("cat /proc/self/attr/current; echo; echo ready; exec sleep 600"),
		withProcess(func(p *specs.Process) { p.SelinuxLabel = process }),
		withLinux(func(l *specs.Linux) { l.MountLabel = file }))
	s := c.startSleeping()
	wantContains(t, "output", c.output(), process)
	wantContains(t, "exec's output", c.exec(nil, "cat", "/proc/self/attr/current").ok(t).stdout, process)
	wantContains(t, "exec's output", c.exec([]string{"--process-label", other}, "cat", "/proc/self/attr/current").ok(t).stdout, other)
	wantFileLabels(t, s.Pid, file)
	for field, change := range map[string]option{
		"process.selinuxLabel": withProcess(func(p *specs.Process) { p.SelinuxLabel = "no:such:label" }),
		"linux.mountLabel":     withLinux(func(l *specs.Linux) { l.MountLabel = "no:such:label" }),
	} {
		r := newContainer(t, change).run().exits(t, 1)
		if isBerth() {
			wantContains(t, "error", r.stderr, field, "no:such:label", "policy")
		}
	}
}

// wantFileLabels wants the label on the file systems of a container that are its own.
func wantFileLabels(t *testing.T, pid int, wanted string) {
	t.Helper()
	for _, path := range []string{"/dev", "/dev/shm", "/dev/null", "/dev/pts", "/sys/firmware"} {
		label := make([]byte, 256)
		n, err := unix.Lgetxattr(fmt.Sprintf("/proc/%d/root%s", pid, path), "security.selinux", label)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		want(t, path, strings.TrimRight(string(label[:n]), "\x00"), wanted)
	}
}

// Where SELinux is off, labels have no effect, as everywhere else.
func TestSELinuxOff(t *testing.T) {
	berthOnly(t, "runc mounts with a label that the kernel does not know")
	t.Parallel()
	if hasSELinux() {
		t.Skip("SELinux is enabled here")
	}
	c := newContainer(t, withProcess(func(p *specs.Process) { p.SelinuxLabel = "system_u:system_r:container_t:s0" }),
		withLinux(func(l *specs.Linux) { l.MountLabel = "system_u:object_r:container_file_t:s0" }))
	wantContains(t, "warnings", c.run().ok(t).stderr, "process.selinuxLabel", "linux.mountLabel")
}

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A process's AppArmor profile and SELinux label are written to /proc/self/attr. With no /proc mounted in the container,
// and each trick planted where the image could have it looked for, it is the kernel's procfs that is written to: the
// process is confined where the host has the module; where not, berth is made to believe that there is AppArmor, and
// what the kernel's procfs then lacks is the error.
func TestHostileLabels(t *testing.T) {
	berthOnly(t, "labels written without a /proc in the container")
	spec, confined := withProfile("berth-test-profile"), ""
	planted := tricks()
	switch {
	case hasAppArmor():
		profile := host.token + "-hostile"
		loadProfile(t, profile)
		spec, confined = withProfile(profile), profile+" (enforce)"
	case hasSELinux():
		label := knownLabel(t, "system_u:system_r:container_t:s0:c1,c2", "system_u:system_r:initrc_t:s0:c1,c2", "system_u:system_r:initrc_t:s0")
		spec, confined = withProcess(func(p *specs.Process) { p.SelinuxLabel = label }), label
	}
	if confined != "" { // machines that have one are emulated, and slow: every fifth trick
		var some []trick
		for i := 0; i < len(planted); i += 5 {
			some = append(some, planted[i])
		}
		planted = some
	}
	for _, at := range []string{"proc", "proc/self", "proc/self/attr", "proc/self/attr/exec", "proc/self/attr/keycreate",
		"proc/self/attr/apparmor", "proc/self/attr/apparmor/exec", "proc/thread-self", "proc/thread-self/attr"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, spec, withSleep(), func(s *specs.Spec) {
				s.Mounts = s.Mounts[1:]
				s.Linux.ReadonlyPaths, s.Linux.MaskedPaths = nil, nil
			})
			w := newCanary(t, c)
			path := filepath.Join(c.rootfs, at)
			for _, k := range planted {
				clearPath(t, filepath.Join(c.rootfs, "proc"))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := k.plant(w, path); err != nil {
					t.Fatalf("%s: %v", k.name, err)
				}
				what := at + " is a " + k.name
				before := imageProc(t, c)
				if confined == "" {
					checkLabelRefused(t, c, what)
				} else {
					checkLabelled(t, c, what, confined)
				}
				want(t, what+": the image's /proc", imageProc(t, c), before)
				w.check(what)
				clearPath(t, path) // which may be a mount
			}
		})
	}
}

// imageProc lists what is in the rootfs's own /proc, with each file's size.
func imageProc(t *testing.T, c *container) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(filepath.Join(c.rootfs, "proc"), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(&list, path, info.Mode(), info.ModTime().UnixNano(), info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// checkLabelRefused runs the container where /sys says that AppArmor is enabled, and the kernel has none.
func checkLabelRefused(t *testing.T, c *container, what string) {
	t.Helper()
	const enabled = `mount -t tmpfs modules /sys/module && mkdir -p /sys/module/apparmor/parameters &&
		echo Y >/sys/module/apparmor/parameters/enabled && exec "$0" "$@"`
	args := append([]string{"--mount", "sh", "-c", enabled, host.runtime}, c.args(c.command("run", nil)...)...)
	r := call{program: lookPath(t, "unshare")}.run(t, args...)
	says := []string{"process.apparmorProfile: open /proc/", "/attr/apparmor/exec: no such file or directory"}
	if _, err := os.Stat("/proc/self/attr/apparmor/exec"); err == nil { // built in, and switched off
		says = []string{"process.apparmorProfile: write ", "/attr/apparmor/exec: invalid argument"}
	}
	if r.code != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, says[0]) || !strings.Contains(r.stderr, says[1]) {
		t.Errorf("%s: exit code %d: %s", what, r.code, r.stderr)
	}
}

// checkLabelled starts the container and asks the host's /proc what it is confined by.
func checkLabelled(t *testing.T, c *container, what, confined string) {
	t.Helper()
	t.Log(what) // for a failure to start
	pid := c.startSleeping().Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", pid))
	if err != nil || strings.TrimRight(string(text), "\n\x00") != confined {
		t.Errorf("%s: the process is confined by %q, want %q, %v", what, text, confined, err)
	}
	c.delete("--force").ok(t)
}

package compile

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// What needs no cgroup comes before the process waits for it, and nothing that would be
// another container then: what a later mount covers, or a hook is to see, keeps its place.
func TestBeforeCgroup(t *testing.T) {
	kinds := map[string]func(plan.Op) bool{
		"cgroup":   func(o plan.Op) bool { s, ok := o.(plan.Sync); return ok && s.Point == plan.PointCgroup },
		"hooks":    func(o plan.Op) bool { s, ok := o.(plan.Sync); return ok && s.Point == plan.PointHooks },
		"console":  func(o plan.Op) bool { s, ok := o.(plan.Sync); return ok && s.Point == plan.PointConsole },
		"node":     func(o plan.Op) bool { m, ok := o.(plan.Mknod); return ok && m.Path == "/dev/null" },
		"link":     func(o plan.Op) bool { l, ok := o.(plan.Symlink); return ok && l.Path == "/dev/fd" },
		"mask":     func(o plan.Op) bool { _, ok := o.(plan.Mask); return ok },
		"readonly": func(o plan.Op) bool { _, ok := o.(plan.Readonly); return ok },
		"sysctl":   func(o plan.Op) bool { w, ok := o.(plan.WriteProc); return ok && w.Path == "sys/net/ipv4/ip_forward" },
		"name":     func(o plan.Op) bool { _, ok := o.(plan.Sethostname); return ok },
		"later":    func(o plan.Op) bool { a, ok := o.(plan.Attach); return ok && a.Target == "/sys/fs/cgroup" },
		"last":     func(o plan.Op) bool { a, ok := o.(plan.Attach); return ok && a.Target == "/last" },
		"pivot":    func(o plan.Op) bool { _, ok := o.(plan.PivotRoot); return ok },
	}
	tmpfs := func(target string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs"})
		}
	}
	for name, c := range map[string]struct {
		change func(*specs.Spec)
		want   []string
	}{
		"all": {func(*specs.Spec) {}, []string{"node", "link", "name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "pivot"}},
		"no cgroup mount": {func(s *specs.Spec) { s.Mounts = nil },
			[]string{"node", "link", "name", "sysctl", "readonly", "mask", "cgroup", "pivot"}},
		"hooks": {func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/h"}}} },
			[]string{"node", "link", "cgroup", "later", "last", "hooks", "name", "sysctl", "readonly", "mask", "pivot"}},
		"network devices": {func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth7": {}} },
			[]string{"node", "link", "cgroup", "later", "last", "hooks", "name", "sysctl", "readonly", "mask", "pivot"}},
		"hooks that run later": {func(s *specs.Spec) { s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/h"}}} },
			[]string{"node", "link", "name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "pivot"}},
		"a later /dev": {tmpfs("/dev"),
			[]string{"name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "node", "link", "pivot"}},
		"a later root": {tmpfs("/"),
			[]string{"cgroup", "later", "last", "node", "link", "name", "sysctl", "readonly", "mask", "pivot"}},
		"a later link": {tmpfs("/dev/fd"),
			[]string{"name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "node", "link", "pivot"}},
		"a later mount beside nodes": {tmpfs("/dev/shm"),
			[]string{"node", "link", "name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "pivot"}},
		"a device in a later mount": {func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/last/x", Type: "p"}}
		}, []string{"name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "node", "link", "pivot"}},
		"a mask in a later mount": {func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/last/secret"} },
			[]string{"node", "link", "cgroup", "later", "last", "name", "sysctl", "readonly", "mask", "pivot"}},
		"a mask over the cgroups": {func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"sys//fs"} },
			[]string{"node", "link", "cgroup", "later", "last", "name", "sysctl", "readonly", "mask", "pivot"}},
		"read-only cgroups": {func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/sys/fs/cgroup"} },
			[]string{"node", "link", "cgroup", "later", "last", "name", "sysctl", "readonly", "mask", "pivot"}},
		"a terminal": {func(s *specs.Spec) { s.Process.Terminal = true },
			[]string{"node", "link", "name", "sysctl", "readonly", "mask", "cgroup", "later", "last", "console", "pivot"}},
		"a masked terminal": {func(s *specs.Spec) { s.Process.Terminal, s.Linux.MaskedPaths = true, []string{"/dev/console"} },
			[]string{"node", "link", "cgroup", "later", "last", "console", "name", "sysctl", "readonly", "mask", "pivot"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := small()
			s.Hostname = "h"
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace}, specs.LinuxNamespace{Type: specs.UTSNamespace})
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/bus"}
			s.Mounts = []specs.Mount{
				{Destination: "/sys/fs/cgroup", Type: "cgroup"},
				{Destination: "/last", Type: "tmpfs"},
			}
			c.change(s)
			out, err := Compile(inputOf(t, s, "v1"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range out.Plan.Steps {
				for kind, is := range kinds {
					if is(step.Op) {
						got = append(got, kind)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("\n got %v\nwant %v", got, c.want)
			}
		})
	}
}

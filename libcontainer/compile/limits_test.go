package compile

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
)

// Without a cgroup every limit is refused by its field, what asks for none is passed over, and device rules that do
// not hold are told.
func TestLimitsWithoutCgroup(t *testing.T) {
	bytes, none, pids, shares := int64(1<<20), int64(-1), int64(7), uint64(0)
	for name, c := range map[string]struct {
		resources *specs.LinuxResources
		refused   []string // fields
		warns     string
	}{
		"nothing": {nil, nil, ""},
		"no limit": {&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &none}, Memory: &specs.LinuxMemory{Limit: &none},
			CPU: &specs.LinuxCPU{Shares: &shares}}, nil, ""},
		"limits": {&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}, Memory: &specs.LinuxMemory{Limit: &bytes},
			Unified: map[string]string{"memory.high": "5"}, CPU: &specs.LinuxCPU{Cpus: "0"},
			HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1}}},
			[]string{"linux.resources.cpu.cpus", "linux.resources.memory.limit", "linux.resources.pids.limit", "linux.resources.hugepageLimits[0]", "linux.resources.unified"}, ""},
		"devices": {&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true}, {Access: "rwm"}}}, nil, "linux.resources.devices[1]: devices cannot be filtered without a cgroup"},
	} {
		for _, layout := range []string{"v1", "v2", "none"} {
			t.Run(name+", "+layout, func(t *testing.T) {
				in := inputOf(t, small(), strings.Replace(layout, "none", "v2", 1))
				in.Cgroup = nil
				says := "--cgroup-manager disabled"
				if layout == "none" {
					in.Host.Cgroups, says = nil, "no cgroup hierarchy is mounted"
				}
				in.Spec.Linux.Resources = c.resources
				out, err := Compile(in)
				if len(c.refused) == 0 {
					if err != nil {
						t.Fatal(err)
					}
					if got := strings.Join(out.Warnings, "\n"); !strings.HasPrefix(got, c.warns) || c.warns == "" && got != "" {
						t.Errorf("warnings %q, want %q", got, c.warns)
					}
					return
				}
				if err == nil {
					t.Fatal("no error")
				}
				lines := strings.Split(err.Error(), "\n")
				if len(lines) != len(c.refused) {
					t.Errorf("%d errors, want %d: %v", len(lines), len(c.refused), err)
				}
				for _, field := range c.refused {
					found := false
					for _, l := range lines {
						found = found || strings.HasPrefix(l, field) && strings.Contains(l, "this limit cannot be set: ") && strings.Contains(l, says)
					}
					if !found {
						t.Errorf("no line for %s: %v", field, err)
					}
				}
			})
		}
	}
}

// An ordinary user's device rules are told where they deny a device of their own; the list of engines is not.
func TestDeviceRulesOfOrdinaryUser(t *testing.T) {
	major := int64(10)
	engines := []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: &major, Access: "rw"}}
	for _, c := range []struct {
		rules []specs.LinuxDeviceCgroup
		warns string
	}{
		{engines, ""},
		{[]specs.LinuxDeviceCgroup{{Allow: true}, {Type: "c", Major: &major, Access: "w"}}, "linux.resources.devices[1]: only root of the host can filter devices"},
	} {
		out, err := Compile(rootlessInput(t, func(in *Input) {
			in.Cgroup = &cgroups.Placement{}
			in.Spec.Linux.Resources = &specs.LinuxResources{Devices: c.rules}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(out.Warnings, "\n"); !strings.HasPrefix(got, c.warns) || c.warns == "" && got != "" {
			t.Errorf("warnings %q, want %q", got, c.warns)
		}
	}
}

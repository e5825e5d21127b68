package compile

import (
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/libcontainer/facts"
	"berth/spec"
)

// rootlessInput is the default configuration of an ordinary user, uid 1000 and gid 100, with what change makes of it.
func rootlessInput(t *testing.T, change func(*Input)) Input {
	t.Helper()
	s := spec.Default()
	spec.Rootless(s, 1000, 100)
	in := inputOf(t, s, "v2")
	in.Host.Permitted, in.Host.UID, in.Host.GID = 0, 1000, 100
	in.Cgroup = &cgroups.Placement{Refused: []cgroups.Refusal{{Folder: in.Cgroup.Folders[0], Cause: "no cgroup can be made at " + in.Cgroup.Folders[0].Full() + ": permission denied"}}}
	if change != nil {
		change(&in)
	}
	return in
}

func withRanges(in *Input) {
	l := in.Spec.Linux
	l.UIDMappings = append(l.UIDMappings, specs.LinuxIDMapping{ContainerID: 1, HostID: 100000, Size: 65536})
	l.GIDMappings = append(l.GIDMappings, specs.LinuxIDMapping{ContainerID: 1, HostID: 200000, Size: 65536})
}

// insideUserns makes berth root of a user namespace that somebody made, in which mapped ids are.
func insideUserns(in *Input) {
	h := in.Host
	h.Permitted, h.UID, h.GID, h.Userns = 1<<41-1, 0, 0, true
	h.UIDMap, h.GIDMap = []facts.IDRange{{First: 0, Size: 1}, {First: 1, Size: 10}}, []facts.IDRange{{First: 0, Size: 1}}
}

func withoutUserns(in *Input) {
	l := in.Spec.Linux
	l.Namespaces = l.Namespaces[:len(l.Namespaces)-1]
	l.UIDMappings, l.GIDMappings = nil, nil
}

// Plans for who is not root of the host.
func TestRootlessPlans(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"own-id":       nil,
		"subordinates": withRanges,
		"joined": func(in *Input) {
			in.Spec.Linux.Namespaces[1].Path = "/run/ipc"
		},
		"inside": func(in *Input) {
			insideUserns(in)
			withoutUserns(in)
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Compile(rootlessInput(t, change))
			if err != nil {
				t.Fatal(err)
			}
			how := fmt.Sprintf("mapped at userns %v (asked for %v), newuidmap %v, newgidmap %v, setgroups denied %v\n",
				out.MapAtUserns, out.AsksAtUserns, out.UIDHelper, out.GIDHelper, out.DenySetgroups)
			golden(t, "testdata/golden/rootless-"+name+".txt", how+text(out, true))
		})
	}
}

// Who writes the mappings, and whether setgroups(2) is denied then.
func TestMappingMethod(t *testing.T) {
	for name, c := range map[string]struct {
		change           func(*Input)
		uid, gid, denied bool
		groups           string // the error for additional groups, if any
		mapAtUserns      bool
	}{
		"own ids":      {denied: true, groups: "setgroups(2)"},
		"ranges":       {change: withRanges, uid: true, gid: true, mapAtUserns: true},
		"uid range":    {change: func(in *Input) { withRanges(in); in.Spec.Linux.GIDMappings = in.Spec.Linux.GIDMappings[:1] }, uid: true, denied: true, groups: "setgroups(2)", mapAtUserns: true},
		"gid range":    {change: func(in *Input) { withRanges(in); in.Spec.Linux.UIDMappings = in.Spec.Linux.UIDMappings[:1] }, gid: true, mapAtUserns: true},
		"another's id": {change: func(in *Input) { in.Spec.Linux.UIDMappings[0].HostID = 7 }, uid: true, denied: true, groups: "setgroups(2)", mapAtUserns: true},
		"own group twice": {change: func(in *Input) {
			l := in.Spec.Linux
			l.GIDMappings = append(l.GIDMappings, specs.LinuxIDMapping{ContainerID: 5, HostID: 100, Size: 1})
		}, gid: true, groups: "setgroups(2)", mapAtUserns: true},
		"root":            {change: func(in *Input) { in.Host.Permitted = 1<<41 - 1 }},
		"inside, allowed": {change: func(in *Input) { insideUserns(in); mapZero(in) }},
		"inside, denied":  {change: func(in *Input) { insideUserns(in); mapZero(in); in.Host.NoSetgroups = true }, denied: true, groups: "setgroups(2)"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Compile(rootlessInput(t, c.change))
			if err != nil {
				t.Fatal(err)
			}
			got := [4]bool{out.UIDHelper, out.GIDHelper, out.DenySetgroups, out.MapAtUserns}
			if want := [4]bool{c.uid, c.gid, c.denied, c.mapAtUserns}; got != want {
				t.Errorf("newuidmap, newgidmap, setgroups denied, mapped at userns: got %v, want %v", got, want)
			}
			in := rootlessInput(t, c.change)
			in.Spec.Process.User.AdditionalGids = []uint32{in.Spec.Linux.GIDMappings[0].ContainerID}
			switch _, err := Compile(in); {
			case c.groups == "" && err != nil:
				t.Errorf("additional groups: %v", err)
			case c.groups != "" && (err == nil || !strings.HasPrefix(err.Error(), "process.user.additionalGids: ") || !strings.Contains(err.Error(), c.groups)):
				t.Errorf("additional groups: got %v, want %q", err, c.groups)
			}
		})
	}
}

func mapZero(in *Input) {
	in.Spec.Linux.UIDMappings[0].HostID, in.Spec.Linux.GIDMappings[0].HostID = 0, 0
}

// Ids of the host that mean nothing where berth runs are refused; ranges that touch count as one.
func TestHostIDsInsideUserns(t *testing.T) {
	for _, c := range []struct {
		first, size uint32
		unmapped    string
	}{{0, 1, ""}, {0, 11, ""}, {5, 6, ""}, {0, 12, "hostID 11 "}, {11, 1, "hostID 11 "}, {4000, 5, "hostID 4000 "}} {
		in := rootlessInput(t, func(in *Input) {
			insideUserns(in)
			mapZero(in)
			in.Spec.Linux.UIDMappings[0].HostID, in.Spec.Linux.UIDMappings[0].Size = c.first, c.size
		})
		_, err := Compile(in)
		switch {
		case c.unmapped == "" && err != nil:
			t.Errorf("%d+%d: %v", c.first, c.size, err)
		case c.unmapped != "" && (err == nil || !strings.HasPrefix(err.Error(), "linux.uidMappings[0]: "+c.unmapped)):
			t.Errorf("%d+%d: got %v, want %q", c.first, c.size, err, c.unmapped)
		}
	}
}

// A limit of a cgroup that cannot be had is refused, once for each field; what only says that there is no limit is
// passed over, and so are devices.
func TestRefusedLimits(t *testing.T) {
	in := rootlessInput(t, func(in *Input) {
		limit, quota, period := int64(100<<20), int64(1000), uint64(10000)
		in.Spec.Linux.Resources = &specs.LinuxResources{
			Memory:  &specs.LinuxMemory{Limit: &limit},
			CPU:     &specs.LinuxCPU{Quota: &quota, Period: &period},
			Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
		}
	})
	_, err := Compile(in)
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"linux.resources.memory.limit", "linux.resources.cpu.quota"} {
		if n := strings.Count(err.Error(), field+": this limit cannot be set: no cgroup can be made"); n != 1 {
			t.Errorf("%s is told of %d times in %v", field, n, err)
		}
	}
	in = rootlessInput(t, func(in *Input) {
		in.Spec.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	})
	out, err := Compile(in)
	if err != nil || out.Limits.Devices != nil || len(out.Limits.Writes) > 0 {
		t.Errorf("devices alone: %v, %+v", err, out)
	}
}

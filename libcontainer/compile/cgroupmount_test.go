package compile

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/plan"
)

// The host's mount of cgroup v2 is bound only where it is in reach and shows what a new one
// would.
func TestHostsUnified(t *testing.T) {
	namespace := func(kind specs.LinuxNamespaceType, path string) func(*Input) {
		return func(in *Input) {
			l := in.Spec.Linux
			for i := range l.Namespaces {
				if l.Namespaces[i].Type == kind {
					l.Namespaces[i].Path = path
					return
				}
			}
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
		}
	}
	for name, c := range map[string]struct {
		change func(*Input)
		bound  bool
	}{
		"plain":                {func(*Input) {}, true},
		"cgroup namespace":     {namespace(specs.CgroupNamespace, ""), false},
		"another's cgroup one": {namespace(specs.CgroupNamespace, "/proc/1/ns/cgroup"), false},
		"its own by path": {func(in *Input) {
			namespace(specs.CgroupNamespace, "/proc/1/ns/cgroup")(in)
			in.Host.OwnCgroupNamespace = true
		}, true},
		"another's mounts":         {namespace(specs.MountNamespace, "/proc/1/ns/mnt"), false},
		"user namespace":           {func(in *Input) { in.Host.Userns = true }, false},
		"options of its own":       {func(in *Input) { in.Spec.Mounts[0].Options = []string{"nsdelegate"} }, false},
		"a part of the hierarchy":  {func(in *Input) { in.Host.Cgroups.Unified().Root = "/part" }, false},
		"attributes and no others": {func(in *Input) { in.Spec.Mounts[0].Options = []string{"nosuid", "noatime"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := small()
			s.Mounts = []specs.Mount{{Destination: "/sys/fs/cgroup", Type: "cgroup"}}
			in := inputOf(t, s, "v2")
			c.change(&in)
			out, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			bound, mounted := false, false
			for _, step := range out.Plan.Steps {
				switch op := step.Op.(type) {
				case plan.Fsmount:
					mounted = mounted || op.Fstype == "cgroup2"
				case plan.OpenTree:
					bound = bound || op.Path == "/sys/fs/cgroup" && !op.Recursive
				}
			}
			if bound != c.bound || mounted == c.bound {
				t.Errorf("bound %v, mounted anew %v", bound, mounted)
			}
		})
	}
}

// A clone has none of the attributes of the host's mount that a new mount would not have.
func TestAttributesOfClone(t *testing.T) {
	s := small()
	s.Mounts = []specs.Mount{{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"ro", "nosuid", "noatime"}}}
	for _, c := range []struct {
		major, minor int
		clear        uint64
	}{
		{5, 10, attrNodev | attrNoexec | attrNodiratime | attrAtimeMask},
		{6, 1, attrNodev | attrNoexec | attrNodiratime | attrAtimeMask | attrNosymfollow},
	} {
		in := inputOf(t, s, "v2")
		in.Host.Kernel.Major, in.Host.Kernel.Minor = c.major, c.minor
		out, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		want := plan.MountSetattr{Mount: plan.SlotMount, Set: attrRdonly | attrNosuid | attrNoatime, Clear: c.clear, Propagation: msPrivate}
		found := false
		for _, step := range out.Plan.Steps {
			found = found || step.Op == plan.Op(want)
		}
		if !found {
			t.Errorf("Linux %d.%d: no %+v", c.major, c.minor, want)
		}
	}
}

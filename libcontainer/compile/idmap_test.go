package compile

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
)

// Before Linux 5.12 what is mounted in a bound /sys is made read-only piece by piece, and nosymfollow is for mount(2).
func TestSysOnOldKernel(t *testing.T) {
	s := load(t, "testdata/configs/minimal.json")
	s.Mounts = []specs.Mount{
		{Destination: "/sys", Source: "/sys", Options: []string{"rbind", "ro"}},
		{Destination: "/tmp", Type: "tmpfs", Options: []string{"nosymfollow", "nodev"}},
	}
	in := inputOf(t, s, "v2")
	in.Host.Kernel, in.Host.MountSetattr = facts.Kernel{Major: 5, Minor: 10}, false
	in.Host.SysMounts = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd"}
	out, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	var readonly []string
	attached, nosymfollow := false, false
	for _, step := range out.Plan.Steps {
		switch op := step.Op.(type) {
		case plan.Attach:
			attached = attached || op.Target == "/sys"
		case plan.Readonly:
			if attached {
				readonly = append(readonly, op.Path)
			}
		case plan.Fsmount:
			if op.Fstype == "tmpfs" && op.Attr != attrNodev {
				t.Errorf("fsmount of the tmpfs has attributes %#x", op.Attr)
			}
		case plan.MountSetattr:
			nosymfollow = nosymfollow || op.Set == attrNosymfollow
		}
	}
	if !slices.Equal(readonly, in.Host.SysMounts) {
		t.Errorf("made read-only after /sys is there: %q", readonly)
	}
	if !nosymfollow {
		t.Error("nothing sets nosymfollow")
	}
}

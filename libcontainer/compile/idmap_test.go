package compile

import (
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
)

// sourceOf compiles one bind mount, in a container with a user namespace of
// these mappings where there are some.
func sourceOf(t *testing.T, m specs.Mount, container ...specs.LinuxIDMapping) (string, error) {
	t.Helper()
	m.Destination, m.Source = "/x", "/x"
	out, err := compilePlain(t, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, m)
		if len(container) > 0 {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			s.Linux.UIDMappings, s.Linux.GIDMappings = container, container
		}
	})
	if err != nil {
		return "", err
	}
	if len(out.Sources) != 1 {
		return "", nil
	}
	return out.Sources[0].String(), nil
}

// Where a mount's mappings come from.
func TestIDMapMappings(t *testing.T) {
	own := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	container := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 2, Size: 1000}}
	for name, c := range map[string]struct {
		mount     specs.Mount
		container []specs.LinuxIDMapping
		want      string
	}{
		"own":          {specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: own, GIDMappings: own}, nil, "/x in fd40, idmapped by uids 0-1000-10 gids 0-1000-10"},
		"own, no word": {specs.Mount{Options: []string{"bind"}, UIDMappings: own, GIDMappings: own}, nil, "/x in fd40, idmapped by uids 0-1000-10 gids 0-1000-10"},
		"own before the container's": {specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: own, GIDMappings: own}, container,
			"/x in fd40, idmapped by uids 0-1000-10 gids 0-1000-10"},
		"the container's": {specs.Mount{Options: []string{"rbind", "ridmap"}}, container,
			"/x in fd40, recursive, idmapped by uids 0-0-1 1-2-1000 gids 0-0-1 1-2-1000 with the mounts below"},
		"in the word": {specs.Mount{Options: []string{"bind", "idmap=uids=0-5-1#7-8-9;gids=1-1-1"}}, nil,
			"/x in fd40, idmapped by uids 0-5-1 7-8-9 gids 1-1-1"},
		// The example of crun(1).
		"relative": {specs.Mount{Options: []string{"bind", "idmap=uids=@1-3-10;gids=0-100-10"}}, container,
			"/x in fd40, idmapped by uids 1-4-10 gids 0-100-10"},
		"none": {specs.Mount{Options: []string{"bind"}}, nil, ""},
	} {
		got, err := sourceOf(t, c.mount, c.container...)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// A container that joins a user namespace has its mounts mapped by that.
func TestIDMapOfJoinedNamespace(t *testing.T) {
	out, err := compilePlain(t, func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace, Path: "/run/user"})
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: "/x", Options: []string{"bind", "idmap"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.Sources[0].String(), "/x in fd41, idmapped by /run/user"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestIDMapRefused(t *testing.T) {
	container := specs.LinuxIDMapping{ContainerID: 0, HostID: 100, Size: 10}
	for _, c := range []struct{ word, want string }{
		{"idmap=uids=@5-5-10;gids=0-0-1", "5 to 14"},
		{"idmap=uids=0-5;gids=0-0-1", `mounts[2].options[1]: "idmap=uids=0-5;gids=0-0-1": "0-5" is no range`},
		{"idmap=uids=0-0-1", "as well as gids="},
		{"idmap=pids=0-0-1", "neither uids"},
	} {
		_, err := sourceOf(t, specs.Mount{Options: []string{"bind", c.word}}, container)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.word, err, c.want)
		}
	}
	if _, err := sourceOf(t, specs.Mount{Options: []string{"bind", "idmap=uids=@0-0-1;gids=0-0-1"}}); err == nil || !strings.Contains(err.Error(), "take the @ off") {
		t.Errorf("relative to no user namespace: %v", err)
	}
}

// A kernel without mount_setattr(2) is named with the one that is needed.
func TestIDMapNeedsKernel(t *testing.T) {
	own := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	s := load(t, "testdata/configs/minimal.json")
	s.Mounts = []specs.Mount{
		{Destination: "/x", Source: "/x", Options: []string{"bind", "idmap"}, UIDMappings: own, GIDMappings: own},
		{Destination: "/y", Source: "/y", Options: []string{"bind", "rro"}},
	}
	in := inputOf(t, s, "v2")
	in.Host.Kernel, in.Host.MountSetattr = facts.Kernel{Major: 5, Minor: 10}, false
	_, err := Compile(in)
	if err == nil || strings.Count(err.Error(), "need Linux 5.12, and this is 5.10") != 2 {
		t.Errorf("%v", err)
	}
}

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

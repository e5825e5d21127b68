package systemd

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		path, id, subgroup string
		user               bool
		name, slice        string
		cgroup             string
	}{
		{"", "web", "", false, "berth-web.scope", "system.slice", "/system.slice/berth-web.scope"},
		{"", "web", "", true, "berth-web.scope", "user.slice", "/user.slice/berth-web.scope"},
		{"system.slice:docker:0123abc", "x", "", false, "docker-0123abc.scope", "system.slice", "/system.slice/docker-0123abc.scope"},
		{"machine.slice:libpod:abc", "x", "", false, "libpod-abc.scope", "machine.slice", "/machine.slice/libpod-abc.scope"},
		{"kubepods-besteffort-podfa0e_1.slice:cri-containerd:abc", "x", "", false, "cri-containerd-abc.scope", "kubepods-besteffort-podfa0e_1.slice",
			"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podfa0e_1.slice/cri-containerd-abc.scope"},
		{":berth:abc", "x", "", false, "berth-abc.scope", "system.slice", "/system.slice/berth-abc.scope"},
		{"a.slice::abc", "x", "", false, "abc.scope", "a.slice", "/a.slice/abc.scope"},
		{"-:p:n", "x", "", false, "p-n.scope", "-.slice", "/p-n.scope"},
		{"-.slice:p:n", "x", "", true, "p-n.scope", "-.slice", "/p-n.scope"},
		{`a-b\x2dc.slice:p:n`, "x", "", false, "p-n.scope", `a-b\x2dc.slice`, `/a.slice/a-b\x2dc.slice/p-n.scope`},
		{"", "we+b@1", "", false, `berth-we\x2bb\x401.scope`, "system.slice", `/system.slice/berth-we\x2bb\x401.scope`},
		{"a.slice::.hidden", "x", "", false, `\x2ehidden.scope`, "a.slice", `/a.slice/\x2ehidden.scope`},
		{"a.slice:p:n", "x", "container", false, "p-n.scope", "a.slice", "/a.slice/p-n.scope/container"},
	} {
		u, err := ParsePath(c.path, c.id, map[string]string{SubgroupAnnotation: c.subgroup}, c.user)
		if err != nil {
			t.Errorf("%q: %v", c.path, err)
			continue
		}
		if u.Name != c.name || u.Slice != c.slice || u.CgroupPath("/") != c.cgroup || u.User != c.user {
			t.Errorf("%q: got %+v, %s; want %s in %s, %s", c.path, u, u.CgroupPath("/"), c.name, c.slice, c.cgroup)
		}
	}
}

func TestManagerRoot(t *testing.T) {
	u := Unit{Name: "p-n.scope", Slice: "user.slice", Subgroup: "c"}
	root := "/user.slice/user-1000.slice/user@1000.service"
	if got, want := u.CgroupPath(root), root+"/user.slice/p-n.scope/c"; got != want {
		t.Errorf("CgroupPath is %s, want %s", got, want)
	}
	if got, want := u.ScopePath(root), root+"/user.slice/p-n.scope"; got != want {
		t.Errorf("ScopePath is %s, want %s", got, want)
	}
}

func TestParsePathErrors(t *testing.T) {
	long := strings.Repeat("x", 250)
	for _, c := range []struct{ path, subgroup, want string }{
		{"/foo/bar", "", `linux.cgroupsPath: "/foo/bar" is not of the form slice:prefix:name, which --systemd-cgroup takes: give one such as system.slice:berth:web, or leave out --systemd-cgroup`},
		{"a.slice:b", "", `linux.cgroupsPath: "a.slice:b" is not of the form slice:prefix:name, which --systemd-cgroup takes: give one such as system.slice:berth:web, or leave out --systemd-cgroup`},
		{"a:b:c", "", `linux.cgroupsPath: "a:b:c": the slice "a" does not end in .slice`},
		{"a.slice:b:c:d", "", `linux.cgroupsPath: "a.slice:b:c:d" is not of the form slice:prefix:name, which --systemd-cgroup takes: give one such as system.slice:berth:web, or leave out --systemd-cgroup`},
		{"user.slice/user-1.slice:b:c", "", `linux.cgroupsPath: "user.slice/user-1.slice:b:c": the slice "user.slice/user-1.slice" has a / in it: give its name alone; a-b.slice is inside a.slice`},
		{"a--b.slice:b:c", "", `linux.cgroupsPath: "a--b.slice:b:c": the slice "a--b.slice" has an empty part: each part between dashes is the name of a slice`},
		{"-a.slice:b:c", "", `linux.cgroupsPath: "-a.slice:b:c": the slice "-a.slice" has an empty part: each part between dashes is the name of a slice`},
		{".slice:b:c", "", `linux.cgroupsPath: ".slice:b:c": the slice ".slice" has an empty part: each part between dashes is the name of a slice`},
		{"a b.slice:b:c", "", `linux.cgroupsPath: "a b.slice:b:c": the slice "a b.slice" has " " in it, which no unit's name can have`},
		{"a.slice:b:", "", `linux.cgroupsPath: "a.slice:b:": the name, its last part, is empty`},
		{"a.slice:b:c.slice", "", `linux.cgroupsPath: "a.slice:b:c.slice": the name "c.slice" is that of a slice, and a container needs a scope: leave out .slice`},
		{"a.slice::" + long, "", `linux.cgroupsPath: "a.slice::` + long + `": the scope's name has 256 bytes, and systemd takes 255: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`},
		{"", "a/b", `annotations[run.oci.systemd.subgroup]: "a/b": it is not the name of a folder: give one such as container`},
		{"", "..", `annotations[run.oci.systemd.subgroup]: "..": it is not the name of a folder: give one such as container`},
		{"", "memory.max", `annotations[run.oci.systemd.subgroup]: "memory.max": the kernel has a file of this name in each cgroup: give another, such as container`},
	} {
		_, err := ParsePath(c.path, "web", map[string]string{SubgroupAnnotation: c.subgroup}, false)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: error\n%v\nwant\n%s", c.path, err, c.want)
		}
	}
}

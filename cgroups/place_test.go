package cgroups

import (
	"strings"
	"testing"
)

func layoutV1() *Layout {
	return &Layout{Mode: V1, Hierarchies: []Hierarchy{
		{Mountpoint: "/sys/fs/cgroup/memory", Root: "/", Own: "/own", Controllers: []string{"memory"}},
		{Mountpoint: "/sys/fs/cgroup/systemd", Root: "/", Own: "/s/own", Name: "systemd"},
	}}
}

func layoutV2(own string) *Layout {
	return &Layout{Mode: V2, Hierarchies: []Hierarchy{{Mountpoint: "/sys/fs/cgroup", Root: "/", Own: own, Unified: true,
		Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}}}}
}

func TestPlace(t *testing.T) {
	nested := layoutV1()
	nested.Hierarchies[0].Root, nested.Hierarchies[0].Own = "/docker/abc", "/docker/abc/x"
	for _, test := range []struct {
		name   string
		layout *Layout
		path   string
		want   string // full paths
	}{
		{"absolute", layoutV1(), "/a//b/./c/", "/sys/fs/cgroup/memory/a/b/c /sys/fs/cgroup/systemd/a/b/c"},
		{"relative, v1: below the own", layoutV1(), "a/b", "/sys/fs/cgroup/memory/own/a/b /sys/fs/cgroup/systemd/s/own/a/b"},
		{"empty, v1", layoutV1(), "", "/sys/fs/cgroup/memory/own/ID /sys/fs/cgroup/systemd/s/own/ID"},
		{"relative, below a partial mount", nested, "a", "/sys/fs/cgroup/memory/x/a /sys/fs/cgroup/systemd/s/own/a"},
		{"relative, v2: beside the own", layoutV2("/user.slice/s.scope"), "a", "/sys/fs/cgroup/user.slice/a"},
		{"relative, v2 at the root", layoutV2("/"), "a", "/sys/fs/cgroup/a"},
		{"empty, v2", layoutV2("/x"), "", "/sys/fs/cgroup/ID"},
		{"colons in an absolute path", layoutV2("/"), "/a:b:c", "/sys/fs/cgroup/a:b:c"},
		{"own cgroup removed", layoutV2("/x/y (deleted)"), "a", "/sys/fs/cgroup/x/a"},
	} {
		p, err := Place(test.layout, test.path, "ID")
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []string
		for i := range p.Folders {
			got = append(got, p.Folders[i].Full())
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s: got %s\nwant %s", test.name, s, test.want)
		}
	}
}

func TestPlaceRefuses(t *testing.T) {
	hidden := layoutV1()
	hidden.Hierarchies[0].Own = "/../other"
	partial := layoutV1()
	partial.Hierarchies[0].Root = "/docker/abcd"
	partial.Hierarchies[0].Own = "/docker/abc"
	for _, test := range []struct {
		layout     *Layout
		path, want string
	}{
		{layoutV1(), "/", "root cgroup"},
		{layoutV1(), "/./", "root cgroup"},
		{layoutV1(), ".", "root cgroup"},
		{layoutV1(), "/a/../b", ".. in it"},
		{layoutV1(), "..", ".. in it"},
		{layoutV1(), "a/..", ".. in it"},
		{layoutV1(), "system.slice:docker:abc", "--systemd-cgroup"},
		{layoutV1(), "/a\nb", "newline"},
		{layoutV1(), "/a\x00b", "NUL"},
		{layoutV1(), "/" + strings.Repeat("x", 256), "255"},
		{hidden, "a", "absolute path"},
		{partial, "a", "absolute path"},
	} {
		_, err := Place(test.layout, test.path, "ID")
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") {
			t.Errorf("%q: got %v, want %q", test.path, err, test.want)
		}
	}
	if _, err := Place(layoutV1(), "", ""); err == nil {
		t.Error("neither path nor id: no error")
	}
}

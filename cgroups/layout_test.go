package cgroups

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const hybridSelf = `9:name=systemd:/user.slice/session-1.scope
4:memory:/user.slice
2:cpu,cpuacct:/user.slice
1:pids:/
0::/user.slice/session-1.scope
`

const hybridMounts = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
90 22 0:32 /user.slice /srv/jail/memory ro - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
`

func TestParse(t *testing.T) {
	v1, _ := strings.CutSuffix(hybridMounts, "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n")
	want := []Hierarchy{
		{Mountpoint: "/sys/fs/cgroup/systemd", Root: "/", Own: "/user.slice/session-1.scope", Name: "systemd"},
		{Mountpoint: "/sys/fs/cgroup/memory", Root: "/", Own: "/user.slice", Controllers: []string{"memory"}},
		{Mountpoint: "/sys/fs/cgroup/cpu,cpuacct", Root: "/", Own: "/user.slice", Controllers: []string{"cpu", "cpuacct"}},
		{Mountpoint: "/sys/fs/cgroup/pids", Root: "/", Own: "/", Controllers: []string{"pids"}},
		{Mountpoint: "/sys/fs/cgroup/unified", Root: "/", Own: "/user.slice/session-1.scope", Unified: true},
	}
	for _, test := range []struct {
		name, mounts string
		mode         Mode
		want         []Hierarchy
	}{
		{"hybrid", hybridMounts, Hybrid, want},
		{"v1", v1, V1, want[:4]},
		{"v2 elsewhere", "5 1 0:9 / /mnt/my\\040groups rw - cgroup2 none rw", V2, []Hierarchy{
			{Mountpoint: "/mnt/my groups", Root: "/", Own: "/user.slice/session-1.scope", Unified: true}}},
	} {
		l, err := Parse([]byte(hybridSelf), []byte(test.mounts))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if l.Mode != test.mode || !reflect.DeepEqual(l.Hierarchies, test.want) {
			t.Errorf("%s: got %v %+v\nwant %v %+v", test.name, l.Mode, l.Hierarchies, test.mode, test.want)
		}
	}
	if _, err := Parse([]byte(hybridSelf), []byte("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")); err != ErrNoCgroups {
		t.Errorf("without a cgroup mount: %v", err)
	}
}

func TestParseMountinfoChoosesTheVisibleMount(t *testing.T) {
	self := []byte("4:memory:/a\n")
	for _, test := range []struct{ name, mounts, mountpoint, root string }{
		{"a mount below /sys/fs/cgroup is taken before others",
			"1 0 0:3 /x /jail rw - cgroup none rw,memory\n2 0 0:3 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n3 0 0:3 /y /sys/fs/cgroup/other rw - cgroup none rw,memory\n",
			"/sys/fs/cgroup/memory", "/"},
		{"a later mount on the same point hides the first",
			"1 0 0:3 / /cg rw - cgroup none rw,memory\n2 0 0:3 /docker/x /cg rw - cgroup none rw,memory\n", "/cg", "/docker/x"},
		{"a type that only begins like cgroup is none",
			"1 0 0:3 / /cg rw - cgroupish none rw,memory\n2 0 0:3 / /cg2 rw - cgroup none rw,memory", "/cg2", "/"},
		{"optional fields do not shift the others",
			"1 0 0:3 / /cg rw shared:1 master:2 - cgroup none rw,memory\n", "/cg", "/"},
	} {
		l, err := Parse(self, []byte(test.mounts))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if h := l.Hierarchies[0]; h.Mountpoint != test.mountpoint || h.Root != test.root {
			t.Errorf("%s: got %s showing %s", test.name, h.Mountpoint, h.Root)
		}
	}
}

func TestParseV2(t *testing.T) {
	l := ParseV2("/sys/fs/cgroup", []byte("1:net_cls:/\n0::/init.scope\n"), []byte("cpu io memory\n"))
	want := &Layout{Mode: V2, Hierarchies: []Hierarchy{{Mountpoint: "/sys/fs/cgroup", Root: "/", Own: "/init.scope",
		Controllers: []string{"cpu", "io", "memory"}, Unified: true}}}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got %+v", l)
	}
	if l.Find("io") == nil || l.Find("pids") != nil || l.Unified() == nil {
		t.Error("Find or Unified is wrong")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(hybridSelf), []byte(hybridMounts))
	f.Add([]byte("0::/\n"), []byte("1 2 0:3 / /a\\04 rw - cgroup2 n rw"))
	f.Add([]byte("3:cpu:\n:::"), []byte(" - cgroup - cgroup\n"))
	f.Fuzz(func(t *testing.T, self, mounts []byte) {
		l, err := Parse(self, mounts)
		if err != nil {
			return
		}
		for i := range l.Hierarchies {
			h := &l.Hierarchies[i]
			if h.Mountpoint == "" || h.Own == "" || h.Own[0] != '/' {
				t.Errorf("incomplete hierarchy %+v", h)
			}
		}
		if p, err := Place(l, "/a/b", "id"); err != nil || len(p.Folders) != len(l.Hierarchies) {
			t.Errorf("Place: %v", err)
		}
	})
}

// BenchmarkParseManyMounts is a busy host: 5,000 mounts of containers.
func BenchmarkParseManyMounts(b *testing.B) {
	var s strings.Builder
	s.WriteString(hybridMounts)
	for i := range 5000 {
		fmt.Fprintf(&s, "%d 22 0:%d / /var/lib/containers/overlay/%064d/merged rw,relatime shared:77 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w\n", i+100, i+100, i)
	}
	mounts := []byte(s.String())
	b.SetBytes(int64(len(mounts)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse([]byte(hybridSelf), mounts); err != nil {
			b.Fatal(err)
		}
	}
}

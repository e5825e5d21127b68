package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const hybridMounts = `28 27 0:21 / /proc rw - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
38 31 0:35 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

func TestParseHierarchies(t *testing.T) {
	hybrid := parseHierarchies(hybridMounts)
	if l, err := layoutOf(hybrid); err != nil || l != "hybrid" || len(hybrid) != 3 {
		t.Errorf("%s, %v: %+v", l, err, hybrid)
	}
	if c := lacks(hybrid, "pids", "cpuacct"); c != "" {
		t.Errorf("lacks %s", c)
	}
	if c := lacks(hybrid[:2], "pids", "memory"); c != "memory" {
		t.Errorf("lacks %q, want memory", c)
	}
	if l, err := layoutOf(hybrid[:2]); err != nil || l != "v1" {
		t.Errorf("without the last mount: %s, %v", l, err)
	}
	// As the bench shows v2: all that was there is covered.
	covered := parseHierarchies(hybridMounts + "50 31 0:38 / /sys/fs/cgroup rw - cgroup2 none rw\n")
	if l, err := layoutOf(covered); err != nil || l != "v2" || len(covered) != 1 {
		t.Errorf("covered: %s, %v: %+v", l, err, covered)
	}
	if _, err := layoutOf(nil); err == nil {
		t.Error("a host without cgroups was given a layout")
	}
}

func TestRowsIn(t *testing.T) {
	hybrid := layoutsOf("hybrid")
	for place, want := range map[place][]layout{everywhere: {"hybrid", "v1", "v2"}, pure: {"v1", "v2"}, unified: {"v2"}, once: {"v1"}} {
		var got []layout
		for _, l := range hybrid {
			if (&row{where: place}).in(l, hybrid) {
				got = append(got, l)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("rows of place %d are measured in %v, want %v", place, got, want)
		}
	}
	if only := layoutsOf("v2"); !(&row{where: once}).in("v2", only) || len(only) != 1 {
		t.Errorf("on a host with v2 alone: %v", only)
	}
}

func TestCgroupsNamed(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"bench1-a/inner", "deep/bench1-b", "bench10-c", "other"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := cgroupsNamed("bench1-", []hierarchy{{mountpoint: root}})
	want := []string{filepath.Join(root, "deep/bench1-b"), filepath.Join(root, "bench1-a/inner"), filepath.Join(root, "bench1-a")}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestParseStat(t *testing.T) {
	p, ok := parseStat(7, "7 (a) b)) Z 12 7 7 0")
	if !ok || p.parent != 12 || p.state != 'Z' || p.name != "a) b)" {
		t.Errorf("%v %+v", ok, p)
	}
	if _, ok := parseStat(7, "nonsense"); ok {
		t.Error("nonsense was taken")
	}
}

func TestParseRollup(t *testing.T) {
	private, resident, err := parseRollup("00400000-7fff [rollup]\nRss:   112 kB\nPss: 50 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty:  96 kB\nPrivate_Hugetlb: 5 kB\n")
	if err != nil || private != 104 || resident != 112 {
		t.Errorf("%v, %v, %v", private, resident, err)
	}
	if _, _, err := parseRollup("nothing"); err == nil {
		t.Error("an empty file was taken")
	}
}

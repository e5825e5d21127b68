package fs

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"berth/cgroups"
)

func TestHostSub(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	for i := range m.folders {
		if err := os.MkdirAll(m.folders[i].Full()+"/in/er", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sub, err := m.Sub([]string{"/in/er/"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range sub.folders {
		if !strings.HasSuffix(sub.folders[i].Path, "/in/er") {
			t.Errorf("%s is not below", sub.folders[i].Full())
		}
	}
	sub.Close()
	if l.Find("pids") != nil && m.legacy("pids") != nil {
		if sub, err = m.Sub([]string{"pids,freezer:in"}); err != nil {
			t.Fatal(err)
		}
		if sub.legacy("pids").Path != m.legacy("pids").Path+"/in" || sub.folders[0].Path != m.folders[0].Path && sub.folders[0].Controllers[0] != "pids" {
			t.Errorf("pids:in gave %v", sub.Paths())
		}
		sub.Close()
	}
	for spec, want := range map[string]string{"in/../..": "must not have ..", "nonesuch": "no such file", "nonesuch:in": "no cgroup v1 hierarchy with the controller \"nonesuch\""} {
		if sub, err = m.Sub([]string{spec}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--cgroup "+spec) {
			t.Errorf("%s: %v, %v", spec, sub, err)
		}
	}
	remove(t, m)
}

// TestHostJoinWherePassedOn is a container that manages cgroups of its own.
func TestHostJoinWherePassedOn(t *testing.T) {
	l := host(t)
	need := unifiedControllers(l)
	if len(need) == 0 {
		t.Skip("this layout has no controller on v2")
	}
	m := create(t, l, ownName(t, l), need...)
	full := m.unified().Full()
	if err := os.Mkdir(full+"/init.scope", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := sleeper(t, func(pid int) error {
		return os.WriteFile(full+"/init.scope/cgroup.procs", []byte(itoa(pid)), 0)
	})
	if err := os.WriteFile(full+"/cgroup.subtree_control", []byte("+"+need[0]), 0); err != nil {
		t.Fatal(err)
	}
	refusedOne := sleeper(t, func(pid int) error {
		if err := m.Join(pid); err == nil || !strings.Contains(err.Error(), "no internal processes") {
			t.Errorf("Join: %v", err)
		}
		return nil
	})
	end(refusedOne)
	join, err := m.JoinFilesOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := enter(t, join)
	join.Close()
	b, err := os.ReadFile("/proc/" + itoa(other.Process.Pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range cgroups.ParseSelfCgroup(b) {
		if h.Unified && !strings.HasSuffix(h.Own, "/init.scope") {
			t.Errorf("the process is in %s", h.Own)
		}
	}
	if _, err := m.JoinFilesOf(os.Getpid()); err == nil || !strings.Contains(err.Error(), "not below it") {
		t.Errorf("JoinFilesOf a foreign process: %v", err)
	}
	end(other)
	end(cmd)
	remove(t, m)
}

func TestHostDelegate(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l), unifiedControllers(l)...)
	if err := m.Delegate(4242); err != nil {
		t.Fatal(err)
	}
	if f := m.unified(); f != nil {
		for file, want := range map[string]uint32{"": 4242, "/cgroup.procs": 4242, "/cgroup.subtree_control": 4242, "/cgroup.threads": 4242, "/cgroup.max.depth": 0, "/cgroup.freeze": 0} {
			info, err := os.Stat(f.Full() + file)
			if err != nil {
				t.Fatal(err)
			}
			if st := info.Sys().(*syscall.Stat_t); st.Uid != want || st.Gid != 0 {
				t.Errorf("%s%s belongs to %d:%d, want %d:0", f.Full(), file, st.Uid, st.Gid, want)
			}
		}
	}
	remove(t, m)
}

package fs

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

func TestHostLife(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l)+"/a/b", unifiedControllers(l)...)
	for i := range m.folders {
		f := &m.folders[i]
		if f.has("cpuset") && (read(t, f, "cpuset.cpus") == "" || read(t, f, "cpuset.mems") == "") {
			t.Errorf("%s has no CPUs or memory nodes", f.Full())
		}
		if f.Unified {
			for _, c := range unifiedControllers(l) {
				if !strings.Contains(" "+read(t, f, "cgroup.controllers")+" ", " "+c+" ") {
					t.Errorf("%s: the controller %s is not enabled", f.Full(), c)
				}
			}
		}
	}
	join, err := m.JoinFiles()
	if err != nil {
		t.Fatal(err)
	}
	defer join.Close()
	cmd := enter(t, join)
	defer end(cmd)
	self, err := os.ReadFile("/proc/" + itoa(cmd.Process.Pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range cgroups.ParseSelfCgroup(self) {
		if mounted(l, &h) && !strings.HasSuffix(h.Own, "/a/b") {
			t.Errorf("the process is in %q of %v%s", h.Own, h.Controllers, h.Name)
		}
	}
	// A later command finds the cgroup by its saved state alone.
	text, err := json.Marshal(m.State())
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	m.Close()
	m = Load(s)
	defer m.Close()
	pids, err := m.Pids(true)
	if err != nil || len(pids) != 1 || pids[0] != cmd.Process.Pid {
		t.Errorf("Pids: %v, %v; want %d", pids, err, cmd.Process.Pid)
	}
	if there, err := m.Exists(); !there || err != nil {
		t.Errorf("Exists: %v, %v", there, err)
	}
	end(cmd)
	remove(t, m)
	if there, err := m.Exists(); there || err != nil {
		t.Errorf("Exists after Remove: %v, %v", there, err)
	}
	if pids, err := m.Pids(true); err != nil || len(pids) > 0 {
		t.Errorf("Pids after Remove: %v, %v", pids, err)
	}
	if err := m.Remove(); err != nil {
		t.Errorf("a second Remove: %v", err)
	}
}

// enter starts a shell that joins as the executor does: itself, by the tasks
// files it inherited, and by CLONE_INTO_CGROUP.
func enter(t *testing.T, join *Join) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", `for fd in "$@"; do echo 0 > /proc/self/fd/$fd || exit 1; done; echo; exec sleep 1000`, "sh")
	for i := range join.Tasks {
		fd, err := unix.Dup(join.Tasks[i].FD)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), join.Tasks[i].Path)
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		cmd.Args = append(cmd.Args, itoa(3+i))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if join.Unified >= 0 {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, join.Unified
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the process could not join: %v, %v", err, cmd.Wait())
	}
	return cmd
}

func TestHostCreateRefuses(t *testing.T) {
	l := host(t)
	name := ownName(t, l)
	m := create(t, l, name+"/used")
	p, err := cgroups.Place(l, name+"/used", "id")
	if err != nil {
		t.Fatal(err)
	}
	// An empty one is fine.
	again, err := Create(p, CreateOptions{})
	if err != nil {
		t.Fatalf("an existing empty cgroup: %v", err)
	}
	again.Close()
	cmd := sleeper(t, m.Join)
	refused(t, p, "process "+itoa(cmd.Process.Pid))
	end(cmd)
	freezeFolder(t, m, true)
	refused(t, p, "container would never start in it")
	below, err := cgroups.Place(l, name+"/used/below", "id")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, below, "container would never start in it")
	freezeFolder(t, m, false)
	if there, err := again.Exists(); !there || err != nil {
		t.Error("a refused Create removed a cgroup that was there before")
	}
	remove(t, m)
}

func freezeFolder(t *testing.T, m *Manager, on bool) {
	t.Helper()
	f, file, values := m.legacy("freezer"), "freezer.state", [2]string{"THAWED", "FROZEN"}
	if f == nil {
		f, file, values = m.unified(), "cgroup.freeze", [2]string{"0", "1"}
	}
	value := values[0]
	if on {
		value = values[1]
	}
	dir, err := f.dir()
	if err == nil {
		err = writeFile(dir, file, value)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, p *cgroups.Placement, want string) {
	t.Helper()
	m, err := Create(p, CreateOptions{})
	if err == nil {
		m.Close()
		t.Errorf("Create did not refuse; want %q", want)
		return
	}
	if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") {
		t.Errorf("Create: %v\nwant %q", err, want)
	}
}

func TestHostCreateUndoes(t *testing.T) {
	l := host(t)
	// The last hierarchy fails: its path leads through a control file.
	p, err := cgroups.Place(l, ownName(t, l)+"/x/y", "id")
	if err != nil {
		t.Fatal(err)
	}
	last := &p.Folders[len(p.Folders)-1]
	path := last.Path
	last.Path = "/cgroup.procs/x"
	refused(t, p, "control file")
	last.Path = "/x/../../../../../tmp/x"
	refused(t, p, "must not have .. in it")
	if last.Unified {
		last.Path = path
		m, err := Create(p, CreateOptions{Controllers: []string{"nonesuch"}})
		if err == nil || !strings.Contains(err.Error(), "the controller nonesuch is not available") {
			t.Errorf("a controller that is not there: %v, %v", m, err)
		}
	}
}

func TestHostRemoveTakesSubcgroups(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	for i := range m.folders {
		if err := os.MkdirAll(m.folders[i].Full()+"/in/side", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	remove(t, m)
}

func TestHostRemoveSaysWhoIsInIt(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	cmd := sleeper(t, m.Join)
	err := m.Remove()
	if err == nil || !strings.Contains(err.Error(), "process "+itoa(cmd.Process.Pid)) {
		t.Errorf("Remove of a cgroup in use: %v", err)
	}
	end(cmd)
	remove(t, m)
}

func TestHostInternalProcess(t *testing.T) {
	l := host(t)
	need := unifiedControllers(l)
	if len(need) == 0 {
		t.Skip("this layout has no controller on v2")
	}
	name := ownName(t, l)
	m := create(t, l, name)
	cmd := sleeper(t, m.Join)
	p, err := cgroups.Place(l, name+"/below", "id")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Create(p, CreateOptions{Controllers: need}); err == nil || !strings.Contains(err.Error(), "no internal processes") {
		t.Errorf("Create below a cgroup with processes: %v", err)
	}
	end(cmd)
	remove(t, m)
}

func TestHostThreaded(t *testing.T) {
	l := host(t)
	h := l.Unified()
	if h == nil {
		t.Skip("threaded cgroups are a thing of v2")
	}
	// By hand: a cgroup whose parent passes memory on cannot be threaded.
	name := ownName(t, l)
	top := h.Mountpoint + name
	for _, folder := range []string{top, top + "/thr"} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(folder)
	}
	if err := os.WriteFile(top+"/thr/cgroup.type", []byte("threaded"), 0); err != nil {
		t.Fatal(err)
	}
	p, err := cgroups.Place(l, name+"/thr/below", "id")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, p, "threaded")
}

// TestHostPopulatedParentStays: enabling only what is nice to have must not turn
// a cgroup with processes into a threaded one, as the kernel does for cpu and pids.
func TestHostPopulatedParentStays(t *testing.T) {
	l := host(t)
	if l.Unified() == nil {
		t.Skip("this is about v2")
	}
	name := ownName(t, l)
	m := create(t, l, name, unifiedControllers(l)...)
	cmd := sleeper(t, m.Join)
	below := create(t, l, name+"/below")
	for _, f := range []*folder{m.unified(), below.unified()} {
		if got := read(t, f, "cgroup.type"); got != "domain" {
			t.Errorf("%s became %s", f.Full(), got)
		}
	}
	other := sleeper(t, below.Join)
	end(other)
	remove(t, below)
	end(cmd)
	remove(t, m)
}

func TestProbeReadsEveryHierarchy(t *testing.T) {
	l, err := Probe()
	if err != nil {
		t.Skipf("no cgroups here: %v", err)
	}
	for i := range l.Hierarchies {
		if _, err := os.Stat(l.Hierarchies[i].Mountpoint + "/cgroup.procs"); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkProbe(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Probe(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	l := host(b)
	top := create(b, l, ownName(b, l))
	p, err := cgroups.Place(l, top.folders[0].Path+"/c", "id")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m, err := Create(p, CreateOptions{})
		if err != nil {
			b.Fatal(err)
		}
		j, err := m.JoinFiles()
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
		remove(b, m)
	}
	remove(b, top)
}

// unifiedControllers are those on v2 whose enabling affects no one: on a hybrid
// host v2 has few, on a v2 host all would do but pids is enough.
func unifiedControllers(l *cgroups.Layout) []string {
	h := l.Unified()
	if h == nil {
		return nil
	}
	for _, c := range []string{"pids", "hugetlb"} {
		if h.Has(c) {
			return []string{c}
		}
	}
	return nil
}

func mounted(l *cgroups.Layout, h *cgroups.Hierarchy) bool {
	for i := range l.Hierarchies {
		o := &l.Hierarchies[i]
		if o.Unified && h.Unified || h.Name != "" && o.Name == h.Name || len(h.Controllers) > 0 && o.Has(h.Controllers[0]) {
			return true
		}
	}
	return false
}

func read(t *testing.T, f *folder, file string) string {
	t.Helper()
	dir, err := f.dir()
	if err != nil {
		t.Fatal(err)
	}
	b, err := readFile(dir, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return trim(b)
}

// TestHostRounds: containers come and go, and leave neither cgroups nor
// descriptors.
func TestHostRounds(t *testing.T) {
	l := host(t)
	name := ownName(t, l)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := 0
	for round := range 100 {
		m := create(t, l, name+"/some/where", unifiedControllers(l)...)
		join, err := m.JoinFiles()
		if err != nil {
			t.Fatal(err)
		}
		join.Close()
		remove(t, m)
		m.Close()
		if round == 0 {
			before = descriptors()
		}
		for i := range l.Hierarchies {
			if _, err := os.Stat(l.Hierarchies[i].Mountpoint + name); err == nil {
				t.Fatalf("round %d left %s%s", round, l.Hierarchies[i].Mountpoint, name)
			}
		}
	}
	if after := descriptors(); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// TestHostParentsAreShared: two containers below one new parent, of which the
// first to go leaves the parent to the other.
func TestHostParentsAreShared(t *testing.T) {
	l := host(t)
	name := ownName(t, l)
	a := create(t, l, name+"/p/a")
	b := create(t, l, name+"/p/b")
	remove(t, a)
	if there, err := b.Exists(); err != nil || !there {
		t.Errorf("the other container's cgroup: %v, %v", there, err)
	}
	remove(t, b)
	// b did not make the parents, and a could not remove them.
	c := create(t, l, name+"/p")
	remove(t, c)
	for i := range l.Hierarchies {
		os.Remove(l.Hierarchies[i].Mountpoint + name)
	}
}

// TestHostPlanned is a berth that was killed between saving its plan and having
// the cgroup.
func TestHostPlanned(t *testing.T) {
	l := host(t)
	name := ownName(t, l)
	p, err := cgroups.Place(l, name+"/new/c", "id")
	if err != nil {
		t.Fatal(err)
	}
	state := Plan(p)
	if m, err := Create(p, CreateOptions{}); err != nil {
		t.Fatal(err)
	} else {
		m.Close()
	}
	m := Load(state)
	remove(t, m)
	if there, err := m.Exists(); there || err != nil {
		t.Errorf("after Remove: %v, %v", there, err)
	}
	for i := range l.Hierarchies {
		if _, err := os.Stat(l.Hierarchies[i].Mountpoint + name); err == nil {
			t.Errorf("the parent %s is left", l.Hierarchies[i].Mountpoint+name)
		}
	}
	// The same plan for a path that is someone else's by then.
	other := create(t, l, name+"/new/c")
	cmd := sleeper(t, other.Join)
	if pids, err := m.Pids(true); len(pids) > 0 || err != nil {
		t.Errorf("foreign processes are listed: %v, %v", pids, err)
	}
	if err := m.Kill(); err != nil {
		t.Error(err)
	}
	if err := m.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	remove(t, m)
	if pids, err := other.Pids(true); err != nil || len(pids) != 1 {
		t.Errorf("the foreign process is gone: %v, %v", pids, err)
	}
	end(cmd)
	remove(t, other)
}

// TestHostDenied makes cgroups with the rights of nobody: the thread's own, as
// setfsuid(2) gives them up for file access.
func TestHostDenied(t *testing.T) {
	l := host(t)
	p, err := cgroups.Place(l, ownName(t, l)+"/c", "id")
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer unix.Setfsuid(0)
	refused(t, p, "permission denied: run berth as root")
	m, err := Create(p, CreateOptions{SkipDenied: true})
	if err != nil {
		t.Fatalf("SkipDenied: %v", err)
	}
	defer m.Close()
	join, err := m.JoinFiles()
	if err != nil || len(join.Tasks) > 0 || join.Unified != -1 {
		t.Errorf("JoinFiles of no cgroup: %+v, %v", join, err)
	}
	if pids, err := m.Pids(true); err != nil || len(pids) > 0 {
		t.Errorf("Pids of no cgroup: %v, %v", pids, err)
	}
	for name, do := range map[string]func() error{"Kill": m.Kill, "Remove": m.Remove, "Apply": func() error { return m.Apply(nil) }} {
		if err := do(); err != nil {
			t.Errorf("%s of no cgroup: %v", name, err)
		}
	}
}

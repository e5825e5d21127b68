package fs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/cgroups"
)

func TestHostFreeze(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	cmd := sleeper(t, m.Join)
	for _, step := range []struct {
		name string
		do   func() error
		want bool
	}{{"at first", func() error { return nil }, false}, {"Freeze", m.Freeze, true}, {"Freeze again", m.Freeze, true}, {"Thaw", m.Thaw, false}, {"Thaw again", m.Thaw, false}} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if frozen, err := m.Frozen(); err != nil || frozen != step.want {
			t.Errorf("%s: Frozen is %v, %v", step.name, frozen, err)
		}
	}
	end(cmd)
	remove(t, m)
	if frozen, err := m.Frozen(); err != nil || frozen {
		t.Errorf("Frozen of a removed cgroup: %v, %v", frozen, err)
	}
	if err := Load(State{}).Freeze(); err != ErrNoFreezer {
		t.Errorf("Freeze without a freezer: %v", err)
	}
}

// TestHostFrozenSleeper shows that a sleeping process that is frozen is never taken for one that sleeps and therefore is
// not, by whichever freezer.
func TestHostFrozenSleeper(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	cmd := sleeper(t, m.Join)
	state := func() byte {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return b[strings.LastIndexByte(string(b), ')')+2]
	}
	for deadline := time.Now().Add(5 * time.Second); state() != 'S' && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if state() != 'S' {
		t.Fatalf("the sleeper is in state %c", state())
	}
	saved := m.State()
	expect := func(what string, want bool) {
		t.Helper()
		if frozen, err := saved.Frozen(state() == 'S'); err != nil || frozen != want {
			t.Errorf("%s: Frozen of a process in state %c: %v, %v", what, state(), frozen, err)
		}
	}
	expect("at first", false)
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	expect("Freeze", true)
	for _, legacy := range []bool{true, false} {
		if err := m.MoveFreeze(legacy); err != nil {
			t.Fatal(err)
		}
		expect(fmt.Sprintf("MoveFreeze(%v)", legacy), true)
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	expect("Thaw", false)
	end(cmd)
	remove(t, m)
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-32-cloud-amd64": true, "6.18.44": true, "7.0": true, "6.1": true, "6.1-rc1": true, "10.0.1": true,
		"6.0.19": false, "5.15.0": false, "5.10": false, "6": false, "": false, "six.one": false,
	} {
		if got := atLeast(release, 6, 1); got != want {
			t.Errorf("atLeast(%q, 6, 1) is %v", release, got)
		}
	}
}

// TestHostFreezeStops shows that what is frozen does nothing.
func TestHostFreezeStops(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	cmd, file := script(t, m, "while :; do echo; sleep 0.001; done")
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for { // what it wrote before
		file.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := file.Read(buf); err != nil {
			break
		}
	}
	still := func(how string) {
		file.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := file.Read(buf); err == nil {
			t.Errorf("%s: the frozen process wrote %d bytes", how, n)
		}
	}
	still("Freeze")
	for _, legacy := range []bool{true, false} {
		if err := m.MoveFreeze(legacy); err != nil {
			t.Fatal(err)
		}
		still(fmt.Sprintf("MoveFreeze(%v)", legacy))
		if frozen, err := m.Frozen(); err != nil || !frozen {
			t.Errorf("MoveFreeze(%v): Frozen is %v, %v", legacy, frozen, err)
		}
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	file.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := file.Read(buf); err != nil {
		t.Errorf("the thawed process: %v", err)
	}
	if err := m.Kill(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	remove(t, m)
}

func TestHostKill(t *testing.T) {
	l := host(t)
	for _, frozen := range []bool{false, true} {
		m := create(t, l, ownName(t, l))
		for i := range m.folders {
			if err := os.Mkdir(m.folders[i].Full()+"/in", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		// One in the container's cgroup, and one in a cgroup it made.
		a := sleeper(t, m.Join)
		s := m.State()
		for i := range s.Folders {
			s.Folders[i].Path += "/in"
		}
		inner := Load(s)
		if f := inner.legacy("cpuset"); f != nil {
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := f.put(file, read(t, m.legacy("cpuset"), file)); err != nil {
					t.Fatal(err)
				}
			}
		}
		b := sleeper(t, inner.Join)
		inner.Close()
		if frozen {
			if err := m.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := m.Kill(); err != nil {
			t.Error(err)
		}
		for _, cmd := range []*exec.Cmd{a, b} {
			err := cmd.Wait()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Errorf("frozen %v: the process ended with %v", frozen, err)
			}
		}
		remove(t, m)
		t.Logf("frozen %v: killed and removed in %v", frozen, time.Since(start))
		if err := m.Kill(); err != nil {
			t.Errorf("Kill of a removed cgroup: %v", err)
		}
	}
}

// TestHostKillLoop is what a kernel without cgroup.kill and with a container
// that cannot be frozen falls back to: a program that keeps forking.
func TestHostKillLoop(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	cmd, _ := script(t, m, "while :; do sleep 1000 & sleep 0.01; done")
	waitFor(t, "the shell to fork", func() bool {
		pids, err := m.Pids(true)
		return err != nil || len(pids) > 5
	})
	if err := m.killLoop(false); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	remove(t, m)
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("waited in vain for %s", what)
}

func TestHostSignal(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l))
	cmd := sleeper(t, m.Join)
	if err := m.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("the process ended with %v", cmd.ProcessState)
	}
	remove(t, m)
}

func TestHostOOM(t *testing.T) {
	l := host(t)
	if l.Find("memory") == nil {
		t.Skip("no memory controller in this view")
	}
	m := create(t, l, ownName(t, l), memoryNeeds(l)...)
	if err := m.Apply(limits(t, l, `{"memory":{"limit":8388608,"swap":8388608}}`)); err != nil {
		t.Fatal(err)
	}
	w, err := m.OOM()
	if err != nil {
		t.Fatal(err)
	}
	cmd, _ := script(t, m, "exec tail /dev/zero")
	cmd.Wait()
	if _, open := next(t, w); !open {
		t.Error("the watch ended without an event")
	}
	s, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	// v2 tells the most that was used since Linux 5.19.
	tellsMax := l.Mode == cgroups.V1 || kernelAtLeast(5, 19)
	if s.Memory.Usage.Limit != 8388608 || tellsMax == (s.Memory.Usage.Max == 0) || len(s.Memory.Raw) == 0 {
		t.Errorf("statistics after: %+v", s.Memory)
	}
	remove(t, m)
	if _, open := next(t, w); open {
		t.Error("an event after the end")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func next(t *testing.T, w *OOMWatcher) (struct{}, bool) {
	t.Helper()
	select {
	case e, open := <-w.Events():
		return e, open
	case <-time.After(5 * time.Second):
		t.Fatal("no event, and no end")
		return struct{}{}, false
	}
}

func TestOOMWatchOfV2(t *testing.T) {
	m := fake(t, true, nil, map[string]string{
		"memory.events": "low 0\noom 3\noom_kill 3\n", "cgroup.events": "populated 1\nfrozen 0\n"})
	w, err := m.OOM()
	if err != nil {
		t.Fatal(err)
	}
	set := func(file, content string) {
		if err := os.WriteFile(m.unified().Full()+"/"+file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.Close()
	set("memory.events", "low 5\noom 3\noom_kill 3\n")
	select {
	case <-w.Events():
		t.Error("an event without a kill")
	case <-time.After(50 * time.Millisecond):
	}
	set("memory.events", "low 5\noom 4\noom_kill 4\n")
	if _, open := next(t, w); !open {
		t.Error("no event for a kill")
	}
	set("cgroup.events", "populated 0\nfrozen 0\n")
	if _, open := next(t, w); open {
		t.Error("an event instead of the end")
	}
	if w.Struck() {
		t.Error("a kill that was told of already")
	}
	set("memory.events", "low 5\noom 5\noom_kill 5\n")
	if first, again := w.Struck(), w.Struck(); !first || again {
		t.Errorf("a kill that came too late for a notice: %v, then %v", first, again)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if w, err = m.OOM(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	os.Remove(m.unified().Full() + "/memory.events")
	if w, err = m.OOM(); err == nil || !strings.Contains(err.Error(), "memory controller") {
		t.Errorf("without the controller: %v, %v", w, err)
	}
}

func TestHostStats(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l), cgroups.Needed(limits(t, l, everything(l)))...)
	if err := m.Apply(limits(t, l, everything(l))); err != nil {
		t.Fatal(err)
	}
	cmd, _ := script(t, m, "x=$(head -c 1000000 /dev/zero | tr '\\0' a); i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read end")
	var err error
	var s *cgroups.Stats
	waitFor(t, "the process to use CPU time and memory", func() bool {
		if s, err = m.Stats(); err != nil {
			t.Fatal(err)
		}
		return s.CPU.Usage.Total > 1000000 && (l.Find("memory") == nil || s.Memory.Usage.Usage > 500000) && (l.Find("pids") == nil || s.Pids.Current == 1)
	})
	if l.Find("pids") != nil && (s.Pids.Current != 1 || s.Pids.Limit != 50) {
		t.Errorf("pids: %+v", s.Pids)
	}
	if l.Find("memory") != nil && (s.Memory.Usage.Limit != 67108864 || s.Memory.Usage.Usage == 0) {
		t.Errorf("memory: %+v", s.Memory)
	}
	if l.Find("hugetlb") != nil && len(s.Hugetlb) == 0 {
		t.Errorf("hugetlb: %+v", s.Hugetlb)
	}
	// The times in user and kernel mode are counted by ticks, and so add up to another total.
	if u := s.CPU.Usage; l.Find("cpuacct") != nil && (len(u.PerCPU) == 0 || len(u.PerCPUUser) != len(u.PerCPU) || len(u.PerCPUKernel) != len(u.PerCPU)) {
		t.Errorf("cpu: %+v", s.CPU)
	}
	end(cmd)
	remove(t, m)
	if _, err := m.Stats(); !gone(err) {
		t.Errorf("Stats of a removed cgroup: %v", err)
	}
}

package nsenter

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
	"berth/memfd"
)

// Nobody can change what the executor is, not even root in a container that
// reaches it under /proc/PID/exe (CVE-2019-5736).
func TestExecutorSealed(t *testing.T) {
	fd, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	want := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if err != nil || got&want != want {
		t.Errorf("seals %#x, %v; want %#x", got, err, want)
	}
}

// start starts the executor on steps that need no privilege; what it prints
// goes to the returned file.
func start(t *testing.T, steps ...plan.Op) (*Process, *os.File) {
	t.Helper()
	p := &plan.Plan{}
	for i, op := range steps {
		p.Add(plan.Origin{Field: "step", Index: i}, op)
	}
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	fd := int(out.Fd())
	process, err := (&Command{Plan: p, Stdio: [3]int{fd, fd, fd}, CgroupFD: -1, KeepCaps: -1}).Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Close()
		if err := process.Kill(); err != nil {
			t.Error(err)
		}
	})
	return process, out
}

func find(program string) plan.Op {
	return plan.FindExec{Name: program, Candidates: []string{program}}
}

func shell(script string) []plan.Op {
	return []plan.Op{find("/bin/sh"), plan.Execve{Argv: []string{"sh", "-c", script}, Envp: []string{"A=b"}}}
}

func printed(t *testing.T, out *os.File) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(out, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The whole way with the true executor: it meets the parent, takes an answer,
// forks, and becomes the program.
func TestStart(t *testing.T) {
	before := openFDs(t)
	process, out := start(t, append([]plan.Op{
		plan.Sync{Point: plan.PointHooks}, plan.Fork{}, plan.Umask{Mask: 0o27}, plan.Sync{Point: plan.PointCreated},
	}, shell("echo $A; umask; readlink /proc/$$/exe; ls /proc/$$/fd")...)...)
	first := process.Pid
	for _, point := range []plan.Point{plan.PointHooks, plan.PointCreated} {
		r, err := process.Recv()
		if err != nil || r.Point != point {
			t.Fatalf("at %s: %+v, %v", point, r, err)
		}
		if point == plan.PointHooks {
			exe, err := os.Readlink("/proc/self/exe")
			theirs, err2 := os.Readlink("/proc/" + itoa(process.Pid) + "/exe")
			if err != nil || err2 != nil || theirs == exe || !strings.Contains(theirs, "memfd:berth-executor") {
				t.Errorf("the container's side runs %s, %v, %v", theirs, err, err2)
			}
		}
		if err := process.Answer(point, nil); err != nil {
			t.Fatal(err)
		}
	}
	if process.Pid == first {
		t.Error("the forked process was not adopted")
	}
	if _, err := process.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("after execve: %v", err)
	}
	if status, err := process.Wait(); err != nil || status != 0 {
		t.Errorf("ended with %v, %v", status, err)
	}
	lines := strings.Split(printed(t, out), "\n")
	if lines[0] != "b" || lines[1] != "0027" || strings.Contains(lines[2], "berth") || strings.Join(lines[3:6], " ") != "0 1 2" {
		t.Errorf("printed %q", lines)
	}
	process.Close()
	if after := openFDs(t); after > before+1 { // out
		t.Errorf("%d descriptors are open, and %d were before", after, before)
	}
}

func itoa(n int) string { return string(appendInt(nil, n)) }

func appendInt(b []byte, n int) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

// A command may be started once more, as exec does where the first cgroup takes
// no processes; each time with its own memory for the times.
func TestStartTwice(t *testing.T) {
	p := &plan.Plan{}
	for i, op := range shell("exit 3") {
		p.Add(plan.Origin{Field: "step", Index: i}, op)
	}
	cmd := &Command{Plan: p, Stdio: [3]int{0, 1, 2}, CgroupFD: -1, KeepCaps: -1, Trace: true}
	for range 2 {
		process, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		status, err := process.Wait()
		process.Close()
		if err != nil || status.ExitStatus() != 3 || len(process.Times()) != len(p.Steps) {
			t.Errorf("exit status %d, %v, times of %d steps", status.ExitStatus(), err, len(process.Times()))
		}
	}
	if len(cmd.Slots) > 0 {
		t.Errorf("the command has slots now: %v", cmd.Slots)
	}
}

// A step that fails is told with its place, and the process ends.
func TestStartFailure(t *testing.T) {
	process, _ := start(t, plan.SetName{Name: "x"}, plan.Chdir{Path: "/no/such"}, find("/bin/sh"))
	_, err := process.Recv()
	if err == nil || err.Error() != "step[1]: chdir /no/such: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if _, err := process.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("then: %v", err)
	}
	if status, err := process.Wait(); err != nil || status.ExitStatus() != 1 {
		t.Errorf("ended with %v, %v", status, err)
	}
}

// A plan without an end does not leave the executor in the container.
func TestPlanWithoutExecve(t *testing.T) {
	process, _ := start(t, plan.Umask{})
	if _, err := process.Recv(); err == nil || !strings.Contains(err.Error(), "the plan has no execve") {
		t.Errorf("got %v", err)
	}
}

// A parent that goes away takes the executor with it.
func TestParentGone(t *testing.T) {
	process, out := start(t, append([]plan.Op{plan.Sync{Point: plan.PointHooks}}, shell("echo still here")...)...)
	if _, err := process.Recv(); err != nil {
		t.Fatal(err)
	}
	unix.Close(process.socket)
	process.socket = -1
	if status, err := process.Wait(); err != nil || status.ExitStatus() != 1 {
		t.Errorf("ended with %v, %v", status, err)
	}
	if text := printed(t, out); text != "" {
		t.Errorf("it went on: %s", text)
	}
}

// An answer to another question, or without what was asked for, is refused.
func TestWrongAnswers(t *testing.T) {
	for name, answer := range map[string]func(*Process) error{
		"another point": func(p *Process) error { return p.Answer(plan.PointConsole, nil) },
		"no descriptor": func(p *Process) error { return p.Answer(plan.PointSeccomp, nil) },
		"two of them":   func(p *Process) error { return p.Answer(plan.PointSeccomp, nil, 0, 1) },
		"a short one":   func(p *Process) error { return unix.Send(p.socket, []byte("x"), 0) },
		"an empty part": func(p *Process) error { return unix.Send(p.socket, make([]byte, plan.ReplyHead-1), 0) },
		"a longer one":  func(p *Process) error { return unix.Send(p.socket, make([]byte, plan.ReplySize+1), 0) },
	} {
		process, _ := start(t, append([]plan.Op{plan.Sync{Point: plan.PointSeccomp, Into: plan.SlotSeccomp, Fds: 1}}, shell("")...)...)
		if _, err := process.Recv(); err != nil {
			t.Fatal(err)
		}
		if err := answer(process); err != nil {
			t.Fatal(err)
		}
		if _, err := process.Recv(); err == nil || !strings.Contains(err.Error(), "answer at a meeting point: protocol error") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A plan that the executor's check refuses is told as what it is. No plan of
// Encode's is such a one, so a byte of it is changed on the way.
func TestRefusedPlan(t *testing.T) {
	p := &plan.Plan{}
	p.Add(plan.At("x"), plan.Chdir{Path: "/"})
	data, err := p.Encode(plan.Env{Socket: 4, SlotsFrom: 5})
	if err != nil {
		t.Fatal(err)
	}
	data[64+24+8] = 7 // chdir's create, a bool
	exe, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(exe)
	fd, err := memfd.Sealed("plan", data)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	process, socket := fakeExecutor(t)
	child, err := os.StartProcess("/proc/self/fd/"+itoa(exe), []string{"berth-init", "3"}, &os.ProcAttr{
		Files: []*os.File{nil, nil, nil, os.NewFile(uintptr(dup(t, fd)), "plan"), os.NewFile(uintptr(dup(t, socket)), "socket")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := process.Recv(); err == nil || !strings.HasSuffix(err.Error(), "a fault of berth's: step 0: damaged field") {
		t.Errorf("got %v", err)
	}
	if state, err := child.Wait(); err != nil || state.ExitCode() != 1 {
		t.Errorf("ended with %v, %v", state, err)
	}
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

package selfpipe

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is also the process that catches, since it does so for good.
func TestMain(m *testing.M) {
	switch os.Getenv("SELFPIPE") {
	case "":
		os.Exit(m.Run())
	case "all":
		catchAll()
	case "fault":
		fault()
	case "child":
		child()
	case "pipe":
		brokenPipe()
	case "wake":
		wake()
	}
}

// catchAll sends itself every signal and prints those that come back.
func catchAll() {
	p := mustCatch()
	for n := unix.Signal(1); n <= lastSignal; n++ {
		if !caught(n) || n == unix.SIGPIPE { // which is not told of where it is one's own
			continue
		}
		if err := unix.Kill(os.Getpid(), n); err != nil {
			fail(err)
		}
		got, err := p.Next(nil)
		if err != nil || len(got) != 1 || got[0] != n {
			fail(n, " sent, came: ", got, err)
		}
	}
	print("all came")
}

// fault has Go's runtime turn a nil dereference into a panic, as ever.
func fault() {
	mustCatch()
	debug.SetPanicOnFault(true)
	defer func() { print("recovered: ", recover().(error).Error()) }()
	var p *int
	*p = 1
}

// child waits for the end of a process.
func child() {
	p := mustCatch()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	got, err := p.Next(nil)
	if err != nil || got[0] != unix.SIGCHLD {
		fail(got, err)
	}
	if err := cmd.Wait(); err != nil {
		fail(err)
	}
	print("it ended")
}

// brokenPipe writes to a pipe that nobody reads, and is sent the same signal by another process.
func brokenPipe() {
	p := mustCatch()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		fail(err)
	}
	unix.Close(fds[0])
	if _, err := unix.Write(fds[1], []byte("x")); err != unix.EPIPE {
		fail(err)
	}
	p.Wake()
	if got, err := p.Next(nil); err != nil || len(got) != 1 || got[0] != 0 {
		fail("of its own making", err)
	}
	if err := exec.Command("sh", "-c", "kill -PIPE $PPID").Start(); err != nil {
		fail(err)
	}
	got, err := p.Next(nil)
	if err != nil || got[0] != unix.SIGPIPE {
		fail(got, err)
	}
	print("only the other's came")
}

// wake fills the pipe, and wakes itself while it is read.
func wake() {
	p := mustCatch()
	for {
		if _, err := unix.Write(p.write, []byte{1}); err != nil {
			break
		}
	}
	done := make(chan bool)
	go func() { p.Wake(); close(done) }()
	n := 0
	for n <= 1<<16 {
		got, err := p.Next(nil)
		if err != nil {
			fail(err)
		}
		n += len(got)
	}
	<-done
	print("woken")
}

func mustCatch() *Pipe {
	runtime.LockOSThread()
	p, err := Catch()
	if err == nil {
		err = Unblock()
	}
	if err != nil {
		fail(err)
	}
	return p
}

func print(text ...string) { os.Stdout.WriteString(strings.Join(text, "")) }

func fail(what ...any) {
	println("failed")
	for _, w := range what {
		if err, ok := w.(error); ok {
			println(err.Error())
		}
	}
	os.Exit(1)
}

// as runs this test's program as one of the above.
func as(t *testing.T, what string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SELFPIPE="+what)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, out)
	}
	return string(out)
}

func TestEverySignal(t *testing.T) {
	if got := as(t, "all"); got != "all came" {
		t.Error(got)
	}
}

func TestFaultIsTheRuntimes(t *testing.T) {
	if got := as(t, "fault"); !strings.Contains(got, "recovered: runtime error: invalid memory address") {
		t.Error(got)
	}
}

func TestChild(t *testing.T) {
	if got := as(t, "child"); got != "it ended" {
		t.Error(got)
	}
}

func TestBrokenPipe(t *testing.T) {
	if got := as(t, "pipe"); got != "only the other's came" {
		t.Error(got)
	}
}

func TestWakeFullPipe(t *testing.T) {
	if got := as(t, "wake"); got != "woken" {
		t.Error(got)
	}
}

// TestBlockedAtStart: a caller that had signals blocked hands its mask on.
func TestBlockedAtStart(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	for n := range set.Val {
		set.Val[n] = ^set.Val[n]
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
			t.Fatal(err)
		}
	}()
	if got := as(t, "all"); got != "all came" {
		t.Error(got)
	}
}

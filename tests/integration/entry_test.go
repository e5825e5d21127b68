package integration

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEntry: berth has one processor of Go's from the first line (docs/decisions/012-one-processor.md), or what its user
// says. Go's own trace of its scheduler tells how many there are, where the program lives long enough for a look.
func TestEntry(t *testing.T) {
	t.Parallel()
	berthOnly(t, "what its program asks of Go")
	for _, c := range []struct {
		env  []string
		want string
	}{
		{[]string{"GODEBUG=schedtrace=1"}, "gomaxprocs=1 "},
		{[]string{"GODEBUG=schedtrace=1", "GOMAXPROCS=3"}, "gomaxprocs=3 "},
	} {
		box := newContainer(t, withArgs("/bin/sleep", "1"))
		r := call{env: c.env}.run(t, box.args(box.command("run", nil)...)...)
		if r.code != 0 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%q: exit code %d, no %q in:\n%s", c.env, r.code, c.want, r.stderr)
		}
	}
}

// TestTimerSlack: what the runtime starts has the timer slack (prctl(2)) that the runtime was started with, though Go's
// monitor has more in berth (docs/decisions/017-timer-slack.md).
func TestTimerSlack(t *testing.T) {
	t.Parallel()
	const show = "cat /proc/self/timerslack_ns"
	log, withLog := newHookLog(t)
	box := newContainer(t, withLog, log.logEach(show), withScript(show+"; echo ready; sleep 1000"))
	runtime.LockOSThread() // it ends with the test
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 123_456, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	box.startSleeping()
	if got, want := box.output(), "123456\nready\n"; got != want {
		t.Errorf("the process: %q, want %q", got, want)
	}
	exec := box.oci("exec", box.id, "/bin/sh", "-c", show).ok(t)
	if got, want := exec.stdout, "123456\n"; got != want {
		t.Errorf("exec: %q, want %q", got, want)
	}
	box.delete("--force").ok(t)
	for _, kind := range hookKinds {
		if want := fmt.Sprintln(kind, "123456"); !strings.Contains(log.text(), want) {
			t.Errorf("no %q in %q", want, log.text())
		}
	}
}

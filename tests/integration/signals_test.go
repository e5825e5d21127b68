package integration

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// Signals that a foreground run gets are passed on to the container's process, and the run ends when that does.
func TestRunPassesSignalsOn(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]unix.Signal{"TERM": unix.SIGTERM, "HUP": unix.SIGHUP, "INT": unix.SIGINT, "USR1": unix.SIGUSR1, "QUIT": unix.SIGQUIT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withScript("trap 'exit 77' "+name+"; echo ready; while :; do sleep 0.02; done"))
			p := call{}.start(t, c.args(c.command("run", nil)...)...)
			waitFor(t, "the script is ready", func() bool { return contents(t, p.stdout) == "ready\n" })
			sendSignal(t, p.cmd.Process.Pid, signal)
			p.wait(t).exits(t, 77)
		})
	}
}

// A signal that the container's process ignores does not end the run.
func TestRunOutlivesIgnoredSignals(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("trap '' TERM; echo ready; read line < /go; exit 5"))
	runProgram(t, "mkfifo", c.rootfs+"/go")
	p := call{}.start(t, c.args(c.command("run", nil)...)...)
	waitFor(t, "the script is ready", func() bool { return contents(t, p.stdout) == "ready\n" })
	sendSignal(t, p.cmd.Process.Pid, unix.SIGTERM)
	want(t, "status after the signal", c.state().Status, "running")
	runProgram(t, "sh", "-c", "echo > "+c.rootfs+"/go")
	p.wait(t).exits(t, 5)
}

// The container's process starts with no signal blocked or ignored, whatever the runtime's own settings.
func TestSignalsAreNotInherited(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("cat", "/proc/self/status"))
	out := c.run().ok(t).stdout
	want(t, "blocked", statusField(t, out, "SigBlk"), "0000000000000000")
	// Signals 32 and 33 are the C library's own, and ignored in what GNU make starts.
	var ignored uint64
	if _, err := fmt.Sscanf(statusField(t, out, "SigIgn"), "%x", &ignored); err != nil {
		t.Fatal(err)
	}
	want(t, "ignored", ignored&^(1<<31|1<<32), 0)
}

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
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

// Not one signal is left out in the foreground of run and exec: the real-time ones (34 to 64) come too, in a pid namespace
// and without. Those that cannot be caught, a child's end, and what Go brings about in the runtime itself (SIGURG) are its
// own.
func TestEverySignalIsPassedOn(t *testing.T) {
	berthOnly(t, "the runtimes in Go lack signal 34")
	t.Parallel()
	const script = `for n in $LIST; do trap "echo got $n." $n; done; echo ready; while :; do sleep 0.02; done`
	own := map[unix.Signal]bool{unix.SIGKILL: true, unix.SIGSTOP: true, unix.SIGCHLD: true, unix.SIGURG: true, 32: true, 33: true}
	var all []string
	for n := unix.Signal(1); n <= 64; n++ {
		if !own[n] {
			all = append(all, fmt.Sprint(int(n)))
		}
	}
	script2 := strings.Replace(script, "$LIST", strings.Join(all, " "), 1)
	passed := func(t *testing.T, p *running) {
		t.Helper()
		waitFor(t, "the script is ready", func() bool { return strings.HasPrefix(contents(t, p.stdout), "ready\n") })
		for n := unix.Signal(1); n <= 64; n++ {
			if own[n] {
				continue
			}
			sendSignal(t, p.cmd.Process.Pid, n)
			waitFor(t, fmt.Sprintf("signal %d comes", n), func() bool { return strings.Contains(contents(t, p.stdout), fmt.Sprintf("got %d.\n", n)) })
		}
	}
	for name, options := range map[string][]option{"run": nil, "run without a pid namespace": {withoutNamespace(specs.PIDNamespace)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, append(options, withScript(script2))...)
			p := call{}.start(t, c.args(c.command("run", nil)...)...)
			passed(t, p)
			c.kill("KILL").ok(t)
			p.wait(t).exits(t, 128+9)
		})
	}
	t.Run("exec", func(t *testing.T) {
		t.Parallel()
		c, _ := sleeping(t)
		p := call{}.start(t, c.args(c.execArgs(nil, "sh", "-c", script2)...)...)
		passed(t, p)
		c.kill("KILL").ok(t)
		p.wait(t).exits(t, 128+9)
	})
}

// A signal that comes while poststart hooks run does not wait for them.
func TestSignalDuringPoststart(t *testing.T) {
	t.Parallel()
	berthOnly(t, "what runs the hooks before it looks for signals")
	c := newContainer(t)
	gate := filepath.Join(c.bundle, "gate")
	c.reconfigure(withScript("trap 'echo got it; exit 77' TERM; echo ready; while :; do sleep 0.02; done"), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "while [ ! -e " + gate + " ]; do sleep 0.02; done"}}}}
	})
	p := call{}.start(t, c.args(c.command("run", nil)...)...)
	waitFor(t, "the script is ready", func() bool { return contents(t, p.stdout) == "ready\n" })
	sendSignal(t, p.cmd.Process.Pid, unix.SIGTERM)
	waitFor(t, "the signal comes while the hook runs", func() bool { return strings.Contains(contents(t, p.stdout), "got it\n") })
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.wait(t).exits(t, 77)
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

// In the foreground the runtime adopts what the container's process leaves behind, so that it can reap it;
// with --no-subreaper its own parent does.
func TestRunAdoptsOrphans(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--no-subreaper"}} {
		c := newContainer(t, withoutNamespace(specs.PIDNamespace), withScript("(sleep 600 & echo $!); read line < /go"))
		runProgram(t, "mkfifo", c.rootfs+"/go")
		p := call{}.start(t, c.args(c.command("run", flags)...)...)
		orphan := 0
		waitFor(t, "the script names its orphan", func() bool {
			_, err := fmt.Sscan(contents(t, p.stdout), &orphan)
			return err == nil
		})
		adopter := os.Getpid()
		if flags == nil {
			adopter = p.cmd.Process.Pid
		}
		waitFor(t, fmt.Sprintf("with %v the orphan is adopted by process %d", flags, adopter), func() bool {
			var pid, parent int
			var name, state string
			stat := contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/stat", orphan)))
			_, err := fmt.Sscan(stat, &pid, &name, &state, &parent)
			return err == nil && parent == adopter
		})
		sendSignal(t, orphan, unix.SIGKILL)
		if flags == nil {
			waitFor(t, "the runtime reaps it", func() bool { return unix.Kill(orphan, 0) != nil })
		}
		runProgram(t, "sh", "-c", "echo > "+c.rootfs+"/go")
		p.wait(t).ok(t)
	}
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

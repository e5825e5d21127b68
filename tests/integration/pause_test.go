package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withCounter makes the process say ready and then add a line to /ticks again and again.
func withCounter() option {
	return withScript("echo ready; while :; do echo >> /ticks; sleep 0.01; done")
}

// ticks is how far a container of withCounter has come.
func (c *container) ticks() int {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.rootfs, "ticks"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// A paused container stands still, and state and list say so; resumed, it goes on where it was.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withCounter())
	s := c.startSleeping()
	waitFor(t, "the container counts", func() bool { return c.ticks() > 0 })
	want(t, "output of pause", c.oci("pause", c.id).ok(t).stderr, "")
	before := c.ticks()
	paused := c.state()
	want(t, "status", paused.Status, "paused")
	want(t, "pid", paused.Pid, s.Pid)
	wantContains(t, "list", c.oci("list").ok(t).stdout, "paused")
	time.Sleep(100 * time.Millisecond)
	want(t, "count while paused", c.ticks(), before)
	c.oci("resume", c.id).ok(t)
	want(t, "status", c.state().Status, "running")
	waitFor(t, "the container counts on", func() bool { return c.ticks() > before })
}

// A created container can be paused; it cannot be started then, and can when it is resumed.
func TestPauseOfCreated(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo ran"))
	c.create().ok(t)
	c.oci("pause", c.id).ok(t)
	want(t, "status", c.state().Status, "paused")
	r := c.start().exits(t, 1)
	wantContains(t, "error of start", r.stderr, "paused")
	c.oci("resume", c.id).ok(t)
	want(t, "status", c.state().Status, "created")
	c.start().ok(t)
	c.waitStatus("stopped")
	want(t, "output", c.output(), "ran\n")
}

// What cannot be paused or resumed is refused with the reason.
func TestPauseAndResumeRefused(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	refused := func(command, says string) {
		t.Helper()
		r := c.oci(command, c.id).exits(t, 1)
		wantContains(t, "error of "+command, r.stderr, says)
		want(t, "lines of it", strings.Count(r.stderr, "\n"), 1)
	}
	refused("pause", "does not exist")
	refused("resume", "does not exist")
	c.startSleeping()
	refused("resume", "container not paused")
	c.oci("pause", c.id).ok(t)
	if isBerth() {
		refused("pause", "paused already")
		refused("delete", "paused")
	}
	c.oci("resume", c.id).ok(t)
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	refused("pause", "container not running")
	refused("resume", "container not paused")
	if isBerth() {
		for _, args := range [][]string{{"pause"}, {"resume"}, {"pause", c.id, "more"}} {
			wantContains(t, strings.Join(args, " "), c.oci(args...).exits(t, 1).stderr, "container id")
		}
	}
}

// SIGKILL ends a paused container at once, as delete --force does; any other signal waits until it is resumed.
func TestKillOfPaused(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"))
	s := c.startSleeping()
	c.oci("pause", c.id).ok(t)
	c.kill("TERM").ok(t)
	time.Sleep(100 * time.Millisecond)
	want(t, "status after TERM", c.state().Status, "paused")
	c.oci("resume", c.id).ok(t)
	want(t, "exit code", orphanExit(t, s.Pid), 7)
	c.delete().ok(t)

	s = c.startSleeping()
	c.oci("pause", c.id).ok(t)
	c.kill("KILL").ok(t)
	want(t, "exit code", orphanExit(t, s.Pid), 128+int(unix.SIGKILL))
	c.delete().ok(t)

	s = c.startSleeping()
	c.oci("pause", c.id).ok(t)
	c.delete("--force").ok(t)
	want(t, "exit code", orphanExit(t, s.Pid), 128+int(unix.SIGKILL))
}

// hostPidContainer makes a container in the host's pid namespace, whose process has two children.
func hostPidContainer(t *testing.T) *container {
	return newContainer(t, withoutNamespace(specs.PIDNamespace),
		withScript("sleep 600 & echo child $!; sleep 600 & echo child $!; echo ready; wait"))
}

// childPids reads what the script of hostPidContainer printed.
func (c *container) childPids() []int {
	c.t.Helper()
	var pids []int
	for line := range strings.Lines(c.output()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "child "); ok {
			pid, err := strconv.Atoi(text)
			if err != nil {
				c.t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func isRunning(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	p, ok := parseStat(string(text))
	return ok && p.state != 'Z' && p.state != 'X'
}

// In the host's pid namespace the processes outlive the container's first: kill --all and delete reach them still.
func TestKillInHostPidNamespace(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *container){
		"kill --all": func(c *container) { c.oci("kill", "--all", c.id, "KILL").ok(t) },
		"kill -a 15": func(c *container) { c.oci("kill", "-a", c.id, "15").ok(t) },
		"delete":     func(c *container) { c.delete().ok(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostPidContainer(t)
			s := c.startSleeping()
			pids := c.childPids()
			want(t, "children", len(pids), 2)
			sendSignal(t, s.Pid, unix.SIGKILL)
			c.waitStatus("stopped")
			for _, pid := range pids {
				want(t, "child lives without the first process", isRunning(pid), true)
			}
			end(c)
			waitFor(t, "the children end", func() bool { return !isRunning(pids[0]) && !isRunning(pids[1]) })
		})
	}
}

// SIGKILL is for the whole container, also where the kernel would end its first process only.
func TestKillIsForAllProcesses(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "runc kills all processes of such a container since 1.2")
	c := hostPidContainer(t)
	c.startSleeping()
	pids := c.childPids()
	c.kill("KILL").ok(t)
	waitFor(t, "the children end", func() bool { return !isRunning(pids[0]) && !isRunning(pids[1]) })
	c.waitStatus("stopped")
	wantContains(t, "another kill", c.kill("KILL").exits(t, 1).stderr, "container not running")
	c.oci("kill", "--all", c.id, "KILL").ok(t)
}

// kill --all sends any signal to every process; others than those who die of it go on.
func TestKillAllWithSignal(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript(`(trap 'echo child; exit' USR1; echo waiting; while :; do sleep 0.02; done) &
		trap 'echo parent' USR1; echo ready; while :; do sleep 0.02; done`))
	c.startSleeping()
	waitFor(t, "the child waits", func() bool { return strings.Contains(c.output(), "waiting\n") })
	c.oci("kill", "--all", c.id, "USR1").ok(t)
	waitFor(t, "both got the signal", func() bool {
		return strings.Contains(c.output(), "child\n") && strings.Contains(c.output(), "parent\n")
	})
}

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// psJSON is what `ps --format json` gives.
func (c *container) psJSON() []int {
	c.t.Helper()
	var pids []int
	text := c.oci("ps", "--format", "json", c.id).ok(c.t).stdout
	if err := json.Unmarshal([]byte(text), &pids); err != nil {
		c.t.Fatalf("ps --format json: %v in %q", err, text)
	}
	return pids
}

// ps lists all processes of the container and no others: as an array, and as the table that the host's ps makes.
func TestPs(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("sleep 601 & sleep 602 & echo ready; wait"))
	s := c.startSleeping()
	// The children are forks of the shell before they are sleeps.
	waitFor(t, "three processes", func() bool { return strings.Count(c.oci("ps", c.id).ok(t).stdout, "sleep 60") >= 3 })
	pids := c.psJSON()
	want(t, "processes", len(pids), 3)
	want(t, "the first process is among them", slices.Contains(pids, s.Pid), true)
	want(t, "in order", slices.IsSorted(pids), true)

	for _, args := range [][]string{nil, {"-ef"}, {"aux"}, {"-o", "pid,args"}} {
		table := c.oci(append([]string{"ps", c.id}, args...)...).ok(t)
		lines := strings.Split(strings.TrimSpace(table.stdout), "\n")
		what := "ps " + strings.Join(args, " ")
		want(t, what+": lines with the heading", len(lines), 1+len(pids))
		wantContains(t, what+": heading", lines[0], "PID")
		for _, pid := range pids {
			found := slices.ContainsFunc(lines[1:], func(line string) bool { return slices.Contains(strings.Fields(line), strconv.Itoa(pid)) })
			want(t, what+": row of "+strconv.Itoa(pid), found, true)
		}
	}
	if isBerth() {
		// The command may stand before its number, which runc 1.1.5 does not find then.
		lines := strings.Split(strings.TrimSpace(c.oci("ps", c.id, "-o", "args,pid").ok(t).stdout), "\n")
		want(t, "lines of ps -o args,pid", len(lines), 4)
	}
}

// A created container has one process, a paused one what it has, a stopped one none.
func TestPsInEachStatus(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	r := c.oci("ps", c.id).exits(t, 1)
	wantContains(t, "unknown container", r.stderr, "does not exist")
	s := c.startSleeping()
	want(t, "processes", len(c.psJSON()), 1)
	c.oci("pause", c.id).ok(t)
	want(t, "process while paused", c.psJSON()[0], s.Pid)
	c.oci("resume", c.id).ok(t)
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	waitFor(t, "the cgroup is empty", func() bool { return len(c.psJSON()) == 0 })
	if isBerth() {
		want(t, "JSON of a stopped container", c.oci("ps", "-f", "json", c.id).ok(t).stdout, "[]\n")
	}
	want(t, "lines of the table", strings.Count(c.oci("ps", c.id).ok(t).stdout, "\n"), 1)
}

// Wrong use, and what ps itself refuses, is told in a line.
func TestPsWrongUse(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	c.startSleeping()
	for _, use := range []struct{ args, says string }{
		{"ps", "container id"},
		{"ps --format xml " + c.id, "xml"},
		{"ps " + c.id + " -o args", "PID"},
		{"ps " + c.id + " -o nosuchcolumn", "nosuchcolumn"},
	} {
		r := c.oci(strings.Fields(use.args)...).exits(t, 1)
		if isBerth() {
			wantContains(t, "error of "+use.args, r.stderr, use.says)
			want(t, "lines of it", strings.Count(r.stderr, "\n"), 1)
			want(t, "stdout", r.stdout, "")
		}
	}
	if isBerth() {
		r := call{env: []string{"PATH=/nonexistent"}}.run(t, c.args("ps", c.id)...).exits(t, 1)
		wantContains(t, "error without ps", r.stderr, "procps", "json")
	}
}

// wait ends when the container does, and prints its exit code.
func TestWait(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command wait")
	for name, end := range map[string]struct {
		script, signal string
		code           string
	}{
		"exit code":    {"echo ready; read line < /go; exit 7", "", "7\n"},
		"success":      {"echo ready; read line < /go; exit 0", "", "0\n"},
		"by a signal":  {"echo ready; exec sleep 600", "KILL", "137\n"},
		"while paused": {"echo ready; exec sleep 600", "paused", "137\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withScript(end.script))
			runProgram(t, "mkfifo", filepath.Join(c.rootfs, "go"))
			c.startSleeping()
			p := call{}.start(t, c.args("wait", c.id)...)
			waitFor(t, "wait to wait", func() bool { return holdsPidfd(p.cmd.Process.Pid) })
			switch end.signal {
			case "":
				runProgram(t, "sh", "-c", "echo > "+filepath.Join(c.rootfs, "go"))
			case "paused":
				c.oci("pause", c.id).ok(t)
				c.kill("KILL").ok(t)
			default:
				c.kill(end.signal).ok(t)
			}
			r := p.wait(t).ok(t)
			if kernelAtLeast(t, 6, 15) {
				want(t, "output", r.stdout, end.code)
				want(t, "stderr", r.stderr, "")
			}
			c.waitStatus("stopped")
			// Its parent, these tests, has taken notice by now.
			waitFor(t, "nobody knows the exit code", func() bool {
				r := c.oci("wait", c.id).ok(t)
				return r.stdout == "" && strings.Contains(r.stderr, "not known")
			})
		})
	}
	c := newContainer(t)
	wantContains(t, "unknown container", c.oci("wait", c.id).exits(t, 1).stderr, "does not exist")
	wantContains(t, "no container", c.oci("wait").exits(t, 1).stderr, "container id")
}

// holdsPidfd says whether a process has a pidfd open.
func holdsPidfd(pid int) bool {
	links, _ := filepath.Glob("/proc/" + itoa(pid) + "/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.Contains(target, "pidfd") {
			return true
		}
	}
	return false
}

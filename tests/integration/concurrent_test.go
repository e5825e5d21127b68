package integration

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// together makes the same call n times at once.
func (c *container) together(n int, args ...string) []result {
	c.t.Helper()
	results := make([]result, n)
	var all sync.WaitGroup
	for i := range results {
		p := call{}.start(c.t, c.args(args...)...)
		all.Go(func() { results[i] = p.wait(c.t) })
	}
	all.Wait()
	return results
}

func succeeded(results []result) int {
	n := 0
	for _, r := range results {
		if r.code == 0 {
			n++
		}
	}
	return n
}

// Of several creates with one id exactly one makes the container; the others say that the id is taken and take
// nothing of it away.
func TestConcurrentCreate(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the promise that two runtimes at once on one container are safe")
	for range 5 {
		c := newContainer(t)
		results := c.together(4, c.command("create", nil)...)
		want(t, "creates that succeeded", succeeded(results), 1)
		for _, r := range results {
			if r.code != 0 {
				wantContains(t, "error of a create that lost", r.stderr, c.id, "exist")
			}
		}
		s := c.state()
		want(t, "status", s.Status, "created")
		c.start().ok(t)
		want(t, "exit code", orphanExit(t, s.Pid), 0)
	}
}

// Of several starts exactly one starts it.
func TestConcurrentStart(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the promise that two runtimes at once on one container are safe")
	for range 5 {
		c := newContainer(t, withScript("echo ran"))
		c.create().ok(t)
		s := c.state()
		want(t, "starts that succeeded", succeeded(c.together(4, "start", c.id)), 1)
		want(t, "exit code", orphanExit(t, s.Pid), 0)
		want(t, "output", c.output(), "ran\n")
	}
}

// Several deletes at once all end, and the container is gone.
func TestConcurrentDelete(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the promise that two runtimes at once on one container are safe")
	for range 5 {
		c := newContainer(t, withSleep())
		c.startSleeping()
		results := c.together(4, "delete", "--force", c.id)
		want(t, "deletes by force that succeeded", succeeded(results), 4)
		c.oci("state", c.id).exits(t, 1)
	}
}

// A delete --force in the middle of a create leaves nothing, whichever of them comes first.
func TestDeleteDuringCreate(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the promise that two runtimes at once on one container are safe")
	for range 10 {
		c := newContainer(t)
		create := call{}.start(t, c.args(c.command("create", nil)...)...)
		time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
		c.delete("--force").ok(t)
		create.wait(t)
		c.delete("--force").ok(t)
		if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
			t.Errorf("left:\n%s", strings.Join(left, "\n"))
		}
	}
}

// Ten different containers at once all run.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	var all sync.WaitGroup
	for range 10 {
		c := newContainer(t, withScript("echo ran"))
		p := call{}.start(t, c.args(c.command("run", nil)...)...)
		all.Go(func() {
			r := p.wait(t)
			want(t, "exit code", r.code, 0)
			want(t, "output", r.stdout, "ran\n")
			want(t, "stderr", r.stderr, "")
		})
	}
	all.Wait()
}

// Killed with SIGKILL at any moment, the runtime leaves nothing that `delete --force` does not take away: no
// process, cgroup, mount or state. A random moment a round; the moments span the whole call.
func TestRuntimeKilledAnywhere(t *testing.T) {
	berthOnly(t, "the promise that delete --force cleans up after a runtime killed at any point")
	hostUnchanged(t)
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	for _, command := range []string{"create", "run", "start", "delete"} {
		t.Run(command, func(t *testing.T) {
			prepare := func() (*container, []string) {
				c := newContainer(t, withSleep())
				switch command {
				case "create", "run":
					return c, c.args(c.command(command, nil)...)
				case "start":
					c.create().ok(t)
					return c, c.args("start", c.id)
				default:
					c.startSleeping()
					return c, c.args("delete", "--force", c.id)
				}
			}
			span := 30 * time.Millisecond
			for range rounds {
				c, args := prepare()
				p := call{}.start(t, args...)
				time.Sleep(time.Duration(rand.Int64N(int64(span))))
				_ = p.cmd.Process.Signal(unix.SIGKILL) // it may have ended by itself
				p.wait(t)
				c.delete("--force").ok(t)
				if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
					t.Errorf("left after delete --force:\n%s", strings.Join(left, "\n"))
				}
			}
		})
	}
}

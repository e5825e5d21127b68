package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// execs is how many processes each of the stress tests starts.
var execs = flag.Int("execs", 10000, "execs of the stress test, and half as many while containers die; a hundredth with -short")

// execCount is how many that are here and now.
func execCount() int64 {
	if testing.Short() {
		return int64(*execs) / 100
	}
	return int64(*execs)
}

// Many processes that exit at once: none hangs, none loses its exit code, and none is left.
func TestExecStress(t *testing.T) {
	t.Parallel()
	c, s := sleeping(t)
	var next, wrong atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for {
				n := next.Add(1)
				if n > execCount() || wrong.Load() > 5 {
					return
				}
				code := int(n % 120)
				if r := c.exec(nil, "sh", "-c", fmt.Sprintf("exit %d", code)); r.code != code {
					wrong.Add(1)
					t.Errorf("exec %d: exit code %d, want %d: %s", n, r.code, code, r.stderr)
				}
			}
		})
	}
	workers.Wait()
	waitFor(t, "the container's own process is the only one", func() bool { return len(membersOf(t, s.Pid)) == 1 })
}

// A container that dies at whatever moment while processes are started in it that exit at once: each exec returns, with
// the process's exit code or with one failure of its own.
func TestExecWhileContainerDies(t *testing.T) {
	t.Parallel()
	var done, within, refused atomic.Int64
	c := newContainer(t, withSleep())
	round := func() {
		s := c.startSleeping()
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for {
					r := c.exec(nil, "sh", "-c", "exit 11")
					done.Add(1)
					switch {
					case r.code == 11:
						within.Add(1)
						continue
					case r.code == 128+9:
						// It died with the container.
					case r.code == 255 && (!isBerth() || strings.Contains(r.stderr, "container not running") && strings.Count(r.stderr, "\n") == 1):
						refused.Add(1)
					case isBerth():
						t.Errorf("exit code %d: %s", r.code, r.stderr)
					}
					return
				}
			})
		}
		time.Sleep(time.Duration(rand.Int64N(int64(600 * time.Millisecond))))
		sendSignal(t, s.Pid, unix.SIGKILL)
		workers.Wait()
		c.waitStatus("stopped")
		c.delete().ok(t)
	}
	for done.Load() < execCount()/2 && !t.Failed() {
		round()
	}
	t.Logf("%d execs: %d came to their end, %d were refused, %d died", done.Load(), within.Load(), refused.Load(),
		done.Load()-within.Load()-refused.Load())
}

// membersOf lists the processes that are in the same cgroup as a process.
func membersOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	paths := membership(string(text))
	folder := filepath.Join(host.cgroups.v1["pids"], paths["pids"])
	if host.cgroups.v1["pids"] == "" {
		folder = filepath.Join(host.cgroups.v2, paths[""])
	}
	list, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(list))
}

// Killed with SIGKILL at any moment, exec leaves nothing: the process runs as it was asked to, or there is none.
func TestExecKilledAnywhere(t *testing.T) {
	hostUnchanged(t)
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	for name, flags := range map[string][]string{"foreground": nil, "detached": {"--detach"}, "with a terminal": {"--tty"}} {
		t.Run(name, func(t *testing.T) {
			c, s := sleeping(t)
			folder := filepath.Join(c.stateRoot, c.id)
			before := folderNames(t, folder)
			ran := 0
			began := time.Now()
			c.exec(nil, "true").ok(t)
			span := max(20*time.Millisecond, time.Since(began)) // an emulated processor takes far longer
			for range rounds {
				var p *running
				args := c.args(c.execArgs(flags, "sleep", "700")...)
				if name == "with a terminal" {
					p = newTerminal(t, 24, 80).start(args...)
				} else {
					p = call{}.start(t, args...)
				}
				time.Sleep(time.Duration(rand.Int64N(int64(span))))
				_ = p.cmd.Process.Signal(unix.SIGKILL) // it may have ended by itself
				p.wait(t)
				ran += onlyWhatWasAsked(t, s.Pid)
			}
			if isBerth() { // runc 1.1.5 leaves its runc.XXXXXX there, one for each kill in its first moments
				want(t, "files of the container", folderNames(t, folder), before)
			}
			t.Logf("%d of %d ran", ran, rounds)
		})
	}
}

// onlyWhatWasAsked waits until a container has no other processes than its own and sleep, ends the latter, and gives
// their number.
func onlyWhatWasAsked(t *testing.T, init int) (sleeps int) {
	t.Helper()
	others := func() (programs []string, pids []int) {
		for _, member := range membersOf(t, init) {
			var pid int
			if _, err := fmt.Sscan(member, &pid); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile("/proc/" + member + "/cmdline")
			if pid == init || err != nil || len(text) == 0 {
				continue // an empty one is a zombie's, which is the test's to reap
			}
			programs, pids = append(programs, strings.ReplaceAll(string(text), "\x00", " ")), append(pids, pid)
		}
		return programs, pids
	}
	var programs []string
	var pids []int
	deadline := time.Now().Add(5 * time.Second)
	for {
		programs, pids = others()
		stray := slices.ContainsFunc(programs, func(p string) bool { return p != "sleep 700 " })
		if !stray {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes that stay: %q", programs)
		}
		time.Sleep(2 * time.Millisecond)
	}
	sleeps = len(pids)
	// One whose executor was not in the cgroup yet may still come.
	waitFor(t, "they end", func() bool {
		_, pids := others()
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // ESRCH: it has just ended
		}
		return len(pids) == 0
	})
	return sleeps
}

func folderNames(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

package integration

import (
	"fmt"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A signal may be given by number or by name, with SIG and without, in small letters too; TERM is what is sent
// when none is given. The script tells which signal came by its exit code.
func TestKillBySignalName(t *testing.T) {
	t.Parallel()
	script := withScript("for s in TERM HUP USR1 INT; do trap \"exit $(kill -l $s)\" $s; done; echo ready; while :; do sleep 0.02; done")
	for name, number := range map[string]int{
		"TERM": 15, "SIGHUP": 1, "10": 10, "2": 2, "sigusr1": 10, "": 15,
	} {
		t.Run("signal "+name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, script)
			s := c.startSleeping()
			args := []string{"kill", c.id}
			if name != "" {
				args = append(args, name)
			}
			c.oci(args...).ok(t)
			want(t, "exit code, which is the signal's number", orphanExit(t, s.Pid), number)
		})
	}
}

// Real-time signals have numbers and names too, and a container without a pid namespace of its own gets its signals all
// the same.
func TestKillWithRealTimeSignal(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"pid namespace": nil, "none": {withoutNamespace(specs.PIDNamespace)}} {
		for signal, number := range map[string]int{"37": 37, "RTMIN+3": 37, "SIGRTMIN": 34, "sigrtmax-4": 60, "TERM": 15} {
			if host.name == "runc" && signal != "37" && signal != "TERM" {
				continue // 1.1.5 has no names for them
			}
			t.Run(name+"/"+signal, func(t *testing.T) {
				t.Parallel()
				c := newContainer(t, append(options, withScript(fmt.Sprintf("trap 'exit %d' %d; echo ready; while :; do sleep 0.02; done", number, number)))...)
				s := c.startSleeping()
				c.oci("kill", c.id, signal).ok(t)
				want(t, "exit code, which is the signal's number", orphanExit(t, s.Pid), number)
			})
		}
	}
}

// A signal that there is none of is refused, and nothing is sent.
func TestKillWithBadSignal(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	c.startSleeping()
	for _, name := range []string{"NOSUCH", "SIGNOSUCH", "1000", "-1"} {
		r := c.oci("kill", c.id, name)
		if r.code == 0 {
			t.Errorf("kill with signal %q succeeded", name)
		}
		if isBerth() {
			want(t, "exit code", r.code, 1)
			wantContains(t, "error", r.stderr, name)
		}
	}
	want(t, "status", c.state().Status, "running")
}

// A created container can be killed; then it is stopped and is never started.
func TestKillOfCreated(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo ran"))
	c.create().ok(t)
	s := c.state()
	c.kill("KILL").ok(t)
	want(t, "exit code", orphanExit(t, s.Pid), 128+int(unix.SIGKILL))
	c.waitStatus("stopped")
	c.start().exits(t, 1)
	want(t, "output", c.output(), "")
	c.delete().ok(t)
}

// A stopped container and an unknown one cannot be killed; engines match on the words.
func TestKillOfStoppedAndUnknown(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	r := c.kill("KILL").exits(t, 1)
	wantContains(t, "kill of an unknown container", r.stderr, "does not exist")
	c.create().ok(t)
	c.start().ok(t)
	c.waitStatus("stopped")
	r = c.kill("KILL").exits(t, 1)
	wantContains(t, "kill of a stopped container", r.stderr, "container not running")
}

// With --regex, kill and delete act on the containers whose whole id matches, and on no other.
func TestRegex(t *testing.T) {
	t.Parallel()
	berthOnly(t, "kill --regex, and delete --regex, which runc lacks")
	one, two, other := newContainer(t, withSleep()), newContainer(t, withSleep()), newContainer(t, withSleep())
	two.stateRoot, other.stateRoot = one.stateRoot, one.stateRoot
	for _, c := range []*container{one, two, other} {
		c.startSleeping()
	}
	both := one.id[:len(one.id)-1] + "[" + one.id[len(one.id)-1:] + "]|" + two.id
	for _, command := range []string{"kill", "delete"} {
		wantContains(t, "error", one.oci(command, "--regex", "(").exits(t, 1).stderr, "--regex")
		for _, part := range []string{host.token, one.id[1:], one.id[:len(one.id)-1], "nobody"} {
			one.oci(command, "--regex", part).ok(t)
		}
		for _, c := range []*container{one, two} {
			want(t, c.id+" before "+command, c.state().Status, map[string]string{"kill": "running", "delete": "stopped"}[command])
		}
		want(t, "the other before "+command, other.state().Status, "running")
		if command == "kill" {
			one.oci("kill", "--regex", both, "KILL").ok(t)
			one.waitStatus("stopped")
			two.waitStatus("stopped")
		}
	}
	one.oci("delete", "--regex", both).ok(t)
	one.oci("state", one.id).exits(t, 1)
	two.oci("state", two.id).exits(t, 1)
	want(t, "the other", other.state().Status, "running")
	other.delete("--force").ok(t)
}

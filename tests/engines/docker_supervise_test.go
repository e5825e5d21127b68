package engines

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dockerTerminal is what a user does with -it.
func dockerTerminal(t *testing.T, d *docker) {
	d.test(t, "run -it", func(t *testing.T) {
		x := d.onTerminal(t, "run", "--rm", "-it", "--name", "tty", "box", "sh")
		x.sees("# ")
		x.enter("tty; stty size\n")
		x.sees("/dev/pts/0")
		x.sees("33 111")
		x.resize(44, 122)
		waitForSize(t, x)
		x.enter("echo $((40+2)) > /dev/console; sleep 600\n")
		x.sees("42")
		x.enter("\x03") // ends the sleep, not the shell
		x.enter("exit 5\n")
		x.ends(5)
	})
	d.test(t, "exec -it", func(t *testing.T) {
		d.ok(t, "run", "-d", "--name", "tty", "box", "sleep", "600")
		defer d.call("rm", "-f", "tty")
		x := d.onTerminal(t, "exec", "-it", "-u", "user", "-w", "/tmp", "-e", "A=b c", "tty", "sh")
		x.sees("$ ")
		x.enter("tty; id -un; pwd; echo \"<$A>\"; stty size\n")
		for _, text := range []string{"/dev/pts/", "user\n", "/tmp\n", "<b c>", "33 111"} {
			x.sees(text)
		}
		x.enter("exit 6\n")
		x.ends(6)
	})
	d.test(t, "detach and attach", func(t *testing.T) {
		x := d.onTerminal(t, "run", "-it", "--name", "tty", "box", "sh")
		defer d.call("rm", "-f", "tty")
		x.sees("# ")
		x.enter("\x10\x11") // Docker's keys to detach
		x.ends(0)
		y := d.onTerminal(t, "attach", "tty")
		waitFor(t, "an answer", 20*time.Second, func() bool {
			y.enter("echo $((50+1))\n")
			return strings.Contains(y.text(), "51")
		})
		y.enter("exit 7\n")
		y.ends(7)
	})
	d.run(t, []check{
		{name: "run -i", args: dockerArgs("-i", "box", "cat"), stdin: "from here\n", out: []string{"from here\n"}},
	})
}

// dockerSupervision is what dockerd does about containers that end, fall ill, or run out of memory.
func dockerSupervision(t *testing.T, d *docker) {
	inspect := func(t *testing.T, name, format string) string {
		t.Helper()
		return d.ok(t, "inspect", "-f", format, name)
	}
	become := func(t *testing.T, name, format, want string) {
		t.Helper()
		waitFor(t, format+" to be "+want, 40*time.Second, func() bool { return inspect(t, name, format) == want })
	}
	d.test(t, "restart policy on-failure", func(t *testing.T) {
		d.ok(t, "run", "-d", "--name", "again", "--restart", "on-failure:2", "box", "sh", "-c", "echo ran; exit 3")
		defer d.call("rm", "-f", "again")
		become(t, "again", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", "2 exited 3")
		if n := strings.Count(d.ok(t, "logs", "again"), "ran"); n != 3 {
			t.Errorf("it ran %d times, want 3", n)
		}
	})
	d.test(t, "restart policy always", func(t *testing.T) {
		d.ok(t, "run", "-d", "--name", "again", "--restart", "always", "box", "sleep", "600")
		defer d.call("rm", "-f", "again")
		pid := inspect(t, "again", "{{.State.Pid}}")
		if r := command(t, "", "", "kill", "-KILL", pid); r.code != 0 {
			t.Fatal(r.stderr)
		}
		waitFor(t, "another process", 40*time.Second, func() bool {
			now := inspect(t, "again", "{{.State.Running}} {{.State.Pid}}")
			return strings.HasPrefix(now, "true ") && now != "true "+pid && now != "true 0"
		})
	})
	d.test(t, "health check", func(t *testing.T) {
		d.ok(t, "run", "-d", "--name", "ill", "--health-cmd", "test -e /tmp/well", "--health-interval", "500ms", "--health-retries", "2", "box", "sleep", "600")
		defer d.call("rm", "-f", "ill")
		become(t, "ill", "{{.State.Health.Status}}", "unhealthy")
		d.ok(t, "exec", "ill", "touch", "/tmp/well")
		become(t, "ill", "{{.State.Health.Status}}", "healthy")
	})
	d.test(t, "out of memory", func(t *testing.T) {
		since := time.Now().Add(-time.Second).Format(time.RFC3339Nano)
		d.ok(t, "run", "-d", "--name", "thirsty", "--memory", "16m", "--memory-swap", "16m", "--tmpfs", "/t:size=200m", "box",
			"sh", "-c", "dd if=/dev/zero of=/t/x bs=1M count=100; sleep 2")
		defer d.call("rm", "-f", "thirsty")
		become(t, "thirsty", "{{.State.OOMKilled}}", "true")
		d.ok(t, "wait", "thirsty")
		events := d.ok(t, "events", "--since", since, "--until", time.Now().Add(time.Second).Format(time.RFC3339Nano), "--filter", "container=thirsty")
		if !strings.Contains(events, "container oom") || !strings.Contains(events, "container die") {
			t.Errorf("events lack oom or die: %s", events)
		}
	})
	d.test(t, "many at once", func(t *testing.T) {
		const many = 20
		many20 := atOnce(many, func(int) result { return d.call(dockerArgs("box", "echo", "ran")...) })
		for i, r := range many20 {
			if r.code != 0 || r.stdout != "ran\n" {
				t.Errorf("container %d: exit code %d, %q, %q", i, r.code, r.stdout, r.stderr)
			}
		}
	})
}

// A container lives on while its dockerd is restarted, or killed, with the setting live-restore.
func TestDockerLiveRestore(t *testing.T) {
	d := newDocker(t, "Docker", map[string]any{"live-restore": true})
	d.ok(t, "run", "-d", "--name", "lives", "box", "sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done")
	defer d.call("rm", "-f", "lives")
	state := "{{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}"
	before := d.ok(t, "inspect", "-f", state, "lives")
	for _, end := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		d.test(t, "live-restore after "+unix.SignalName(end), func(t *testing.T) {
			if err := d.process.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			_ = d.process.Wait() // it was told to end, or killed
			d.reapContainerd(t)
			d.start()
			if after := d.ok(t, "inspect", "-f", state, "lives"); after != before {
				t.Errorf("state %q, want %q", after, before)
			}
			if out := d.ok(t, "exec", "lives", "echo", "inside"); out != "inside" {
				t.Errorf("exec gives %q", out)
			}
			lines := strings.Count(d.ok(t, "logs", "lives"), "line")
			waitFor(t, "more output", 20*time.Second, func() bool { return strings.Count(d.ok(t, "logs", "lives"), "line") > lines })
			if out := d.ok(t, "pause", "lives"); out != "lives" {
				t.Errorf("pause gives %q", out)
			}
			d.ok(t, "unpause", "lives")
		})
	}
	d.run(t, []check{
		{name: "stop after live-restore", args: []string{"stop", "-t", "1", "lives"}},
		{name: "wait after live-restore", args: []string{"wait", "lives"}, out: []string{"137\n"}},
		{name: "start after live-restore", args: []string{"start", "lives"}},
	})
}

// reapContainerd waits for the containerd that a killed dockerd takes along. It has become this process's child: process
// 1 of a machine for tests may not wait for such ones, and dockerd takes the dead for a live one.
func (d *docker) reapContainerd(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(d.in("exec/containerd/containerd.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return // dockerd ended it by itself
	}
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatalf("wait for containerd %d: %v", pid, err)
	}
}

// Package engines runs real container engines, installed from the distribution, on berth: set up as each one's manual
// says, with a root, state and socket of its own under a temporary folder, and ended by process id.
package engines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// callTimeout bounds one call of an engine's client.
const callTimeout = 90 * time.Second

// berth is the path of the runtime under test.
var berth string

func TestMain(m *testing.M) {
	path, err := filepath.Abs("../../bin/berth")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines: build berth first (make):", err)
		os.Exit(1)
	}
	berth = path
	os.Exit(m.Run())
}

// engine is a client command and what its daemon, if any, was started with.
type engine struct {
	t      *testing.T
	folder string
	prefix []string
}

// newEngine makes the engine's temporary folder. It is short: unix sockets live below it.
func newEngine(t *testing.T, program string) *engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("engines need root")
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: scripts/deps engines installs it", program)
	}
	folder, err := os.MkdirTemp("", "be-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeTree(t, folder) })
	return &engine{t: t, folder: folder}
}

// removeTree unmounts what an engine has left below its folder, and removes it.
func removeTree(t *testing.T, folder string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 4 && strings.HasPrefix(f[4], folder+"/") {
			_ = unix.Unmount(f[4], unix.MNT_DETACH) // one below may have taken it along
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Error(err)
	}
}

// daemon starts a daemon and ends it at the test's end.
func (e *engine) daemon(name string, args ...string) {
	e.t.Helper()
	log, err := os.Create(filepath.Join(e.folder, name+".log"))
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if e.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			e.t.Logf("%s's log ends:\n%s", name, tail(string(text), 4000))
		}
		stop(e.t, cmd)
	})
}

// stop asks a process to end and insists after a while.
func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Process.Signal(unix.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Errorf("%s does not end at SIGTERM", cmd.Path)
		_ = cmd.Process.Kill()
		<-ended
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// result is what a call gave.
type result struct {
	code           int
	stdout, stderr string
}

// call runs the client.
func (e *engine) call(args ...string) result {
	e.t.Helper()
	return e.callIn("", args...)
}

// callIn runs the client with a text on its standard input.
func (e *engine) callIn(stdin string, args ...string) result {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	all := append(append([]string{}, e.prefix[1:]...), args...)
	cmd := exec.CommandContext(ctx, e.prefix[0], all...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		e.t.Fatalf("%s: no end within %s\n%s%s", strings.Join(args, " "), callTimeout, out.String(), errOut.String())
	case errors.As(err, &exit), err == nil, errors.Is(err, exec.ErrWaitDelay):
	default:
		e.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// check is a call and what it must give.
type check struct {
	name string
	args []string
	code int
	// out and err are texts that standard output and standard error must hold; absent ones neither may.
	out, err, absent []string
}

// run makes each check a subtest of its own, in order.
func (e *engine) run(t *testing.T, checks []check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			r := e.call(c.args...)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			for _, s := range c.out {
				if !strings.Contains(r.stdout, s) {
					t.Errorf("output lacks %q", s)
				}
			}
			for _, s := range c.err {
				if !strings.Contains(r.stderr, s) {
					t.Errorf("errors lack %q", s)
				}
			}
			for _, s := range c.absent {
				if strings.Contains(r.stdout+r.stderr, s) {
					t.Errorf("there is %q", s)
				}
			}
			if t.Failed() {
				t.Logf("%s\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), r.stdout, r.stderr)
			}
		})
	}
}

// rootfsTar makes a busybox image as a tar file.
func (e *engine) rootfsTar() string {
	e.t.Helper()
	root := filepath.Join(e.folder, "image")
	script := `set -e
		mkdir -p "$1"/bin "$1"/etc "$1"/tmp "$1"/proc "$1"/sys "$1"/dev
		install -m 0755 "$(command -v busybox)" "$1"/bin/busybox
		for a in $(busybox --list | grep -vx busybox); do ln -sf busybox "$1"/bin/"$a"; done
		printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' > "$1"/etc/passwd
		printf 'root:x:0:\nuser:x:1000:\n' > "$1"/etc/group
		tar -C "$1" -cf "$1".tar .`
	if out, err := exec.Command("sh", "-c", script, "sh", root).CombinedOutput(); err != nil {
		e.t.Fatalf("make the image: %v\n%s", err, out)
	}
	return root + ".tar"
}

// waitFor polls until done, or fails the test.
func waitFor(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

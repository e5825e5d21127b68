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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/daemon"
)

// callLimit bounds one call of an engine's client. A virtual machine without hardware for it takes its time.
func callLimit() time.Duration {
	if inMachine() {
		return 5 * time.Minute
	}
	return 90 * time.Second
}

// inMachine tells whether this is a virtual machine of tests/vm, where systemd is process 1.
func inMachine() bool { return os.Getenv("BERTH_VM") != "" }

// berth is the path of the runtime under test: $OCI_RUNTIME, or the checkout's.
var berth string

func TestMain(m *testing.M) {
	path := os.Getenv("OCI_RUNTIME") // a virtual machine's job names it
	if path == "" {
		path = "../../bin/berth"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "engines: build berth first (make):", err)
		os.Exit(1)
	}
	berth = path
	// What an engine leaves behind when it is killed becomes this process's child and can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := writeTable(os.Getenv("ENGINES_TABLE")); err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		code = 1
	}
	os.Exit(code)
}

// engine is a client command and what its daemon, if any, was started with.
type engine struct {
	t *testing.T
	// name is the engine's row in the table.
	name, folder string
	// cgroup is the parent that its containers' cgroups are made below; at the end, none may be left there.
	cgroup string
	// prefix is what each call of the client starts with.
	prefix []string
	// namespace is what a daemon of this engine is started with: nsenter into a network namespace of its own, so
	// that bridges and packet filters stay off the host and an engine that runs there is not disturbed.
	namespace []string
}

// newEngine makes the engine's temporary folder and its network namespace. The folder's name is short: unix sockets
// live below it.
func newEngine(t *testing.T, name string, programs ...string) *engine {
	t.Helper()
	if os.Geteuid() != 0 {
		(&engine{name: name}).skip(t, "engines need root")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: scripts/deps engines installs it", program)
		}
	}
	folder, err := os.MkdirTemp("", "be-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeTree(t, folder) })
	e := &engine{t: t, name: name, folder: folder, cgroup: filepath.Base(folder)}
	t.Cleanup(func() { removeCgroups(t, e.cgroup) })
	t.Cleanup(func() { endStrays(t, folder) })
	e.namespace = []string{"nsenter", "--net=" + newNetwork(t)}
	noteVersion(name, version(t, programs[0]))
	return e
}

// emptyCgroup ends the processes of a cgroup that was left, and removes it, as far as that goes.
func emptyCgroup(path string) {
	text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	for _, line := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	for range 20 {
		if unix.Rmdir(path) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// in is the path of something in the engine's folder.
func (e *engine) in(name string) string { return filepath.Join(e.folder, name) }

// write writes a file in the engine's folder and gives its path.
func (e *engine) write(name, text string) string {
	e.t.Helper()
	if err := os.MkdirAll(filepath.Dir(e.in(name)), 0o755); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(e.in(name), []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
	return e.in(name)
}

// newNetwork makes a network namespace that lasts as long as the test, with its loopback up, and gives its path.
func newNetwork(t *testing.T) string {
	t.Helper()
	holder := exec.Command("unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Stop(t, holder) })
	if n, err := out.Read(make([]byte, 3)); n == 0 {
		t.Fatalf("no network namespace: %v", err)
	}
	return fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)
}

// version is the first version number in what a program says of itself.
func version(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", program, err)
	}
	return regexp.MustCompile(`[0-9]+\.[0-9]+[^\s,]*`).FindString(string(out))
}

// endStrays ends, by their ids, the processes that were started with paths in an engine's folder and outlive it, such
// as the shims of containers that a failed test has not removed.
func endStrays(t *testing.T, folder string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Error(err)
	}
	for _, line := range lines {
		text, err := os.ReadFile(line)
		if err != nil || !strings.Contains(string(text), folder+"/") {
			continue
		}
		t.Logf("ending a stray: %s", strings.ReplaceAll(string(text), "\x00", " "))
		pid, _ := strconv.Atoi(strings.Split(line, "/")[2])
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// removeCgroups removes the parent of an engine's cgroups in each hierarchy; what is below it is a leak.
func removeCgroups(t *testing.T, parent string) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // other cgroups come and go
		}
		if filepath.Base(path) != parent {
			return nil
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Name() == "conmon" { // Podman makes it and leaves it
				_ = unix.Rmdir(filepath.Join(path, entry.Name()))
				continue
			}
			if entry.IsDir() {
				t.Errorf("cgroup %s is left", filepath.Join(path, entry.Name()))
				emptyCgroup(filepath.Join(path, entry.Name()))
			}
		}
		if err := unix.Rmdir(path); err != nil {
			t.Errorf("remove %s: %v", path, err)
		}
		return filepath.SkipDir
	})
	if err != nil {
		t.Error(err)
	}
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

// daemon starts a daemon in the engine's network namespace and ends it at the test's end.
func (e *engine) daemon(name string, args ...string) *exec.Cmd {
	e.t.Helper()
	log := e.in(name + ".log")
	cmd := daemon.Start(e.t, log, append(append(append([]string{}, e.namespace...), name), args...)...)
	e.t.Cleanup(func() {
		daemon.ShowEnd(e.t, log)
		daemon.Stop(e.t, cmd)
	})
	return cmd
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
	return command(e.t, e.folder, stdin, append(append([]string{}, e.prefix...), args...)...)
}

// ok calls the client, which must succeed, and gives its output without the last newline.
func (e *engine) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := e.call(args...)
	if r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return strings.TrimSuffix(r.stdout, "\n")
}

// command runs any program in a folder (or where the test runs), with a text on its standard input.
func command(t *testing.T, folder, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit())
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdin = folder, strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s: no end within %s\n%s%s", strings.Join(args, " "), callLimit(), out.String(), errOut.String())
	case errors.As(err, &exit), err == nil, errors.Is(err, exec.ErrWaitDelay):
	default:
		t.Fatal(err)
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
	// stdin is what the client reads.
	stdin string
	// oneLine says that the errors must be a single line (Docker's own reference to its help apart).
	oneLine bool
}

// test is a subtest that counts in the engine's row of the table.
func (e *engine) test(t *testing.T, name string, body func(t *testing.T)) bool {
	t.Helper()
	return t.Run(name, func(t *testing.T) {
		t.Cleanup(func() { note(e.name, t) })
		body(t)
	})
}

// run makes each check a subtest of its own, in order.
func (e *engine) run(t *testing.T, checks []check) {
	t.Helper()
	for _, c := range checks {
		e.test(t, c.name, func(t *testing.T) {
			t.Helper()
			c.verify(t, e.callIn(c.stdin, c.args...))
		})
	}
}

// verify compares what a call gave with what it must give.
func (c check) verify(t *testing.T, r result) {
	t.Helper()
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
	if c.oneLine && len(errorLines(r.stderr)) != 1 {
		t.Errorf("the error is not one line: %q", r.stderr)
	}
	if t.Failed() {
		t.Logf("%s\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), r.stdout, r.stderr)
	}
}

// errorLines is what an engine's client wrote of an error, without what it says of itself: where its help is, what it
// warns of, and (Docker's, when the answer overtakes its own waiting) that it has stopped to wait.
func errorLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		own := line == "" || strings.Contains(line, "error waiting for container: context canceled")
		for _, start := range []string{"See 'docker", "Run 'docker", "WARNING: "} {
			own = own || strings.HasPrefix(line, start)
		}
		if !own && !strings.Contains(line, " level=warning ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// rootfsTar makes a busybox image as a tar file.
func (e *engine) rootfsTar() string {
	e.t.Helper()
	root := e.in("image")
	script := `set -e
		mkdir -p "$1"/bin "$1"/etc "$1"/tmp "$1"/proc "$1"/sys "$1"/dev
		chmod 1777 "$1"/tmp
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
	daemon.WaitFor(t, what, limit, 50*time.Millisecond, done)
}

// atOnce does something n times at the same time.
func atOnce(n int, do func(i int) result) []result {
	results := make([]result, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { results[i] = do(i) })
	}
	group.Wait()
	return results
}

package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// strayFiles opens files as a careless caller might leave them open for the runtime, from descriptor 3 on. Each holds
// its number.
func strayFiles(t *testing.T, n int) []*os.File {
	t.Helper()
	var files []*os.File
	for i := range n {
		f := memoryFile(t, fmt.Sprintf("stray-%d", 3+i))
		if _, err := fmt.Fprintf(f, "file %d", 3+i); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// eachWay runs a command in a container by create and start, by run, and by exec, with descriptors open in the
// runtime, and gives what it prints.
func eachWay(t *testing.T, flags []string, files int, script string, check func(t *testing.T, way, output string)) {
	t.Helper()
	for _, way := range []string{"create", "run", "exec"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			files := strayFiles(t, files)
			with := call{extraFiles: files}
			if way == "exec" {
				c, _ := sleeping(t)
				check(t, way, with.run(t, c.args(c.execArgs(flags, "/bin/sh", "-c", script)...)...).ok(t).stdout)
				return
			}
			c := newContainer(t, withScript(script))
			p := with.start(t, c.args(c.command(way, flags)...)...)
			p.wait(t).ok(t)
			if way == "create" {
				c.start().ok(t)
				c.waitStatus("stopped")
			}
			check(t, way, contents(t, p.stdout))
		})
	}
}

// The process has standard input, output and error, and no descriptor that was open outside.
func TestDescriptorsAreClosed(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, 100, "ls /proc/self/fd", func(t *testing.T, way, output string) {
		// 3 is the folder that ls reads.
		want(t, "descriptors", strings.Join(strings.Fields(output), " "), "0 1 2 3")
	})
}

// --preserve-fds hands on as many as it says, under their numbers.
func TestPreserveFDs(t *testing.T) {
	t.Parallel()
	eachWay(t, []string{"--preserve-fds", "3"}, 7, "ls /proc/self/fd; for n in 3 4 5; do cat /proc/self/fd/$n; echo; done",
		func(t *testing.T, way, output string) {
			want(t, "output", strings.Join(strings.Fields(output), " "), "0 1 2 3 4 5 6 file 3 file 4 file 5")
		})
	if !isBerth() {
		return // runc 1.1.5 takes descriptors that are not there
	}
	c := newContainer(t)
	for _, flag := range []string{"2", "-1", "5000000"} {
		r := c.oci(c.command("run", []string{"--preserve-fds", flag})...).exits(t, 1)
		wantContains(t, "error", r.stderr, "--preserve-fds "+flag)
	}
}

// shellCall runs the runtime from a shell, which can give it the number of the very process that it becomes.
func (c *container) shellCall(script string, args ...string) result {
	c.t.Helper()
	quoted := []string{host.runtime}
	for _, a := range c.args(args...) {
		quoted = append(quoted, "'"+a+"'")
	}
	out, err := outputOf("/bin/sh", "-c", script+" exec "+strings.Join(quoted, " "))
	if err != nil {
		c.t.Fatal(err)
	}
	return result{args: args, stdout: out}
}

// Sockets of systemd's socket activation come to the process, with an environment that says so, before those that are
// preserved.
func TestListenFDs(t *testing.T) {
	t.Parallel()
	const show = `env | grep ^LISTEN | sort; echo self $$; ls /proc/self/fd; cat <&3; cat <&4; cat <&5; true`
	for name, options := range map[string][]option{"usual": nil, "no pid namespace": {withoutNamespace(specs.PIDNamespace)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, append(options, withScript(show), withProcess(func(p *specs.Process) {
				p.Env = append(p.Env, "LISTEN_FDS=77")
			}))...)
			for _, n := range []string{"a", "b", "c"} {
				c.writeFile(n, n+"\n", 0o644)
			}
			files := fmt.Sprintf("cd %s; exec 3<a 4<b 5<c; ", c.rootfs)
			r := c.shellCall(files+"export LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=x:y;", c.command("run", []string{"--preserve-fds", "1"})...)
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			if isBerth() { // runc 1.1.5 keeps the config's own, and says 1 without a pid namespace too
				want(t, "count", lines[1], "LISTEN_FDS=2")
				want(t, "names", lines[0], "LISTEN_FDNAMES=x:y")
				want(t, "pid", strings.TrimPrefix(lines[2], "LISTEN_PID="), strings.TrimPrefix(lines[3], "self "))
			}
			want(t, "descriptors and what they are", strings.Join(lines[len(lines)-10:], " "), "0 1 2 3 4 5 6 a b c")

			// For somebody else: nothing of it is passed on.
			r = c.shellCall(files+"export LISTEN_FDS=2 LISTEN_PID=1;", c.command("run", nil)...)
			wantContains(t, "output", r.stdout, "LISTEN_FDS=77\n")
		})
	}
}

// What claims to be systemd's and cannot be is refused by its name, and nothing is made.
func TestBadActivation(t *testing.T) {
	berthOnly(t, "its words")
	t.Parallel()
	for _, of := range []struct{ env, says string }{
		{"LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_FDS=x"},
		{"LISTEN_PID=$$ LISTEN_FDS=-1", "LISTEN_FDS=-1"},
		{"LISTEN_PID=$$ LISTEN_FDS=2", "LISTEN_FDS=2: descriptor 3 is not open"},
		{"LISTEN_PID=$$ LISTEN_FDS=9999999", "at most 1024"},
		{"NOTIFY_SOCKET=relative", "NOTIFY_SOCKET=relative"},
	} {
		c := newContainer(t)
		args := append([]string{"-c", of.env + ` exec "$0" "$@"`, host.runtime}, c.args(c.command("run", nil)...)...)
		r := call{program: "/bin/sh"}.run(t, args...).exits(t, 1)
		wantContains(t, "error", r.stderr, of.says)
		want(t, "lines", strings.Count(r.stderr, "\n"), 1)
		c.oci("state", c.id).exits(t, 1)
	}
}

// A pidfd of the process goes to the socket that asks for it.
func TestPidfdSocket(t *testing.T) {
	newerThanReference(t, "--pidfd-socket")
	t.Parallel()
	c := newContainer(t, withSleep())
	socket := newReceiver(t)
	created := make(chan result)
	go func() { created <- c.create("--pidfd-socket", socket.path) }()
	pidfd, _ := socket.file()
	(<-created).ok(t)
	want(t, "the process behind create's pidfd", pidOf(t, pidfd), c.state().Pid)
	c.start().ok(t)

	pidFile := filepath.Join(c.bundle, "pid")
	done := make(chan result)
	go func() {
		done <- c.exec([]string{"-d", "--pid-file", pidFile, "--pidfd-socket", socket.path}, "sleep", "600")
	}()
	pidfd, _ = socket.file()
	(<-done).ok(t)
	want(t, "the process behind exec's pidfd", pidOf(t, pidfd), readPid(t, pidFile))
	for _, args := range [][]string{c.execArgs([]string{"--pidfd-socket", "/no/socket"}, "true"), newContainer(t).command("create", []string{"--pidfd-socket", "/no/socket"})} {
		r := c.oci(args...)
		if r.code == 0 {
			t.Errorf("%s succeeds without its socket", args[0])
		}
		wantContains(t, "error", r.stderr, "--pidfd-socket", "/no/socket")
	}
}

// A process that is killed after its last word and before the last answer was never created: create says so, and
// leaves nothing. A pidfd socket that takes no connection yet keeps create there.
func TestKilledBeforeLastAnswer(t *testing.T) {
	berthOnly(t, "its words, its state file")
	t.Parallel()
	c := newContainer(t, withSleep())
	path := filepath.Join(filepath.Dir(c.bundle), "full")
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	first, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(first)
	for _, err := range []error{unix.Bind(listener, &unix.SockaddrUnix{Name: path}), unix.Listen(listener, 0),
		unix.Connect(first, &unix.SockaddrUnix{Name: path})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	created := make(chan result)
	go func() { created <- c.create("--pidfd-socket", path) }()
	var s state
	waitFor(t, "create has kept the state", func() bool {
		text, err := os.ReadFile(filepath.Join(c.stateRoot, c.id, "state.json"))
		return err == nil && json.Unmarshal(text, &s) == nil && s.Pid != 0
	})
	sendSignal(t, s.Pid, unix.SIGKILL)
	waitFor(t, "the process is a zombie", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid))
		return err == nil && strings.Contains(string(stat), ") Z ")
	})
	connection, _, err := unix.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(connection)
	r := (<-created).exits(t, 1)
	wantContains(t, "error", r.stderr, "was killed while it was set up (SIGKILL)")
	want(t, "lines", strings.Count(r.stderr, "\n"), 1)
	c.oci("state", c.id).exits(t, 1)
}

// pidOf reads which process a pidfd refers to; pidfd_open(2), proc_pid_fdinfo(5).
func pidOf(t *testing.T, pidfd *os.File) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscanf(statusField(t, string(text), "Pid"), "%d", &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// serviceManager is what listens to sd_notify(3) in a test, as systemd does.
type serviceManager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	needsRoot(t)
	dir, err := os.MkdirTemp(host.scratch, "manager-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &serviceManager{t, path, conn}
}

// message is the next one; "" when none comes within the time.
func (m *serviceManager) message(within time.Duration) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		m.t.Fatal(err)
	}
	buffer := make([]byte, 8192)
	n, err := m.conn.Read(buffer)
	if err != nil {
		return ""
	}
	return string(buffer[:n])
}

// notify sends a message to the container's socket, as a process inside would; busybox has no tool for that.
func notify(t *testing.T, c *container, text string) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram",
		Name: fmt.Sprintf("/proc/%d/root/run/notify/notify.sock", c.state().Pid)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// Under systemd's NOTIFY_SOCKET the container's process tells when it is ready: what it says is passed on, save what
// it must not say, and nobody waits for it.
func TestNotifySocket(t *testing.T) {
	berthOnly(t, "runc 1.1.5's start waits until the container is ready, and relays no more than that")
	t.Parallel()
	c := newContainer(t, withScript("echo $NOTIFY_SOCKET; ls -l $NOTIFY_SOCKET; echo ready; exec sleep 600"),
		withProcess(func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1000} }))
	manager := newServiceManager(t)
	c.created = call{env: []string{"NOTIFY_SOCKET=" + manager.path}}.start(t, c.args(c.command("create", nil)...)...)
	c.created.wait(t).ok(t)
	c.start().ok(t)
	waitFor(t, "the script says ready", func() bool { return strings.Contains(c.output(), "ready\n") })
	wantContains(t, "output", c.output(), "/run/notify/notify.sock\n", "srwxrwxrwx")
	pid := c.state().Pid
	for _, of := range [][2]string{
		{"STATUS=coming up", "STATUS=coming up\n"},
		{"READY=1\nSTATUS=up\nMAINPID=1\nFDSTORE=1", fmt.Sprintf("READY=1\nSTATUS=up\nMAINPID=%d\n", pid)},
		{"WATCHDOG=1\nX_OWN=a=b\n", "WATCHDOG=1\nX_OWN=a=b\n"},
		{"\n\n\nSTOPPING=1", "STOPPING=1\n"},
		{"READY=10", "READY=10\n"},
	} {
		notify(t, c, of[0])
		want(t, "message", manager.message(commandTimeout/4), of[1])
	}
	for _, dropped := range []string{"MAINPID=1", "BARRIER=1", "\n", "FDSTOREREMOVE=1\nFDNAME=x", "NOTIFYACCESS=all"} {
		notify(t, c, dropped)
		want(t, "message", manager.message(50*time.Millisecond), "")
	}
	c.delete("--force").ok(t)
	waitFor(t, "the relay ends", func() bool {
		return !slices.ContainsFunc(descendants(), func(p process) bool { return p.name == "berth:notify" && p.state != 'Z' })
	})
}

// In the foreground of run the runtime stays the service's main process.
func TestNotifySocketOfRun(t *testing.T) {
	berthOnly(t, "runc 1.1.5 relays READY alone")
	t.Parallel()
	c := newContainer(t, withSleep())
	manager := newServiceManager(t)
	p := call{env: []string{"NOTIFY_SOCKET=" + manager.path}}.start(t, c.args(c.command("run", nil)...)...)
	waitFor(t, "the script says ready", func() bool { return strings.Contains(contents(t, p.stdout), "ready\n") })
	notify(t, c, "READY=1")
	want(t, "message", manager.message(commandTimeout/4), "READY=1\n")
	c.kill("KILL").ok(t)
	p.wait(t).exits(t, 128+9)

	// Nobody listens: the container runs all the same.
	c = newContainer(t)
	r := call{env: []string{"NOTIFY_SOCKET=" + manager.path + "-nonesuch"}}.run(t, c.args(c.command("run", nil)...)...).ok(t)
	wantContains(t, "warning", r.stderr, "NOTIFY_SOCKET", manager.path+"-nonesuch")
}

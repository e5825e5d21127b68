package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// exec is `exec` in the foreground: flags, then the id, then the command.
func (c *container) exec(flags []string, command ...string) result {
	c.t.Helper()
	return c.oci(c.execArgs(flags, command...)...)
}

func (c *container) execArgs(flags []string, command ...string) []string {
	return append(append(append([]string{"exec"}, flags...), c.id), command...)
}

// execScript runs a shell in the container.
func (c *container) execScript(script string, flags ...string) result {
	c.t.Helper()
	return c.exec(flags, "/bin/sh", "-c", script)
}

// sleeping makes a container of the options whose process sleeps.
func sleeping(t *testing.T, options ...option) (*container, state) {
	t.Helper()
	c := newContainer(t, append(options, withSleep())...)
	return c, c.startSleeping()
}

// processFile writes the process of exec --process and gives its path.
func (c *container) processFile(p *specs.Process) string {
	c.t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.bundle, "process.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// What exec starts is in all namespaces and cgroups of the container, and beneath its root, whatever those are.
func TestExecJoins(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{
		"usual namespaces": {withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace})},
		"host's network":   {withoutNamespace(specs.NetworkNamespace)},
		"no pid namespace": {withoutNamespace(specs.PIDNamespace)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := sleeping(t, options...)
			r := c.execScript("ls -d /bin/busybox; for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup").ok(t)
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			want(t, "the root's contents", lines[0], "/bin/busybox")
			for i, n := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
				link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", s.Pid, n))
				if err != nil {
					t.Fatal(err)
				}
				want(t, n+" namespace", lines[1+i], link)
			}
			inside := c.execScript("cat /proc/1/cgroup /proc/self/cgroup").ok(t).stdout
			if half := len(inside) / 2; name == "usual namespaces" && inside[:half] != inside[half:] {
				t.Errorf("cgroups of init and of exec's process:\n%s", inside)
			}
		})
	}
}

// On the host the process is in the container's cgroup of each hierarchy.
func TestExecCgroup(t *testing.T) {
	t.Parallel()
	c, s := sleeping(t)
	pidFile := filepath.Join(c.bundle, "pid")
	c.exec([]string{"--detach", "--pid-file", pidFile}, "sleep", "600").ok(t)
	pid := readPid(t, pidFile)
	of := func(pid int) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want(t, "cgroups", of(pid), of(s.Pid))
	sendSignal(t, pid, unix.SIGKILL)
	want(t, "exit code of the detached process", orphanExit(t, pid), 128+9)
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// What no flag asks for is as the container's own process has it.
func TestExecTakesAfterTheContainer(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t, withProcess(func(p *specs.Process) {
		p.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{7}, Umask: ptr(uint32(0o077))}
		p.Env = append(p.Env, "OF=config")
		p.Cwd = "/tmp"
		p.OOMScoreAdj = ptr(321)
		p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}}
	}))
	r := c.execScript("id; pwd; echo $OF $HOME; umask; cat /proc/self/oom_score_adj; ulimit -n; ulimit -H -n; cat /proc/self/status").ok(t)
	wantContains(t, "output", r.stdout, "uid=1000", "gid=1001", "groups=7", "/tmp\n", "config /root\n", "321\n", "\n200\n")
	if isBerth() {
		// runc 1.1.5 takes the umask of its caller, and its own Go at times raises the soft limit again behind its back.
		wantContains(t, "umask and soft limit", r.stdout, "\n0077\n", "\n100\n200\n")
	}
	want(t, "no_new_privs", statusField(t, r.stdout, "NoNewPrivs"), "1")
	own := contents(t, mustOpen(t, fmt.Sprintf("/proc/%d/status", c.state().Pid)))
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		want(t, field, statusField(t, r.stdout, field), statusField(t, own, field))
	}
}

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// The flags change what they name.
func TestExecFlags(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t, withProcess(func(p *specs.Process) { p.NoNewPrivileges = false }))
	for _, of := range []struct {
		flags        []string
		script, says string
	}{
		{[]string{"--cwd", "/home"}, "pwd", "/home\n"},
		{[]string{"--env", "A=1", "--env", "B=2 3", "--env", "HOME=/elsewhere", "--env", "C=4,5"}, "echo $A,$B,$C,$HOME", "1,2 3,4,5,/elsewhere\n"},
		{[]string{"-e", "TERM=a", "-e", "TERM=b"}, "echo $TERM", "b\n"},
		{[]string{"--user", "1000"}, "id -u; id -g", "1000\n0\n"},
		{[]string{"-u", "1000:5", "-g", "11", "-g", "12"}, "id -u; id -G", "1000\n5 11 12\n"},
		{[]string{"--no-new-privs"}, "grep -c NoNewPrivs.*1 /proc/self/status", "1\n"},
	} {
		r := c.execScript(of.script, of.flags...).ok(t)
		want(t, strings.Join(of.flags, " "), r.stdout, of.says)
	}
}

// A capability that is added is effective in the process, for root and for others.
func TestExecAddsCapability(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	has := func(r result, set string) bool {
		numbers := capabilityNumbers(t, statusField(t, r.stdout, set))
		return slices.Contains(strings.Fields(numbers), itoa(unix.CAP_NET_ADMIN))
	}
	if has(c.exec(nil, "cat", "/proc/self/status").ok(t), "CapEff") {
		t.Fatal("the container has the capability already")
	}
	users := []string{"0"}
	if isBerth() {
		users = append(users, "1000") // runc's are lost at execve
	}
	for _, user := range users {
		r := c.exec([]string{"--cap", "CAP_NET_ADMIN", "--user", user}, "cat", "/proc/self/status").ok(t)
		for _, set := range []string{"CapBnd", "CapPrm", "CapEff"} {
			if !has(r, set) {
				t.Errorf("user %s: %s lacks the added capability: %s", user, set, statusField(t, r.stdout, set))
			}
		}
	}
}

// The command's arguments are its own, dashes and all.
func TestExecArguments(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	r := c.exec(nil, "echo", "-e", "--tty", "-x", "a b", "", "--", "--help").ok(t)
	want(t, "echo's output", r.stdout, "--tty -x a b  -- --help\n")
	if isBerth() {
		// Long flags with one dash are the runtime's only before the id.
		r = c.exec([]string{"-cwd", "/tmp"}, "sh", "-c", "pwd; echo $1", "sh", "-cwd").ok(t)
		want(t, "one dash", r.stdout, "/tmp\n-cwd\n")
	}
}

// In the foreground exec ends with the process's exit code.
func TestExecExitCode(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	for script, code := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9,
	} {
		want(t, "exit code of "+script, c.execScript(script).code, code)
	}
}

// A process that cannot be started is told of in the words that engines look for, with exit code 255, and leaves no
// pid file.
func TestExecFailures(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	c.writeFile("bin/folder/x", "", 0o644)
	c.writeFile("bin/garbage", "no program", 0o755)
	c.writeFile("bin/lost", "#!/no/such/interpreter\n", 0o755)
	pidFile := filepath.Join(c.bundle, "pid")
	for _, of := range []struct {
		flags   []string
		command []string
		says    string
		berth   string
	}{
		{nil, []string{"nonesuch"}, "executable file not found in $PATH", "nonesuch"},
		{nil, []string{"/nonesuch"}, "no such file or directory", "/nonesuch"},
		{nil, []string{"/bin/folder"}, "permission denied", "is a directory"},
		{nil, []string{"/etc/passwd"}, "permission denied", "/etc/passwd"},
		{nil, []string{"/etc/passwd/x"}, "not a directory", ""},
		{nil, []string{"/bin/lost"}, "no such file or directory", "interpreter"},
		{nil, []string{"/bin/garbage"}, "exec format error", "#!"},
		{[]string{"--cwd", "/nonesuch"}, []string{"true"}, "no such file or directory", "process.cwd"},
		{[]string{"--user", "alice"}, []string{"id"}, "alice", "numbers"},
		{[]string{"--user", "1:staff"}, []string{"id"}, "staff", "gid"},
		{[]string{"--cwd", "tmp"}, []string{"pwd"}, "", "--cwd: \"tmp\" is relative"},
		{[]string{"--user", "0:4294967295"}, []string{"id"}, "", "--user"},
		{[]string{"--additional-gids", "4294967295"}, []string{"id"}, "", "--additional-gids"},
		{[]string{"--cap", "NET_ADMIN"}, []string{"id"}, "", "--cap \"NET_ADMIN\""},
		{nil, []string{""}, "", "command[0]: is empty"},
		{nil, nil, "", "command"},
	} {
		for _, detach := range []bool{false, true} {
			flags := append([]string{"--pid-file", pidFile}, of.flags...)
			if detach {
				flags = append(flags, "--detach")
			}
			r := c.exec(flags, of.command...)
			if !isBerth() && (of.says == "" || of.command[0] == "/bin/lost" || of.command[0] == "/bin/garbage") {
				os.Remove(pidFile)
				continue // the others' words or exit code are theirs
			}
			r.exits(t, 255)
			wantContains(t, fmt.Sprintf("error of %v %v", of.flags, of.command), r.stderr, of.says)
			if isBerth() {
				wantContains(t, fmt.Sprintf("error of %v %v", of.flags, of.command), r.stderr, of.berth)
			}
			// The reference writes it before the process has found its folder and user.
			if _, err := os.Stat(pidFile); isBerth() && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v: the pid file is there: %v", of.command, err)
			}
		}
	}
	if left := c.exec(nil, "ps").ok(t).stdout; strings.Count(left, "\n") > 3 {
		t.Errorf("processes that stay:\n%s", left)
	}
}

// exec --process takes the process from a file.
func TestExecProcessFile(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t, withProcess(func(p *specs.Process) { p.Env = append(p.Env, "OF=config") }))
	path := c.processFile(&specs.Process{
		Args: []string{"/bin/sh", "-c", "id -u; pwd; echo \"<$OF>\" $MINE; umask; grep NoNewPrivs /proc/self/status; exit 4"},
		Env:  []string{"PATH=/bin", "MINE=file"},
		Cwd:  "/tmp",
		User: specs.User{UID: 1000, GID: 1000},
	})
	r := c.exec([]string{"--process", path}).exits(t, 4)
	if r.stdout == "" {
		t.Fatalf("no output; stderr: %s", r.stderr)
	}
	wantContains(t, "output", strings.ReplaceAll(r.stdout, "\t", " "), "1000\n/tmp\n<> file\n", "NoNewPrivs: 0\n")
	for text, says := range map[string]string{
		`{"args": ["true"]}`:              "cwd",
		`{"args": [], "cwd": "/"}`:        "args",
		`{"args": ["true"], "cwd": "/",}`: "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r := c.exec([]string{"--process", path})
		if r.code == 0 {
			t.Errorf("%s is taken", text)
		}
		if isBerth() {
			wantContains(t, text, r.stderr, says)
		}
	}
	if isBerth() {
		c.exec([]string{"--process", path}, "true").exits(t, 255)
		r := c.exec([]string{"--process", filepath.Join(c.bundle, "nonesuch")}).exits(t, 255)
		wantContains(t, "error", r.stderr, "--process", "nonesuch", "no such file")
	}
}

// HOME, where neither the container nor a flag sets it, is what the container's passwd has for the user.
func TestExecHome(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t, withEnv("PATH=/bin"))
	for user, home := range map[string]string{"0": "/root", "1000": "/home/alice", "4711": "/"} {
		want(t, "HOME of "+user, c.execScript("echo $HOME", "--user", user).ok(t).stdout, home+"\n")
	}
}

// A detached process runs on by itself; its pid file is there when exec returns.
func TestExecDetached(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	pidFile := filepath.Join(c.bundle, "pid")
	p := call{}.start(t, c.args(c.execArgs([]string{"-d", "--pid-file", pidFile}, "sh", "-c", "trap 'echo ended; exit 9' TERM; echo begun; while :; do sleep 0.05; done")...)...)
	p.wait(t).ok(t)
	pid := readPid(t, pidFile)
	waitFor(t, "the process says begun", func() bool { return strings.Contains(contents(t, p.stdout), "begun\n") })
	sendSignal(t, pid, unix.SIGTERM)
	want(t, "exit code", orphanExit(t, pid), 9)
	wantContains(t, "output", contents(t, p.stdout), "ended\n")
}

// Signals that the runtime gets in the foreground reach the process.
func TestExecPassesSignals(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	p := call{}.start(t, c.args(c.execArgs(nil, "sh", "-c", "trap 'exit 3' USR1; echo begun; while :; do sleep 0.05; done")...)...)
	waitFor(t, "the process says begun", func() bool { return strings.Contains(contents(t, p.stdout), "begun\n") })
	sendSignal(t, p.cmd.Process.Pid, unix.SIGUSR1)
	p.wait(t).exits(t, 3)
}

// exec is refused in a container that is not there, has stopped, or is paused.
func TestExecRefusals(t *testing.T) {
	t.Parallel()
	c, s := sleeping(t)
	wantContains(t, "error", oci(t, c.args("exec", "nonesuch", "true")...).exits(t, 255).stderr, "does not exist")
	freeze(t, s.Pid, true)
	r := c.exec(nil, "true").exits(t, 255)
	wantContains(t, "error", r.stderr, "paused", "--ignore-paused")
	p := call{}.start(t, c.args(c.execArgs([]string{"--ignore-paused"}, "echo", "at last")...)...)
	freeze(t, s.Pid, false)
	want(t, "output", p.wait(t).ok(t).stdout, "at last\n")
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	r = c.exec(nil, "true").exits(t, 255)
	if isBerth() {
		wantContains(t, "error", r.stderr, "container not running", "stopped")
	}
}

// freeze stops a container's processes, or lets them go on, as pause and resume do.
func freeze(t *testing.T, pid int, on bool) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	paths := membership(string(text))
	file, word := filepath.Join(host.cgroups.v1["freezer"], paths["freezer"], "freezer.state"), map[bool]string{true: "FROZEN", false: "THAWED"}[on]
	if host.cgroups.v1["freezer"] == "" {
		file, word = filepath.Join(host.cgroups.v2, paths[""], "cgroup.freeze"), map[bool]string{true: "1", false: "0"}[on]
	}
	if err := os.WriteFile(file, []byte(word), 0); err != nil {
		t.Fatal(err)
	}
}

// A created container takes an exec too: its process has not begun yet.
func TestExecInCreated(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.create().ok(t)
	want(t, "hostname", c.exec(nil, "hostname").ok(t).stdout, "inside\n")
	c.start().ok(t)
}

// A process may run in a cgroup below the container's.
func TestExecSubCgroup(t *testing.T) {
	t.Parallel()
	c, s := sleeping(t)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.Pid))
	if err != nil {
		t.Fatal(err)
	}
	controller, point, flag := "pids", host.cgroups.v1["pids"], "pids:sub"
	if point == "" {
		controller, point, flag = "", host.cgroups.v2, "sub"
	}
	if err := os.Mkdir(filepath.Join(point, membership(string(text))[controller], "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := c.exec([]string{"--cgroup", flag}, "cat", "/proc/self/cgroup").ok(t)
	for name, path := range membership(r.stdout) {
		if strings.HasSuffix(path, "/sub") != (name == controller) {
			t.Errorf("hierarchy %q: in %s", name, path)
		}
	}
	if isBerth() {
		r := c.exec([]string{"--cgroup", "pids:nonesuch"}, "true").exits(t, 255)
		wantContains(t, "error", r.stderr, "--cgroup", "nonesuch")
		r = c.exec([]string{"--cgroup", "../other"}, "true").exits(t, 255)
		wantContains(t, "error", r.stderr, "--cgroup", "..")
	}
}

// receiver is a unix socket as an engine gives it for a terminal or a pidfd.
type receiver struct {
	t    *testing.T
	path string
	l    *net.UnixListener
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	needsRoot(t)
	dir, err := os.MkdirTemp(host.scratch, "socket-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &receiver{t, path, l}
}

// file takes the one descriptor that comes, and the text with it.
func (r *receiver) file() (*os.File, string) {
	r.t.Helper()
	conn, err := r.l.AcceptUnix()
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	text, oob := make([]byte, 8192), make([]byte, 256)
	n, oobn, _, _, err := conn.ReadMsgUnix(text, oob)
	if err != nil {
		r.t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		r.t.Fatalf("control messages: %v %v", messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		r.t.Fatalf("descriptors: %v %v", fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "received")
	r.t.Cleanup(func() { f.Close() })
	return f, string(text[:n])
}

// exec --tty in the foreground relays between the user's terminal and one of the container's devpts.
func TestExecTerminal(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	term := newTerminal(t, 33, 101)
	script := "tty; stty size; read x; echo got $x; exit 5"
	if host.name == "runc" {
		script = "tty; until stty size 2>/dev/null | grep .; do sleep 0.01; done; read x; echo got $x; exit 5" // it sets the size after the start
	}
	p := term.start(c.args(c.execArgs([]string{"--tty"}, "sh", "-c", script)...)...)
	term.waitShown("33 101\n")
	term.typeText("this\n")
	p.wait(t).exits(t, 5)
	term.waitShown("got this\n")
	wantContains(t, "screen", term.shown(), "/dev/pts/0\n")
}

// Detached, the terminal's master goes over the console socket.
func TestExecConsoleSocket(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	socket, pidFile := newReceiver(t), filepath.Join(c.bundle, "pid")
	path := c.processFile(&specs.Process{
		Args: []string{"/bin/sh", "-c", "stty size; tty; stat -c %u $(tty); exit 6"}, Env: []string{"PATH=/bin"}, Cwd: "/",
		Terminal: true, ConsoleSize: &specs.Box{Height: 12, Width: 34}, User: specs.User{UID: 1000},
	})
	p := call{}.start(t, c.args("exec", "--detach", "--process", path, "--pid-file", pidFile, "--console-socket", socket.path, c.id)...)
	master, _ := socket.file()
	p.wait(t).ok(t)
	text := make([]byte, 4096)
	n := 0
	for {
		more, err := master.Read(text[n:])
		if n += more; err != nil {
			break // EIO: the process has closed its end
		}
	}
	shown := string(text[:n])
	want(t, "exit code", orphanExit(t, readPid(t, pidFile)), 6)
	if host.name == "runc" {
		shown = strings.Replace(shown, "0 0\n", "12 34\n", 1) // 1.1.5 sets no size here
	}
	want(t, "what the terminal shows", strings.ReplaceAll(shown, "\r", ""), "12 34\n/dev/pts/0\n1000\n")

	r := c.exec([]string{"-t", "-d"}, "true").exits(t, 255)
	wantContains(t, "error", r.stderr, "detach")
	if isBerth() {
		wantContains(t, "error", r.stderr, "--console-socket")
		r = c.exec([]string{"-d", "--console-socket", socket.path}, "true").exits(t, 255)
		wantContains(t, "error", r.stderr, "--console-socket", "--tty")
	}
}

// Nothing of the runtime is seen from inside: no descriptor, no other process, no program.
func TestExecLeavesNoTrace(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	r := c.execScript(`ls /proc/self/fd; for p in /proc/[0-9]*; do readlink $p/exe; done; ls -d /proc/[0-9]* | wc -l`).ok(t)
	parts := strings.Fields(r.stdout)
	// ls itself has the folder open as 3. sleep, the shell and ls or readlink are there.
	want(t, "descriptors", strings.Join(parts[:4], " "), "0 1 2 3")
	for _, exe := range parts[4 : len(parts)-1] {
		want(t, "program", exe, "/bin/busybox")
	}
	for range 5 {
		c.exec(nil, "true").ok(t)
	}
	if n := strings.Count(c.exec(nil, "ps").ok(t).stdout, "\n"); n > 3 {
		t.Errorf("ps shows %d lines", n)
	}
}

// With --no-new-keyring the process keeps the session keyring of who calls the runtime, and so does exec's.
func TestNoNewKeyring(t *testing.T) {
	t.Parallel()
	const show = "grep -o '_ses[^:]*' /proc/keys | sort -u"
	c := newContainer(t, withLinux(func(l *specs.Linux) { l.MaskedPaths = nil }), withScript(show+"; echo ready; exec sleep 600"))
	c.startSleeping("--no-new-keyring")
	for what, keys := range map[string]string{"the container's process": c.output(), "exec's process": c.execScript(show).stdout} {
		if strings.Contains(keys, c.id) {
			t.Errorf("%s has a keyring of its own: %s", what, keys)
		}
	}
}

// exec's process has the session keyring of the container: there is but the one of that name.
func TestExecKeyring(t *testing.T) {
	t.Parallel()
	show := "grep _ses. /proc/keys"
	c := newContainer(t, withLinux(func(l *specs.Linux) { l.MaskedPaths = nil }), withScript(show+"; echo ready; exec sleep 600"))
	c.startSleeping()
	serials := func(keys string) string {
		var found []string
		for line := range strings.Lines(keys) {
			if fields := strings.Fields(line); strings.Contains(line, " _ses."+c.id+":") {
				found = append(found, fields[0])
			}
		}
		return strings.Join(found, " ")
	}
	own := serials(c.output())
	if own == "" || strings.Contains(own, " ") {
		t.Fatalf("the container's keyrings are %q in\n%s", own, c.output())
	}
	want(t, "keyrings that exec's process sees", serials(c.execScript(show).ok(t).stdout), own)
}

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// terminal is a pseudoterminal of the test's: a user who sits before the runtime.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mutex  sync.Mutex
	screen bytes.Buffer
	closed chan struct{}
}

func newTerminal(t *testing.T, rows, columns uint16) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open /dev/ptmx: %v", err)
	}
	term := &terminal{t: t, master: os.NewFile(uintptr(fd), "ptmx"), closed: make(chan struct{})}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock the pseudoterminal: %v", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("number of the pseudoterminal: %v", err)
	}
	term.resize(rows, columns)
	if term.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	go term.read()
	t.Cleanup(func() { term.slave.Close(); <-term.closed; term.master.Close() })
	return term
}

// read collects what is shown until the last user of the terminal closes it, which reads as EIO.
func (term *terminal) read() {
	defer close(term.closed)
	buffer := make([]byte, 4096)
	for {
		n, err := term.master.Read(buffer)
		term.mutex.Lock()
		term.screen.Write(buffer[:n])
		term.mutex.Unlock()
		if err != nil {
			if !errors.Is(err, syscall.EIO) && !errors.Is(err, io.EOF) {
				term.t.Errorf("read the pseudoterminal: %v", err)
			}
			return
		}
	}
}

func (term *terminal) shown() string {
	term.mutex.Lock()
	defer term.mutex.Unlock()
	text := term.screen.String()
	if host.name == "runc" {
		// It can put the terminal back out of its raw mode before it wrote the last of the output, which then gets
		// one more carriage return.
		text = strings.ReplaceAll(text, "\r\r\n", "\r\n")
	}
	return strings.ReplaceAll(text, "\r\n", "\n")
}

func (term *terminal) waitShown(text string) {
	term.t.Helper()
	deadline := time.Now().Add(commandTimeout / 4)
	for !strings.Contains(term.shown(), text) {
		if time.Now().After(deadline) {
			term.t.Fatalf("the terminal never shows %q, but:\n%s", text, term.shown())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (term *terminal) typeText(text string) {
	term.t.Helper()
	if _, err := term.master.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) resize(rows, columns uint16) {
	term.t.Helper()
	size := &unix.Winsize{Row: rows, Col: columns}
	if err := unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, size); err != nil {
		term.t.Fatalf("resize the pseudoterminal: %v", err)
	}
}

// start runs the runtime with the terminal as its controlling terminal and standard streams.
func (term *terminal) start(args ...string) *running {
	term.t.Helper()
	return call{
		stdin: term.slave, stdout: term.slave,
		attr: controllingTerminal(),
	}.start(term.t, args...)
}

// controllingTerminal makes standard input the controlling terminal of a new session.
func controllingTerminal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
}

func withTerminal() option {
	return withProcess(func(p *specs.Process) { p.Terminal = true })
}

// With terminal set, the process has a terminal of its own, that is its controlling one and /dev/console; what is
// typed reaches it, what it prints is shown, and its exit code is the runtime's.
func TestTerminal(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withTerminal(), withScript(`
		tty; test -t 0 && test -t 1 && test -t 2 && echo three terminals
		echo to tty > /dev/tty; echo to console > /dev/console
		stat -c 'console %t:%T' /dev/console
		read line; echo "got <$line>"; exit 5`))
	term := newTerminal(t, 40, 120)
	p := term.start(c.args(c.command("run", nil)...)...)
	term.waitShown("console 88:0")
	term.typeText("hello\r")
	term.waitShown("got <hello>")
	p.wait(t).exits(t, 5)
	shown := term.shown()
	wantContains(t, "screen", shown, "three terminals\n", "to tty\n", "to console\n")
	if !strings.HasPrefix(shown, "/dev/pts/0\n") && !strings.HasPrefix(shown, "/dev/console\n") {
		t.Errorf("tty prints another terminal:\n%s", shown)
	}
}

// The container's terminal has the size of the user's, and follows it.
func TestTerminalSize(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withTerminal(),
		withScript(`trap "stty size" WINCH; stty size; while :; do sleep 0.05; done`))
	term := newTerminal(t, 33, 101)
	p := term.start(c.args(c.command("run", nil)...)...)
	term.waitShown("33 101\n")
	term.resize(20, 70)
	term.waitShown("20 70\n")
	c.kill("KILL").ok(t)
	p.wait(t).exits(t, 128+9)
}

// The user's terminal is raw while the container runs, so that ^C is the container's business, and is afterwards as
// it was.
func TestTerminalRawAndRestored(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withTerminal(),
		withScript(`trap "echo interrupted; exit 3" INT; echo ready; while :; do sleep 0.05; done`))
	term := newTerminal(t, 24, 80)
	before, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	p := term.start(c.args(c.command("run", nil)...)...)
	term.waitShown("ready")
	during, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "ISIG, ICANON and ECHO while it runs", during.Lflag&(unix.ISIG|unix.ICANON|unix.ECHO), 0)
	term.typeText("\x03")
	term.waitShown("interrupted")
	p.wait(t).exits(t, 3)
	after, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "local modes afterwards", after.Lflag, before.Lflag)
	want(t, "input modes afterwards", after.Iflag, before.Iflag)
	want(t, "output modes afterwards", after.Oflag, before.Oflag)
}

// A great deal of output arrives whole.
func TestTerminalOutputIsWhole(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withTerminal(), withScript("seq 1 20000; echo end"))
	term := newTerminal(t, 24, 80)
	term.start(c.args(c.command("run", nil)...)...).wait(t).ok(t)
	term.waitShown("end\n")
	lines := strings.Split(strings.TrimSpace(term.shown()), "\n")
	want(t, "lines", len(lines), 20001)
	want(t, "last line", lines[len(lines)-1], "end")
}

// What a process leaves in the background may keep its terminal open: that holds nobody up, and what the process wrote
// before its end is shown all the same. (In run, a background process ends with the pid namespace.)
func TestTerminalEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	const script = `(trap "" HUP; exec sleep 40) & sleep 0.3; seq 1 %d; echo end; exit 5`
	c, _ := sleeping(t)
	term := newTerminal(t, 24, 80)
	begin := time.Now()
	term.start(c.args(c.execArgs([]string{"--tty"}, "sh", "-c", fmt.Sprintf(script, 3000))...)...).wait(t).exits(t, 5)
	term.waitShown("3000\nend\n")
	want(t, "lines", strings.Count(term.shown(), "\n"), 3001)

	// One that writes on without an end.
	term = newTerminal(t, 24, 80)
	term.start(c.args(c.execArgs([]string{"--tty"}, "sh", "-c", `(trap "" HUP; exec yes) & sleep 0.3; exit 6`)...)...).wait(t).exits(t, 6)

	c = newContainer(t, withTerminal(), withScript(fmt.Sprintf(script, 3000)), withoutNamespace(specs.PIDNamespace))
	term = newTerminal(t, 24, 80)
	term.start(c.args(c.command("run", nil)...)...).wait(t).exits(t, 5)
	term.waitShown("3000\nend\n")
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("all of it takes %s", took)
	}
}

// The terminal belongs to the container's user, so that a program which opens it again may.
func TestTerminalOfUser(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withTerminal(), withScript("stat -c %u $(tty); echo opened > $(tty)"),
		withProcess(func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1000} }))
	term := newTerminal(t, 24, 80)
	term.start(c.args(c.command("run", nil)...)...).wait(t).ok(t)
	term.waitShown("opened\n") // which may take a moment to come through
	want(t, "owner", term.shown(), "1000\nopened\n")
}

// Standard streams of the runtime may be pipes or files: its terminal is the one of another stream, or of its session.
func TestTerminalOfOtherStreams(t *testing.T) {
	t.Parallel()
	c, _ := sleeping(t)
	const input = "echo typed $((6*7))\nexit 8\n"
	for name, with := range map[string]func(*terminal) call{
		"piped input": func(term *terminal) call {
			return call{stdin: strings.NewReader(input), stdout: term.slave, attr: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}}
		},
		"piped input, output to a file": func(term *terminal) call {
			return call{stdin: strings.NewReader(input), extraFiles: []*os.File{term.slave}, attr: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}}
		},
	} {
		term := newTerminal(t, 24, 80)
		p := with(term).start(t, c.args(c.execArgs([]string{"--tty"}, "sh")...)...)
		r := p.wait(t).exits(t, 8)
		if name == "piped input" {
			term.waitShown("typed 42\n")
		} else {
			wantContains(t, name, r.stdout, "typed 42")
		}
	}
	r := call{attr: &syscall.SysProcAttr{Setsid: true}}.run(t, c.args(c.execArgs([]string{"--tty"}, "true")...)...).exits(t, 255)
	if isBerth() {
		wantContains(t, "error", r.stderr, "--tty", "terminal")
	}
}

// Detached, the terminal's master goes over the console socket, with the size that the config says.
func TestConsoleSocket(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"create", "run"} {
		c := newContainer(t, withTerminal(), withScript("stty size; tty; stat -c %u:%t:%T /dev/console; read x; echo got $x; exit 4"),
			withProcess(func(p *specs.Process) {
				p.ConsoleSize, p.User = &specs.Box{Height: 12, Width: 34}, specs.User{UID: 1000, GID: 1000}
			}))
		socket := newReceiver(t)
		flags := []string{"--console-socket", socket.path}
		if way == "run" {
			flags = append(flags, "--detach")
		}
		p := call{}.start(t, c.args(c.command(way, flags)...)...)
		master, _ := socket.file()
		p.wait(t).ok(t)
		pid := c.state().Pid
		if way == "create" {
			c.start().ok(t)
		}
		if _, err := master.WriteString("this\n"); err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(master) // ends with EIO, as the container has closed its end
		want(t, "exit code", orphanExit(t, pid), 4)
		wantContains(t, way+"'s terminal", strings.ReplaceAll(string(text), "\r", ""), "12 34\n", "1000:88:0\n", "got this\n")
		c.waitStatus("stopped")
		c.delete().ok(t)

		// Nobody listens.
		flags[1] = socket.path + "-nonesuch"
		r := c.oci(c.command(way, flags)...).exits(t, 1)
		wantContains(t, "error", r.stderr, "nonesuch")
		if isBerth() {
			wantContains(t, "error", r.stderr, "--console-socket")
		}
		c.oci("state", c.id).exits(t, 1)
	}
}

// Terminal settings that do not fit the command line are refused with a line that says what to change.
func TestTerminalRefusals(t *testing.T) {
	t.Parallel()
	withTTY, without := newContainer(t, withTerminal()), newContainer(t)
	for _, refused := range []struct {
		c    *container
		args []string
		says []string // by berth
	}{
		{withTTY, withTTY.command("create", nil), []string{"process.terminal", "--console-socket"}},
		{withTTY, withTTY.command("run", []string{"--detach"}), []string{"process.terminal", "--console-socket"}},
		{without, without.command("create", []string{"--console-socket", "/no/socket"}), []string{"--console-socket", "process.terminal"}},
		{withTTY, withTTY.command("run", nil), []string{"process.terminal"}},
	} {
		// In a session of its own the runtime has no terminal, whoever runs the tests.
		r := call{attr: &syscall.SysProcAttr{Setsid: true}}.run(t, refused.c.args(refused.args...)...).exits(t, 1)
		if isBerth() {
			wantContains(t, "error", r.stderr, refused.says...)
		}
		refused.c.oci("state", refused.c.id).exits(t, 1)
	}
}

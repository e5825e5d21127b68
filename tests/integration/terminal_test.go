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
	needsRoot(t)
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
	return strings.ReplaceAll(term.screen.String(), "\r\n", "\n")
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
		// Standard input is no terminal here.
		{withTTY, withTTY.command("run", nil), []string{"process.terminal"}},
	} {
		r := refused.c.oci(refused.args...).exits(t, 1)
		if isBerth() {
			wantContains(t, "error", r.stderr, refused.says...)
		}
		refused.c.oci("state", refused.c.id).exits(t, 1)
	}
}

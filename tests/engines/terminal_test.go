package engines

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/daemon"
)

// terminal is a client that runs on a pseudo-terminal, as under a user's hands.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	lock   sync.Mutex
	seen   bytes.Buffer
}

// onTerminal starts the client on a terminal of 33 rows and 111 columns.
func (e *engine) onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	return newTerminal(t, true, append(append([]string{}, e.prefix...), args...)...)
}

// newTerminal starts a program on a terminal, which controls it (so that the kernel tells it of a new size) or not.
func newTerminal(t *testing.T, controls bool, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	x := &terminal{t: t, cmd: exec.Command(args[0], args[1:]...), master: master}
	x.resize(33, 111)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = slave, slave, slave
	x.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: controls}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Stop(t, x.cmd); master.Close() })
	go x.read()
	return x
}

func (x *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := x.master.Read(buffer)
		x.lock.Lock()
		x.seen.Write(buffer[:n])
		x.lock.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *terminal) text() string {
	x.lock.Lock()
	defer x.lock.Unlock()
	return x.seen.String()
}

// resize changes the terminal's size, which the kernel tells the client.
func (x *terminal) resize(rows, columns uint16) {
	x.t.Helper()
	if err := unix.IoctlSetWinsize(int(x.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		x.t.Fatal(err)
	}
}

// enter types a text.
func (x *terminal) enter(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// sees waits until a text has come.
func (x *terminal) sees(text string) {
	x.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(x.text(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("%q does not come on the terminal; there is %q", text, x.text())
		}
	}
}

// ends waits for the client's end.
func (x *terminal) ends(code int) {
	x.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- x.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		x.t.Fatalf("%s does not end; its terminal has %q", x.cmd, x.text())
	}
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.t.Errorf("exit code %d, want %d; the terminal has %q", got, code, x.text())
	}
}

// waitForSize asks the shell on a terminal for its size until it is the new one.
func waitForSize(t *testing.T, x *terminal) {
	t.Helper()
	waitFor(t, "the new size", 20*time.Second, func() bool {
		x.enter("stty size\n")
		return strings.Contains(x.text(), "44 122")
	})
}

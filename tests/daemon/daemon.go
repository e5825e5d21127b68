// Package daemon runs the daemons that a test needs beside the runtime, and ends them with it.
package daemon

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Start starts a program that writes to the end of a log file, and that is asked to end where the test's process is
// killed. The kernel takes the end of the thread for that (PR_SET_PDEATHSIG), and Go ends none but locked ones.
func Start(t testing.TB, log string, args ...string) *exec.Cmd {
	t.Helper()
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// Stop asks a process to end and insists after half a minute, which is an error.
func Stop(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if cmd.ProcessState != nil {
		return // it was ended before
	}
	_ = cmd.Process.Signal(unix.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Errorf("%s does not end at SIGTERM", strings.Join(cmd.Args, " "))
		_ = cmd.Process.Kill()
		<-ended
	}
}

// ShowEnd shows the end of a log where the test has failed.
func ShowEnd(t testing.TB, log string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Log(err)
	}
	t.Logf("%s ends:\n%s", log, text[max(0, len(text)-6000):])
}

// WaitFor polls until done, or ends the test.
func WaitFor(t testing.TB, what string, limit, every time.Duration, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(every) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

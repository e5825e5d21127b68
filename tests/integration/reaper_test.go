package integration

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// The exit code that orphanExit gives is that of the process there is, not of an earlier one with the same pid.
func TestOrphanExitOfReusedPid(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "infinity")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	children.mutex.Lock()
	children.exits[pid] = 1 // of an earlier one
	children.mutex.Unlock()
	children.forgetFormer(pid)
	sendSignal(t, pid, unix.SIGTERM)
	want(t, "exit code", orphanExit(t, pid), 128+int(unix.SIGTERM))
}

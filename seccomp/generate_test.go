//go:build !libseccomp && !ownseccomp

package seccomp

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/seccomp/packed"
)

// children counts the processes that this one has to wait for.
func children(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err) // else the thread has ended
		}
		count += len(strings.Fields(string(text)))
	}
	return count
}

// The program is libseccomp's, and nothing stays open or running.
func TestGenerator(t *testing.T) {
	p := workload(t, "docker-run.json")
	before := openDescriptors(t)
	program, err := Compile(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := compileOwn(p)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(program.Filter, own.Filter) {
		t.Error("the program is berth's own")
	}
	if program.Flags != own.Flags || program.Notify != own.Notify {
		t.Errorf("flags %#x, notify %v; want %#x, %v", program.Flags, program.Notify, own.Flags, own.Notify)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	if n := children(t); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// A generator that is not done in time is ended, and the message says what to do.
func TestGeneratorDeadline(t *testing.T) {
	before := openDescriptors(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := ask(ctx, NewKey(workload(t, "docker-run.json"), ""))
	if err == nil || !strings.Contains(err.Error(), "no program within 30s: use fewer entries with args, or a berth that is built with SECCOMP=berth") {
		t.Errorf("%v", err)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	if n := children(t); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// What a generator says when it fails is in the message.
func TestGeneratorFails(t *testing.T) {
	_, err := ask(t.Context(), Key("nonsense"))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "the request is another berth's") {
		t.Errorf("%v", err)
	}
}

// The generator is one static file, small enough to be part of berth.
func TestGeneratorIsSmall(t *testing.T) {
	size, err := packed.Size(generatorPacked)
	if err != nil {
		t.Fatal(err)
	}
	program := make([]byte, size)
	if err := packed.Unpack(generatorPacked, program); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, packed %d; linked with libseccomp %s", len(program), len(generatorPacked), LibraryVersion())
	if n := len(generatorPacked); n > 3<<19 {
		t.Errorf("packed it has %d bytes", n)
	}
	file := t.TempDir() + "/generator"
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != LibraryVersion() {
		t.Errorf("--version: %q, %v; want %s", out, err, LibraryVersion())
	}
}

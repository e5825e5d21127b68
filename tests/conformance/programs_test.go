// Package conformance runs the OCI's validation programs (github.com/opencontainers/runtime-tools, a folder of
// validation/ each) on berth, and checks what berth prints against the JSON schemas of the runtime-spec.
//
// A program passes, or it stands in the list of exceptions with the sentence of the runtime-spec that shows the
// program to be wrong, and then must fail in just the way that is written there.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// programCount is how many folders validation/ has, so that none is lost unnoticed.
	programCount = 58
	// programTimeout bounds one program: the slowest waits three times ten seconds.
	programTimeout = 2 * time.Minute
)

// folder holds what suite.mk builds.
func folder(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the validation programs need root")
	}
	path, err := filepath.Abs("../../build/conformance")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "runtimetest")); err != nil {
		t.Fatalf("the programs are not built (make test-conformance does it): %v", err)
	}
	return path
}

// berth is the path of the runtime under test.
func berth(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/berth")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("build berth first (make): %v", err)
	}
	return path
}

// programs lists the names of all programs.
func programs(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(folder(t), "validation"))
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// outcome is what one run of a program came to.
type outcome struct {
	tapResult
	code   int
	output string
	// calls holds the runtime's commands that change a container, with their exit codes: "create 0".
	calls []string
	// log is what the runtime logged, and left the containers that the program did not delete.
	log  string
	left []string
}

// run runs a program with the runtime at path. It has a mount namespace of its own, as a config without one makes
// some runtimes mount on the host, and the runtime a root of its own.
func run(t *testing.T, program, path string) outcome {
	t.Helper()
	built := folder(t)
	// Users of a user namespace must be able to pass.
	dir, err := os.MkdirTemp("", "conf-")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "tmp"), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	runtime := wrapper(t, dir, path)
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(built, "validation", program))
	cmd.Dir = built
	cmd.Env = append(os.Environ(), "RUNTIME="+runtime, "TMPDIR="+filepath.Join(dir, "tmp"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Errorf("no end after %s", programTimeout)
	}
	o := outcome{
		tapResult: parseTAP(stdout.String()), code: cmd.ProcessState.ExitCode(),
		output: stdout.String() + stderr.String(), calls: lines(t, filepath.Join(dir, "calls")),
		log: strings.Join(lines(t, filepath.Join(dir, "log")), "\n"),
	}
	o.left = clean(t, runtime)
	return o
}

// wrapper writes a script that is the runtime with a root and log in dir, and notes its calls there.
func wrapper(t *testing.T, dir, path string) string {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\n%s --root %s/root --log %s/log --log-format json \"$@\"\ncode=$?\n"+
		"case $1 in create|start|kill|delete) echo \"$1 $code\" >>%s/calls ;; esac\nexit $code\n", path, dir, dir, dir)
	name := filepath.Join(dir, "runtime")
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// clean deletes the containers that are left, and says which.
func clean(t *testing.T, runtime string) []string {
	t.Helper()
	out, err := exec.Command(runtime, "list", "-q").Output()
	if err != nil {
		t.Errorf("list: %v", err)
	}
	left := strings.Fields(string(out))
	for _, id := range left {
		if out, err := exec.Command(runtime, "delete", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("delete --force %s: %v: %s", id, err, out)
		}
	}
	return left
}

// lines reads a file that may be missing.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// failures is all that is wrong with a run; empty when the program passed.
func (o outcome) failures(program string) []string {
	found := slices.Clone(o.failed)
	if o.code != 0 {
		found = append(found, fmt.Sprintf("exit code %d", o.code))
	}
	silent, isSilent := silentPrograms()[program]
	switch {
	case !isSilent:
		if o.ok == 0 && len(o.failed) == 0 {
			found = append(found, "no test was printed")
		}
		return found
	case o.ok > 0 || len(o.failed) > 0:
		found = append(found, "a program that prints no test printed some: take it out of silentPrograms")
	}
	found = append(found, o.errors...)
	if !slices.Equal(o.calls, silent.calls) {
		found = append(found, fmt.Sprintf("the runtime was called to %q, not %q", o.calls, silent.calls))
	}
	if !strings.Contains(o.log, silent.says) {
		found = append(found, fmt.Sprintf("the runtime did not say %q", silent.says))
	}
	return found
}

// silentProgram is a program that prints no test when all is well; calls show that it did something.
type silentProgram struct {
	calls []string
	// says is what the runtime must have logged.
	says string
}

// silentPrograms are judged by what they print of errors, and by what the runtime was called to do.
func silentPrograms() map[string]silentProgram {
	all := []string{"create 0", "start 0", "delete 0"}
	return map[string]silentProgram{
		"hooks":          {calls: all},
		"poststart":      {calls: all},
		"poststop":       {calls: all},
		"poststop_fail":  {calls: all, says: "hooks.poststop[0]"},
		"prestart":       {calls: all},
		"poststart_fail": {calls: []string{"create 0", "start 0", "delete 0"}},
		"prestart_fail":  {calls: []string{"create 1", "delete 1"}, says: "hooks.prestart[0]"},
		// Its verdict is that create fails, and it deletes all the same.
		"process_rlimits_fail": {calls: []string{"create 1", "delete 0"}, says: "RLIMIT_TEST"},
	}
}

// TestPrograms runs each program that is not among the exceptions on this machine: it must pass.
func TestPrograms(t *testing.T) {
	names := programs(t)
	if len(names) != programCount {
		t.Errorf("%d programs, want %d", len(names), programCount)
	}
	for _, name := range names {
		if _, listed := exceptionHere(name); listed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			parallel(t, name)
			o := run(t, name, berth(t))
			failures := o.failures(name)
			for _, f := range failures {
				t.Error(f)
			}
			if len(failures) > 0 {
				t.Logf("the program printed:\n%s\nberth was called to %q and logged:\n%s", o.output, o.calls, o.log)
			} else if len(o.left) > 0 {
				t.Errorf("left behind: %q", o.left)
			}
		})
	}
}

// parallel lets programs run beside others, but for those that share a cgroup by name.
func parallel(t *testing.T, program string) {
	if !strings.HasPrefix(program, "linux_cgroups_") && !strings.HasPrefix(program, "delete_") {
		t.Parallel()
	}
}

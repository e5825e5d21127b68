package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// programs holds the sources of the C programs. They are compiled at each start of the bench: they are small, and the
// floor differs from bundle to bundle.
//
//go:embed programs/*.c
var programs embed.FS

// commandTimeout ends a command that hangs; nothing here takes a tenth of it.
const commandTimeout = 60 * time.Second

// cost is what a command, or several in a row, took.
type cost struct {
	wall time.Duration // from the fork to the wait
	cpu  time.Duration // user and system, of all descendants that were waited for
	rss  int64         // largest resident set of any of them, in KB
}

// plus is the cost of doing one after the other.
func (c cost) plus(d cost) cost {
	return cost{wall: c.wall + d.wall, cpu: c.cpu + d.cpu, rss: max(c.rss, d.rss)}
}

// compileC compiles one of the C programs, with more sources (name → text) in its include path.
func compileC(name, output string, more map[string]string) error {
	source, err := programs.ReadFile("programs/" + name)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(output), "compile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for file, text := range more {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, source, 0o600); err != nil {
		return err
	}
	// musl makes the smallest programs; the kernel's headers are glibc's neighbours.
	cc := "musl-gcc"
	if _, err := exec.LookPath(cc); err != nil {
		cc = "cc"
	}
	multiarch, _ := exec.Command("cc", "-print-multiarch").Output()
	cmd := exec.Command(cc, "-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
		"-D_GNU_SOURCE", "-idirafter", "/usr/include", "-idirafter", "/usr/include/"+strings.TrimSpace(string(multiarch)),
		"-o", output, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", name, err, firstError(string(out)))
	}
	return nil
}

// firstError is the line of a compiler's output that says most.
func firstError(output string) string {
	for line := range strings.Lines(output) {
		if _, text, ok := strings.Cut(line, "error: "); ok {
			return strings.TrimSpace(text)
		}
	}
	return strings.TrimSpace(output)
}

// stopwatch times commands with the C program of that name.
type stopwatch struct {
	path string
	env  []string
}

// time runs a command and returns what it took. A command that fails is an error, with what it wrote to its standard
// error.
func (w *stopwatch) time(argv ...string) (cost, error) { return w.timeMany(1, 1, argv...) }

// timeMany runs a command count times, jobs at a time; with a count above 1 each gets its number appended to its last
// argument.
func (w *stopwatch) timeMany(count, jobs int, argv ...string) (cost, error) {
	stderr, err := memoryFile("stderr")
	if err != nil {
		return cost{}, err
	}
	defer stderr.Close()
	result, out, err := os.Pipe()
	if err != nil {
		return cost{}, err
	}
	defer result.Close()
	timeout := commandTimeout + time.Duration(count)*time.Second/2
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.path, append([]string{"3", strconv.Itoa(count), strconv.Itoa(jobs)}, argv...)...)
	cmd.Env = w.env
	// A detached container keeps standard error open: it must be a file, not a pipe that is read to its end.
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{out}
	err = cmd.Run()
	out.Close()
	if ctx.Err() != nil {
		return cost{}, fmt.Errorf("%s: no end after %s\n%s", strings.Join(argv, " "), timeout, firstLines(stderr))
	}
	if err != nil {
		return cost{}, fmt.Errorf("stopwatch: %w: %s", err, firstLines(stderr))
	}
	text, err := io.ReadAll(result)
	if err != nil {
		return cost{}, err
	}
	c, status, err := parseCost(string(text))
	if err == nil && status != 0 {
		err = &failedCommand{argv, status, firstLines(stderr)}
	}
	return c, err
}

// parseCost reads the stopwatch's line.
func parseCost(line string) (c cost, status unix.WaitStatus, err error) {
	var wall, user, system int64
	var wait uint32
	if _, err := fmt.Sscanf(line, "%d %d %d %d %d\n", &wall, &user, &system, &c.rss, &wait); err != nil {
		return cost{}, 0, fmt.Errorf("stopwatch wrote %q: %w", line, err)
	}
	c.wall = time.Duration(wall)
	c.cpu = time.Duration(user+system) * time.Microsecond
	return c, unix.WaitStatus(wait), nil
}

// failedCommand is a measured command that did not succeed.
type failedCommand struct {
	argv   []string
	status unix.WaitStatus
	stderr string
}

func (e *failedCommand) Error() string {
	how := fmt.Sprintf("exit code %d", e.status.ExitStatus())
	if e.status.Signaled() {
		how = "ended by " + unix.SignalName(e.status.Signal())
	}
	if e.stderr == "" {
		return fmt.Sprintf("%s: %s", strings.Join(e.argv, " "), how)
	}
	return fmt.Sprintf("%s (%s)", e.stderr, how)
}

// memoryFile makes an anonymous file.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// firstLines is the beginning of what was written to a file, in one line.
func firstLines(f *os.File) string {
	const most = 300
	text := make([]byte, most)
	n, err := f.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text[:n])), " ")
}

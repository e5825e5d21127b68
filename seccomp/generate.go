//go:build !libseccomp && !ownseccomp

package seccomp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/entry"
	"berth/memfd"
	"berth/seccomp/packed"
)

// generator names who writes the program in a Key.
const generator = "libseccomp"

// generatorPacked is the generator, which `make` builds, packs, and embeds by a
// file of its own (bin/embedded.go.in), so that `go vet` works before the first
// build. It is no constant, and no embed.FS, since package entry asks for all
// pages of the constants when berth starts.
var generatorPacked []byte

// enabled says whether this build can compile profiles.
const enabled = true

// deadline is how long the generator may take. Docker's profile takes it some 20
// ms; there are profiles that libseccomp would never be done with.
const deadline = 30 * time.Second

// compile has the generator compile the profile: a program of its own, linked
// with libseccomp, that runs only where no program is cached. So no other command
// pays for a C library (docs/decisions/018-generator.md).
func compile(p *specs.LinuxSeccomp) (*Program, error) {
	if generatorPacked == nil {
		return nil, errors.New("linux.seccomp: this berth was built without its seccomp generator: build it with make")
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	reply, err := ask(ctx, NewKey(p, ""))
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: libseccomp %s: %w", LibraryVersion(), err)
	}
	if reply.problem != "" {
		return nil, errors.New(reply.problem)
	}
	return reply.program, nil
}

// ask runs the generator. Nothing of it is left when this returns, nor when this
// process is killed.
func ask(ctx context.Context, request Key) (*reply, error) {
	program, err := unpack()
	if err != nil {
		return nil, err
	}
	defer unix.Close(program)
	in, err := memfd.Sealed("berth-seccomp-in", request)
	if err != nil {
		return nil, err
	}
	stdin := os.NewFile(uintptr(in), "berth-seccomp-in")
	defer stdin.Close()
	stdout, err := memory("berth-seccomp-out")
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := memory("berth-seccomp-err")
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/fd/"+strconv.Itoa(program))
	cmd.Args = []string{"berth-seccomp"}
	cmd.Env = []string{"GOGC=off", "GOMAXPROCS=1"} // it is short
	// Files and no pipes: those would need goroutines, that wait for Go's monitor while this one waits for the process.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	// A terminal's Ctrl-C is for who waits for the program, in a group of processes of its own it does not get it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	runtime.LockOSThread() // the signal comes when the thread ends that forked
	defer runtime.UnlockOSThread()
	entry.RestoreTimerSlack()
	if err := cmd.Run(); err != nil {
		return nil, failure(ctx, err, stderr)
	}
	out, err := content(stdout)
	if err != nil {
		return nil, err
	}
	return decodeReply(out)
}

// memory makes a file in memory for what the generator writes.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// content reads a file of memory from its beginning.
func content(file *os.File) ([]byte, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// failure tells why the generator gave no reply.
func failure(ctx context.Context, err error, stderr *os.File) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no program within %v: use fewer entries with args, or a berth that is built with SECCOMP=berth", deadline)
	}
	if said, readErr := content(stderr); readErr == nil && len(said) > 0 {
		line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		err = fmt.Errorf("%w (%s)", err, line)
	}
	return fmt.Errorf("its process failed: %w: report it, and use a berth that is built with SECCOMP=berth until then", err)
}

// LibraryVersion gives the version of the libseccomp that the generator is
// linked with, "2.5.4"; "" in a berth that was built without one.
func LibraryVersion() string {
	version, err := packed.Version(generatorPacked)
	if err != nil {
		return ""
	}
	return version
}

// unpack returns a sealed memfd with the generator in it.
func unpack() (int, error) {
	return memfd.Program("berth-seccomp", func(fd int) error {
		size, err := packed.Size(generatorPacked)
		if err == nil {
			err = unix.Ftruncate(fd, int64(size))
		}
		if err != nil {
			return err
		}
		// Straight into the file: memory in between would cost as much again.
		program, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return fmt.Errorf("mmap: %w", err)
		}
		return errors.Join(packed.Unpack(generatorPacked, program), unix.Munmap(program)) // sealed when it is mapped no more
	})
}

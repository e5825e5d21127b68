package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// commandTimeout ends any one call of the runtime; nothing here takes a tenth of it.
const commandTimeout = 60 * time.Second

// result is the outcome of one call of the runtime.
type result struct {
	args           []string
	stdout, stderr string
	code           int // exit code; 128 + N when a signal ended it, as a shell has it
}

// call is a call of the runtime that is about to be made.
type call struct {
	program    string // another than the runtime under test
	stdin      io.Reader
	stdout     *os.File // in place of collecting what goes to stdout and stderr, a terminal for one
	dir        string   // working directory; "" for the tests' own
	env        []string // beside the tests' own environment
	extraFiles []*os.File
	attr       *syscall.SysProcAttr
	without    int // a capability (unix.CAP_…) that the runtime is not to have; 0 for none
	noSyscall  int // a system call (unix.SYS_…) that the kernel is too old for; 0 for none
}

// oci runs the runtime with args and collects what it prints. A runtime that hangs fails the test with a list of the
// processes that were there.
func oci(t *testing.T, args ...string) result {
	t.Helper()
	return call{}.run(t, args...)
}

func (c call) run(t *testing.T, args ...string) result {
	t.Helper()
	p := c.start(t, args...)
	r := p.wait(t)
	// Nobody reads more of them; at the test's end it may be thousands.
	p.stdout.Close()
	p.stderr.Close()
	return r
}

// running is a call of the runtime under way. Its output goes to files without a name, not to pipes: a detached
// container keeps them open for as long as it lives, and what it writes later can still be read.
type running struct {
	cmd            *exec.Cmd
	args           []string
	stdout, stderr *os.File
	ctx            context.Context
	cancel         context.CancelFunc
}

func (c call) start(t *testing.T, args ...string) *running {
	t.Helper()
	p := &running{args: args, stdout: memoryFile(t, "stdout"), stderr: memoryFile(t, "stderr")}
	p.ctx, p.cancel = context.WithTimeout(context.Background(), commandTimeout)
	p.cmd = exec.CommandContext(p.ctx, cmp.Or(c.program, host.runtime), args...)
	p.cmd.Stdin, p.cmd.Dir, p.cmd.ExtraFiles = c.stdin, c.dir, c.extraFiles
	p.cmd.SysProcAttr = c.attr
	p.cmd.Env = append(os.Environ(), c.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if c.stdout != nil {
		p.cmd.Stdout, p.cmd.Stderr = c.stdout, c.stdout
	}
	start := func() error { return children.start(p.cmd) }
	if c.without != 0 {
		start = func() error { return startWithout(c.without, p.cmd) }
	}
	if c.noSyscall != 0 {
		start = func() error { return startOnOldKernel(c.noSyscall, p.cmd) }
	}
	if err := start(); err != nil {
		t.Fatalf("%s: %v", host.runtime, err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil { // the test ended before it came to wait
			_ = p.cmd.Process.Kill()
			p.wait(t)
		}
	})
	return p
}

// startWithout starts cmd from a thread that gave up a capability, which then ends. (CAP_CHOWN, which is 0, cannot be
// asked for.)
func startWithout(capability int, cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that no other goroutine meets this thread
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil {
			started <- fmt.Errorf("drop capability %d: %w", capability, err)
			return
		}
		started <- children.start(cmd)
	}()
	return <-started
}

// startOnOldKernel starts cmd from a thread to which a system call is ENOSYS, as it is on a kernel that lacks it.
func startOnOldKernel(syscall int, cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that no other goroutine meets this thread
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(syscall), Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
			started <- fmt.Errorf("seccomp: %w", err)
			return
		}
		started <- children.start(cmd)
	}()
	return <-started
}

// memoryFile makes an anonymous file that goes away with the test. What is written to it goes to its end (O_APPEND):
// the kernel locks the place of those who share an ordinary file, not that of a memfd, where two processes that write at
// once would write over each other.
func memoryFile(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatalf("memfd_create: %v", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
		t.Fatalf("O_APPEND for a memfd: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// contents reads what was written to a file so far, without moving the place that its writers are at.
func contents(t *testing.T, f *os.File) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		t.Fatalf("read %s: %v", f.Name(), err)
	}
	return string(text)
}

func (p *running) wait(t *testing.T) result {
	t.Helper()
	err := p.cmd.Wait()
	children.ended(p.cmd)
	if p.ctx.Err() != nil {
		var list []string
		for _, d := range descendants() {
			list = append(list, d.String())
		}
		t.Errorf("%s %s: no end after %s; processes: %s",
			host.name, strings.Join(p.args, " "), commandTimeout, strings.Join(list, ", "))
	}
	p.cancel()
	if err != nil && p.cmd.ProcessState == nil {
		t.Fatalf("%s: %v", host.runtime, err)
	}
	return result{
		args: p.args, code: exitCode(p.cmd.ProcessState),
		stdout: contents(t, p.stdout), stderr: contents(t, p.stderr),
	}
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// ok fails the test at once unless the call succeeded; it returns the result, so that calls chain.
func (r result) ok(t *testing.T) result {
	t.Helper()
	return r.exits(t, 0)
}

// exits fails the test at once unless the call had that exit code.
func (r result) exits(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s %s: exit code %d, want %d\nstdout: %s\nstderr: %s",
			host.name, strings.Join(r.args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

// children knows the processes that the tests started themselves, so that the reaper leaves those to their waiters.
var children = childSet{cmds: map[int]bool{}, exits: map[int]int{}}

type childSet struct {
	mutex sync.Mutex
	cmds  map[int]bool
	exits map[int]int // of reaped orphans: pid → exit code
}

func (s *childSet) start(cmd *exec.Cmd) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmds[cmd.Process.Pid] = true
	return nil
}

func (s *childSet) ended(cmd *exec.Cmd) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.cmds, cmd.Process.Pid)
}

// outputOf runs a program other than the runtime (mount, umoci, …) and gives what it printed.
func outputOf(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := children.start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	children.ended(cmd)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// runProgram is outputOf for a test that cannot go on without it.
func runProgram(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := outputOf(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reap waits for orphans that ended, as the shim of an engine does, and keeps their exit codes.
func (s *childSet) reap() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for {
		pid := endedChild()
		if pid == 0 {
			return
		}
		if s.cmds[pid] {
			break // an orphan may stand behind it
		}
		s.reapOrphan(pid)
	}
	for _, p := range descendants() {
		if p.state == 'Z' && p.ppid == os.Getpid() && !s.cmds[p.pid] {
			s.reapOrphan(p.pid)
		}
	}
}

// endedChild gives a child that has ended and was not waited for, 0 for none. To ask the kernel for one is a tenth of the
// work of looking through all of /proc, which the suite would else spend more time with than with the runtime under test.
func endedChild() int {
	info := siginfo{}
	err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err != nil { // ECHILD
		return 0
	}
	return int(info.pid)
}

// siginfo is siginfo_t as sigaction(2) has it for SIGCHLD, on 64-bit processors.
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	_                     [108]byte
}

func (s *childSet) reapOrphan(orphan int) {
	var status unix.WaitStatus
	if pid, err := unix.Wait4(orphan, &status, unix.WNOHANG, nil); err != nil || pid != orphan {
		return
	}
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	s.exits[orphan] = code
}

// forgetFormer drops the exit code of an earlier process with that pid: as long as the pid is there, a zombie too, what
// is kept is not its own. The suite makes more processes than the kernel has pids (pid_max is 32,768 by default).
func (s *childSet) forgetFormer(pid int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if unix.Kill(pid, 0) == nil {
		delete(s.exits, pid)
	}
}

// startReaper reaps orphans, whenever the kernel tells of a child that ended, until the returned function is called.
func startReaper() func() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
			case <-time.After(200 * time.Millisecond):
				// A child that was skipped as a command of the tests may have been an orphan with a reused pid.
			}
			children.reap()
		}
	})
	return func() { signal.Stop(signals); close(done); ended.Wait() }
}

// orphanExit waits for the container's process pid, which a detached runtime left to this process, and gives its
// exit code.
func orphanExit(t *testing.T, pid int) int {
	t.Helper()
	children.forgetFormer(pid)
	deadline := time.Now().Add(commandTimeout)
	for time.Now().Before(deadline) {
		children.mutex.Lock()
		code, ok := children.exits[pid]
		children.mutex.Unlock()
		if ok {
			return code
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("process %d has not ended after %s", pid, commandTimeout)
	return -1
}

// sendSignal signals a process and fails the test when it cannot.
func sendSignal(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Fatalf("kill %d with %v: %v", pid, sig, err)
	}
}

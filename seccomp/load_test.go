//go:build amd64

package seccomp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tests here put programs on a process: the test binary again, told what to
// do by this variable.
const childVariable = "BERTH_SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(childVariable); job != "" {
		runtime.LockOSThread() // the filter is on this thread alone
		if err := child(job); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runChild(t *testing.T, job string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"="+job)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

func child(job string) error {
	name, path, _ := strings.Cut(job, " ")
	if name == "notify" {
		return notifyChild(path)
	}
	return workloadChild(path)
}

// load does what the executor does.
func load(program *Program) (fd int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	code := decode(program.Filter)
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(program.Filter)))}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(program.Flags), uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return -1, fmt.Errorf("seccomp: %w", errno)
	}
	return int(r), nil
}

type workloadCall struct {
	name       string
	nr, a0, a1 uintptr
	want       unix.Errno
}

// workloadChild loads an engine's profile and makes system calls.
func workloadChild(file string) error {
	var t testing.T
	program, err := Compile(workload(&t, file), nil)
	if err != nil {
		return err
	}
	if _, err := load(program); err != nil {
		return err
	}
	denied := unix.EPERM
	for _, c := range []workloadCall{
		{"getppid", unix.SYS_GETPPID, 0, 0, 0},
		{"personality(0xffffffff)", unix.SYS_PERSONALITY, 0xffffffff, 0, 0},
		{"personality(0x1234)", unix.SYS_PERSONALITY, 0x1234, 0, denied},
		{"clone(CLONE_NEWUSER)", unix.SYS_CLONE, unix.CLONE_NEWUSER | unix.CLONE_FS | unix.CLONE_THREAD, 0, denied},
		{"clone3", unix.SYS_CLONE3, 0, 0, unix.ENOSYS},
		{"kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, denied},
		{"a new call", 1000, 0, 0, unix.ENOSYS},
	} {
		if file == "podman-run.json" && (c.name == "clone3" || c.name == "clone(CLONE_NEWUSER)" || strings.HasPrefix(c.name, "personality(0x1")) {
			continue // this profile has other words about them
		}
		_, _, errno := unix.RawSyscall(c.nr, c.a0, c.a1, 0)
		if errno != c.want {
			return fmt.Errorf("%s: %s: got %v, want %v", file, c.name, errno, c.want)
		}
	}
	fmt.Println("done")
	return nil
}

func TestKernelLoadsWorkloads(t *testing.T) {
	for _, file := range []string{"docker-run.json", "podman-run.json"} {
		if out := runChild(t, "workload "+file); out != "done\n" {
			t.Errorf("%s: %s", file, out)
		}
	}
}

// notifyChild asks for a notification of getppid and sends the descriptor to
// the agent, then has getppid answered.
func notifyChild(socket string) error {
	program, err := Compile(&specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, ListenerPath: socket, ListenerMetadata: "m",
		Flags:    []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_LOG"},
		Syscalls: []specs.LinuxSyscall{{Names: []string{"getppid"}, Action: specs.ActNotify}},
	}, nil)
	if err != nil {
		return err
	}
	if !program.Notify {
		return errors.New("the program does not say that it notifies")
	}
	fd, err := load(program)
	if err != nil {
		return err
	}
	if err := SendNotifyFD(socket, fd, testState("m")); err != nil {
		return err
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	r, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	fmt.Println(r, errno)
	return nil
}

// TestNotify is the agent of notifyChild: it says that getppid returns 12345.
func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	l := agent(t, socket)
	answered := make(chan error, 1)
	go func() { answered <- answer12345(l) }()
	if out := runChild(t, "notify "+socket); out != "12345 errno 0\n" {
		t.Errorf("the child says %q", out)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func answer12345(l *net.UnixListener) error {
	r := receive(l)
	if r.err != nil || len(r.fds) != 1 {
		return fmt.Errorf("%d descriptors: %v", len(r.fds), r.err)
	}
	defer unix.Close(r.fds[0])
	// struct seccomp_notif and seccomp_notif_resp, linux/seccomp.h.
	var request struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fds[0]), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("receive: %w", errno)
	}
	response := struct {
		id    uint64
		value int64
		error int32
		flags uint32
	}{id: request.id, value: 12345}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fds[0]), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&response))); errno != 0 {
		return fmt.Errorf("send: %w", errno)
	}
	if request.nr != unix.SYS_GETPPID {
		return fmt.Errorf("notified of call %d", request.nr)
	}
	return nil
}

package memfd

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// unchangeable wants that what a descriptor leads to cannot be written, by it or anew, and can be read.
func unchangeable(t *testing.T, fd int, want string) {
	t.Helper()
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.Write(fd, []byte("x")); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v, want EPERM", err)
	}
	if err := unix.Ftruncate(fd, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncate: %v, want EPERM", err)
	}
	if _, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EPERM) {
		t.Errorf("mapped for writing: %v, want EPERM", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("a seal more: %v, want EPERM", err)
	}
	text, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || string(text) != want {
		t.Errorf("it holds %q (%v), want %q", text, err, want)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x (%v): not closed by execve", flags, err)
	}
}

func TestSealed(t *testing.T) {
	fd, err := Sealed("berth-test", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := unix.Seek(fd, 0, 1); err != nil || at != 0 {
		t.Errorf("it is at %d (%v), not at its beginning", at, err)
	}
	unchangeable(t, fd, "text")
}

func TestProgram(t *testing.T) {
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Program("berth-test", func(fd int) error { return Write(fd, program) })
	if err != nil {
		t.Fatal(err)
	}
	unchangeable(t, fd, string(program))
	if err := exec.Command("/proc/self/fd/" + strconv.Itoa(fd)).Run(); err != nil {
		t.Error(err)
	}
}

// A file that cannot be written is not left open.
func TestWriteFails(t *testing.T) {
	failed := errors.New("no")
	var opened int
	fd, err := Program("berth-test", func(fd int) error { opened = fd; return failed })
	if fd != -1 || !errors.Is(err, failed) {
		t.Errorf("%d, %v", fd, err)
	}
	if _, err := unix.FcntlInt(uintptr(opened), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("descriptor %d: %v, want EBADF", opened, err)
	}
}

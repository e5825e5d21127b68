package nsenter

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// bin holds the executor that `make` builds, beside a placeholder that lets
// `go vet` work before the first build.
//
//go:embed bin
var bin embed.FS

// memfdExec is MFD_EXEC (Linux 6.3): with the sysctl vm.memfd_noexec a memfd
// cannot be executed without it. Older kernels answer EINVAL.
const memfdExec = 0x10

// The seals of what the executor gets: nobody can change it, not even root in
// the container that finds it under /proc/PID/exe (CVE-2019-5736).
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// executable returns a sealed memfd with the executor in it.
func executable() (int, error) {
	program, err := bin.Open("bin/executor")
	if errors.Is(err, fs.ErrNotExist) {
		return -1, errors.New("this berth was built without its executor: build it with make")
	}
	if err != nil {
		return -1, fmt.Errorf("read the executor: %w", err)
	}
	defer program.Close()
	return sealed("berth-executor", memfdExec, func(fd int) error { return copyTo(fd, program) })
}

// sealed returns a memfd that holds what write writes and can never be changed.
func sealed(name string, flags int, write func(fd int) error) (int, error) {
	base := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, base|flags)
	if errors.Is(err, unix.EINVAL) && flags != 0 {
		fd, err = unix.MemfdCreate(name, base)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create %s: %w", name, err)
	}
	if err = write(fd); err == nil {
		if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			err = fmt.Errorf("seal: %w", err)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", name, err)
	}
	return fd, nil
}

// chunkSize is how much is copied at a time: memory that is new to the process costs as much as the copying.
const chunkSize = 8 << 10

func copyTo(fd int, r io.Reader) error {
	chunk := make([]byte, chunkSize)
	for {
		n, err := r.Read(chunk)
		if writeErr := writeAll(fd, chunk[:n]); writeErr != nil {
			return writeErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		data = data[n:]
	}
	return nil
}

// Sealed returns a sealed memfd with data, for what goes to the executor
// after its plan.
func Sealed(name string, data []byte) (int, error) {
	return sealed(name, 0, func(fd int) error { return writeAll(fd, data) })
}

// Package memfd makes files in memory that nobody can change any more (memfd_create(2), F_ADD_SEALS of fcntl(2)).
package memfd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// execFlag is MFD_EXEC (Linux 6.3): with the sysctl vm.memfd_noexec a memfd
// cannot be executed without it. Older kernels answer EINVAL.
const execFlag = 0x10

// seals keep a file as it is for everybody, root in a container too, who finds a
// program under /proc/PID/exe (CVE-2019-5736).
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Sealed returns a descriptor, closed by execve(2), of a file that holds data
// and can never be changed. It is at its beginning, for who inherits it as standard
// input. name is for /proc/PID/fd. The caller closes it.
func Sealed(name string, data []byte) (int, error) {
	return sealed(name, 0, func(fd int) error {
		return writeAll(data, func(rest []byte) (int, error) { return unix.Pwrite(fd, rest, int64(len(data)-len(rest))) })
	})
}

// Program is like Sealed, of a program that write writes to the descriptor that
// it is given; it can be executed as /proc/self/fd/N.
func Program(name string, write func(fd int) error) (int, error) {
	return sealed(name, execFlag, write)
}

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

// Write writes all of data, where the descriptor is at.
func Write(fd int, data []byte) error {
	return writeAll(data, func(rest []byte) (int, error) { return unix.Write(fd, rest) })
}

func writeAll(data []byte, write func(rest []byte) (int, error)) error {
	for len(data) > 0 {
		n, err := write(data)
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

package fs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// beneath is how folders named by configuration are opened: nothing in the
// path may lead out of the hierarchy's own mount.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// interrupted repeats a call while a signal interrupts it. Go's own preemption
// signals do interrupt writes to memory.limit_in_bytes and memory.max, so the
// number of tries is bounded only against a kernel that never gets done.
func interrupted(call func() error) error {
	for range 1000 {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
	return unix.EINTR
}

// openRoot opens a hierarchy's mount point, as a place to resolve from.
func openRoot(mountpoint string) (int, error) {
	fd := -1
	err := interrupted(func() (err error) {
		fd, err = unix.Open(mountpoint, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// openFolder opens a cgroup's folder by its path relative to dir.
func openFolder(dir int, path string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: beneath}
	fd := -1
	err := interrupted(func() (err error) {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	return fd, err
}

// openFile opens a control file of the folder dir.
func openFile(dir int, name string, flags int) (int, error) {
	fd := -1
	err := interrupted(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		return err
	})
	return fd, err
}

// readFile reads a control file whole into buf, which grows where it must.
func readFile(dir int, name string, buf []byte) ([]byte, error) {
	fd, err := openFile(dir, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readAll(fd, buf)
}

// readAll reads fd to its end into buf, which grows where it must.
func readAll(fd int, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		var n int
		err := interrupted(func() (err error) {
			n, err = unix.Read(fd, buf[len(buf):cap(buf)])
			return err
		})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

// writeFile writes value to a control file in one write(2), as the kernel
// demands; the error is the kernel's own.
func writeFile(dir int, name, value string) error {
	fd, err := openFile(dir, name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return write(fd, value)
}

// openedFile is a control file that is kept open for the next write to it. A list of
// device rules is many to one file, and opening it takes longer than writing.
type openedFile struct {
	dir  int
	name string // "" while none is open
	fd   int
}

// write writes to the file, the one that is open or another in its place.
func (o *openedFile) write(dir int, name, value string) error {
	if o.dir != dir || o.name != name {
		o.close()
		fd, err := openFile(dir, name, unix.O_WRONLY)
		if err != nil {
			return err
		}
		*o = openedFile{dir, name, fd}
	}
	return write(o.fd, value)
}

func (o *openedFile) close() {
	if o.name != "" {
		unix.Close(o.fd)
		o.name = ""
	}
}

// write writes a value in one write(2), which is what a control file takes.
func write(fd int, value string) error {
	b := []byte(value)
	return interrupted(func() error {
		n, err := unix.Write(fd, b)
		if err == nil && n < len(b) {
			return fmt.Errorf("the kernel took only %d of %d bytes", n, len(b))
		}
		return err
	})
}

// trim drops the newline that ends a control file.
func trim(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return string(b)
}

func absent(err error) bool { return errors.Is(err, unix.ENOENT) }

// denied tells whether the kernel refused for want of rights, which a caller
// that runs rootless may accept.
func denied(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

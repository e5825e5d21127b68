package nsenter

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cpuWords is the size of a mask for 8192 CPUs, the most that a kernel can be
// built for; x/sys stops at 1024.
const cpuWords = 8192 / 64

// onCPUs runs f on a thread that is bound to the CPUs in mask, which processes
// started by f inherit; sched_setaffinity(2).
func onCPUs(mask []uint64, f func() error) (err error) {
	if len(mask) == 0 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before [cpuWords]uint64
	n, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before)))
	if errno != 0 {
		return fmt.Errorf("sched_getaffinity: %w", errno)
	}
	_, _, errno = unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, 0, uintptr(8*len(mask)), uintptr(unsafe.Pointer(&mask[0])))
	if errno == unix.EINVAL {
		return fmt.Errorf("process.execCPUAffinity.initial: sched_setaffinity: %w: none of these CPUs is one that berth may use", errno)
	}
	if errno != 0 {
		return fmt.Errorf("process.execCPUAffinity.initial: sched_setaffinity: %w", errno)
	}
	defer func() {
		_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, 0, n, uintptr(unsafe.Pointer(&before)))
		if errno != 0 {
			err = errors.Join(err, fmt.Errorf("sched_setaffinity: %w", errno))
		}
	}()
	return f()
}

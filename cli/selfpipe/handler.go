//go:build amd64 || arm64

package selfpipe

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What handler reads, at any time and in any thread.
var (
	// pipeEnd is the end that it writes to.
	//lint:ignore U1000 assembly reads it
	pipeEnd int32
	// goHandler is Go's own handler, which faults of this process are left to.
	//lint:ignore U1000 assembly reads it
	goHandler uintptr
)

// action is the kernel's struct sigaction (rt_sigaction(2), linux/signal.h).
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// The flags that Go's own handlers have, and must: a handler runs on the stack
// that each of Go's threads has for it.
const (
	saSiginfo  = 0x4
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// handlerPC and restorerPC give the addresses of the two in handler_GOARCH.s.
// On arm64 the kernel has a restorer of its own.
func handlerPC() uintptr
func restorerPC() uintptr

func catch(write int) error {
	pipeEnd = int32(write)
	own := action{handler: handlerPC(), flags: saSiginfo | saOnstack | saRestart, mask: ^uint64(0)}
	if own.restorer = restorerPC(); own.restorer != 0 {
		own.flags |= saRestorer
	}
	var old action
	if err := sigaction(unix.SIGSEGV, nil, &old); err != nil {
		return err
	}
	goHandler = old.handler
	for s := unix.Signal(1); s <= lastSignal; s++ {
		if !caught(s) {
			continue
		}
		if err := sigaction(s, &own, nil); err != nil {
			return err
		}
	}
	return nil
}

func sigaction(s unix.Signal, set, old *action) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(old.mask), 0, 0)
	if errno != 0 {
		return fmt.Errorf("catch signal %d: %w", s, errno)
	}
	return nil
}

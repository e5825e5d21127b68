// Package bpf puts a device filter on a cgroup of the v2 hierarchy: it loads
// the eBPF program that cgroups/devices compiles, and attaches, replaces and
// detaches it.
//
// The programs are attached with BPF_F_ALLOW_MULTI, so that others (systemd's
// DeviceAllow=, those of a container's own children) can stand beside them; the
// kernel lets an access through only if every program along the path of the
// cgroup does. Ours are told apart by their name, [ProgramName], and no other
// is touched.
//
// bpf(2) is called directly. cilium/ebpf finds out at run time what the kernel
// knows of program names, BTF and the like, by loading things to see them fail:
// with a program of 82 instructions on kernel 6.18, loading and attaching took a
// fresh process 0.85 ms with it and 0.33 ms without (medians of 40), and berth
// always is a fresh process. What is needed here is certain from the oldest
// kernel served, 5.10.
//
// Sources: bpf(2), linux/bpf.h, the kernel's cgroup-v2.rst ("Device
// controller"). Needs CAP_BPF and CAP_NET_ADMIN in the initial user namespace
// (CAP_SYS_ADMIN stands for both, and is needed to replace a program, since
// BPF_PROG_GET_FD_BY_ID asks for it).
package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// ProgramName is what bpftool shows for the program of a container. The kernel
// takes 15 bytes.
const ProgramName = "berth_devices"

// The license decides which helpers a program may call; this one calls none.
const license = "Apache-2.0\x00"

// loadAttr is the part of union bpf_attr that BPF_PROG_LOAD needs.
type loadAttr struct {
	progType     uint32
	insnCnt      uint32
	insns        uint64 // address
	license      uint64 // address
	logLevel     uint32
	logSize      uint32
	logBuf       uint64 // address
	kernVersion  uint32
	progFlags    uint32
	progName     [unix.BPF_OBJ_NAME_LEN]byte
	progIfindex  uint32
	expectAttach uint32
}

// bpf makes the system call. attr must point to a part of union bpf_attr; what
// the kernel knows beyond its size is taken as zero.
func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			// The verifier was interrupted by a signal, such as those the Go
			// runtime sends itself to preempt a thread (kernel 5.0 and later).
			if command != unix.BPF_PROG_LOAD {
				return -1, errno
			}
		default:
			return -1, errno
		}
	}
}

// load loads an encoded program and returns its descriptor (close-on-exec, as
// the kernel makes all of them).
func load(code []byte) (int, error) {
	fd, err := loadOnce(code, nil)
	if errors.Is(err, unix.EPERM) {
		// Up to 5.10 the kernel charges programs to RLIMIT_MEMLOCK, and says
		// EPERM when that is spent.
		fd, err = loadUnlimited(code, err)
	}
	if err == nil {
		return fd, nil
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return -1, fmt.Errorf("load the device filter: bpf(BPF_PROG_LOAD): %w: it needs CAP_BPF and CAP_NET_ADMIN in the initial user namespace", err)
	case errors.Is(err, unix.ENOSYS):
		return -1, fmt.Errorf("load the device filter: bpf(2): %w: the kernel is built without CONFIG_BPF_SYSCALL", err)
	}
	// EINVAL means a kernel without CONFIG_CGROUP_BPF, or that the verifier
	// refuses the program; the log tells which.
	log := make([]byte, 64<<10)
	fd, again := loadOnce(code, log)
	if again == nil {
		return fd, nil
	}
	if text := lastLines(log); text != "" {
		return -1, fmt.Errorf("load the device filter: bpf(BPF_PROG_LOAD): %w: the kernel's verifier says: %s", err, text)
	}
	if errors.Is(err, unix.EINVAL) {
		return -1, fmt.Errorf("load the device filter: bpf(BPF_PROG_LOAD): %w: the kernel is built without CONFIG_CGROUP_BPF", err)
	}
	return -1, fmt.Errorf("load the device filter: bpf(BPF_PROG_LOAD): %w", err)
}

func loadOnce(code, log []byte) (int, error) {
	return loadNamed(code, log, ProgramName)
}

// loadNamed makes one attempt. With a log the verifier tells its reasons.
func loadNamed(code, log []byte, name string) (int, error) {
	// Addresses in attr are mere numbers to the garbage collector.
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := loadAttr{
		progType: unix.BPF_PROG_TYPE_CGROUP_DEVICE,
		insnCnt:  uint32(len(code) / asm.InstructionSize),
		insns:    pinned(&pin, unsafe.SliceData(code)),
		license:  uint64(uintptr(unsafe.Pointer(unsafe.StringData(license)))),
		// The kernel wants the attach type where a program type has several,
		// and takes it where it has one.
		expectAttach: unix.BPF_CGROUP_DEVICE,
	}
	copy(attr.progName[:], name)
	if len(log) > 0 {
		attr.logLevel, attr.logSize, attr.logBuf = 1, uint32(len(log)), pinned(&pin, unsafe.SliceData(log))
	}
	return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// pinned returns the address of what p points to, which stays where it is until
// the Pinner lets it go.
func pinned[T any](pin *runtime.Pinner, p *T) uint64 {
	pin.Pin(p)
	return uint64(uintptr(unsafe.Pointer(p)))
}

// loadUnlimited loads with RLIMIT_MEMLOCK out of the way, and puts it back: the
// container would inherit it. Where that cannot be, the first failure stands.
func loadUnlimited(code []byte, first error) (int, error) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &old); err != nil || old.Cur == unix.RLIM_INFINITY {
		return -1, first
	}
	all := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &all, nil); err != nil {
		return -1, first
	}
	fd, err := loadOnce(code, nil)
	if restore := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &old, nil); restore != nil {
		if err == nil {
			err = closeFD(fd)
		}
		return -1, errors.Join(fmt.Errorf("set RLIMIT_MEMLOCK back to %d: %w", old.Cur, restore), err)
	}
	return fd, err
}

func closeFD(fd int) error {
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("close the device filter: %w", err)
	}
	return nil
}

// lastLines gives the end of the verifier's log, where it says what is wrong.
func lastLines(log []byte) string {
	if n := bytes.IndexByte(log, 0); n >= 0 {
		log = log[:n]
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

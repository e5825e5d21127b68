//go:build libseccomp

package libseccomp

import (
	"errors"
	"fmt"
	"io"
	"os"

	library "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Filter is what Compile makes a program of.
type Filter struct {
	// Default is the return value (SECCOMP_RET_*) for a system call that no rule
	// holds for.
	Default uint32
	// Archs are names as the runtime-spec has them ("SCMP_ARCH_X86_64"). A system
	// call of any other architecture kills the thread.
	Archs []string
	Rules []Rule
	// Optimize is 1 for a list in the order of the rules' simplicity, or 2 for a
	// binary tree (SCMP_FLTATR_CTL_OPTIMIZE, seccomp_attr_set(3)).
	Optimize int
}

// Rule gives the system calls of Names a return value where all Conditions
// hold. One that returns Filter.Default says nothing and is passed over, as are
// names that libseccomp does not know.
type Rule struct {
	Entry      int // index in linux.seccomp.syscalls, for messages
	Names      []string
	Return     uint32 // SECCOMP_RET_*
	Conditions []Condition
}

// Condition compares an argument of a system call.
type Condition struct {
	Index           uint
	Op              uint8 // of enum scmp_compare (seccomp.h)
	Value, ValueTwo uint64
}

// Compile gives an array of struct sock_filter in this machine's byte order.
// There is no end to it for some profiles of which two rules with conditions
// name one system call (libseccomp 2.5.4). An error names the place in
// config.json.
func Compile(f *Filter) ([]byte, error) {
	filter, err := f.build()
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	program, err := export(filter)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: libseccomp %s makes no program of it: %w: compare with a berth that is built with SECCOMP=berth",
			Version(), err)
	}
	return program, nil
}

// build is ended by Release where there is no error.
func (f *Filter) build() (*library.ScmpFilter, error) {
	filter, err := library.NewFilter(action(f.Default))
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.defaultAction: libseccomp %s does not take %#x: %w", Version(), f.Default, err)
	}
	if err := f.fill(filter); err != nil {
		filter.Release()
		return nil, err
	}
	return filter, nil
}

func (f *Filter) fill(filter *library.ScmpFilter) error {
	// The executor sets no_new_privs, or has CAP_SYS_ADMIN.
	if err := filter.SetNoNewPrivsBit(false); err != nil {
		return fmt.Errorf("linux.seccomp: libseccomp %s: no_new_privs: %w", Version(), err)
	}
	if err := filter.SetOptimize(f.Optimize); err != nil {
		return fmt.Errorf("linux.seccomp: libseccomp %s does not take level %d of its optimizer: %w: use libseccomp 2.5 or newer",
			Version(), f.Optimize, err)
	}
	if err := f.architectures(filter); err != nil {
		return err
	}
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Return == f.Default {
			continue
		}
		for _, name := range r.Names {
			if err := r.add(filter, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// architectures replaces the native architecture, which a filter has from its
// start, by those that are asked for.
func (f *Filter) architectures(filter *library.ScmpFilter) error {
	here, err := library.GetNativeArch()
	if err != nil {
		return fmt.Errorf("linux.seccomp.architectures: libseccomp %s does not know this machine's: %w", Version(), err)
	}
	native := false
	for _, name := range f.Archs {
		a, err := archOf(name)
		if err == nil {
			err = filter.AddArch(a)
		}
		if err != nil {
			return fmt.Errorf("linux.seccomp.architectures: libseccomp %s does not take %s: %w", Version(), name, err)
		}
		native = native || a == here
	}
	if native {
		return nil
	}
	if err := filter.RemoveArch(library.ArchNative); err != nil {
		return fmt.Errorf("linux.seccomp.architectures: libseccomp %s does not leave this machine's out: %w", Version(), err)
	}
	return nil
}

// add adds the rule for one name. libseccomp wants the number that the name has
// on the native architecture, or the negative stand-in for it, and looks the
// name up for those of the filter.
func (r *Rule) add(filter *library.ScmpFilter, name string) error {
	native, err := library.GetSyscallFromName(name)
	switch {
	case errors.Is(err, library.ErrSyscallDoesNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("linux.seccomp.syscalls[%d].names: %s: %w", r.Entry, name, err)
	}
	conditions := make([]library.ScmpCondition, 0, len(r.Conditions))
	for _, c := range r.Conditions {
		conditions = append(conditions, library.ScmpCondition{
			Argument: c.Index, Op: library.ScmpCompareOp(c.Op), Operand1: c.Value, Operand2: c.ValueTwo,
		})
	}
	if len(conditions) == 0 {
		err = filter.AddRule(native, action(r.Return))
	} else {
		err = filter.AddRuleConditional(native, action(r.Return), conditions)
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("linux.seccomp.syscalls[%d]: %s has these args in an earlier entry already, with another action: remove one of them",
			r.Entry, name)
	case err != nil:
		return fmt.Errorf("linux.seccomp.syscalls[%d]: libseccomp %s does not take the rule for %s: %w", r.Entry, Version(), name, err)
	}
	return nil
}

// export writes the program to a memfd, which takes any length, where a pipe
// holds 64 KiB and then blocks. (libseccomp can export to memory since 2.6.)
func export(filter *library.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "seccomp")
	defer file.Close()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	const insnSize = 8 // struct sock_filter, linux/filter.h
	if size == 0 || size%insnSize != 0 {
		return nil, fmt.Errorf("%d bytes are not whole BPF instructions", size)
	}
	program := make([]byte, size)
	if _, err := file.ReadAt(program, 0); err != nil {
		return nil, err
	}
	return program, nil
}

// action gives libseccomp's constant for a return value.
func action(ret uint32) library.ScmpAction {
	data := int16(ret & unix.SECCOMP_RET_DATA)
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_KILL_PROCESS:
		return library.ActKillProcess
	case unix.SECCOMP_RET_KILL_THREAD:
		return library.ActKillThread
	case unix.SECCOMP_RET_TRAP:
		return library.ActTrap
	case unix.SECCOMP_RET_ERRNO:
		return library.ActErrno.SetReturnCode(data)
	case unix.SECCOMP_RET_USER_NOTIF:
		return library.ActNotify
	case unix.SECCOMP_RET_TRACE:
		return library.ActTrace.SetReturnCode(data)
	case unix.SECCOMP_RET_LOG:
		return library.ActLog
	case unix.SECCOMP_RET_ALLOW:
		return library.ActAllow
	}
	return library.ActInvalid
}

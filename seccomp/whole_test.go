//go:build cgo

package seccomp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// wholeProgram has libseccomp compile all of a profile, the way that needs no
// code of this package's beyond the words: the reference for Compile. It has no
// ENOSYS for newer calls.
func wholeProgram(t testing.TB, m machine, p *specs.LinuxSeccomp, level int) []insn {
	t.Helper()
	prof, _, problems := parse(p, m)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	filter, err := libseccomp.NewFilter(action(prof.defaultRet))
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Release()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(filter.SetNoNewPrivsBit(false))
	check(filter.SetOptimize(level))
	if !slices.Contains(prof.archs, archX86_64) {
		check(filter.RemoveArch(libseccomp.ArchNative))
	}
	for _, a := range prof.archs {
		la, err := a.library()
		check(err)
		check(filter.AddArch(la))
	}
	for i := range prof.rules {
		r := &prof.rules[i]
		if r.ret == prof.defaultRet {
			continue
		}
		for _, name := range r.names {
			if _, err := libseccomp.GetSyscallFromName(name); errors.Is(err, libseccomp.ErrSyscallDoesNotExist) {
				continue
			}
			check(addRule(filter, r, name))
		}
	}
	code, err := export(filter)
	check(err)
	return code
}

// addRule adds a rule for one name. libseccomp wants the number that the name
// has on its own architecture, or the negative stand-in for it, and looks the
// name up for the filter's.
func addRule(filter *libseccomp.ScmpFilter, r *rule, name string) error {
	native, err := libseccomp.GetSyscallFromName(name)
	if err != nil {
		return fmt.Errorf("linux.seccomp.syscalls[%d].names: %s: %w", r.entry, name, err)
	}
	conds := make([]libseccomp.ScmpCondition, 0, len(r.conds))
	for _, c := range r.conds {
		conds = append(conds, libseccomp.ScmpCondition{
			Argument: uint(c.index), Op: comparison(c.op), Operand1: c.value, Operand2: c.valueTwo,
		})
	}
	if len(conds) == 0 {
		err = filter.AddRule(native, action(r.ret))
	} else {
		err = filter.AddRuleConditional(native, action(r.ret), conds)
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("linux.seccomp.syscalls[%d]: %s has these args in an earlier entry already, with another action: remove one of them",
			r.entry, name)
	case err != nil:
		return fmt.Errorf("linux.seccomp.syscalls[%d]: libseccomp does not take the rule for %s: %w", r.entry, name, err)
	}
	return nil
}

// export writes the program to a memfd, which takes any length, where a pipe
// holds 64 KiB and then blocks. (libseccomp can export to memory since 2.6.)
func export(filter *libseccomp.ScmpFilter) ([]insn, error) {
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
	if size == 0 || size%insnSize != 0 {
		return nil, fmt.Errorf("%d bytes are not whole BPF instructions", size)
	}
	program := make([]byte, size)
	if _, err := file.ReadAt(program, 0); err != nil {
		return nil, err
	}
	return decode(program), nil
}

// action gives libseccomp's constant for a return value.
func action(ret uint32) libseccomp.ScmpAction {
	data := int16(ret & unix.SECCOMP_RET_DATA)
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_KILL_PROCESS:
		return libseccomp.ActKillProcess
	case unix.SECCOMP_RET_KILL_THREAD:
		return libseccomp.ActKillThread
	case unix.SECCOMP_RET_TRAP:
		return libseccomp.ActTrap
	case unix.SECCOMP_RET_ERRNO:
		return libseccomp.ActErrno.SetReturnCode(data)
	case unix.SECCOMP_RET_USER_NOTIF:
		return libseccomp.ActNotify
	case unix.SECCOMP_RET_TRACE:
		return libseccomp.ActTrace.SetReturnCode(data)
	case unix.SECCOMP_RET_LOG:
		return libseccomp.ActLog
	case unix.SECCOMP_RET_ALLOW:
		return libseccomp.ActAllow
	}
	return libseccomp.ActInvalid
}

func comparison(op operator) libseccomp.ScmpCompareOp {
	switch op {
	case opNotEqual:
		return libseccomp.CompareNotEqual
	case opLess:
		return libseccomp.CompareLess
	case opLessEqual:
		return libseccomp.CompareLessOrEqual
	case opEqual:
		return libseccomp.CompareEqual
	case opGreaterEqual:
		return libseccomp.CompareGreaterEqual
	case opGreater:
		return libseccomp.CompareGreater
	case opMaskedEqual:
		return libseccomp.CompareMaskedEqual
	}
	return libseccomp.CompareInvalid
}

func BenchmarkLibseccomp(b *testing.B) {
	p := workload(b, "docker-run.json")
	for _, level := range []int{1, 2} {
		b.Run(fmt.Sprintf("level %d", level), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(len(wholeProgram(b, thisMachine(), p, level))), "insns")
			}
		})
	}
}

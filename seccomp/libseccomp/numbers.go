//go:build libseccomp

package libseccomp

import (
	"errors"
	"fmt"
	"strings"

	library "github.com/seccomp/libseccomp-golang"
)

// Version gives the version of the libseccomp that this program is linked
// with, "2.5.4".
func Version() string {
	major, minor, micro := library.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

// Numbers finds the numbers of one architecture's system calls.
type Numbers struct {
	name string
	arch library.ScmpArch
}

// NumbersOf takes a name as the runtime-spec has it ("SCMP_ARCH_X86_64").
func NumbersOf(arch string) (Numbers, error) {
	a, err := archOf(arch)
	if err != nil {
		return Numbers{}, fmt.Errorf("linux.seccomp.architectures: %s: %w", arch, err)
	}
	return Numbers{arch, a}, nil
}

// Number gives the number of a system call; negative where the architecture has
// none of that name, and -1 (__NR_SCMP_ERROR) where no architecture has.
func (n Numbers) Number(call string) (int32, error) {
	number, err := library.GetSyscallFromNameByArch(call, n.arch)
	switch {
	case errors.Is(err, library.ErrSyscallDoesNotExist):
		return -1, nil
	case err != nil:
		return 0, fmt.Errorf("linux.seccomp.architectures: %s: %w", n.name, err)
	}
	return int32(number), nil
}

// Name gives the name of a number, "" where there is none.
func (n Numbers) Name(number int32) string {
	name, err := library.ScmpSyscall(number).GetNameByArch(n.arch)
	if err != nil {
		return ""
	}
	return name
}

// archOf gives libseccomp's constant, whose name is the specification's
// without SCMP_ARCH_.
func archOf(name string) (library.ScmpArch, error) {
	return library.GetArchFromString(strings.ToLower(strings.TrimPrefix(name, "SCMP_ARCH_")))
}

//go:build cgo

package seccomp

import (
	"fmt"
	"strings"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

// installedVersion is that of the libseccomp that these tests are linked with.
func installedVersion() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

// libraryLookup asks libseccomp for the numbers, as the tables are made.
type libraryLookup struct {
	name arch
	arch libseccomp.ScmpArch
}

func newLibraryLookup(a arch) (lookup, error) {
	la, err := a.library()
	if err != nil {
		return nil, err
	}
	return libraryLookup{a, la}, nil
}

func (l libraryLookup) number(name string) (int32, error) {
	nr, err := libseccomp.GetSyscallFromNameByArch(name, l.arch)
	switch {
	case err == libseccomp.ErrSyscallDoesNotExist:
		return unknownCall, nil
	case err != nil:
		return 0, fmt.Errorf("linux.seccomp.architectures: %s: %w", l.name, err)
	}
	return int32(nr), nil
}

func (l libraryLookup) callName(number int32) string {
	name, err := libseccomp.ScmpSyscall(number).GetNameByArch(l.arch)
	if err != nil {
		return ""
	}
	return name
}

// library gives libseccomp's constant, whose name is the specification's
// without SCMP_ARCH_.
func (a arch) library() (libseccomp.ScmpArch, error) {
	la, err := libseccomp.GetArchFromString(strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_")))
	if err != nil {
		return 0, fmt.Errorf("linux.seccomp.architectures: %s: %w", a, err)
	}
	return la, nil
}

//go:build cgo

package seccomp

import (
	"fmt"
	"strings"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

// haveLibrary says whether this build can compile profiles.
const haveLibrary = true

// LibraryVersion gives libseccomp's version, "2.5.4", or "" in a build without it.
func LibraryVersion() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

// unknownCall is __NR_SCMP_ERROR: no architecture has a call of that name.
const unknownCall = -1

// lookup finds the numbers of one architecture.
type lookup struct {
	name arch
	arch libseccomp.ScmpArch
}

func newLookup(a arch) (lookup, error) {
	la, err := a.library()
	return lookup{a, la}, err
}

// number gives the number of a system call; negative when the architecture has
// none, unknownCall when no architecture has it.
func (l lookup) number(name string) (int32, error) {
	nr, err := libseccomp.GetSyscallFromNameByArch(name, l.arch)
	switch {
	case err == libseccomp.ErrSyscallDoesNotExist:
		return unknownCall, nil
	case err != nil:
		return 0, fmt.Errorf("linux.seccomp.architectures: %s: %w: use a berth built with a newer libseccomp", l.name, err)
	}
	return int32(nr), nil
}

// callName gives the name of a number, "" when there is none.
func (l lookup) callName(nr int32) string {
	name, err := libseccomp.ScmpSyscall(nr).GetNameByArch(l.arch)
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
		return 0, fmt.Errorf("linux.seccomp.architectures: %s: %w: remove it, or use a berth built with a newer libseccomp", a, err)
	}
	return la, nil
}

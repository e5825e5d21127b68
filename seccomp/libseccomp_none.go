//go:build !cgo

package seccomp

import "errors"

const haveLibrary = false

// LibraryVersion gives libseccomp's version, "2.5.4", or "" in a build without it.
func LibraryVersion() string { return "" }

const unknownCall = -1

var errNoLibrary = errors.New("linux.seccomp: this berth was built without cgo and has no libseccomp to compile a profile with: " +
	"build it with CGO_ENABLED=1, or remove linux.seccomp")

type lookup struct{}

func newLookup(arch) (lookup, error) { return lookup{}, errNoLibrary }

func (lookup) number(string) (int32, error) { return 0, errNoLibrary }

func (lookup) callName(int32) string { return "" }

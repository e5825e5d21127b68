//go:build !cgo

package seccomp

// haveLibrary says whether this build can compile profiles.
const haveLibrary = len(syscallTable) > 0

// LibraryVersion gives the version of libseccomp that the numbers of system
// calls come from, "2.5.4"; "" in a build that has none.
func LibraryVersion() string { return tableVersion }

// numberSource tells builds apart whose numbers come from elsewhere.
const numberSource = "table"

func newLookup(a arch) (lookup, error) { return newTableLookup(a) }

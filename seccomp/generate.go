//go:build !libseccomp

package seccomp

// generator names who writes the program in a Key.
const generator = "berth"

// generate writes the program of a profile. berth is not linked with libseccomp:
// docs/decisions/005-no-c-library.md.
func generate(prof *profile, calls [][]call) ([]insn, error) { return ownProgram(prof, calls) }

func newLookup(a arch) (lookup, error) { return newTableLookup(a) }

// enabled says whether this build can compile profiles.
const enabled = haveTable

// LibraryVersion gives the version of libseccomp that the numbers of system
// calls come from, "2.5.4"; "" in a build that has none.
func LibraryVersion() string { return tableVersion }

//go:build ownseccomp && !libseccomp

package seccomp

import "github.com/opencontainers/runtime-spec/specs-go"

// generator names who writes the program in a Key.
const generator = "berth"

// compile writes the program itself: this is the build without libseccomp
// (SECCOMP=berth, docs/decisions/004-own-seccomp-programs.md).
func compile(p *specs.LinuxSeccomp) (*Program, error) {
	return compileFor(thisMachine(), newTableLookup, ownProgram, p)
}

// enabled says whether this build can compile profiles.
const enabled = haveTable

// LibraryVersion gives the version of libseccomp that the numbers of system
// calls come from, "2.5.4"; "" in a build that has none.
func LibraryVersion() string { return tableVersion }

package seccomp

import (
	"errors"
	"slices"
	"strings"
)

// lookup finds the numbers of one architecture's system calls.
type lookup interface {
	// Number gives the number of a system call; negative when the architecture
	// has none, unknownCall when no architecture has it.
	Number(name string) (int32, error)
	// Name gives the name of a number, "" when there is none.
	Name(number int32) string
}

const unknownCall = -1

// haveTable says whether there is a table for this processor.
const haveTable = len(syscallTable) > 0

// tableLookup finds numbers in the table that libseccomp wrote.
type tableLookup struct{ column int }

func newTableLookup(a arch) (lookup, error) {
	column := slices.Index(thisMachine(), a)
	if !haveTable || column < 0 {
		return nil, errors.New("linux.seccomp: this berth has no table of system calls for this processor: " +
			"make one (docs/decisions/005-no-c-library.md says how), or remove linux.seccomp")
	}
	return tableLookup{column}, nil
}

func (l tableLookup) Number(name string) (int32, error) {
	n, ok := slices.BinarySearchFunc(syscallTable[:], name, func(r tableRow, name string) int {
		return strings.Compare(r.name, name)
	})
	if !ok {
		return unknownCall, nil
	}
	return syscallTable[n].numbers[l.column], nil
}

func (l tableLookup) Name(number int32) string {
	for i := range syscallTable {
		if r := &syscallTable[i]; r.numbers[l.column] == number {
			return r.name
		}
	}
	return ""
}

// tableRow is one system call in the generated tables (numbers_GOARCH.go): its
// number on each architecture of the machine, in that order; -2 where there is
// none. Calls that socketcall(2) and ipc(2) carry have the numbers that they have
// beside.
type tableRow struct {
	name    string
	numbers [3]int32
}

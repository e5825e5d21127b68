//go:build libseccomp

package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"berth/seccomp/libseccomp"
)

// generator names who writes the program in a Key.
const generator = "libseccomp"

func compile(p *specs.LinuxSeccomp) (*Program, error) {
	return compileFor(thisMachine(), newLookup, generate, p)
}

func newLookup(a arch) (lookup, error) { return libseccomp.NumbersOf(string(a)) }

// enabled says whether this build can compile profiles.
const enabled = true

// LibraryVersion gives the version of the libseccomp that this build is linked
// with, "2.5.4".
func LibraryVersion() string { return libseccomp.Version() }

// optimize is libseccomp's binary tree: it takes a third longer to make than a
// list, once, and the kernel a third of the time to take, at each start.
const optimize = 2

// generate has libseccomp write the program of each architecture, since all of
// them at once take it nearly twice as long; and puts before them what libseccomp does
// not do: ENOSYS for newer system calls, and those that it gets wrong.
func generate(prof *profile, calls [][]call) ([]insn, error) {
	// A profile that contradicts itself is refused in the same words by each build.
	if _, _, err := layout(prof, calls); err != nil {
		return nil, err
	}
	var goOn []answer
	var programs [][]insn
	var wrong []map[string]bool
	for n, a := range prof.archs {
		wrong = append(wrong, libraryWrong(prof, calls[n]))
		program, err := libseccomp.Compile(libraryFilter(prof, optimize, []arch{a}, libraryNames(calls[n], wrong[n])))
		if err != nil {
			return nil, err
		}
		goOn = append(goOn, answer{args: true, ret: uint32(n)})
		programs = append(programs, decode(program))
	}
	groups, programs, err := layoutOf(prof, calls, goOn, programs, wrong)
	if err != nil {
		return nil, err
	}
	return assemble(groups, programs, wrongArch), nil
}

// libraryWrong names the system calls that libseccomp is not given for an
// architecture, since it would decide them otherwise than the profile says (see the
// package comment). What shares a number with such a one is one too.
func libraryWrong(prof *profile, calls []call) map[string]bool {
	wrong := map[string]bool{}
	for known := -1; known < len(wrong); {
		known = len(wrong)
		for same := range byNumber(calls) {
			isWrong := func(c call) bool { return wrong[c.name] }
			if libraryRight(prof, same) && !slices.ContainsFunc(same, isWrong) {
				continue
			}
			for _, c := range same {
				wrong[c.name] = true
			}
		}
	}
	return wrong
}

// libraryRight says whether libseccomp decides a number as the profile says:
// where at most one entry with args is about it, or all compare the same argument
// with one value each. For socketcall(2) and ipc(2) only where no entry with args is.
func libraryRight(prof *profile, same []call) bool {
	var first *condition
	entries, carried := 0, false
	for _, c := range same {
		r := &prof.rules[c.rule]
		carried = carried || c.member != (member{})
		if r.ret == prof.defaultRet || len(r.conds) == 0 {
			continue
		}
		entries++
		one := &r.conds[0]
		if first == nil {
			first = one
		}
		equal := len(r.conds) == 1 && one.op == opEqual && first.op == opEqual && one.index == first.index
		if entries > 1 && !equal {
			return false
		}
	}
	return entries == 0 || !carried
}

// libraryNames are the names that libseccomp is given for an architecture: those
// that have a number there and are not wrong. It keeps rules for the others too,
// and may compare them with each other for ever.
func libraryNames(calls []call, wrong map[string]bool) map[string]bool {
	names := make(map[string]bool, len(calls))
	for _, c := range calls {
		if !wrong[c.name] {
			names[c.name] = true
		}
	}
	return names
}

// libraryFilter says the part of a profile that is about some names (nil: all of
// it) for some architectures in libseccomp's words; level is of its optimizer.
func libraryFilter(prof *profile, level int, archs []arch, names map[string]bool) *libseccomp.Filter {
	f := &libseccomp.Filter{Default: prof.defaultRet, Optimize: level}
	for _, a := range archs {
		f.Archs = append(f.Archs, string(a))
	}
	for i := range prof.rules {
		r := &prof.rules[i]
		rule := libseccomp.Rule{Entry: r.entry, Return: r.ret}
		for _, name := range r.names {
			if names == nil || names[name] {
				rule.Names = append(rule.Names, name)
			}
		}
		for _, c := range r.conds {
			rule.Conditions = append(rule.Conditions, libseccomp.Condition{
				Index: uint(c.index), Op: uint8(c.op), Value: c.value, ValueTwo: c.valueTwo,
			})
		}
		f.Rules = append(f.Rules, rule)
	}
	return f
}

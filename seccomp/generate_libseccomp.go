//go:build libseccomp

package seccomp

import "berth/seccomp/libseccomp"

// generator names who writes the program in a Key.
const generator = "libseccomp"

// generate has libseccomp write the program, and puts before it what libseccomp
// does not do: ENOSYS for newer system calls.
func generate(prof *profile, calls [][]call) ([]insn, error) {
	// A profile that contradicts itself is refused in the same words by each build.
	if _, _, err := layout(prof, calls); err != nil {
		return nil, err
	}
	program, err := libseccomp.Compile(libraryFilter(prof, 1))
	if err != nil {
		return nil, err
	}
	goOn := answer{args: true} // to the first of programs
	tables := make(map[arch][]span, len(prof.archs))
	for n, a := range prof.archs {
		t := table{prof: prof, arch: a}
		t.put(0, goOn)
		t.newer(calls[n], goOn)
		tables[a] = t.spans
	}
	groups, err := join(prof.archs, tables)
	if err != nil {
		return nil, err
	}
	return assemble(groups, [][]insn{decode(program)}, wrongArch), nil
}

func newLookup(a arch) (lookup, error) { return libseccomp.NumbersOf(string(a)) }

// enabled says whether this build can compile profiles.
const enabled = true

// LibraryVersion gives the version of libseccomp that this build is linked with,
// "2.5.4".
func LibraryVersion() string { return libseccomp.Version() }

// libraryFilter says a profile in libseccomp's words; level is of its optimizer.
func libraryFilter(prof *profile, level int) *libseccomp.Filter {
	f := &libseccomp.Filter{Default: prof.defaultRet, Optimize: level}
	for _, a := range prof.archs {
		f.Archs = append(f.Archs, string(a))
	}
	for i := range prof.rules {
		r := &prof.rules[i]
		rule := libseccomp.Rule{Entry: r.entry, Names: r.names, Return: r.ret}
		for _, c := range r.conds {
			rule.Conditions = append(rule.Conditions, libseccomp.Condition{
				Index: uint(c.index), Op: uint8(c.op), Value: c.value, ValueTwo: c.valueTwo,
			})
		}
		f.Rules = append(f.Rules, rule)
	}
	return f
}

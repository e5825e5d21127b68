package seccomp

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sys/unix"
)

// layout makes the search of each value of seccomp_data.arch, and the programs
// for what arguments decide.
func layout(prof *profile, calls [][]call) (groups []group, programs [][]insn, err error) {
	rest := slices.Repeat([]answer{{ret: prof.defaultRet}}, len(prof.archs))
	return layoutOf(prof, calls, rest, nil, nil)
}

// layoutOf is layout for the calls that only names (by architecture; nil: all);
// rest holds each architecture's answer to the others. Programs go behind those
// that are given.
func layoutOf(prof *profile, calls [][]call, rest []answer, programs [][]insn, only []map[string]bool) ([]group, [][]insn, error) {
	tables := make(map[arch][]span, len(prof.archs))
	for n, a := range prof.archs {
		t := table{prof: prof, arch: a, rest: rest[n], programs: programs}
		if only != nil {
			t.only = only[n]
		}
		if err := t.fill(calls[n]); err != nil {
			return nil, nil, err
		}
		tables[a], programs = t.spans, t.programs
	}
	groups, err := join(prof.archs, tables)
	return groups, programs, err
}

// join makes one search of the architectures that share a value of
// seccomp_data.arch.
func join(archs []arch, tables map[arch][]span) (groups []group, err error) {
	for _, a := range archs {
		token, ok := a.token()
		if !ok {
			return nil, fmt.Errorf("linux.seccomp.architectures: %s has no audit number here: remove linux.seccomp", a)
		}
		spans := tables[a]
		if token == unix.AUDIT_ARCH_X86_64 {
			if a == archX32 && tables[archX86_64] != nil {
				continue // part of x86_64's search
			}
			spans = joinX32(tables[archX86_64], tables[archX32])
		}
		groups = append(groups, group{token, spans})
	}
	return groups, nil
}

// joinX32 makes one search of x86_64, which has the numbers below bit 30 and
// number -1, and x32, which has the others. Either may be missing.
func joinX32(x86_64, x32 []span) []span {
	kill := []span{{0, answer{ret: wrongArch}}}
	if x86_64 == nil {
		x86_64 = kill
	}
	if x32 == nil {
		x32 = kill
	}
	var out []span
	for _, s := range x86_64 {
		if s.from < x32Bit {
			out = put(out, s)
		}
	}
	// A span of x32 that starts below bit 30 holds from there, the last such.
	for _, s := range x32 {
		out = put(out, span{max(s.from, x32Bit), s.answer})
	}
	return put(out, span{^uint32(0), x86_64[len(x86_64)-1].answer})
}

// put adds a span that starts behind the others, or in place of the last.
func put(spans []span, s span) []span {
	if n := len(spans); n > 0 && spans[n-1].from == s.from {
		spans = spans[:n-1]
	}
	if n := len(spans); n > 0 && spans[n-1].answer == s.answer {
		return spans
	}
	return append(spans, s)
}

// table gives the answer for every number of one architecture.
type table struct {
	prof     *profile
	arch     arch
	rest     answer          // of the numbers that no rule is about
	only     map[string]bool // names of the calls that are put in; nil: all
	spans    []span
	programs [][]insn
	sources  []source // what the programs of this architecture were made of
}

// source is the rules of one number, as far as they make a difference to the
// program for its arguments. Numbers with the same ones share it.
type source struct {
	calls   []call
	program uint32
}

// fill puts the calls in, by number.
func (t *table) fill(calls []call) error {
	t.put(0, t.rest)
	for same := range byNumber(calls) {
		if t.only != nil && !t.only[same[0].name] {
			continue
		}
		ans, err := t.settle(same)
		if err != nil {
			return err
		}
		t.put(same[0].number, ans)
		t.put(same[0].number+1, t.rest)
	}
	t.newer(calls)
	return nil
}

// byNumber gives the calls of each number, by rising number, and those of one in
// the order of rules. They are valid until the next.
func byNumber(calls []call) iter.Seq[[]call] {
	order := make([]uint64, len(calls))
	for n := range calls {
		order[n] = uint64(calls[n].number)<<32 | uint64(n)
	}
	slices.Sort(order)
	return func(yield func([]call) bool) {
		var same []call
		for rest := order; len(rest) > 0; {
			same = same[:0]
			for len(rest) > 0 && (len(same) == 0 || uint32(rest[0]>>32) == same[0].number) {
				same = append(same, calls[uint32(rest[0])])
				rest = rest[1:]
			}
			if !yield(same) {
				return
			}
		}
	}
}

// newer gives ENOSYS to the numbers above the largest one that a name of the
// profile has.
func (t *table) newer(calls []call) {
	newest := int64(-1)
	for _, c := range calls {
		if c.member == (member{}) {
			newest = max(newest, int64(c.number))
		}
	}
	if newest < 0 || !deniesByDefault(t.prof.defaultRet) {
		return
	}
	enosys := answer{ret: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}
	t.put(uint32(newest)+1, enosys)
	if (t.arch == archS390 || t.arch == archS390X) && t.spans[0].answer == t.rest {
		// The kernel reports a number that it does not know as 0 there.
		second := t.spans[1:]
		if second[0].from > 1 {
			second = append([]span{{1, t.rest}}, second...)
		}
		t.spans = append([]span{{0, enosys}}, second...)
	}
}

func (t *table) put(from uint32, a answer) { t.spans = put(t.spans, span{from, a}) }

// settle decides between the rules of one number. A rule that says what the
// default says is none. A rule without args wins, the first of them. Rules with
// args become a program.
func (t *table) settle(same []call) (answer, error) {
	deflt := answer{ret: t.prof.defaultRet}
	var byArgs []call
	for _, c := range same {
		r := &t.prof.rules[c.rule]
		switch {
		case r.ret == t.prof.defaultRet:
		case c.member == member{} && len(r.conds) == 0:
			return answer{ret: r.ret}, nil
		default:
			byArgs = append(byArgs, c)
		}
	}
	if len(byArgs) == 0 {
		return deflt, nil
	}
	alike := func(x, y call) bool { return x.rule == y.rule && x.member == y.member }
	for _, s := range t.sources {
		if slices.EqualFunc(s.calls, byArgs, alike) {
			return answer{ret: s.program, args: true}, nil
		}
	}
	branches, err := t.branches(byArgs)
	if err != nil {
		return answer{}, err
	}
	if len(branches) == 0 {
		return deflt, nil
	}
	n := uint32(len(t.programs))
	t.programs = append(t.programs, argsProgram(t.arch, branches, t.prof.defaultRet))
	t.sources = append(t.sources, source{byArgs, n})
	return answer{ret: n, args: true}, nil
}

// branches gives what a program for arguments tries in turn: the rules with args
// of the call itself, then the members that it carries.
func (t *table) branches(calls []call) ([]branch, error) {
	var out []branch
	var members []member
	for _, c := range calls {
		r := &t.prof.rules[c.rule]
		if c.member != (member{}) {
			if !slices.Contains(members, c.member) {
				members = append(members, c.member)
			}
			continue
		}
		if len(out) > maxInsns {
			return nil, tooLong(len(out) + 1) // before the comparison below takes minutes
		}
		for _, b := range out {
			if slices.Equal(b.conds, r.conds) && b.ret != r.ret {
				return nil, fmt.Errorf("linux.seccomp.syscalls[%d]: %s is in syscalls[%d] with the same args and another action: remove one of them",
					r.entry, t.shared(b.entry, r), b.entry)
			}
		}
		out = append(out, branch{r.conds, r.ret, r.entry})
	}
	for _, m := range members {
		if ret := t.member(calls, m); ret != t.prof.defaultRet {
			is := condition{index: 0, op: opMaskedEqual, value: uint64(m.mask), valueTwo: uint64(m.sub)}
			out = append(out, branch{[]condition{is}, ret, -1})
		}
	}
	return out, nil
}

// shared names a system call that both an entry and a rule have.
func (t *table) shared(entry int, r *rule) string {
	for i := range t.prof.rules {
		if o := &t.prof.rules[i]; o.entry == entry {
			for _, name := range o.names {
				if slices.Contains(r.names, name) {
					return name
				}
			}
		}
	}
	return "a system call"
}

// member decides a call that socketcall or ipc carries. Its own arguments lie in
// memory, where no filter sees them; so where rules with args decide, the
// strictest of what could be the answer is.
func (t *table) member(calls []call, m member) uint32 {
	could := make([]uint32, 0, len(calls)+1)
	for _, c := range calls {
		if c.member != m {
			continue
		}
		r := &t.prof.rules[c.rule]
		if len(r.conds) == 0 {
			return r.ret
		}
		could = append(could, r.ret)
	}
	could = append(could, t.prof.defaultRet)
	return slices.MinFunc(could, func(x, y uint32) int { return cmp.Compare(precedence(x), precedence(y)) })
}

// precedence orders return values as the kernel does between filters: the lower
// wins (seccomp(2)).
func precedence(ret uint32) int32 { return int32(ret & unix.SECCOMP_RET_ACTION_FULL) }

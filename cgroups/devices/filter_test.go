package devices

import (
	"math/rand/v2"
	"testing"
)

// rounds bounds the random tests; each round tries every request there is.
const rounds = 800

func encoded(t testing.TB, f *Filter) []byte {
	t.Helper()
	code, err := Encode(Program(f))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func text(t testing.TB, f *Filter) string {
	t.Helper()
	lines, err := Text(Program(f))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestAgainstModel compares the merged filter, its program and its v1 writes
// with a device cgroup that gets the rules one by one.
func TestAgainstModel(t *testing.T) {
	s := ruleSource{rand.New(rand.NewPCG(1, 2))}
	all := requests()
	refused := 0
	for range rounds {
		rules := s.rules()
		var asKernel Filter
		var kernel model
		for i := range rules {
			asKernel.applyAsKernel(&rules[i])
			w := v1Write(rules[i].Allow, rules[i].String(), "")
			kernel.write(t, w.File, w.Value)
		}
		merged, err := Merge(rules)
		if err != nil {
			refused++
		}
		compare(t, rules, &asKernel, &kernel, all)
		if err == nil {
			compare(t, rules, merged, &kernel, all)
		}
	}
	if refused == 0 || refused == rounds {
		t.Errorf("%d of %d rule lists were refused: the test does not reach both sides", refused, rounds)
	}
}

func compare(t *testing.T, rules []Rule, f *Filter, kernel *model, all []request) {
	t.Helper()
	code := encoded(t, f)
	// The writes must do from any state.
	written := model{allowByDefault: true, exceptions: []*modelEntry{{"c", "1", "*", map[byte]bool{'r': true}}}}
	for _, w := range f.V1Writes() {
		written.write(t, w.File, w.Value)
	}
	for _, q := range all {
		want := kernel.allows(q)
		if got := interpret(t, code, q); got != want {
			t.Fatalf("rules %v\nrequest %v: program says %v, v1 says %v\n%s", rules, q, got, want, text(t, f))
		}
		if got := written.allows(q); got != want {
			t.Fatalf("rules %v\nrequest %v: after %v v1 says %v, want %v", rules, q, f.V1Writes(), got, want)
		}
	}
}

// TestRefusedMeansIgnored checks that a list is refused exactly where the v1
// device cgroup would not honour the last rule: some access the rule speaks of
// keeps the contrary verdict.
func TestRefusedMeansIgnored(t *testing.T) {
	s := ruleSource{rand.New(rand.NewPCG(3, 4))}
	all := requests()
	refused := 0
	for range rounds {
		rules := s.rules()
		if len(rules) == 0 {
			continue
		}
		last := rules[len(rules)-1]
		before, err := Merge(rules[:len(rules)-1])
		if err != nil {
			continue
		}
		err = before.apply(&last)
		code := encoded(t, before)
		ignored := false
		for _, q := range all {
			if matches(last, q) && interpret(t, code, q) != last.Allow {
				// A request for more than one kind of access may fail for another
				// of them; only single ones are the rule's own.
				ignored = ignored || len(q.access) == 1
			}
		}
		if ignored != (err != nil) {
			t.Fatalf("rules %v: ignored: %v, but the error is: %v", rules, ignored, err)
		}
		if err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no list was refused: the test does not reach its subject")
	}
}

func matches(r Rule, q request) bool {
	if r.Type == All {
		return true
	}
	var access Access
	for _, c := range q.access {
		access |= map[rune]Access{'r': Read, 'w': Write, 'm': Mknod}[c]
	}
	return byte(r.Type) == q.kind && access&^r.Access == 0 &&
		(r.Major == Any || r.Major == int64(q.major)) && (r.Minor == Any || r.Minor == int64(q.minor))
}

// TestV1Changes follows an update of a running container's filter write by
// write: it must end at the new filter, and on the way neither take away what
// both filters allow nor give what both deny.
func TestV1Changes(t *testing.T) {
	s := ruleSource{rand.New(rand.NewPCG(5, 6))}
	all := requests()
	flips := 0
	for range rounds / 3 {
		var from, to Filter
		for _, r := range s.rules() {
			from.applyAsKernel(&r)
		}
		for _, r := range s.rules() {
			to.applyAsKernel(&r)
		}
		var live, end model
		for _, w := range from.V1Writes() {
			live.write(t, w.File, w.Value)
		}
		for _, w := range to.V1Writes() {
			end.write(t, w.File, w.Value)
		}
		old := encoded(t, &from)
		changes := V1Changes(&from, &to)
		for n, w := range changes {
			live.write(t, w.File, w.Value)
			if from.AllowAll != to.AllowAll {
				flips++
				continue
			}
			for _, q := range all {
				before, now, after := interpret(t, old, q), live.allows(q), end.allows(q)
				// As above: access of several kinds may be split over two rules
				// for a moment.
				if len(q.access) == 1 && before == after && now != before {
					t.Fatalf("from %v to %v: after write %d of %v, %v is %v", from, to, n, changes, q, now)
				}
			}
		}
		for _, q := range all {
			if live.allows(q) != end.allows(q) {
				t.Fatalf("from %v to %v: after %v, %v is %v", from, to, changes, q, live.allows(q))
			}
		}
	}
	if flips == 0 {
		t.Error("no update changed the default")
	}
}

// FuzzProgram lets the fuzzer choose the rules: four bytes each.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 1, 1, 7, 2, 0, 3, 4})
	all := requests()
	f.Fuzz(func(t *testing.T, data []byte) {
		var filter Filter
		var kernel model
		numbers := []int64{Any, 0, 1, 2, 3, 1 << 31, 1<<32 - 2}
		for ; len(data) >= 4 && len(filter.Exceptions) < 32; data = data[4:] {
			r := Rule{
				Allow: data[0]&1 == 0, Type: Char, Access: Access(1 + data[3]%7), Origin: "fuzz",
				Major: numbers[int(data[1])%len(numbers)], Minor: numbers[int(data[2])%len(numbers)],
			}
			switch {
			case data[0]&0x1c == 0:
				r = Rule{Allow: r.Allow, Type: All, Major: Any, Minor: Any, Access: everyAccess}
			case data[0]&2 == 0:
				r.Type = Block
			}
			filter.applyAsKernel(&r)
			w := v1Write(r.Allow, r.String(), "")
			kernel.write(t, w.File, w.Value)
		}
		code := encoded(t, &filter)
		for _, q := range all {
			if got, want := interpret(t, code, q), kernel.allows(q); got != want {
				t.Fatalf("%v: program says %v, v1 says %v\n%s", q, got, want, text(t, &filter))
			}
		}
	})
}

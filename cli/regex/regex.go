// Package regex matches container ids with regular expressions, for --regex. They
// are those of Go's package regexp, less what no id can tell apart or few would
// write: flags, names of groups, \p, \Q, characters by number. That package sets
// up its tables at the start of every berth, whatever it is asked
// (docs/decisions/011-own-regular-expressions.md).
package regex

// maxText bounds what Match has to remember; no id is near it.
const maxText = 4096

// Regexp is a regular expression.
type Regexp struct {
	root node
}

// Match says whether the whole of text, which is ASCII as container ids are,
// matches.
func (r *Regexp) Match(text string) bool {
	if len(text) > maxText {
		return false
	}
	begin := none(text)
	begin[0] = true
	return r.root.ends(text, begin)[len(text)]
}

// places says of each place in a text, of which there is one more than bytes,
// whether what was matched so far may end there.
type places []bool

// none is no place of the text.
func none(text string) places { return make(places, len(text)+1) }

// add adds those of q, and says whether any was new.
func (p places) add(q places) (grew bool) {
	for i := range q {
		if q[i] && !p[i] {
			p[i], grew = true, true
		}
	}
	return grew
}

func (p places) equal(q places) bool {
	for i := range p {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}

// node is a part of an expression.
type node interface {
	// ends returns where the part's matches end that begin at one of the places.
	ends(text string, from places) places
}

// set is one character out of several, a bit for each ASCII code.
type set [2]uint64

func (s set) has(c byte) bool { return c < 128 && s[c/64]>>(c%64)&1 == 1 }

func (s *set) addRange(lo, hi rune) {
	for c := lo; c <= hi && c < 128; c++ {
		s[c/64] |= 1 << (c % 64)
	}
}

func (s *set) addSet(t set) { s[0], s[1] = s[0]|t[0], s[1]|t[1] }

func (s set) not() set { return set{^s[0], ^s[1]} }

func (s set) ends(text string, from places) places {
	to := none(text)
	for i := range len(text) {
		to[i+1] = from[i] && s.has(text[i])
	}
	return to
}

// sequence is one part after the other.
type sequence []node

func (s sequence) ends(text string, from places) places {
	for _, n := range s {
		from = n.ends(text, from)
	}
	return from
}

// choice is any one of its parts.
type choice []node

func (c choice) ends(text string, from places) places {
	to := none(text)
	for _, n := range c {
		to.add(n.ends(text, from))
	}
	return to
}

// repetition is a part at least min times, and at most max times; unlimited is no
// maximum.
type repetition struct {
	part     node
	min, max int
}

const unlimited = -1

// ends repeats until nothing changes, which is after as many rounds as the text
// has places, or fewer: a round takes each place on, or leaves it.
func (r repetition) ends(text string, from places) places {
	for range r.min {
		next := r.part.ends(text, from)
		if next.equal(from) {
			break
		}
		from = next
	}
	to := none(text)
	to.add(from)
	for n := r.min; n != r.max; n++ {
		if from = r.part.ends(text, from); !to.add(from) {
			break
		}
	}
	return to
}

// assertion is a condition on a place; it takes no character.
type assertion func(text string, at int) bool

func atBegin(_ string, at int) bool { return at == 0 }

func atEnd(text string, at int) bool { return at == len(text) }

func atBoundary(text string, at int) bool {
	before := at > 0 && word.has(text[at-1])
	after := at < len(text) && word.has(text[at])
	return before != after
}

func inside(text string, at int) bool { return !atBoundary(text, at) }

func (a assertion) ends(text string, from places) places {
	to := none(text)
	for i := range from {
		to[i] = from[i] && a(text, i)
	}
	return to
}

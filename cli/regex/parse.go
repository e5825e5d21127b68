package regex

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The sets that have a name, as masks of the codes 0 to 63 and 64 to 127.
var (
	digits = set{0x03ff000000000000, 0}
	word   = set{0x03ff000000000000, 0x07fffffe87fffffe}
	space  = set{0x0000000100003600, 0} // without \v, which [[:space:]] has
	anyOne = set{^uint64(1 << '\n'), ^uint64(0)}
)

// Limits of an expression; regexp's first is the same, its second is 1,000.
const (
	maxRepeat = 1000
	maxDepth  = 100
)

// Compile reads an expression. Its errors name the expression's part that is
// wrong, or is not understood here.
func Compile(expr string) (*Regexp, error) {
	if !utf8.ValidString(expr) {
		return nil, fmt.Errorf("%q is not UTF-8", expr)
	}
	p := parser{rest: expr}
	root, err := p.choice(0)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q closes no group: write \\) for the character", p.rest)
	}
	if err != nil {
		return nil, err
	}
	return &Regexp{root: root}, nil
}

type parser struct {
	rest string
}

func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *parser) takeRune() rune {
	c, size := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[size:]
	return c
}

// choice reads alternatives up to the end or a closing parenthesis.
func (p *parser) choice(depth int) (node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("groups in more than %d others", maxDepth)
	}
	var all choice
	for {
		s, err := p.sequence(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		if !p.take("|") {
			return all, nil
		}
	}
}

func (p *parser) sequence(depth int) (node, error) {
	var s sequence
	for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
		n, err := p.atom(depth)
		if err != nil {
			return nil, err
		}
		if n, err = p.repeated(n); err != nil {
			return nil, err
		}
		s = append(s, n)
	}
	return s, nil
}

// repeated reads what says how often an atom stands there. That it takes as much
// as it can or as little (*?) is the same where the whole text has to match.
func (p *parser) repeated(n node) (node, error) {
	at := p.rest
	least, most, ok, err := p.repetition()
	if !ok || err != nil {
		return n, err
	}
	p.take("?")
	if _, _, again, _ := p.repetition(); again {
		return nil, fmt.Errorf("%q repeats a repetition: put the first in parentheses", at[:len(at)-len(p.rest)])
	}
	return repetition{part: n, min: least, max: most}, nil
}

// repetition reads *, +, ? or {n,m}; a brace that is none of these stands for
// itself.
func (p *parser) repetition() (least, most int, ok bool, err error) {
	switch {
	case p.take("*"):
		return 0, unlimited, true, nil
	case p.take("+"):
		return 1, unlimited, true, nil
	case p.take("?"):
		return 0, 1, true, nil
	case !strings.HasPrefix(p.rest, "{"):
		return 0, 0, false, nil
	}
	inner, rest, closed := strings.Cut(p.rest[1:], "}")
	from, to, comma := strings.Cut(inner, ",")
	if !closed || !isNumber(from) || to != "" && !isNumber(to) {
		return 0, 0, false, nil
	}
	least, err = strconv.Atoi(from)
	most = least
	switch {
	case err != nil:
	case comma && to == "":
		most = unlimited
	case comma:
		most, err = strconv.Atoi(to)
	}
	if err != nil || max(least, most) > maxRepeat || most != unlimited && least > most {
		return 0, 0, false, fmt.Errorf("{%s}: want numbers up to %d, the smaller one first", inner, maxRepeat)
	}
	p.rest = rest
	return least, most, true, nil
}

// isNumber says whether text is a number as {n,m} takes it: without a sign or a
// zero before it.
func isNumber(text string) bool {
	for i := range len(text) {
		if !digits.has(text[i]) {
			return false
		}
	}
	return text == "0" || text != "" && text[0] != '0'
}

func (p *parser) atom(depth int) (node, error) {
	at := p.rest
	switch c := p.takeRune(); c {
	case '(':
		return p.group(at, depth)
	case '[':
		return p.class(at)
	case '.':
		return anyOne, nil
	case '^':
		return assertion(atBegin), nil
	case '$':
		return assertion(atEnd), nil
	case '*', '+', '?':
		return nil, fmt.Errorf("%q repeats nothing: write \\%c for the character", c, c)
	case '\\':
		return p.escape()
	case '{':
		p.rest = at
		if _, _, ok, err := p.repetition(); ok || err != nil {
			return nil, fmt.Errorf("%q repeats nothing: write \\{ for the character", at[:len(at)-len(p.rest)])
		}
		p.rest = at[1:]
		return one(c), nil
	default:
		return one(c), nil
	}
}

func one(c rune) set {
	var s set
	s.addRange(c, c)
	return s
}

func (p *parser) group(at string, depth int) (node, error) {
	if p.take("?") && !p.take(":") {
		return nil, fmt.Errorf("%q: of the groups that begin with (? only (?: is understood here", at)
	}
	n, err := p.choice(depth + 1)
	if err == nil && !p.take(")") {
		err = fmt.Errorf("%q is not closed: add a ), or write \\( for the character", at)
	}
	return n, err
}

// escape reads what follows a backslash outside of a class.
func (p *parser) escape() (node, error) {
	if s, ok := p.namedSet(); ok {
		return s, nil
	}
	for _, a := range [...]struct {
		letter string
		is     assertion
	}{{"A", atBegin}, {"z", atEnd}, {"b", atBoundary}, {"B", inside}} {
		if p.take(a.letter) {
			return a.is, nil
		}
	}
	c, err := p.escaped()
	return one(c), err
}

// namedSet reads the letter of \d, \s or \w, or of their opposites.
func (p *parser) namedSet() (set, bool) {
	for _, n := range [...]struct {
		letter string
		is     set
	}{{"d", digits}, {"s", space}, {"w", word}} {
		if p.take(n.letter) {
			return n.is, true
		}
		if p.take(strings.ToUpper(n.letter)) {
			return n.is.not(), true
		}
	}
	return set{}, false
}

// escaped reads the rest of a character that a backslash stands before.
func (p *parser) escaped() (rune, error) {
	if p.rest == "" {
		return 0, errors.New("a backslash at the end stands before nothing")
	}
	c := p.takeRune()
	if i := strings.IndexRune("afnrtv", c); i >= 0 {
		return rune("\a\f\n\r\t\v"[i]), nil
	}
	if c >= utf8.RuneSelf || c != '_' && word.has(byte(c)) {
		return 0, fmt.Errorf("\\%c is not understood here", c)
	}
	return c, nil
}

// class reads what stands in brackets.
func (p *parser) class(at string) (node, error) {
	var s set
	negated := p.take("^")
	for first := true; first || !p.take("]"); first = false {
		if p.rest == "" {
			return nil, fmt.Errorf("%q is not closed: add a ], or write \\[ for the character", at)
		}
		if err := p.classItem(at, &s); err != nil {
			return nil, err
		}
	}
	if negated {
		return s.not(), nil
	}
	return s, nil
}

// classItem adds a named set, a character or a range of a class to s.
func (p *parser) classItem(at string, s *set) error {
	if strings.HasPrefix(p.rest, "[:") {
		if name, rest, closed := strings.Cut(p.rest[2:], ":]"); closed {
			p.rest = rest
			return addPosix(s, name)
		}
	}
	if p.take("\\") {
		if named, ok := p.namedSet(); ok {
			s.addSet(named)
			return nil
		}
		p.rest = "\\" + p.rest
	}
	lo, err := p.classRune()
	if err != nil {
		return err
	}
	hi := lo
	if len(p.rest) >= 2 && p.rest[0] == '-' && p.rest[1] != ']' {
		p.rest = p.rest[1:]
		if hi, err = p.classRune(); err != nil {
			return err
		}
	}
	if hi < lo {
		return fmt.Errorf("%c-%c, in %q: want the smaller one first", lo, hi, at)
	}
	s.addRange(lo, hi)
	return nil
}

func (p *parser) classRune() (rune, error) {
	c := p.takeRune()
	if c == '\\' {
		return p.escaped()
	}
	return c, nil
}

// addPosix adds a set that POSIX names, as in [:alpha:], or [:^alpha:] for the
// others.
func addPosix(s *set, name string) error {
	positive, negated := strings.CutPrefix(name, "^")
	for _, class := range [...]struct{ name, ranges string }{
		{"alnum", "09AZaz"}, {"alpha", "AZaz"}, {"ascii", "\x00\x7f"}, {"blank", "\t\t  "}, {"cntrl", "\x00\x1f\x7f\x7f"},
		{"digit", "09"}, {"graph", "!~"}, {"lower", "az"}, {"print", " ~"}, {"punct", "!/:@[`{~"}, {"space", "\t\r  "},
		{"upper", "AZ"}, {"word", "09AZaz__"}, {"xdigit", "09AFaf"},
	} {
		if class.name != positive {
			continue
		}
		var t set
		for i := 0; i < len(class.ranges); i += 2 {
			t.addRange(rune(class.ranges[i]), rune(class.ranges[i+1]))
		}
		if negated {
			t = t.not()
		}
		s.addSet(t)
		return nil
	}
	return fmt.Errorf("[:%s:] is no class: use one of regex(7), such as [:alpha:]", name)
}

package spec

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how many objects and arrays may be open at once. encoding/json
// draws the same line; beyond it a document is an attack on somebody's stack.
const maxDepth = 10000

// A decoder walks one JSON document (RFC 8259) from start to end, once.
//
// Errors stick: the first is kept and the position is moved to the end, so
// that every loop ends by itself and no decode function has to hand errors on.
// Strings are cut out of src and share its memory.
type decoder struct {
	src   string
	pos   int
	depth int         // objects and arrays now open
	slab  []string    // room that string lists are cut from, see stringList
	err   *ParseError // the first error; nil as long as all is well
}

// fail keeps the first error and stops the decoder.
func (d *decoder) fail(offset int, cause string) {
	if d.err == nil {
		line, column := position(d.src, offset)
		d.err = &ParseError{Line: line, Column: column, Field: pathAt(d.src, offset), Cause: cause}
	}
	d.pos = len(d.src)
}

// next skips white space and gives the byte that follows without taking it;
// 0 at the end. (A NUL in the document is no token either and is refused as
// one by whoever looks closer.)
func (d *decoder) next() byte {
	src, i := d.src, d.pos
	for i < len(src) {
		c := src[i]
		if c > ' ' {
			d.pos = i
			return c
		}
		i++
		switch c {
		case ' ', '\t', '\r':
		case '\n':
			// Engines indent what they write, so half of the document is
			// spaces at the start of lines: take them eight at a time.
			for len(src)-i >= 8 && src[i:i+8] == "        " {
				i += 8
			}
		default:
			d.pos = i - 1
			return c
		}
	}
	d.pos = len(src)
	return 0
}

// open takes the brace or bracket that opens an object or array.
func (d *decoder) open() {
	d.pos++
	d.depth++
	if d.depth > maxDepth {
		d.fail(d.pos-1, "nested deeper than 10000 levels: flatten the document")
	}
}

// shut takes the brace or bracket that closes one.
func (d *decoder) shut() {
	d.pos++
	d.depth--
}

// more is asked at the start of an object or array (first) and behind each of
// its elements: it takes the comma, or the end, and reports whether an element
// follows.
func (d *decoder) more(end byte, first bool) bool {
	c := d.next()
	switch {
	case c == end:
		d.shut()
		return false
	case first:
		return d.err == nil
	case c == ',':
		comma := d.pos
		d.pos++
		if d.next() == end {
			d.fail(comma, "a comma before "+string(end)+": remove it")
			return false
		}
		return true
	}
	d.unexpected("a comma or " + string(end))
	return false
}

// key takes the name of an object's member and the colon behind it.
func (d *decoder) key() string {
	if d.next() != '"' {
		d.unexpected("a name in double quotes")
		return ""
	}
	key := d.text()
	if d.next() != ':' {
		d.unexpected("a colon behind the name")
		return ""
	}
	d.pos++
	return key
}

// text takes a string; the position is on its opening quote.
func (d *decoder) text() string {
	src, start := d.src, d.pos+1
	for i := start; i < len(src); i++ {
		c := src[i]
		if c == '"' {
			d.pos = i + 1
			return src[start:i]
		}
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			return d.escapedText(start, i)
		}
	}
	d.fail(len(src), "the file ends inside a string")
	return ""
}

// escapedText is text for a string that is more than plain ASCII: from is the
// first byte that needs a look.
func (d *decoder) escapedText(start, from int) string {
	src := d.src
	for i := from; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			d.pos = i + 1
			s, _ := unquote(src[start:i])
			return s
		case c == '\n' || c == '\r':
			d.fail(i, `a line break inside a string: close the string, or write \n`)
			return ""
		case c < ' ':
			d.fail(i, "a control character inside a string: write it as "+controlEscape(c))
			return ""
		case c == '\\':
			n := escapeLen(src[i:])
			if n == 0 {
				d.badEscape(i)
				return ""
			}
			i += n - 1
		}
	}
	d.fail(len(src), "the file ends inside a string")
	return ""
}

// badEscape says what is wrong with the backslash at offset.
func (d *decoder) badEscape(offset int) {
	if offset+1 >= len(d.src) {
		d.fail(len(d.src), "the file ends inside a string")
		return
	}
	if d.src[offset+1] == 'u' {
		d.fail(offset, `\u without four hexadecimal digits behind it`)
		return
	}
	r, _ := utf8.DecodeRuneInString(d.src[offset+1:])
	what := "a backslash before " + strconv.QuoteRune(r)
	if ' ' < r && r < utf8.RuneSelf {
		what = `\` + string(r)
	}
	d.fail(offset, what+` is no escape in JSON: write \\ for a backslash`)
}

// number takes a number and gives its text; the position is on its first byte.
func (d *decoder) number() string {
	src, start := d.src, d.pos
	i := start
	if src[i] == '-' {
		i++
	}
	whole := digits(src, i)
	switch {
	case whole == i:
		d.fail(start, "a minus sign without a digit behind it")
		return ""
	case src[i] == '0' && whole > i+1:
		d.fail(start, "a number with a leading zero: JSON has no octal numbers, write it in decimal")
		return ""
	}
	i = whole
	if i < len(src) && src[i] == '.' {
		fraction := digits(src, i+1)
		if fraction == i+1 {
			d.fail(start, "a decimal point without a digit behind it")
			return ""
		}
		i = fraction
	}
	if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		exponent := digits(src, i)
		if exponent == i {
			d.fail(start, "an exponent without a digit behind it")
			return ""
		}
		i = exponent
	}
	d.pos = i
	return src[start:i]
}

// digits gives the offset behind the digits that begin at i.
func digits(src string, i int) int {
	for i < len(src) && src[i]-'0' <= 9 {
		i++
	}
	return i
}

// word takes true, false or null, as told; the position is on its first byte.
func (d *decoder) word(w string) bool {
	if !strings.HasPrefix(d.src[d.pos:], w) {
		d.unexpected(w)
		return false
	}
	d.pos += len(w)
	return true
}

// skip takes a value of any kind and forgets it: fields that the runtime-spec
// does not know must be ignored, but they must be JSON.
func (d *decoder) skip() {
	switch c := d.next(); {
	case c == '"':
		d.text()
	case c == '{':
		d.open()
		for first := true; d.more('}', first); first = false {
			d.key()
			d.skip()
		}
	case c == '[':
		d.open()
		for first := true; d.more(']', first); first = false {
			d.skip()
		}
	case c == 't':
		d.word("true")
	case c == 'f':
		d.word("false")
	case c == 'n':
		d.word("null")
	case c == '-' || c-'0' <= 9:
		d.number()
	default:
		d.unexpected("a value")
	}
}

// unexpected fails because something else than want stands at the position.
func (d *decoder) unexpected(want string) {
	if d.err != nil {
		return
	}
	d.fail(d.pos, "want "+want+", have "+d.have())
}

// have describes what stands at the position, for an error.
func (d *decoder) have() string {
	rest := d.src[d.pos:]
	switch {
	case rest == "":
		return "the end of the file"
	case rest[0] == '"':
		return "a string"
	case rest[0] == '{':
		return "an object"
	case rest[0] == '[':
		return "an array"
	case rest[0] == '-' || rest[0]-'0' <= 9:
		return "a number"
	case strings.HasPrefix(rest, "true"), strings.HasPrefix(rest, "false"):
		return "a boolean"
	case strings.HasPrefix(rest, "null"):
		return "null"
	case strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "/*"), rest[0] == '#':
		return "a comment, which JSON does not know: remove it"
	case rest[0] == '\'':
		return "a single quote: JSON wants double quotes"
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return strconv.QuoteRune(r)
}

package spec

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A ParseError says where a document stops being what was asked for. Its text
// is "File:Line:Column: Field: Cause", without the field when the trouble lies
// outside of any.
type ParseError struct {
	File   string // name of the document; Parse and its sisters put their usual one
	Line   int    // from 1
	Column int    // in characters, from 1
	Field  string // path of the field, e.g. mounts[3].destination; "" at the top
	Cause  string // what is wrong, and where it is not plain, what to do
}

// Error gives the whole finding in one line.
func (e *ParseError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	b.WriteByte(':')
	b.WriteString(strconv.Itoa(e.Line))
	b.WriteByte(':')
	b.WriteString(strconv.Itoa(e.Column))
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Cause)
	return b.String()
}

// position turns an offset into a line and a column, both from 1. Columns
// count characters, as editors do, not bytes.
func position(src string, offset int) (line, column int) {
	before := src[:min(offset, len(src))]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// pathAt names the field that the value or the token at offset belongs to.
//
// The decoder keeps no path while it works: nearly every document is good, and
// a path costs something at each key. So the document is walked a second time,
// here, when there is an error to place. Everything before offset is known to
// be well-formed by then.
func pathAt(src string, offset int) string {
	type frame struct {
		array bool
		index int
		key   string
		keyed bool // key has been read and its value has not been closed by a comma
	}
	var open []frame
	for i := 0; i < offset && i < len(src); {
		switch src[i] {
		case '{':
			open = append(open, frame{})
		case '[':
			open = append(open, frame{array: true})
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			top := &open[len(open)-1]
			top.index++
			top.keyed = false
		case '"':
			end := stringEnd(src, i)
			if end > offset {
				end = offset
			}
			if top := len(open) - 1; top >= 0 && !open[top].array && !open[top].keyed && end < offset {
				key, _ := unquote(src[i+1 : end-1])
				open[top].key, open[top].keyed = key, true
			}
			i = end
			continue
		}
		i++
	}
	path := ""
	for _, f := range open {
		switch {
		case f.array:
			path = item(path, f.index)
		case f.keyed:
			path = field(path, f.key)
		}
	}
	return path
}

// stringEnd gives the offset behind the closing quote of the string that opens
// at start, or the end of src.
func stringEnd(src string, start int) int {
	for i := start + 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(src)
}

// quote shows a value in a message: in one line, and not longer than needed to
// find it again.
func quote(s string) string {
	const enough = 200
	if len(s) > enough {
		return strconv.Quote(s[:enough]) + "…"
	}
	return strconv.Quote(s)
}

// plain is quote without the quotes.
func plain(s string) string { return strings.ReplaceAll(quote(s), `"`, "") }

// field appends a name to a path: linux.resources, and for names that would
// not read as one, linux.sysctl["net.ipv4.ip_forward"].
func field(path, name string) string {
	if len(name) > 100 {
		return path + "[" + quote(name) + "]"
	}
	for i := range len(name) {
		c := name[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return path + "[" + quote(name) + "]"
		}
	}
	switch {
	case name == "":
		return path + `[""]`
	case path == "":
		return name
	}
	return path + "." + name
}

// item appends an index to a path: mounts[3].
func item(path string, index int) string {
	return path + "[" + strconv.Itoa(index) + "]"
}

package spec

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// The functions here decode the kinds of value that config.json is made of.
// Each keeps to what encoding/json does, down to the odd corners: null leaves
// a plain value as it was and empties a pointer, list or map; a name given
// twice is decoded onto what the first one left; an object's names are matched
// exactly first and then without regard to case.

// A fieldFunc decodes the value of the field called name into v and reports
// true, or reports false, having taken nothing, when T has no such field.
type fieldFunc[T any] func(d *decoder, v *T, name string) bool

// object decodes an object into v. The names of T's fields, separated by
// spaces, are only looked at for a name that field does not know: that one may
// be spelt in another case.
func object[T any](d *decoder, v *T, decode fieldFunc[T], names string) {
	switch d.next() {
	case '{':
	case 'n':
		d.word("null")
		return
	default:
		d.unexpected("an object")
		return
	}
	d.open()
	for first := true; d.more('}', first); first = false {
		name := d.key()
		d.next()
		if decode(d, v, name) {
			continue
		}
		if known := fold(name, names); known == "" || !decode(d, v, known) {
			d.skip()
		}
	}
}

// fold finds the one of names that equals name when case is ignored; "" when
// none does.
func fold(name, names string) string {
	for known := range strings.FieldsSeq(names) {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return ""
}

// pointer decodes into what p points to, which is made when there is nothing
// yet. null makes p nil.
func pointer[T any](d *decoder, p **T, decode func(*decoder, *T)) {
	if d.next() == 'n' {
		if d.word("null") {
			*p = nil
		}
		return
	}
	if *p == nil {
		*p = new(T)
	}
	decode(d, *p)
}

// openList takes the bracket that opens an array. It reports false when there
// is no array to walk: null, which empties the list, or an error.
func openList[T any](d *decoder, list *[]T) bool {
	switch d.next() {
	case '[':
		d.open()
		return true
	case 'n':
		if d.word("null") {
			*list = nil
		}
	default:
		d.unexpected("an array")
	}
	return false
}

// list decodes an array. A list that is there already (the name was given
// twice) is overwritten from its first element on and cut to the new length.
func list[T any](d *decoder, v *[]T, decode func(*decoder, *T)) {
	if !openList(d, v) {
		return
	}
	all, n := *v, 0
	for ; d.more(']', n == 0); n++ {
		if n == cap(all) {
			all = slices.Grow(all, 1)
		}
		if n == len(all) {
			all = all[:n+1]
		}
		decode(d, &all[n])
	}
	if n == 0 {
		all = []T{}
	}
	*v = all[:n]
}

// stringList decodes an array of strings. A config.json holds hundreds of
// strings in dozens of arrays: their headers are cut from one slab, each with
// a capacity of its length, so that an append cannot reach its neighbour.
func stringList(d *decoder, v *[]string) {
	if *v != nil {
		list(d, v, (*decoder).string)
		return
	}
	if !openList(d, v) {
		return
	}
	start := len(d.slab)
	for first := true; d.more(']', first); first = false {
		if len(d.slab) == cap(d.slab) {
			begun := d.slab[start:]
			d.slab = append(make([]string, 0, max(2*len(begun), d.slabSize())), begun...)
			start = 0
		}
		s := ""
		d.string(&s)
		d.slab = append(d.slab, s)
	}
	if len(d.slab) == start {
		*v = []string{}
		return
	}
	*v = d.slab[start:len(d.slab):len(d.slab)]
}

// slabSize guesses how many strings in lists the document holds: measured on
// what engines write it is one in 25 to 45 bytes, white space included.
func (d *decoder) slabSize() int {
	return min(max(len(d.src)/40, 8), 1024)
}

// stringMap decodes an object of strings.
func stringMap(d *decoder, m *map[string]string) {
	dictionary(d, m, (*decoder).string)
}

// dictionary decodes an object whose names are not known beforehand. Each
// value starts out empty, also when its name was there before.
func dictionary[T any](d *decoder, m *map[string]T, decode func(*decoder, *T)) {
	switch d.next() {
	case '{':
	case 'n':
		if d.word("null") {
			*m = nil
		}
		return
	default:
		d.unexpected("an object")
		return
	}
	if *m == nil {
		*m = make(map[string]T)
	}
	d.open()
	for first := true; d.more('}', first); first = false {
		name := d.key()
		var v T
		d.next()
		decode(d, &v)
		(*m)[name] = v
	}
}

// string decodes a string.
func (d *decoder) string(v *string) {
	switch d.next() {
	case '"':
		*v = d.text()
	case 'n':
		d.word("null")
	default:
		d.unexpected("a string")
	}
}

// bool decodes true or false.
func (d *decoder) bool(v *bool) {
	switch d.next() {
	case 't':
		if d.word("true") {
			*v = true
		}
	case 'f':
		if d.word("false") {
			*v = false
		}
	case 'n':
		d.word("null")
	default:
		d.unexpected("true or false")
	}
}

// signed decodes a whole number of T's size.
func signed[T ~int | ~int32 | ~int64](d *decoder, v *T) {
	start, text := d.numeral()
	if text == "" {
		return
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || int64(T(n)) != n {
		lowest, highest := int64(math.MinInt64), int64(math.MaxInt64)
		if T(math.MaxInt32)+1 < 0 {
			lowest, highest = math.MinInt32, math.MaxInt32
		}
		d.fail(start, "want a whole number from "+strconv.FormatInt(lowest, 10)+" to "+strconv.FormatInt(highest, 10)+", have "+plain(text))
		return
	}
	*v = T(n)
}

// unsigned decodes a whole number of T's size that is not negative.
func unsigned[T ~uint | ~uint16 | ~uint32 | ~uint64](d *decoder, v *T) {
	start, text := d.numeral()
	if text == "" {
		return
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || uint64(T(n)) != n {
		d.fail(start, "want a whole number from 0 to "+strconv.FormatUint(uint64(^T(0)), 10)+", have "+plain(text))
		return
	}
	*v = T(n)
}

// numeral takes a number and gives where it starts and its text; "" when there
// is none to store: null, or an error.
func (d *decoder) numeral() (start int, text string) {
	switch c := d.next(); {
	case c == '-' || c-'0' <= 9:
		start = d.pos
		return start, d.number()
	case c == 'n':
		d.word("null")
	default:
		d.unexpected("a number")
	}
	return 0, ""
}

// Whole numbers behind pointers: absent and 0 mean different things there.

func optionalSigned[T ~int | ~int64](d *decoder, p **T) { pointer(d, p, signed[T]) }

func optionalUnsigned[T ~uint | ~uint16 | ~uint32 | ~uint64](d *decoder, p **T) {
	pointer(d, p, unsigned[T])
}

func optionalBool(d *decoder, p **bool) { pointer(d, p, (*decoder).bool) }

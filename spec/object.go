package spec

import "errors"

// Decoder hands out the values of a JSON document that is not a configuration,
// such as what berth keeps of a container: with the rules of [Parse], and
// without the reflection that encoding/json begins with in each process.
type Decoder struct{ d decoder }

// Object decodes a whole document, which must be an object. field is called with
// each name, and takes the value by one of the Decoder's methods; false says that
// it does not know the name.
//
// The error is ErrUnknownField where field has said so, or tells line and column.
func Object(data []byte, field func(d *Decoder, name string) bool) error {
	d := &Decoder{decoder{src: string(data)}}
	known := d.Fields(func(name string) bool { return field(d, name) })
	if d.d.next(); d.d.err == nil && d.d.pos < len(d.d.src) {
		d.d.fail(d.d.pos, "want the end of the file behind the last }, have "+d.d.have())
	}
	switch {
	case !known:
		return ErrUnknownField
	case d.d.err != nil:
		return d.d.err
	}
	return nil
}

// ErrUnknownField says that an object has a name that the caller does not know.
var ErrUnknownField = errors.New("a field of an unknown name")

// Fields decodes an object that is a value. It is false, and nothing more is
// decoded, when field does not know a name.
func (d *Decoder) Fields(field func(name string) bool) bool {
	if d.d.next() != '{' {
		d.d.unexpected("an object")
		return true
	}
	d.d.open()
	for first := true; d.d.more('}', first); first = false {
		name := d.d.key()
		d.d.next()
		if !field(name) {
			d.d.pos = len(d.d.src)
			return false
		}
	}
	return true
}

// List decodes an array; element takes each of its values, and false ends it as
// with Fields.
func (d *Decoder) List(element func() bool) bool {
	if d.d.next() != '[' {
		d.d.unexpected("an array")
		return true
	}
	d.d.open()
	for first := true; d.d.more(']', first); first = false {
		if !element() {
			d.d.pos = len(d.d.src)
			return false
		}
	}
	return true
}

// String decodes a string.
func (d *Decoder) String(v *string) { d.d.string(v) }

// Bool decodes true or false.
func (d *Decoder) Bool(v *bool) { d.d.bool(v) }

// Int decodes a whole number.
func (d *Decoder) Int(v *int) { signed(&d.d, v) }

// Uint64 decodes a whole number that is not negative.
func (d *Decoder) Uint64(v *uint64) { unsigned(&d.d, v) }

// Strings decodes an array of strings.
func (d *Decoder) Strings(v *[]string) { stringList(&d.d, v) }

// StringMap decodes an object of strings.
func (d *Decoder) StringMap(v *map[string]string) { stringMap(&d.d, v) }

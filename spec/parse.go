package spec

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Parse reads a config.json. It accepts exactly what encoding/json accepts for
// a [specs.Spec], save a null at the top, and gives the same value; in the
// value, strings share one copy of data. The error is a [*ParseError].
//
// Fields that the runtime-spec does not know are ignored, as it demands
// (config.md, Extensibility). A name given twice counts as encoding/json
// counts it: the second is laid over the first.
func Parse(data []byte) (*specs.Spec, error) {
	s := new(specs.Spec)
	if err := parse(data, "config.json", s, (*decoder).spec); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseProcess reads the document that exec --process names: what stands under
// process in a config.json. See [Parse].
func ParseProcess(data []byte) (*specs.Process, error) {
	p := new(specs.Process)
	if err := parse(data, "process.json", p, (*decoder).process); err != nil {
		return nil, err
	}
	return p, nil
}

// ParseResources reads the document that update --resources names: what stands
// under linux.resources in a config.json. See [Parse].
func ParseResources(data []byte) (*specs.LinuxResources, error) {
	r := new(specs.LinuxResources)
	if err := parse(data, "resources.json", r, (*decoder).resources); err != nil {
		return nil, err
	}
	return r, nil
}

// ParseMounts reads the document that mounts add and mounts remove name: what
// stands under mounts in a config.json, which is a list, or an object with that
// list. See [Parse].
func ParseMounts(data []byte) ([]specs.Mount, error) {
	d := decoder{src: string(data)}
	if d.next() == '{' {
		s := new(specs.Spec)
		err := parse(data, "mounts.json", s, (*decoder).spec)
		return s.Mounts, err
	}
	var mounts []specs.Mount
	if d.next() == '[' {
		list(&d, &mounts, (*decoder).mount)
		if d.next(); d.err == nil && d.pos < len(d.src) {
			d.fail(d.pos, "want the end of the file behind the last ], have "+d.have())
		}
	} else {
		d.fail(d.pos, "want a list of mounts, have "+d.have())
	}
	if d.err != nil {
		d.err.File = "mounts.json"
		return nil, d.err
	}
	return mounts, nil
}

// parse decodes one whole document into v, which must be an object.
func parse[T any](data []byte, file string, v *T, decode func(*decoder, *T)) error {
	d := decoder{src: string(data)}
	if d.next() == '{' {
		decode(&d, v)
		if d.next(); d.err == nil && d.pos < len(d.src) {
			d.fail(d.pos, "want the end of the file behind the last }, have "+d.have())
		}
	} else {
		d.notAnObject()
	}
	if d.err == nil {
		return nil
	}
	d.err.File = file
	return d.err
}

// notAnObject fails with the reason why a document does not begin as it must.
func (d *decoder) notAnObject() {
	switch {
	case d.pos == len(d.src) && d.pos == 0:
		d.fail(0, "the file is empty: want a JSON object")
	case d.pos == len(d.src):
		d.fail(0, "there is nothing but white space in the file: want a JSON object")
	case strings.HasPrefix(d.src, "\uFEFF"):
		d.fail(0, "the file begins with a byte order mark: save it as UTF-8 without one")
	case strings.HasPrefix(d.src, "\xff\xfe"), strings.HasPrefix(d.src, "\xfe\xff"):
		d.fail(0, "the file is UTF-16: save it as UTF-8")
	default:
		d.unexpected("an object")
	}
}

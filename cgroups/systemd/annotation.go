package systemd

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// propertyAnnotation is the start of the annotations that are properties of the
// scope, as runc's users know them: org.systemd.property.TimeoutStopUSec with a
// value in GVariant's text form, such as "uint64 10000000" or "'strict'".
const propertyAnnotation = "org.systemd.property."

// annotationProperties reads them, in the order of their names. A number of
// seconds in a ...Sec is given to systemd in µs, as ...USec: on D-Bus it has no
// other.
func annotationProperties(annotations map[string]string) ([]Property, error) {
	var list []Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, propertyAnnotation)
		if !ok {
			continue
		}
		p, err := annotationProperty(name, annotations[key])
		if err != nil {
			return nil, fmt.Errorf("annotations[%s]: %w", key, err)
		}
		p.Origin = "annotations[" + key + "]"
		list = append(list, p)
	}
	return list, nil
}

func annotationProperty(name, text string) (Property, error) {
	if !propertyName(name) {
		return Property{}, fmt.Errorf("%q is not the name of a property of systemd: those are letters and digits, such as TimeoutStopUSec", name)
	}
	switch name {
	case "Slice":
		return Property{}, fmt.Errorf("the slice is part of %s (slice:prefix:name): set it there", pathField)
	case "PIDs", "PIDFDs", "Delegate", "DelegateControllers", "DelegateSubgroup":
		return Property{}, fmt.Errorf("%s is what berth itself needs to set: remove the annotation", name)
	}
	v, err := dbus.ParseVariant(text, dbus.Signature{})
	if err != nil {
		return Property{}, fmt.Errorf("%q is not a value in GVariant's text form, such as 'text' (with the quotes), true, uint64 5 or ['a', 'b']: %w", text, err)
	}
	value := v.Value()
	if stem, ok := strings.CutSuffix(name, "Sec"); ok && !strings.HasSuffix(stem, "U") {
		usec, ok := microseconds(value)
		if !ok {
			return Property{}, fmt.Errorf("%s is not a number of seconds: give one such as uint64 10", text)
		}
		return Property{Name: stem + "USec", Value: usec}, nil
	}
	return Property{Name: name, Value: value}, nil
}

// propertyName tells whether the name can be that of a property; anything else
// would be refused by D-Bus itself, with less to say.
func propertyName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// microseconds converts seconds of any number's type.
func microseconds(value any) (uint64, bool) {
	var seconds float64
	switch n := value.(type) {
	case byte:
		seconds = float64(n)
	case int16:
		seconds = float64(n)
	case uint16:
		seconds = float64(n)
	case int32:
		seconds = float64(n)
	case uint32:
		seconds = float64(n)
	case int64:
		seconds = float64(n)
	case uint64:
		// As exact as the type.
		if n <= math.MaxUint64/1000000 {
			return n * 1000000, true
		}
		return infinity, true
	case float64:
		seconds = n
	default:
		return 0, false
	}
	if seconds < 0 || math.IsNaN(seconds) {
		return 0, false
	}
	if seconds*1e6 >= math.MaxUint64 {
		return infinity, true
	}
	return uint64(seconds * 1e6), true
}

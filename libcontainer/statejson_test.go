package libcontainer

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"berth/spec"
)

// fillAny sets every field of what v points to, so that no two are alike.
func fillAny(t *testing.T, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAny(t, v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1700000000, *n*1000+7).UTC()))
			return
		}
		for i := range v.NumField() {
			fillAny(t, v.Field(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*n%7)) + "/a \"b\\\t\u00e9<&>\u2028" + string(rune('a'+*n%26)))
	case reflect.Int:
		v.SetInt(-*n)
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fillAny(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fillAny(t, key, n)
			fillAny(t, value, n)
			v.SetMapIndex(key, value)
		}
	default:
		t.Fatalf("teach this test to fill a %s", v.Type())
	}
}

// TestStateJSON: every field of State goes through encode and decode, and the
// bytes are those of encoding/json.
func TestStateJSON(t *testing.T) {
	full := State{}
	n := int64(0)
	fillAny(t, reflect.ValueOf(&full).Elem(), &n)
	for name, s := range map[string]*State{"full": &full, "empty": {}} {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got := s.encode()
		if string(got) != string(want) {
			t.Errorf("%s: encode:\n%s\nencoding/json:\n%s", name, got, want)
		}
		back := State{}
		if err := spec.Object(want, back.field); err != nil {
			t.Errorf("%s: decode: %v", name, err)
		}
		if !reflect.DeepEqual(&back, s) {
			t.Errorf("%s: decode:\n%+v\nwant\n%+v", name, back, *s)
		}
	}
}

// TestStateJSONOfOthers: what another version has written is read as far as it
// is known, and what is broken is told.
func TestStateJSONOfOthers(t *testing.T) {
	var s State
	if err := s.decode([]byte(`{"id": "a", "later": {"x": [1]}, "pid": 7}`)); err != nil || s.ID != "a" || s.Pid != 7 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{``, `{`, `[]`, `{"id": 1}`, `{"id": "a"} x`, `{"created": "yesterday"}`} {
		if err := s.decode([]byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func FuzzStateJSON(f *testing.F) {
	full := State{}
	n := int64(0)
	fillAny(&testing.T{}, reflect.ValueOf(&full).Elem(), &n)
	f.Add(full.encode())
	f.Add([]byte(`{"id":"a","cgroup":{"folders":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs State
		if spec.Object(data, ours.field) != nil {
			return
		}
		if err := json.Unmarshal(data, &theirs); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		again, err := json.Marshal(&ours)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(&theirs)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(want) {
			t.Errorf("%s\nencoding/json:\n%s", again, want)
		}
	})
}

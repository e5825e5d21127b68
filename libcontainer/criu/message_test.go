package criu

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The bytes are what the protocol's own compiler makes of the same messages.
func TestEncode(t *testing.T) {
	var m message
	m.int32(1, -1)
	m.text(10, "a")
	m.flag(3, false)
	if got, want := hex.EncodeToString(m), "08ffffffffffffffffff01520161"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o := Options{ImagesFD: 5, WorkFD: 6, Cgroups: CgroupSoft, Inherit: []InheritFD{{"pipe:[1]", 9}}, CgroupYard: "/y"}
	got := hex.EncodeToString(o.encode(Restore, []int{4}))
	want := "0802" + "1223" + "0805" + "4804" + "6001" + "880106" + "c00101" + "da010c" + "0a08706970653a5b315d" + "1004" + "900203" + "e203022f79"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]response{
		"08021001220208072a00":                 {request: Restore, success: true, pid: 7},
		"080610012a0f0a0b706f73742d7265737465": {},
		"080610012a060a026869100c":             {request: notify, success: true, script: "hi", init: 12},
		"080110004a036f6f70":                   {request: Dump, message: "oop"},
	} {
		m, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(m)
		if want == (response{}) {
			if err == nil {
				t.Errorf("%s is cut off, and was taken: %+v", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestTail(t *testing.T) {
	if got := tail("testdata/dump.log"); !strings.HasPrefix(got, ": Can't lookup mount=26 for fd=0 path=/x; Dumping FAILED. (") {
		t.Errorf("got %q", got)
	}
	if got := tail("testdata/none.log"); got != "" {
		t.Errorf("got %q", got)
	}
}

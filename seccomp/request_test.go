package seccomp

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// sayings are replies of each kind.
func sayings() []*reply {
	return []*reply{
		{program: testProgram()},
		{program: &Program{Filter: encode([]insn{{code: opReturn}}), Notes: []string{"one", "", "three"}}},
		{problem: "linux.seccomp: no"},
	}
}

// The generator gets the profile that was asked for, with all that a key holds.
func TestDecodeKey(t *testing.T) {
	profiles := map[string]*specs.LinuxSeccomp{
		"every field": testProfile(7),
		"nothing":     {},
		"no flags":    {DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{}},
	}
	for _, name := range []string{"docker-run.json", "podman-run.json"} {
		profiles[name] = workload(t, name)
	}
	for name, p := range profiles {
		key := NewKey(p, "6.1.0")
		got, err := decodeKey(key)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := NewKey(got, "6.1.0"); !bytes.Equal(again, key) {
			t.Errorf("%s: %+v is not what was asked for", name, got)
		}
		for _, wrong := range [][]byte{nil, key[1:], key[:len(key)-1], append(key[:len(key):len(key)], 0), append([]byte{9}, key[1:]...)} {
			if _, err := decodeKey(wrong); err == nil {
				t.Errorf("%s: a wrong request of %d bytes is taken for one", name, len(wrong))
			}
		}
	}
}

func TestReply(t *testing.T) {
	for _, r := range sayings() {
		data := encodeReply(r)
		got, err := decodeReply(data)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v becomes %+v, %v", r, got, err)
		}
		for _, wrong := range [][]byte{nil, data[:1], data[:len(data)-1], append(data[:len(data):len(data)], 0)} {
			// A text that ends early, or goes on, cannot be told from another length.
			if got, err := decodeReply(wrong); err == nil && reflect.DeepEqual(got, r) {
				t.Errorf("%+v: a wrong answer of %d bytes is taken for it", r, len(wrong))
			}
		}
	}
}

// What Compile has to say of a profile, Generate says in its answer.
func TestGenerate(t *testing.T) {
	for _, text := range []string{
		`{"defaultAction": "SCMP_ACT_ALLOW", "flags": [], "syscalls": [{"names": ["reboot", "no_such"], "action": "SCMP_ACT_NOTIFY"}]}`,
		`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}`,
	} {
		p := profileOf(t, text)
		var want reply
		var err error
		want.program, err = Compile(p, nil)
		if err != nil {
			want.problem = err.Error()
		}
		data, err := Generate(NewKey(p, ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeReply(data); err != nil || !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: %+v (%v), want %+v", text, got, err, &want)
		}
	}
	if _, err := Generate([]byte("nonsense")); err == nil || !strings.Contains(err.Error(), "another berth's") {
		t.Errorf("nonsense: %v", err)
	}
}

// FuzzRequest: no request does harm, and what is taken for one is what NewKey would
// have made.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(NewKey(testProfile(1), "6.1.0")))
	f.Add([]byte(NewKey(&specs.LinuxSeccomp{}, "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodeKey(data)
		if err != nil {
			return
		}
		again, err := decodeKey(NewKey(p, ""))
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%+v becomes %+v, %v", p, again, err)
		}
	})
}

// FuzzReply: no answer does harm.
func FuzzReply(f *testing.F) {
	for _, r := range sayings() {
		f.Add(encodeReply(r))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeReply(data)
		if err != nil {
			return
		}
		if again, err := decodeReply(encodeReply(r)); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v becomes %+v, %v", r, again, err)
		}
	})
}

package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// agree fails unless parse and encoding/json accept the same and give the
// same. It reports whether they accepted.
func agree[T any](t testing.TB, data []byte, parse func([]byte) (*T, error)) bool {
	t.Helper()
	want := new(T)
	wantErr := json.Unmarshal(data, want)
	have, haveErr := parse(data)
	if wantErr == nil && string(bytes.TrimSpace(data)) == "null" {
		wantErr = errors.New("encoding/json takes a null for nothing to do; a config.json is an object")
	}
	switch {
	case (wantErr == nil) != (haveErr == nil):
		t.Fatalf("encoding/json says %v, spec says %v, of\n%q", wantErr, haveErr, data)
	case haveErr != nil:
		var e *ParseError
		if !errors.As(haveErr, &e) {
			t.Fatalf("want a *ParseError, have %T", haveErr)
		}
		if e.Line < 1 || e.Column < 1 || e.Cause == "" || strings.ContainsAny(haveErr.Error(), "\n\r\x00") {
			t.Fatalf("not one line with a place and a cause: %q, of\n%q", haveErr, data)
		}
		return false
	case !reflect.DeepEqual(have, want):
		a, _ := json.Marshal(have)
		b, _ := json.Marshal(want)
		t.Fatalf("values differ, of\n%q\nspec:          %s\nencoding/json: %s", data, a, b)
	}
	return true
}

func TestParseAgreesWithEncodingJSONOnWorkloads(t *testing.T) {
	for _, name := range workloads(t) {
		data := workload(t, name)
		if !agree(t, data, Parse) {
			t.Errorf("%s is refused", name)
		}
		var parts struct {
			Process json.RawMessage
			Linux   struct{ Resources json.RawMessage }
		}
		if err := json.Unmarshal(data, &parts); err != nil {
			t.Fatal(err)
		}
		if !agree(t, parts.Process, ParseProcess) {
			t.Errorf("the process of %s is refused", name)
		}
		if !agree(t, parts.Linux.Resources, ParseResources) {
			t.Errorf("the resources of %s are refused", name)
		}
	}
}

// Every field there is, by reflection, with random values.
func TestParseAgreesWithEncodingJSONOnGeneratedDocuments(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 500 {
		s := new(specs.Spec)
		fill(r, reflect.ValueOf(s).Elem(), 0)
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if !agree(t, data, Parse) {
			t.Fatalf("a valid document is refused: %s", data)
		}
		// The same with all names in capitals. (Values too, which does not
		// matter: both sides read the same document. Escapes would break.)
		if !bytes.Contains(data, []byte(`\`)) {
			agree(t, bytes.ToUpper(data), Parse)
		}
	}
}

func TestParseAgreesWithEncodingJSONOnMutatedDocuments(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	var seeds [][]byte
	for range 40 {
		s := new(specs.Spec)
		fill(r, reflect.ValueOf(s).Elem(), 0)
		data, _ := json.Marshal(s)
		seeds = append(seeds, data)
	}
	for _, name := range workloads(t) {
		seeds = append(seeds, workload(t, name))
	}
	names := slices.Sorted(maps.Keys(mutations))
	accepted := 0
	const rounds = 6000
	for range rounds {
		doc := seeds[r.Intn(len(seeds))]
		for range 1 + r.Intn(3) {
			if len(doc) > 0 {
				doc = mutations[names[r.Intn(len(names))]](r, doc)
			}
		}
		if agree(t, doc, Parse) {
			accepted++
		}
	}
	// Without enough of both kinds the test would test nothing.
	if accepted < rounds/20 || accepted > rounds*19/20 {
		t.Errorf("%d of %d mutated documents were valid: the mutations are out of balance", accepted, rounds)
	}
}

func TestParseDepth(t *testing.T) {
	nest := func(n int) []byte {
		return []byte(`{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`)
	}
	if !agree(t, nest(maxDepth), Parse) {
		t.Error("the deepest allowed document is refused")
	}
	for _, n := range []int{maxDepth + 1, maxDepth * 100} {
		if agree(t, nest(n), Parse) {
			t.Errorf("%d levels are accepted", n)
		}
	}
	_, err := Parse([]byte(strings.Repeat(`{"process":`, 3) + strings.Repeat("[", 1<<20)))
	if err == nil {
		t.Error("a heap of open brackets is accepted")
	}
}

func TestParseErrors(t *testing.T) {
	cases := []struct{ name, doc, want string }{
		{"empty", "", "config.json:1:1: the file is empty: want a JSON object"},
		{"blank", " \n\n", "config.json:1:1: there is nothing but white space in the file: want a JSON object"},
		{"null", "null", "config.json:1:1: want an object, have null"},
		{"array", "\n [1]", "config.json:2:2: want an object, have an array"},
		{"bom", "\ufeff{}", "config.json:1:1: the file begins with a byte order mark: save it as UTF-8 without one"},
		{"utf-16", "\xff\xfe{\x00}\x00", "config.json:1:1: the file is UTF-16: save it as UTF-8"},
		{"trailing brace", "{\n}\n}", "config.json:3:1: want the end of the file behind the last }, have '}'"},
		{"trailing text", "{} {}", "config.json:1:4: want the end of the file behind the last }, have an object"},
		{"cut off", "{\n \"process\": {\n", "config.json:3:1: process: want a name in double quotes, have the end of the file"},
		{"cut off in a string", `{"root": {"path": "roo`, "config.json:1:23: root.path: the file ends inside a string"},
		{"cut off in an escape", `{"root": {"path": "roo\`, "config.json:1:24: root.path: the file ends inside a string"},
		{"comma before end", "{\n \"mounts\": [\n  {},\n ]}", "config.json:3:5: mounts[0]: a comma before ]: remove it"},
		{"comma before brace", `{"root": {"path": "x",}}`, "config.json:1:22: root.path: a comma before }: remove it"},
		{"comma missing", "{\"root\": {\n\"path\": \"x\"\n\"readonly\": true}}", "config.json:3:1: root.path: want a comma or }, have a string"},
		{"colon missing", `{"root" {}}`, "config.json:1:9: root: want a colon behind the name, have an object"},
		{"name missing", `{"root": {7}}`, "config.json:1:11: root: want a name in double quotes, have a number"},
		{"name unquoted", `{root: {}}`, "config.json:1:2: want a name in double quotes, have 'r'"},
		{"single quotes", `{'root': {}}`, "config.json:1:2: want a name in double quotes, have a single quote: JSON wants double quotes"},
		{"comment", "{\n// the root\n}", "config.json:2:1: want a name in double quotes, have a comment, which JSON does not know: remove it"},
		{"line break", "{\"hostname\": \"a\nb\"}", `config.json:1:16: hostname: a line break inside a string: close the string, or write \n`},
		{"tab", "{\"hostname\": \"a\tb\"}", `config.json:1:16: hostname: a control character inside a string: write it as \t`},
		{"control", "{\"hostname\": \"\x01\"}", `config.json:1:15: hostname: a control character inside a string: write it as \u0001`},
		{"escape", `{"root": {"path": "C:\x"}}`, `config.json:1:22: root.path: \x is no escape in JSON: write \\ for a backslash`},
		{"escaped line end", "{\"hostname\": \"a\\\nb\"}", `config.json:1:16: hostname: a backslash before '\n' is no escape in JSON: write \\ for a backslash`},
		{"unicode escape", `{"hostname": "\u12"}`, `config.json:1:15: hostname: \u without four hexadecimal digits behind it`},
		{"octal", `{"process": {"user": {"umask": 022}}}`, "config.json:1:32: process.user.umask: a number with a leading zero: JSON has no octal numbers, write it in decimal"},
		{"minus", `{"process": {"oomScoreAdj": -}}`, "config.json:1:29: process.oomScoreAdj: a minus sign without a digit behind it"},
		{"point", `{"x": 1.}`, "config.json:1:7: x: a decimal point without a digit behind it"},
		{"exponent", `{"x": 1e+}`, "config.json:1:7: x: an exponent without a digit behind it"},
		{"word", `{"process": {"terminal": tru}}`, "config.json:1:26: process.terminal: want true, have 't'"},
		{"value missing", `{"x": }`, "config.json:1:7: x: want a value, have '}'"},

		{"number for a string", "{\"mounts\": [{}, {},\n{\"type\": \"a\"},\n  {\"destination\": 7}]}", "config.json:3:19: mounts[3].destination: want a string, have a number"},
		{"string for a list", `{"process": {"args": "sh"}}`, "config.json:1:22: process.args: want an array, have a string"},
		{"number in a list", `{"process": {"args": ["sh", 1]}}`, "config.json:1:29: process.args[1]: want a string, have a number"},
		{"list for an object", `{"root": []}`, "config.json:1:10: root: want an object, have an array"},
		{"string for a boolean", `{"root": {"readonly": "true"}}`, "config.json:1:23: root.readonly: want true or false, have a string"},
		{"string for a number", `{"process": {"user": {"uid": "0"}}}`, "config.json:1:30: process.user.uid: want a number, have a string"},
		{"negative", `{"process": {"user": {"uid": -1}}}`, "config.json:1:30: process.user.uid: want a whole number from 0 to 4294967295, have -1"},
		{"fraction", `{"process": {"rlimits": [{"soft": 1.5}]}}`, "config.json:1:35: process.rlimits[0].soft: want a whole number from 0 to 18446744073709551615, have 1.5"},
		{"too large", `{"linux": {"resources": {"memory": {"limit": 9223372036854775808}}}}`, "config.json:1:46: linux.resources.memory.limit: want a whole number from -9223372036854775808 to 9223372036854775807, have 9223372036854775808"},
		{"too small", `{"process": {"scheduler": {"nice": -2147483649}}}`, "config.json:1:36: process.scheduler.nice: want a whole number from -2147483648 to 2147483647, have -2147483649"},
		{"map value", `{"linux": {"sysctl": {"net.core.somaxconn": 256}}}`, `config.json:1:45: linux.sysctl["net.core.somaxconn"]: want a string, have a number`},
		{"map of objects", `{"linux": {"netDevices": {"eth0": "x"}}}`, `config.json:1:35: linux.netDevices.eth0: want an object, have a string`},
		{"deep in lists", `{"linux": {"seccomp": {"syscalls": [{}, {"args": [{}, {"op": 3}]}]}}}`, "config.json:1:62: linux.seccomp.syscalls[1].args[1].op: want a string, have a number"},
		{"behind quotes in strings", `{"hostname": "a\"{[,", "root": {"path": 1}}`, "config.json:1:41: root.path: want a string, have a number"},
		{"characters, not bytes", `{"hostname": "é漢😀", "root": 1}`, "config.json:1:29: root: want an object, have a number"},
		{"windows", `{"windows": {"layerFolders": 7}}`, "config.json:1:13: windows: json: cannot unmarshal number into Go struct field Windows.layerFolders of type []string"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.doc))
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != c.want {
				t.Errorf("have %s\nwant %s", err, c.want)
			}
		})
	}
}

func TestParseErrorsNameTheirDocument(t *testing.T) {
	if _, err := ParseProcess([]byte(`{"args":[1]}`)); err == nil || err.Error() != "process.json:1:10: args[0]: want a string, have a number" {
		t.Error(err)
	}
	if _, err := ParseResources([]byte(`{"pids":{"limit":"1"}}`)); err == nil || err.Error() != "resources.json:1:18: pids.limit: want a number, have a string" {
		t.Error(err)
	}
}

// What a document repeats in an error must not make it endless.
func TestParseErrorsAreShort(t *testing.T) {
	long := strings.Repeat("9", 1<<20)
	for _, doc := range []string{
		`{"process":{"oomScoreAdj":` + long + `}}`, `{"annotations":{"` + long + `":7}}`, `{"annotations":{"a b` + long + `":7}}`, `{"x":"\q` + long + `"`, long,
	} {
		_, err := Parse([]byte(doc))
		if err == nil || len(err.Error()) > 600 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// A list must not be able to grow into its neighbour in the slab.
func TestParseListsAreApart(t *testing.T) {
	s, err := Parse([]byte(`{"process":{"args":["a","b"],"env":["c"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(s.Process.Args, "x")
	if s.Process.Env[0] != "c" {
		t.Error("an append to args has changed env")
	}
}

// The caller may use its buffer again.
func TestParseKeepsNothingOfItsInput(t *testing.T) {
	data := []byte(`{"hostname":"kept"}`)
	s, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if s.Hostname != "kept" {
		t.Errorf("hostname is now %q", s.Hostname)
	}
}

// FuzzParse looks for documents where Parse and encoding/json part, and for
// ones that bring Parse or Check down. The seeds are small on purpose: given
// large ones the fuzzer spends its time on making them smaller. (For the same
// reason: -fuzzminimizetime=10x.)
func FuzzParse(f *testing.F) {
	for _, doc := range slices.Concat(cornersTaken, cornersRefused) {
		f.Add([]byte(doc))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, workload(f, "spec-default.json")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if agree(t, data, Parse) {
			s, _ := Parse(data)
			oneLine(t, s)
		}
		agree(t, data, ParseProcess)
		agree(t, data, ParseResources)
	})
}

func BenchmarkParse(b *testing.B) {
	for _, name := range workloads(b) {
		data := workload(b, name)
		b.Run("spec/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encoding-json/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := json.Unmarshal(data, new(specs.Spec)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const config = "config-schema.json"
	for _, c := range []struct{ name, file, document, says string }{
		{"a state", "state-schema.json", `{"ociVersion": "1.0.2", "id": "x", "status": "running", "pid": 1, "bundle": "/b", "annotations": {"a": "b"}}`, ""},
		{"a status of berth's own", "state-schema.json", `{"ociVersion": "1.0.2", "id": "x", "status": "hot", "bundle": "/b"}`, "/status: hot is none of"},
		{"no id", "state-schema.json", `{"ociVersion": "1.0.2", "status": "running", "bundle": "/b"}`, "/: id is missing"},
		{"a type", "state-schema.json", `{"ociVersion": "1.0.2", "id": 5, "status": "running", "bundle": "/b"}`, "/id: is integer, want string"},
		{"a pid below 0", "state-schema.json", `{"ociVersion": "1.0.2", "id": "x", "status": "running", "pid": -1, "bundle": "/b"}`, "/pid: -1 is beyond the minimum"},
		{"an annotation", "state-schema.json", `{"ociVersion": "1.0.2", "id": "x", "status": "running", "bundle": "/b", "annotations": {"a/b": 1}}`, "/annotations/a~1b: is integer"},
		{"features", "features-schema.json", `{"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "hooks": ["poststop"], "linux": {"capabilities": ["CAP_KILL"]}}`, ""},
		{"without versions", "features-schema.json", `{"hooks": []}`, "/: ociVersionMin is missing"},
		{"a list that is none", "features-schema.json", `{"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "hooks": "poststop"}`, "/hooks: is string, want array"},
		{"a capability", "features-schema.json", `{"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "linux": {"capabilities": ["CAP_KILL", "kill"]}}`, `/linux/capabilities/1: "kill" does not match`},
		{"a namespace", "features-schema.json", `{"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "linux": {"namespaces": ["pid", "net"]}}`, "/linux/namespaces/1: net is none of"},
		{"a config", config, `{"ociVersion": "1.0.2", "process": {"cwd": "/", "args": ["a"], "user": {"uid": 0, "gid": 4294967295}}, "root": {"path": "r"}}`, ""},
		{"a number too big", config, `{"ociVersion": "1.0.2", "process": {"cwd": "/", "args": ["a"], "user": {"uid": 0, "gid": 4294967296}}}`, "/process/user/gid: 4294967296 is beyond the maximum"},
		{"half a number", config, `{"ociVersion": "1.0.2", "process": {"cwd": "/", "args": ["a"], "user": {"uid": 0.5, "gid": 0}}}`, "/process/user/uid: is number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := Check(c.file, []byte(c.document))
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(found, "\n")
			if c.says == "" && len(found) > 0 || !strings.Contains(text, c.says) {
				t.Errorf("found %q, want %q", found, c.says)
			}
		})
	}
	for _, document := range []string{"", "{", "{} {}"} {
		if found, err := Check(config, []byte(document)); err == nil {
			t.Errorf("%q: found %q", document, found)
		}
	}
	if _, err := Check("no-such.json", []byte("{}")); err == nil {
		t.Error("a schema that is not there was found")
	}
}

// The keywords by themselves, on schemas of the test's.
func TestKeywords(t *testing.T) {
	for _, c := range []struct {
		schema, document string
		found            int
	}{
		{`{"type": ["string", "null"]}`, `null`, 0},
		{`{"type": ["string", "null"]}`, `1`, 1},
		{`{"type": "number"}`, `1`, 0},
		{`{"anyOf": [{"type": "string"}, {"minimum": 5}]}`, `6`, 0},
		{`{"anyOf": [{"type": "string"}, {"minimum": 5}]}`, `4`, 1},
		{`{"allOf": [{"minimum": 1}, {"maximum": 5}]}`, `6`, 1},
		{`{"minItems": 2}`, `[1]`, 1},
		{`{"minItems": 2}`, `[1, 2]`, 0},
		{`{"patternProperties": {"^a": {"type": "string"}}}`, `{"ab": 1, "b": 1}`, 1},
		{`{"properties": {"a": {}}, "additionalProperties": false}`, `{"a": 1, "b": 1}`, 1},
		{`{"properties": {"a": {}}, "additionalProperties": {"type": "string"}}`, `{"a": 1, "b": 1, "c": "d"}`, 1},
		{`{"additionalProperties": {"type": "string"}}`, `{"a": 1}`, 1},
		{`{"maximum": 18446744073709551615}`, `18446744073709551616`, 1},
		{`{"maximum": 18446744073709551615}`, `18446744073709551615`, 0},
		{`{"$ref": "defs.json#/definitions/uint8"}`, `256`, 1},
	} {
		c1 := checker{files: map[string]any{}}
		schema, err := decode([]byte(c.schema))
		if err != nil {
			t.Fatal(err)
		}
		value, err := decode([]byte(c.document))
		if err != nil {
			t.Fatal(err)
		}
		c1.check("test", schema, value, "")
		if c1.err != nil || len(c1.found) != c.found {
			t.Errorf("%s of %s: found %q, %v; want %d differences", c.schema, c.document, c1.found, c1.err, c.found)
		}
	}
	for _, schema := range []string{`{"oneOf": []}`, `{"$ref": "defs.json#/definitions/none"}`, `{"$ref": "none.json#/a"}`, `{"pattern": "("}`} {
		c := checker{files: map[string]any{}}
		value, err := decode([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		if c.check("test", value, json.Number("1"), ""); c.err == nil {
			c.check("test", value, "text", "")
		}
		if c.err == nil {
			t.Errorf("%s: taken, and not understood", schema)
		}
	}
}

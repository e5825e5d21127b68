// Package schema checks documents against the runtime-spec's JSON schemas, which are in testdata. It knows what
// those use of JSON Schema draft 4, and fails on anything else.
package schema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

//go:embed testdata/*.json
var files embed.FS

// Check says how a document differs from what the schema in a file of testdata, such as features-schema.json, wants:
// a line for each difference, with its place as a JSON pointer (RFC 6901). The error is of the schema, or of a
// document that is not JSON.
func Check(file string, document []byte) (differences []string, err error) {
	value, err := decode(document)
	if err != nil {
		return nil, err
	}
	c := checker{files: map[string]any{}}
	root, err := c.load(file)
	if err != nil {
		return nil, err
	}
	c.check(file, root, value, "")
	return c.found, c.err
}

func decode(document []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("there is more behind the document")
	}
	return value, nil
}

type checker struct {
	files map[string]any
	found []string
	err   error // of the schema
}

func (c *checker) load(file string) (any, error) {
	if loaded, ok := c.files[file]; ok {
		return loaded, nil
	}
	text, err := files.ReadFile("testdata/" + file)
	if err != nil {
		return nil, err
	}
	loaded, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	c.files[file] = loaded
	return loaded, nil
}

func (c *checker) differ(place, format string, args ...any) {
	if place == "" {
		place = "/"
	}
	c.found = append(c.found, place+": "+fmt.Sprintf(format, args...))
}

// check compares a value with a schema that stands in file; place is the value's.
func (c *checker) check(file string, schema, value any, place string) {
	rules, ok := schema.(map[string]any)
	if !ok {
		c.fail("%s: a schema is no object", file)
		return
	}
	if ref, ok := rules["$ref"].(string); ok {
		target, file, err := c.resolve(file, ref)
		if err != nil {
			c.fail("%v", err)
			return
		}
		c.check(file, target, value, place)
		return
	}
	for _, keyword := range slices.Sorted(maps.Keys(rules)) {
		c.keyword(file, keyword, rules, value, place)
	}
}

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// resolve finds what FILE#/a/b, or #/a/b in the same file, refers to.
func (c *checker) resolve(file, ref string) (any, string, error) {
	name, pointer, _ := strings.Cut(ref, "#")
	if name != "" {
		file = name
	}
	target, err := c.load(file)
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, ok := target.(map[string]any)
		if err == nil && (!ok || object[part] == nil) {
			err = fmt.Errorf("%s: nothing is at %s", file, ref)
		}
		if err != nil {
			return nil, file, err
		}
		target = object[part]
	}
	return target, file, nil
}

func (c *checker) keyword(file, keyword string, rules map[string]any, value any, place string) {
	rule := rules[keyword]
	switch keyword {
	case "description", "$schema", "definitions", "id":
	case "type":
		if !isType(rule, value) {
			c.differ(place, "is %s, want %v", typeName(value), rule)
		}
	case "enum":
		if list, _ := rule.([]any); !slices.ContainsFunc(list, func(e any) bool { return reflect.DeepEqual(e, value) }) {
			c.differ(place, "%v is none of %v", value, rule)
		}
	case "minimum", "maximum":
		c.bound(keyword, rule, value, place)
	case "pattern":
		if text, ok := value.(string); ok && !c.matches(rule, text) {
			c.differ(place, "%q does not match %v", text, rule)
		}
	case "required":
		if object, ok := value.(map[string]any); ok {
			for _, name := range rule.([]any) {
				if _, there := object[name.(string)]; !there {
					c.differ(place, "%v is missing", name)
				}
			}
		}
	case "items":
		if list, ok := value.([]any); ok {
			for i, item := range list {
				c.check(file, rule, item, fmt.Sprintf("%s/%d", place, i))
			}
		}
	case "minItems":
		if list, ok := value.([]any); ok {
			if n, err := rule.(json.Number).Int64(); err != nil || int64(len(list)) < n {
				c.differ(place, "has %d items, want %v", len(list), rule)
			}
		}
	case "properties":
		c.properties(file, rules, value, place)
	case "patternProperties", "additionalProperties":
		if rules["properties"] == nil {
			c.properties(file, rules, value, place)
		}
	case "allOf":
		for _, one := range rule.([]any) {
			c.check(file, one, value, place)
		}
	case "anyOf":
		c.anyOf(file, rule.([]any), value, place)
	default:
		c.fail("%s: the keyword %s is not known here", file, keyword)
	}
}

func isType(rule, value any) bool {
	if names, ok := rule.([]any); ok {
		return slices.ContainsFunc(names, func(name any) bool { return isType(name, value) })
	}
	name := typeName(value)
	return name == rule || name == "integer" && rule == "number"
}

func typeName(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if _, ok := new(big.Int).SetString(v.String(), 10); ok {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

func (c *checker) bound(keyword string, rule, value any, place string) {
	number, ok := value.(json.Number)
	if !ok {
		return
	}
	n, ok1 := new(big.Float).SetPrec(128).SetString(number.String())
	limit, ok2 := new(big.Float).SetPrec(128).SetString(rule.(json.Number).String())
	if !ok1 || !ok2 {
		c.fail("%v or %v is no number", number, rule)
		return
	}
	if order := n.Cmp(limit); keyword == "minimum" && order < 0 || keyword == "maximum" && order > 0 {
		c.differ(place, "%v is beyond the %s of %v", number, keyword, rule)
	}
}

func (c *checker) matches(pattern any, text string) bool {
	re, err := regexp.Compile(fmt.Sprint(pattern))
	if err != nil {
		c.fail("%v", err)
		return false
	}
	return re.MatchString(text)
}

// properties checks the values of an object by their names.
func (c *checker) properties(file string, rules map[string]any, value any, place string) {
	object, ok := value.(map[string]any)
	if !ok {
		return
	}
	named, _ := rules["properties"].(map[string]any)
	patterns, _ := rules["patternProperties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := place + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		known := false
		if rule, ok := named[name]; ok {
			known = true
			c.check(file, rule, object[name], at)
		}
		for pattern, rule := range patterns {
			if c.matches(pattern, name) {
				known = true
				c.check(file, rule, object[name], at)
			}
		}
		if known {
			continue
		}
		switch others := rules["additionalProperties"].(type) {
		case bool:
			if !others {
				c.differ(at, "is not among the names that may be here")
			}
		case map[string]any:
			c.check(file, others, object[name], at)
		}
	}
}

// anyOf is content when one schema is.
func (c *checker) anyOf(file string, schemas []any, value any, place string) {
	var differences []string
	for _, one := range schemas {
		try := checker{files: c.files}
		try.check(file, one, value, place)
		if try.err != nil {
			c.fail("%v", try.err)
			return
		}
		if len(try.found) == 0 {
			return
		}
		differences = append(differences, strings.Join(try.found, ", "))
	}
	c.differ(place, "is none of: %s", strings.Join(differences, "; "))
}

package spec

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// workload reads one of the config.json files that engines wrote.
func workload(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "tests", "workloads", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// workloads names all of them.
func workloads(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "tests", "workloads", "*.json"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("want the workloads of the engines, have %q (%v)", paths, err)
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}

// fill sets v and everything below it to random values, or leaves parts empty.
// It knows the types by reflection, so a field that a later runtime-spec adds
// is tested without a change here.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if r.Intn(8) != 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), depth+1)
		}
	case reflect.Slice:
		if n := r.Intn(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if n := r.Intn(3); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				value := reflect.New(v.Type().Elem()).Elem()
				fill(r, value, depth+1)
				v.SetMapIndex(reflect.ValueOf(randomText(r)).Convert(v.Type().Key()), value)
			}
		}
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int63() >> r.Intn(63) * int64(1-2*r.Intn(2)) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.Intn(64) >> (64 - v.Type().Bits()))
	case reflect.Interface:
		v.Set(reflect.ValueOf(randomText(r)))
	default:
		panic("fill does not know " + v.Kind().String())
	}
}

func randomText(r *rand.Rand) string {
	pieces := []string{
		"/", "a", "proc", "0-3", "CAP_KILL", "net.ipv4", "=", " ", "é", "漢字", "\U0001F600",
		"\"", "\\", "\n", "\t", "\x00", "\x1f", "\x7f", "<", "&", "\u2028", "\xff", "\ufffd",
	}
	var b strings.Builder
	for range r.Intn(6) {
		b.WriteString(pieces[r.Intn(len(pieces))])
	}
	return b.String()
}

// A mutation makes another document of one, valid or not.
type mutation func(r *rand.Rand, doc []byte) []byte

// mutations: what people, editors and attackers do to JSON.
var mutations = map[string]mutation{
	"flip a byte": func(r *rand.Rand, doc []byte) []byte {
		doc = bytes.Clone(doc)
		doc[r.Intn(len(doc))] ^= byte(1 << r.Intn(8))
		return doc
	},
	"cut a piece": func(r *rand.Rand, doc []byte) []byte {
		from := r.Intn(len(doc))
		return append(bytes.Clone(doc[:from]), doc[min(len(doc), from+r.Intn(12)):]...)
	},
	"double a piece": func(r *rand.Rand, doc []byte) []byte {
		from := r.Intn(len(doc))
		to := min(len(doc), from+r.Intn(60))
		return append(bytes.Clone(doc[:to]), doc[from:]...)
	},
	"truncate": func(r *rand.Rand, doc []byte) []byte {
		return doc[:r.Intn(len(doc))]
	},
	"put a token": func(r *rand.Rand, doc []byte) []byte {
		tokens := []string{
			"null", "true", "false", "{}", "[]", `""`, "0", "-1", "-0", "1.0", "1e3", "01", "18446744073709551615",
			"18446744073709551616", "-9223372036854775808", "4294967296", "65536", ",", ":", "[", "]", "{", "}",
			`"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\u0000"`, `"\x"`, "\"\xff\"", "\ufeff", " ", "\n", "\x00", "//",
		}
		at := r.Intn(len(doc))
		return slicesJoin(doc[:at], []byte(tokens[r.Intn(len(tokens))]), doc[at:])
	},
	"swap a value": func(r *rand.Rand, doc []byte) []byte {
		values := []string{"null", "true", "{}", "[]", `"x"`, "7", "-7", "[null]", "[[]]", `{"a":null}`, `{"type":null}`, "1.5"}
		colons := indexAll(doc, ':')
		if len(colons) == 0 {
			return doc
		}
		at := colons[r.Intn(len(colons))] + 1
		end := at
		for depth := 0; end < len(doc); end++ {
			c := doc[end]
			if c == '{' || c == '[' {
				depth++
			}
			if depth == 0 && (c == ',' || c == '}' || c == ']') {
				break
			}
			if c == '}' || c == ']' {
				depth--
			}
		}
		return slicesJoin(doc[:at], []byte(values[r.Intn(len(values))]), doc[end:])
	},
	"repeat a member": func(r *rand.Rand, doc []byte) []byte {
		// The members of some object once more, behind themselves: names twice.
		opens := indexAll(doc, '{')
		if len(opens) == 0 {
			return doc
		}
		at := opens[r.Intn(len(opens))]
		depth := 0
		for end := at; end < len(doc); end++ {
			switch doc[end] {
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					inside := doc[at+1 : end]
					if len(bytes.TrimSpace(inside)) == 0 {
						return doc
					}
					return slicesJoin(doc[:end], []byte(","), inside, doc[end:])
				}
			}
		}
		return doc
	},
	"change case": func(r *rand.Rand, doc []byte) []byte {
		quotes := indexAll(doc, '"')
		if len(quotes) < 2 {
			return doc
		}
		i := r.Intn(len(quotes) - 1)
		from, to := quotes[i], quotes[i+1]
		changed := bytes.ToUpper(doc[from:to])
		if r.Intn(3) == 0 {
			changed = bytes.ReplaceAll(changed, []byte("S"), []byte("ſ"))
			changed = bytes.ReplaceAll(changed, []byte("K"), []byte("\u212A"))
		}
		return slicesJoin(doc[:from], changed, doc[to:])
	},
	"indent": func(_ *rand.Rand, doc []byte) []byte {
		var b bytes.Buffer
		if json.Indent(&b, doc, "\r ", "\t") != nil {
			return doc
		}
		return b.Bytes()
	},
}

func slicesJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func indexAll(doc []byte, c byte) []int {
	var at []int
	for i := range doc {
		if doc[i] == c {
			at = append(at, i)
		}
	}
	return at
}

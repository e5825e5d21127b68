package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// filled returns an operation whose arguments are all set, each to another
// value, so that two fields that were mixed up are seen.
func filled(op Op, seed uint64) Op {
	v := reflect.New(reflect.TypeOf(op)).Elem()
	r := rand.New(rand.NewPCG(seed, uint64(op.Code())))
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Interface().(type) {
		case string:
			f.SetString(fmt.Sprintf("%s=%x", v.Type().Field(i).Name, r.Uint64()))
		case []string:
			f.Set(reflect.ValueOf([]string{"", fmt.Sprintf("%x", r.Uint64()), "x=y"}))
		case []byte:
			f.Set(reflect.ValueOf([]byte{1, 0, byte(r.Uint32()), 4, 5}))
		case bool:
			f.SetBool(true)
		case uint32:
			f.SetUint(uint64(r.Uint32()))
		case uint64:
			f.SetUint(r.Uint64())
		case Slot:
			f.SetUint(1 + r.Uint64N(uint64(SlotCount)-1))
		case Point:
			f.SetUint(1 + r.Uint64N(uint64(pointCount)-1))
		case Kind:
			f.SetUint(1 + r.Uint64N(uint64(KindSource)))
		default:
			panic(fmt.Sprintf("a field of %T", f.Interface()))
		}
	}
	return v.Interface().(Op)
}

func everyPlan(fill func(Op, uint64) Op) *Plan {
	p := &Plan{}
	for i, op := range every() {
		p.Add(Origin{Field: "test", Index: i}, fill(op, uint64(i)))
	}
	return p
}

// reader takes an encoded plan apart, as the executor does. Any mistake in it
// panics with what it is.
type reader struct{ b []byte }

// behind is at for what is not part of the header.
func (r reader) behind(off, n uint32) []byte {
	if off < headerSize {
		panic(fmt.Sprintf("%d bytes at %d are in the header", n, off))
	}
	return r.at(off, n)
}

func (r reader) u32(off uint32) uint32 {
	return binary.LittleEndian.Uint32(r.at(off, 4))
}

func (r reader) at(off, n uint32) []byte {
	if uint64(off)+uint64(n) > uint64(len(r.b)) {
		panic(fmt.Sprintf("%d bytes at %d are outside of a plan of %d", n, off, len(r.b)))
	}
	return r.b[off : off+n]
}

func (r reader) string(off, n uint32) string {
	s := string(r.behind(off, n+1))
	if strings.IndexByte(s, 0) != int(n) {
		panic(fmt.Sprintf("%q does not end with its only NUL", s))
	}
	return s[:n]
}

// field sets f, an operation's field, from its eight bytes at off.
func (r reader) field(f reflect.Value, off uint32) {
	lo, hi := r.u32(off), r.u32(off+4)
	switch f.Interface().(type) {
	case string:
		f.SetString(r.string(lo, hi))
	case []string:
		list := make([]string, hi)
		r.behind(lo, hi*fieldSize)
		for i := range list {
			at := lo + uint32(i)*fieldSize
			list[i] = r.string(r.u32(at), r.u32(at+4))
		}
		if lo%fieldSize != 0 {
			panic("a list that is not aligned")
		}
		f.Set(reflect.ValueOf(list))
	case []byte:
		if lo%fieldSize != 0 {
			panic("a blob that is not aligned")
		}
		f.Set(reflect.ValueOf(append([]byte{}, r.behind(lo, hi)...)))
	case bool:
		f.SetBool(lo|hi != 0)
	default:
		f.SetUint(uint64(lo) | uint64(hi)<<32)
	}
}

// decoded is what a plan's bytes say.
type decoded struct {
	env      Env
	pointers uint32
	steps    []Step
}

// header reads the fixed part, by the names of struct header in executor.h.
func (r reader) header(t *testing.T) (steps uint32, d decoded) {
	t.Helper()
	h := r.at(0, headerSize)
	if magic := binary.LittleEndian.Uint64(h); magic != Magic || string(h[:8]) != "berthpln" {
		t.Errorf("magic %q", h[:8])
	}
	for name, pair := range map[string][2]uint32{
		"version": {r.u32(8), Version}, "size": {r.u32(12), uint32(len(r.b))}, "first": {r.u32(44), headerSize},
		"zero[0]": {r.u32(48), 0}, "zero[1]": {r.u32(52), 0}, "zero[2]": {r.u32(56), 0}, "zero[3]": {r.u32(60), 0},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %d, want %d", name, pair[0], pair[1])
		}
	}
	d.pointers = r.u32(20)
	d.env = Env{Socket: r.u32(24), Preserve: r.u32(28), SlotsFrom: r.u32(32)}
	for i := range r.u32(36) {
		d.env.Slots = append(d.env.Slots, Slot(r.u32(r.u32(40)+4*i)))
	}
	return r.u32(16), d
}

func decode(t *testing.T, b []byte) decoded {
	t.Helper()
	r := reader{b}
	steps, d := r.header(t)
	types := map[Code]reflect.Type{}
	for _, op := range every() {
		types[op.Code()] = reflect.TypeOf(op)
	}
	off := uint32(headerSize)
	for range steps {
		h := r.at(off, stepHeaderSize)
		le := binary.LittleEndian
		code, fields, tolerated := Code(le.Uint16(h)), le.Uint16(h[2:]), le.Uint16(h[4:])
		if le.Uint16(h[6:]) != 0 || le.Uint32(h[20:]) != 0 || int(fields) != types[code].NumField() {
			t.Errorf("header of %s: % x", code, h)
		}
		s := Step{Else: int(le.Uint32(h[8:]))}
		for i := range tolerated {
			s.OnError = append(s.OnError, le.Uint16(h[12+2*i:]))
		}
		op := reflect.New(types[code]).Elem()
		for i := range op.NumField() {
			r.field(op.Field(i), off+stepHeaderSize+uint32(i)*fieldSize)
		}
		s.Op = op.Interface().(Op)
		d.steps = append(d.steps, s)
		off += stepHeaderSize + uint32(fields)*fieldSize
	}
	return d
}

// Every operation comes back as it was, with its tolerated errors, and so does
// what the executor is told of its descriptors.
func TestRoundTrip(t *testing.T) {
	p := everyPlan(filled)
	for i := range p.Steps {
		s := &p.Steps[i]
		s.OnError = []uint16{1, 2, 38, 0xffff}[:i%(MaxOnError+1)]
		s.Else = min(i%3, len(p.Steps)-1-i)
	}
	env := Env{Socket: 7, Preserve: 2, SlotsFrom: 9, Slots: []Slot{SlotFifo, SlotReport, SlotFree}}
	b, err := p.Encode(env)
	if err != nil {
		t.Fatal(err)
	}
	d := decode(t, b)
	if !reflect.DeepEqual(d.env, env) {
		t.Errorf("env: got %+v, want %+v", d.env, env)
	}
	if len(d.steps) != len(p.Steps) {
		t.Fatalf("%d steps, want %d", len(d.steps), len(p.Steps))
	}
	for i, got := range d.steps {
		want := p.Steps[i]
		if !reflect.DeepEqual(got.Op, want.Op) || got.Else != want.Else || fmt.Sprint(got.OnError) != fmt.Sprint(want.OnError) {
			t.Errorf("step %d:\n got %+v\nwant %+v", i, got, want)
		}
	}
}

// Operations without arguments are encoded too: empty strings, lists and blobs
// are references to nothing, not offsets to nowhere.
func TestRoundTripOfZero(t *testing.T) {
	b, err := everyPlan(func(op Op, _ uint64) Op { return op }).Encode(Env{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range decode(t, b).steps {
		for _, a := range s.Op.Args() {
			if v := reflect.ValueOf(a.Value); !v.IsZero() && v.Kind() != reflect.Slice || v.Kind() == reflect.Slice && v.Len() > 0 {
				t.Errorf("%s: %s is %v", s.Op.Code(), a.Name, a.Value)
			}
		}
	}
}

// The executor has room for as many pointers as the header says: each list
// needs its entries, one for the late environment entry, and the NULL.
func TestPointers(t *testing.T) {
	p := &Plan{}
	p.Add(At("a"), FindExec{Candidates: []string{"a", "b", "c"}})
	p.Add(At("b"), Execve{Argv: []string{"x"}, Envp: nil})
	b, err := p.Encode(Env{})
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, b).pointers; got != (3+2)+(1+2)+(0+2) {
		t.Errorf("pointers: got %d", got)
	}
}

func TestEncodeRefuses(t *testing.T) {
	one := func(s Step) *Plan { return &Plan{Steps: []Step{s, {Op: Setsid{}}}} }
	many := &Plan{Steps: make([]Step, MaxSteps+1)}
	for i := range many.Steps {
		many.Steps[i].Op = Setsid{}
	}
	for want, p := range map[string]*Plan{
		`mounts[3] (/data): "/d\x00x" has a NUL byte`: one(Step{Op: OpenTree{Path: "/d\x00x"}, Origin: Origin{"mounts", 3, "/data"}}),
		`process.args: "a\x00" has a NUL byte`:        one(Step{Op: Execve{Argv: []string{"ok", "a\x00"}}, Origin: At("process.args")}),
		"operation 0 (setsid): more tolerated errors": one(Step{Op: Setsid{}, OnError: make([]uint16, MaxOnError+1)}),
		"operation 0 (umask): more tolerated errors":  one(Step{Op: Umask{}, Else: 2}),
		"operation 0 (fork): more tolerated errors":   one(Step{Op: Fork{}, Else: -1}),
		"the plan has 65537 operations":               many,
		"the plan takes":                              one(Step{Op: SetName{Name: strings.Repeat("x", MaxSize)}}),
	} {
		b, err := p.Encode(Env{})
		if err == nil || b != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}

// At the limits a plan is still taken.
func TestEncodeAtTheLimits(t *testing.T) {
	p := &Plan{Steps: make([]Step, MaxSteps)}
	for i := range p.Steps {
		p.Steps[i] = Step{Op: Setsid{}, OnError: make([]uint16, MaxOnError), Else: min(1, MaxSteps-1-i)}
	}
	b, err := p.Encode(Env{})
	if err != nil || len(decode(t, b).steps) != MaxSteps {
		t.Errorf("as many operations as can be: %v", err)
	}
	rest := MaxSize - headerSize - stepHeaderSize - fieldSize - 1 // the NUL
	rest -= rest % fieldSize                                      // before the slots
	p = &Plan{Steps: []Step{{Op: SetName{Name: strings.Repeat("x", rest-1)}}}}
	if b, err = p.Encode(Env{}); err != nil || len(b) > MaxSize {
		t.Errorf("as many bytes as can be: %d, %v", len(b), err)
	}
}

// An error names the first operation that it is about and can be unwrapped.
func TestEncodeErrorIsWrapped(t *testing.T) {
	p := &Plan{}
	p.Add(At("hostname"), Sethostname{Name: "a\x00"})
	p.Add(At("domainname"), Setdomainname{Name: "b\x00"})
	_, err := p.Encode(Env{})
	if err == nil || errors.Unwrap(err) == nil || !strings.HasPrefix(err.Error(), "hostname: ") {
		t.Errorf("got %v", err)
	}
}

// The generated tables speak of the operations that there are.
func TestTables(t *testing.T) {
	ops := every()
	if len(ops) != int(codeCount)-1 {
		t.Fatalf("%d operations, and %d codes", len(ops), codeCount-1)
	}
	names := map[string]bool{}
	for i, op := range ops {
		v := reflect.TypeOf(op)
		if int(op.Code()) != i+1 {
			t.Errorf("%s has code %d, and is number %d", v.Name(), op.Code(), i+1)
		}
		if n := int(fieldCounts[op.Code()]); n != v.NumField() || n != len(op.Args()) {
			t.Errorf("%s: the table has %d fields, the type %d, Args %d", v.Name(), n, v.NumField(), len(op.Args()))
		}
		name := op.Code().String()
		if names[name] || strings.ReplaceAll(name, "_", "") != strings.ToLower(v.Name()) {
			t.Errorf("%s is called %s", v.Name(), name)
		}
		names[name] = true
	}
	if codeNone.String() != codeCount.String() || names[codeNone.String()] {
		t.Errorf("a code that is none is called %s", codeNone)
	}
}

// Args are the fields under their own values, in order.
func TestArgs(t *testing.T) {
	for _, op := range every() {
		op = filled(op, 7)
		v := reflect.ValueOf(op)
		for i, a := range op.Args() {
			if !reflect.DeepEqual(a.Value, v.Field(i).Interface()) ||
				strings.ReplaceAll(a.Name, "_", "") != strings.ToLower(v.Type().Field(i).Name) {
				t.Errorf("%s: argument %d is %+v", op.Code(), i, a)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		SlotNone.String(): "none", SlotPidfd.String(): "pidfd", SlotCgroup.String(): "cgroup0",
		(SlotCgroup + 15).String(): "cgroup15", SlotFree.String(): "fd40",
		PointNone.String(): "none", PointCreated.String(): "created", pointCount.String(): "point 8",
		KindNone.String(): "none", KindSource.String(): "as-source", (KindSource + 1).String(): "kind 4",
		At("root.path").String():                  "root.path",
		Origin{"process.rlimits", 0, ""}.String(): "process.rlimits[0]",
		Origin{"mounts", 3, "/data"}.String():     "mounts[3] (/data)",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

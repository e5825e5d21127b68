package plan

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Version is the number of the wire format; executor and Go are built
// together, so any difference is refused.
const Version = 1

// Magic starts every plan: "berthpln".
const Magic = 0x6e6c706874726562

// Limits of a plan; the executor checks the same ones.
const (
	MaxSize    = 64 << 20 // bytes of an encoded plan
	MaxSteps   = 1 << 16  // operations
	MaxOnError = 4        // tolerated error numbers of a step
	MaxLate    = 4        // entries of the environment that an answer brings
)

// Sizes of the fixed parts, in bytes.
const (
	headerSize     = 64
	stepHeaderSize = 24
	fieldSize      = 8
)

// Env is what the executor must know before the first operation.
type Env struct {
	Socket    uint32 // descriptor of the report socket
	Preserve  uint32 // how many descriptors from 3 on belong to the container
	SlotsFrom uint32 // first of the descriptors that start in slots
	Slots     []Slot // which slots those are, in order
}

// encoder lays a plan out: header, steps with their fields, then lists,
// strings and blobs. Offsets count from the start of the plan.
type encoder struct {
	buf      []byte
	tail     []byte // lists, strings and blobs
	tailBase uint32
	pointers uint32 // entries of the largest argv and envp together
	err      error
}

// Encode returns the plan as the executor reads it. It fails on a string with
// a NUL byte and on a plan that is over the limits.
func (p *Plan) Encode(env Env) ([]byte, error) {
	if len(p.Steps) > MaxSteps {
		return nil, fmt.Errorf("the plan has %d operations, the executor takes %d", len(p.Steps), MaxSteps)
	}
	size := headerSize
	for i := range p.Steps {
		size += stepHeaderSize + int(fieldCounts[p.Steps[i].Op.Code()])*fieldSize
	}
	e := &encoder{buf: make([]byte, headerSize, size), tail: make([]byte, 0, 4096), tailBase: uint32(size)}
	for i := range p.Steps {
		s := &p.Steps[i]
		if len(s.OnError) > MaxOnError || s.Else < 0 || s.Else >= len(p.Steps)-i {
			return nil, fmt.Errorf("operation %d (%s): more tolerated errors or alternatives than a plan can hold", i, s.Op.Code())
		}
		e.stepHeader(s)
		s.Op.encode(e)
		if e.err != nil {
			return nil, fmt.Errorf("%s: %w", s.Origin, e.err)
		}
	}
	slots := e.slots(env.Slots)
	total := len(e.buf) + len(e.tail)
	if total > MaxSize {
		return nil, fmt.Errorf("the plan takes %d bytes, the executor takes %d: args, env or mounts are too many", total, MaxSize)
	}
	le := binary.LittleEndian
	h := e.buf[:headerSize]
	le.PutUint64(h[0:], Magic)
	le.PutUint32(h[8:], Version)
	le.PutUint32(h[12:], uint32(total))
	le.PutUint32(h[16:], uint32(len(p.Steps)))
	le.PutUint32(h[20:], e.pointers)
	le.PutUint32(h[24:], env.Socket)
	le.PutUint32(h[28:], env.Preserve)
	le.PutUint32(h[32:], env.SlotsFrom)
	le.PutUint32(h[36:], uint32(len(env.Slots)))
	le.PutUint32(h[40:], slots)
	le.PutUint32(h[44:], headerSize)
	return append(e.buf, e.tail...), nil
}

func (e *encoder) stepHeader(s *Step) {
	var h [stepHeaderSize]byte
	le := binary.LittleEndian
	le.PutUint16(h[0:], uint16(s.Op.Code()))
	le.PutUint16(h[2:], uint16(fieldCounts[s.Op.Code()]))
	le.PutUint16(h[4:], uint16(len(s.OnError)))
	le.PutUint32(h[8:], uint32(s.Else))
	for i, errno := range s.OnError {
		le.PutUint16(h[12+2*i:], errno)
	}
	e.buf = append(e.buf, h[:]...)
}

func (e *encoder) slots(slots []Slot) uint32 {
	e.align()
	at := e.tailBase + uint32(len(e.tail))
	for _, s := range slots {
		e.tail = binary.LittleEndian.AppendUint32(e.tail, uint32(s))
	}
	return at
}

func (e *encoder) align() {
	for len(e.tail)%fieldSize != 0 {
		e.tail = append(e.tail, 0)
	}
}

func (e *encoder) ref(off, n uint32) {
	e.buf = binary.LittleEndian.AppendUint32(e.buf, off)
	e.buf = binary.LittleEndian.AppendUint32(e.buf, n)
}

func (e *encoder) uint(v uint64) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, v)
}

func (e *encoder) bool(v bool) {
	if v {
		e.uint(1)
	} else {
		e.uint(0)
	}
}

// put appends a string and its NUL to the tail and returns its offset.
func (e *encoder) put(s string) uint32 {
	if i := strings.IndexByte(s, 0); i >= 0 && e.err == nil {
		e.err = fmt.Errorf("%q has a NUL byte: the kernel takes none", s)
	}
	off := e.tailBase + uint32(len(e.tail))
	e.tail = append(e.tail, s...)
	e.tail = append(e.tail, 0)
	return off
}

func (e *encoder) string(s string) { e.ref(e.put(s), uint32(len(s))) }

func (e *encoder) bytes(b []byte) {
	e.align()
	off := e.tailBase + uint32(len(e.tail))
	e.tail = append(e.tail, b...)
	e.ref(off, uint32(len(b)))
}

// strings appends a table of references, then the strings themselves.
func (e *encoder) strings(list []string) {
	e.align()
	table := len(e.tail)
	off := e.tailBase + uint32(table)
	e.tail = append(e.tail, make([]byte, len(list)*fieldSize)...)
	for i, s := range list {
		at := e.put(s)
		binary.LittleEndian.PutUint32(e.tail[table+i*fieldSize:], at)
		binary.LittleEndian.PutUint32(e.tail[table+i*fieldSize+4:], uint32(len(s)))
	}
	e.pointers += uint32(len(list)) + 2
	e.ref(off, uint32(len(list)))
}

package devices

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// A model of the v1 device cgroup, written from the kernel's
// Documentation/admin-guide/cgroup-v1/devices.rst and from what writes to a
// real one do (bpf/kernel_test.go compares it with one). It shares no code with
// the package: it reads the text that is written to the kernel's files.

type modelEntry struct {
	kind, major, minor string
	access             map[byte]bool
}

type model struct {
	allowByDefault bool
	exceptions     []*modelEntry
}

// write takes one write to devices.allow or devices.deny.
func (m *model) write(t testing.TB, file, value string) {
	t.Helper()
	allow := file == "devices.allow"
	if !allow && file != "devices.deny" {
		t.Fatalf("write to %q", file)
	}
	if strings.HasPrefix(value, "a") {
		// "Allowing or denying all": whatever follows is not looked at.
		m.allowByDefault, m.exceptions = allow, nil
		return
	}
	var e modelEntry
	var access string
	if _, err := fmt.Sscanf(strings.ReplaceAll(value, ":", " "), "%s %s %s %s", &e.kind, &e.major, &e.minor, &access); err != nil {
		t.Fatalf("write %q to %s: %v", value, file, err)
	}
	e.access = map[byte]bool{}
	for _, c := range []byte(access) {
		e.access[c] = true
	}
	for i, old := range m.exceptions {
		if old.kind != e.kind || old.major != e.major || old.minor != e.minor {
			continue
		}
		for c := range e.access {
			if allow != m.allowByDefault {
				old.access[c] = true
			} else {
				delete(old.access, c)
			}
		}
		if len(old.access) == 0 {
			m.exceptions = append(m.exceptions[:i], m.exceptions[i+1:]...)
		}
		return
	}
	if allow != m.allowByDefault {
		m.exceptions = append(m.exceptions, &e)
	}
}

// request is one attempt to use a device.
type request struct {
	kind         byte // b or c
	major, minor uint32
	access       string // of r, w and m; access(2) with F_OK asks for none
}

func (q request) String() string {
	return fmt.Sprintf("%c %d:%d %s", q.kind, q.major, q.minor, q.access)
}

func (m *model) allows(q request) bool {
	for _, e := range m.exceptions {
		if e.kind != string(q.kind) ||
			e.major != "*" && e.major != strconv.Itoa(int(q.major)) ||
			e.minor != "*" && e.minor != strconv.Itoa(int(q.minor)) {
			continue
		}
		all, any := true, false
		for _, c := range []byte(q.access) {
			all = all && e.access[c]
			any = any || e.access[c]
		}
		if m.allowByDefault && any {
			return false
		}
		if !m.allowByDefault && all {
			return true
		}
	}
	return m.allowByDefault
}

// interpret runs an encoded program as the kernel would, for the instructions
// the compiler uses; any other fails the test.
func interpret(t testing.TB, code []byte, q request) bool {
	t.Helper()
	bits := map[byte]uint32{'m': 1, 'r': 2, 'w': 4}
	word := uint32(2) // BPF_DEVCG_DEV_CHAR
	if q.kind == 'b' {
		word = 1
	}
	for _, c := range []byte(q.access) {
		word |= bits[c] << 16
	}
	ctx := [3]uint32{word, q.major, q.minor}
	const ctxAddress = 1 << 40
	reg := [11]uint64{1: ctxAddress}
	for pc, steps := 0, 0; ; pc, steps = pc+1, steps+1 {
		if pc < 0 || (pc+1)*8 > len(code) || steps > len(code) {
			t.Fatalf("ran to instruction %d of %d", pc, len(code)/8)
		}
		ins := code[pc*8 : pc*8+8]
		op, dst, src := ins[0], ins[1]&15, ins[1]>>4
		off := int(int16(binary.NativeEndian.Uint16(ins[2:])))
		imm := binary.NativeEndian.Uint32(ins[4:])
		jump := false
		switch op {
		case 0x61: // BPF_LDX | BPF_MEM | BPF_W
			if reg[src] != ctxAddress || off%4 != 0 || off < 0 || off > 8 {
				t.Fatalf("instruction %d: bad load at %d", pc, off)
			}
			reg[dst] = uint64(ctx[off/4])
		case 0xbc: // BPF_ALU | BPF_MOV | BPF_X
			reg[dst] = uint64(uint32(reg[src]))
		case 0xb4: // BPF_ALU | BPF_MOV | BPF_K
			reg[dst] = uint64(imm)
		case 0x54: // BPF_ALU | BPF_AND | BPF_K
			reg[dst] = uint64(uint32(reg[dst]) & imm)
		case 0x74: // BPF_ALU | BPF_RSH | BPF_K
			reg[dst] = uint64(uint32(reg[dst]) >> imm)
		case 0x56: // BPF_JMP32 | BPF_JNE | BPF_K
			jump = uint32(reg[dst]) != imm
		case 0x16: // BPF_JMP32 | BPF_JEQ | BPF_K
			jump = uint32(reg[dst]) == imm
		case 0x05: // BPF_JMP | BPF_JA
			jump = true
		case 0x95: // BPF_JMP | BPF_EXIT
			if reg[0] > 1 {
				t.Fatalf("returns %d, which the kernel's verifier refuses", reg[0])
			}
			return reg[0] == 1
		default:
			t.Fatalf("instruction %d: unknown opcode %#x", pc, op)
		}
		if jump {
			pc += off
		}
	}
}

// ruleSource draws rules and requests from few enough numbers to collide.
type ruleSource struct{ *rand.Rand }

func (s ruleSource) number() int64 {
	switch s.IntN(8) {
	case 0, 1:
		return Any
	case 2:
		return 1<<31 + int64(s.IntN(2)) // the sign bit of a 32-bit immediate
	case 3:
		return 1<<32 - 2
	}
	return int64(s.IntN(3))
}

func (s ruleSource) rule() Rule {
	r := Rule{Allow: s.IntN(2) == 0, Type: Char, Major: s.number(), Minor: s.number(), Access: Access(1 + s.IntN(7)), Origin: "test"}
	if s.IntN(2) == 0 {
		r.Access = everyAccess // so that rules come to be about the same access
	}
	switch s.IntN(12) {
	case 0:
		return Rule{Allow: r.Allow, Type: All, Major: Any, Minor: Any, Access: everyAccess, Origin: "test"}
	case 1, 2, 3:
		r.Type = Block
	}
	return r
}

func (s ruleSource) rules() []Rule {
	list := make([]Rule, s.IntN(16))
	for i := range list {
		list[i] = s.rule()
	}
	return list
}

// requests are all that the numbers of ruleSource can tell apart.
func requests() []request {
	var list []request
	numbers := []uint32{0, 1, 2, 3, 1 << 31, 1<<31 + 1, 1<<32 - 2}
	for _, kind := range []byte("bc") {
		for _, major := range numbers {
			for _, minor := range numbers {
				for _, access := range []string{"", "r", "w", "m", "rw", "rm", "wm", "rwm"} {
					list = append(list, request{kind, major, minor, access})
				}
			}
		}
	}
	return list
}

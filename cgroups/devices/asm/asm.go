// Package asm assembles the few eBPF instructions that a device filter is made
// of (the kernel's bpf/standardization/instruction-set.rst).
//
// Names, encoding and text are those of cilium/ebpf's assembler, with which its
// tests compare it. That one is not linked: its packages bring along readers of
// ELF, DWARF and Go source, which every command of berth would set up first
// (docs/decisions/007-own-assembler.md).
package asm

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Register is one of the machine's: R0 takes the result, R1 has the context.
type Register uint8

// The registers that are used.
const (
	R0 Register = iota
	R1
	R2
	R3
	R4
)

// InstructionSize is that of struct bpf_insn (linux/bpf.h) in bytes.
const InstructionSize = 8

// The opcodes: class, source and operation in one byte.
const (
	opLoadWord = 0x61 // BPF_LDX | BPF_MEM | BPF_W
	opMov32    = 0xb4 // BPF_ALU | BPF_K | BPF_MOV
	opAnd32    = 0x54 // BPF_ALU | BPF_K | BPF_AND
	opJEq32    = 0x16 // BPF_JMP32 | BPF_K | BPF_JEQ
	opJNE32    = 0x56 // BPF_JMP32 | BPF_K | BPF_JNE
	opJa       = 0x05 // BPF_JMP | BPF_JA
	opExit     = 0x95 // BPF_JMP | BPF_EXIT
)

// Instruction is one of a program's, perhaps with a label to jump to, the label
// that it jumps to, and a comment.
type Instruction struct {
	opcode    uint8
	dst, src  Register
	Offset    int16 // of a jump: how many instructions are passed over
	constant  int32
	symbol    string
	reference string
	comment   string
}

// Instructions is a program.
type Instructions []Instruction

// WithSymbol gives the instruction a label.
func (i Instruction) WithSymbol(name string) Instruction {
	i.symbol = name
	return i
}

// WithComment gives it a comment, which Text prints above it.
func (i Instruction) WithComment(text string) Instruction {
	i.comment = text
	return i
}

// Symbol is the instruction's label, "" for none.
func (i Instruction) Symbol() string { return i.symbol }

// Reference is the label that it jumps to, "" for none.
func (i Instruction) Reference() string { return i.reference }

// LoadWord loads 32 bits from memory at src + offset.
func LoadWord(dst, src Register, offset int16) Instruction {
	return Instruction{opcode: opLoadWord, dst: dst, src: src, Offset: offset}
}

// Mov32 sets the register to a value.
func Mov32(dst Register, value int32) Instruction {
	return Instruction{opcode: opMov32, dst: dst, constant: value}
}

// And32 keeps the bits of the register that are in mask.
func And32(dst Register, mask int32) Instruction {
	return Instruction{opcode: opAnd32, dst: dst, constant: mask}
}

// JumpOp is the condition of a jump.
type JumpOp uint8

// The conditions, each on a register's lower 32 bits.
const (
	JEq JumpOp = opJEq32 // equal
	JNE JumpOp = opJNE32 // not equal
)

// Imm32 jumps to label where the register compares so with value.
func (op JumpOp) Imm32(register Register, value int32, label string) Instruction {
	return Instruction{opcode: uint8(op), dst: register, constant: value, reference: label}
}

// Ja jumps to label always.
func Ja(label string) Instruction { return Instruction{opcode: opJa, reference: label} }

// Return ends the program.
func Return() Instruction { return Instruction{opcode: opExit} }

// Resolve fills in the offsets of the jumps.
func (p Instructions) Resolve() {
	at := make(map[string]int, 8)
	for i := range p {
		if name := p[i].symbol; name != "" {
			at[name] = i
		}
	}
	for i := range p {
		if name := p[i].reference; name != "" {
			p[i].Offset = int16(at[name] - i - 1)
		}
	}
}

// Encode gives the program in the form that bpf(2) loads, an array of struct
// bpf_insn in the byte order of this machine.
func (p Instructions) Encode() []byte {
	b := make([]byte, 0, len(p)*InstructionSize)
	// dst_reg and src_reg are bit fields: on a big-endian machine the first
	// has the upper half.
	dst, src := 0, 4
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		dst, src = 4, 0
	}
	for i := range p {
		in := &p[i]
		b = append(b, in.opcode, uint8(in.dst)<<dst|uint8(in.src)<<src)
		b = binary.NativeEndian.AppendUint16(b, uint16(in.Offset))
		b = binary.NativeEndian.AppendUint32(b, uint32(in.constant))
	}
	return b
}

// Text lists the program, an instruction a line, labels and comments above.
func (p Instructions) Text() string {
	var b strings.Builder
	width := len(fmt.Sprint(len(p)))
	for i := range p {
		in := &p[i]
		if in.symbol != "" {
			fmt.Fprintf(&b, "%s:\n", in.symbol)
		}
		if in.comment != "" {
			fmt.Fprintf(&b, "\t%*s; %s\n", width, " ", in.comment)
		}
		fmt.Fprintf(&b, "\t%*d: %s\n", width, i, in.text())
	}
	return b.String()
}

func (i *Instruction) text() string {
	jump := ""
	if i.reference != "" {
		jump = fmt.Sprintf(" <%s>", i.reference)
	}
	switch i.opcode {
	case opLoadWord:
		return fmt.Sprintf("LdXMemW dst: r%d src: r%d off: %d imm: 0", i.dst, i.src, i.Offset)
	case opMov32:
		return fmt.Sprintf("MovImm32 dst: r%d imm: %d", i.dst, i.constant)
	case opAnd32:
		return fmt.Sprintf("AndImm32 dst: r%d imm: %d", i.dst, i.constant)
	case opJEq32:
		return fmt.Sprintf("JEq32Imm dst: r%d off: %d imm: %d%s", i.dst, i.Offset, i.constant, jump)
	case opJNE32:
		return fmt.Sprintf("JNE32Imm dst: r%d off: %d imm: %d%s", i.dst, i.Offset, i.constant, jump)
	case opJa:
		return fmt.Sprintf("Ja off: %d%s", i.Offset, jump)
	}
	return "Exit"
}

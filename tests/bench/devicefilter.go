package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// assembleFilter turns the text of a device filter, as `berth plan` prints it, back into eBPF instructions (struct
// bpf_insn, 8 bytes each), so that the floor can load the same program.
func assembleFilter(lines []string) ([]byte, error) {
	var code []byte
	for _, line := range lines {
		number, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if _, err := strconv.Atoi(number); !ok || err != nil {
			continue // a label or a comment
		}
		insn, err := assembleInstruction(text)
		if err != nil {
			return nil, fmt.Errorf("device filter: %q: %w", text, err)
		}
		code = append(code, insn...)
	}
	if len(code) == 0 {
		return nil, fmt.Errorf("device filter: no instructions in %d lines", len(lines))
	}
	return code, nil
}

// assembleInstruction assembles a line like `JEq32Imm dst: r2 off: 22 imm: 2 <exception>`.
func assembleInstruction(text string) ([]byte, error) {
	words := strings.Fields(text)
	code, ok := opcode(words[0])
	if !ok {
		return nil, fmt.Errorf("the bench does not know the instruction %s", words[0])
	}
	insn := make([]byte, 8)
	insn[0] = code
	for i := 1; i+1 < len(words) && strings.HasSuffix(words[i], ":"); i += 2 {
		n, err := strconv.ParseInt(strings.TrimPrefix(words[i+1], "r"), 10, 64)
		if err != nil {
			return nil, err
		}
		switch words[i] {
		case "dst:":
			insn[1] |= byte(n)
		case "src:":
			insn[1] |= byte(n) << 4
		case "off:":
			binary.NativeEndian.PutUint16(insn[2:], uint16(n))
		case "imm:":
			binary.NativeEndian.PutUint32(insn[4:], uint32(n))
		default:
			return nil, fmt.Errorf("the bench does not know %s", words[i])
		}
	}
	return insn, nil
}

// opcode knows the instructions that device filters are made of (linux/bpf.h: class, source and operation).
func opcode(name string) (byte, bool) {
	switch name {
	case "LdXMemW":
		return 0x61, true
	case "AndImm32":
		return 0x54, true
	case "MovImm32":
		return 0xb4, true
	case "JEq32Imm":
		return 0x16, true
	case "JNE32Imm":
		return 0x56, true
	case "JSet32Imm":
		return 0x46, true
	case "Ja":
		return 0x05, true
	case "Exit":
		return 0x95, true
	}
	return 0, false
}

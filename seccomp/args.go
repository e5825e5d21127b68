package seccomp

import "encoding/binary"

// branch is one alternative of a program for arguments: where all conditions
// hold, ret is the answer.
type branch struct {
	conds []condition
	ret   uint32
	entry int // index in linux.seccomp.syscalls, for messages
}

// argsProgram tries branches in turn; when none holds, the answer is deflt.
func argsProgram(a arch, branches []branch, deflt uint32) []insn {
	var code []insn
	for _, b := range branches {
		start := len(code)
		for _, c := range b.conds {
			code = append(code, a.compare(c)...)
		}
		code = append(code, insn{code: opReturn, k: b.ret})
		// What fails goes on behind this branch: six conditions of at most six
		// instructions, so 8 bits always reach it.
		for at := start; at < len(code); at++ {
			distance := len(code) - at - 1
			switch i := &code[at]; {
			case i.code == opJump:
				*i = insn{code: opJump, k: uint32(distance)}
			default:
				if i.jt == fail {
					i.jt = uint8(distance)
				}
				if i.jf == fail {
					i.jf = uint8(distance)
				}
			}
		}
	}
	return append(code, insn{code: opReturn, k: deflt})
}

// fail stands in for the distance to the end of the branch.
const fail = 255

// compare gives the code of one condition: it jumps to fail or runs through its
// end.
func (a arch) compare(c condition) []insn {
	if a.narrow() {
		return compareNarrow(c)
	}
	return compareWide(c)
}

// compareWide compares an argument of 64 bits with the 32 of BPF: the high half
// first, and the low one only where the high ones are equal.
func compareWide(c condition) []insn {
	high, low := uint32(c.value>>32), uint32(c.value)
	loadHigh, loadLow := loadArg(c.index, true), loadArg(c.index, false)
	switch c.op {
	case opEqual:
		return []insn{loadHigh, {opJumpEqual, 0, fail, high}, loadLow, {opJumpEqual, 0, fail, low}}
	case opNotEqual:
		return []insn{loadHigh, {opJumpEqual, 0, 2, high}, loadLow, {opJumpEqual, fail, 0, low}}
	case opGreater:
		return []insn{loadHigh, {opJumpGreater, 3, 0, high}, {opJumpEqual, 0, fail, high}, loadLow, {opJumpGreater, 0, fail, low}}
	case opGreaterEqual:
		return []insn{loadHigh, {opJumpGreater, 3, 0, high}, {opJumpEqual, 0, fail, high}, loadLow, {opJumpGreaterEqual, 0, fail, low}}
	case opLess:
		return []insn{loadHigh, {opJumpGreater, fail, 0, high}, {opJumpEqual, 0, 2, high}, loadLow, {opJumpGreaterEqual, fail, 0, low}}
	case opLessEqual:
		return []insn{loadHigh, {opJumpGreater, fail, 0, high}, {opJumpEqual, 0, 2, high}, loadLow, {opJumpGreater, fail, 0, low}}
	case opMaskedEqual:
		code := maskedEqual(loadHigh, high, uint32(c.valueTwo>>32))
		return append(code, maskedEqual(loadLow, low, uint32(c.valueTwo))...)
	}
	panic("seccomp: operator that parse does not make")
}

// compareNarrow compares an argument of 32 bits, which are the low half of the
// field. What the high half holds is not the same on all architectures.
func compareNarrow(c condition) []insn {
	value, valueTwo := cut(c.value), cut(c.valueTwo)
	low, load := uint32(value), loadArg(c.index, false)
	beyond := value > uint64(^uint32(0)) // no argument is as large
	never := []insn{{opJump, 0, fail, 0}}
	switch c.op {
	case opEqual, opGreater, opGreaterEqual:
		if beyond {
			return never
		}
	case opNotEqual, opLess, opLessEqual:
		if beyond {
			return nil
		}
	case opMaskedEqual:
		if value&valueTwo > uint64(^uint32(0)) {
			return never
		}
		return maskedEqual(load, low, uint32(valueTwo))
	}
	switch c.op {
	case opEqual:
		return []insn{load, {opJumpEqual, 0, fail, low}}
	case opNotEqual:
		return []insn{load, {opJumpEqual, fail, 0, low}}
	case opGreater:
		return []insn{load, {opJumpGreater, 0, fail, low}}
	case opGreaterEqual:
		return []insn{load, {opJumpGreaterEqual, 0, fail, low}}
	case opLess:
		return []insn{load, {opJumpGreaterEqual, fail, 0, low}}
	case opLessEqual:
		return []insn{load, {opJumpGreater, fail, 0, low}}
	}
	panic("seccomp: operator that parse does not make")
}

// maskedEqual compares the bits of one half that mask has with value's; without
// any there is nothing to look at.
func maskedEqual(load insn, mask, value uint32) []insn {
	switch mask {
	case 0:
		return nil
	case ^uint32(0):
		return []insn{load, {opJumpEqual, 0, fail, value}}
	}
	return []insn{load, {code: opAnd, k: mask}, {opJumpEqual, 0, fail, value & mask}}
}

// loadArg loads one half of an argument (struct seccomp_data, linux/seccomp.h).
func loadArg(index uint32, high bool) insn {
	offset := offsetArgs + 8*index
	if high == littleEndian() {
		offset += 4
	}
	return insn{code: opLoad, k: offset}
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// narrow says whether system call arguments of the architecture have 32 bits;
// those of x32 and n32 MIPS have 64.
func (a arch) narrow() bool {
	switch a {
	case archX86, archS390, "SCMP_ARCH_ARM", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_PPC":
		return true
	}
	return false
}

// cut makes a negative number that was written with 64 bits one of 32, so
// that -1 means the same in a profile for all architectures. Another large value
// is left as it is, and a 32-bit argument is below it.
func cut(v uint64) uint64 {
	if int64(v) == int64(int32(v)) {
		return uint64(uint32(v))
	}
	return v
}

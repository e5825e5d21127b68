package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// insn is struct sock_filter (linux/filter.h): one classic BPF instruction.
// Jumps count from the next instruction and only go forward.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

const (
	insnSize = 8
	// maxInsns is BPF_MAXINSNS (linux/bpf_common.h), the longest filter that
	// seccomp(2) takes.
	maxInsns = 4096

	opLoad             = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opJump             = unix.BPF_JMP | unix.BPF_JA
	opJumpEqual        = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJumpGreater      = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opJumpGreaterEqual = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opAnd              = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opReturn           = unix.BPF_RET | unix.BPF_K

	// Offsets in struct seccomp_data (linux/seccomp.h).
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// encode gives instructions in the byte order of this machine, as seccomp(2)
// reads them.
func encode(code []insn) []byte {
	out := make([]byte, 0, len(code)*insnSize)
	for _, i := range code {
		out = binary.NativeEndian.AppendUint16(out, i.code)
		out = append(out, i.jt, i.jf)
		out = binary.NativeEndian.AppendUint32(out, i.k)
	}
	return out
}

// decode is the reverse of encode; a rest shorter than an instruction is cut.
func decode(b []byte) []insn {
	code := make([]insn, 0, len(b)/insnSize)
	for ; len(b) >= insnSize; b = b[insnSize:] {
		code = append(code, insn{
			code: binary.NativeEndian.Uint16(b),
			jt:   b[2],
			jf:   b[3],
			k:    binary.NativeEndian.Uint32(b[4:]),
		})
	}
	return code
}

// answer is what becomes of a system call: a return value, or, with args, the
// verdict of a program that looks at the arguments.
type answer struct {
	ret  uint32 // SECCOMP_RET_*; with args the index of the program
	args bool
}

// span is a run of system call numbers with one answer: from its first number
// to the one before the next span's.
type span struct {
	from uint32
	answer
}

// group is the search for one value of seccomp_data.arch. Its spans start at
// number 0 and rise.
type group struct {
	token uint32
	spans []span
}

// assemble lays the program out: the architectures are told apart, each has its
// search, and the programs for arguments follow, unchanged. Any other
// architecture gets wrongArch.
func assemble(groups []group, programs [][]insn, wrongArch uint32) []insn {
	b := assembler{}
	b.add(insn{code: opLoad, k: offsetArch})
	dispatch := len(b.code)
	for _, g := range groups {
		// The conditional jump has 8 bits, this one 32.
		b.add(insn{code: opJumpEqual, k: g.token, jf: 1})
		b.add(insn{code: opJump})
	}
	b.add(insn{code: opReturn, k: wrongArch})
	for n, g := range groups {
		b.jumpHere(dispatch + 2*n + 1)
		b.add(insn{code: opLoad, k: offsetNumber})
		b.search(g.spans)
	}
	starts := make([]int, len(programs))
	for n, p := range programs {
		starts[n] = len(b.code)
		b.code = append(b.code, p...)
	}
	for _, at := range b.toProgram {
		b.code[at].k = uint32(starts[b.code[at].k] - at - 1)
	}
	return b.code
}

// assembler collects a program.
type assembler struct {
	code []insn
	// toProgram are the jumps whose k is still the index of a program.
	toProgram []int
}

func (b *assembler) add(i insn) { b.code = append(b.code, i) }

// jumpHere makes the jump at an index lead to the next instruction.
func (b *assembler) jumpHere(at int) { b.code[at].k = uint32(len(b.code) - at - 1) }

// blockSpans is the most spans that one block can hold: their 127 comparisons
// and at most 128 different answers lie within the reach of an 8-bit jump.
const blockSpans = 128

// search adds a binary search for the number in the accumulator.
func (b *assembler) search(spans []span) {
	if len(spans) <= blockSpans {
		b.block(spans)
		return
	}
	middle := len(spans) / 2
	b.add(insn{code: opJumpGreaterEqual, k: spans[middle].from, jf: 1})
	right := len(b.code)
	b.add(insn{code: opJump})
	b.search(spans[:middle])
	b.jumpHere(right)
	b.search(spans[middle:])
}

// block adds a search whose answers stand once each behind the comparisons: the
// kernel's JIT runs over every instruction at each start, so they are few.
func (b *assembler) block(spans []span) {
	first := len(b.code) + len(spans) - 1 // the first answer's index
	var answers []answer
	at := func(a answer) int {
		n := slices.Index(answers, a)
		if n < 0 {
			n = len(answers)
			answers = append(answers, a)
		}
		return first + n
	}
	var compare func(spans []span) int // gives the index that answers spans
	compare = func(spans []span) int {
		if len(spans) == 1 {
			return at(spans[0].answer)
		}
		here, middle := len(b.code), len(spans)/2
		b.add(insn{code: opJumpGreaterEqual, k: spans[middle].from})
		below := compare(spans[:middle])
		above := compare(spans[middle:])
		b.code[here].jf = uint8(below - here - 1)
		b.code[here].jt = uint8(above - here - 1)
		return here
	}
	compare(spans)
	for _, a := range answers {
		if a.args {
			b.toProgram = append(b.toProgram, len(b.code))
			b.add(insn{code: opJump, k: a.ret})
		} else {
			b.add(insn{code: opReturn, k: a.ret})
		}
	}
}

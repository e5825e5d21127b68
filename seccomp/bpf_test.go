package seccomp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// callData is struct seccomp_data (linux/seccomp.h).
type callData struct {
	nr, arch uint32
	ip       uint64
	args     [6]uint64
}

// word reads the 32 bits at an offset, as BPF_LD|BPF_W|BPF_ABS does.
func (d *callData) word(offset uint32) (uint32, bool) {
	half := func(v uint64, second bool) uint32 {
		if second == littleEndian() {
			v >>= 32
		}
		return uint32(v)
	}
	switch {
	case offset%4 != 0 || offset >= 64:
		return 0, false
	case offset == 0:
		return d.nr, true
	case offset == 4:
		return d.arch, true
	case offset < 16:
		return half(d.ip, offset%8 != 0), true
	}
	return half(d.args[(offset-16)/8], offset%8 != 0), true
}

// simulate runs a filter as the kernel does (Documentation/networking/filter.rst),
// for the instructions that libseccomp and this package write; any other one,
// a jump out of the program or a load out of the data is an error.
func simulate(code []insn, d *callData) (uint32, error) {
	var acc uint32
	for pc := 0; pc < len(code); pc++ {
		i := code[pc]
		operand := i.k
		taken := false
		switch i.code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			v, ok := d.word(i.k)
			if !ok {
				return 0, fmt.Errorf("insn %d: load at offset %d", pc, i.k)
			}
			acc = v
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= operand
			continue
		case unix.BPF_RET | unix.BPF_K:
			return operand, nil
		case unix.BPF_JMP | unix.BPF_JA:
			if uint64(pc)+1+uint64(operand) >= uint64(len(code)) {
				return 0, fmt.Errorf("insn %d: jump out of the program", pc)
			}
			pc += int(operand)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			taken = acc == operand
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			taken = acc > operand
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			taken = acc >= operand
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			taken = acc&operand != 0
		default:
			return 0, fmt.Errorf("insn %d: unknown code %#x", pc, i.code)
		}
		if taken {
			pc += int(i.jt)
		} else {
			pc += int(i.jf)
		}
	}
	return 0, fmt.Errorf("ran off the end of %d insns", len(code))
}

func TestSearchFindsEverySpan(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 4, 7, 60, 127, 128, 129, 255, 256, 257, 258, 300, 511, 512, 600, 1500} {
		spans := make([]span, n)
		from := uint32(0)
		for i := range spans {
			spans[i] = span{from, answer{ret: 1000 + uint32(i)}}
			from += 1 + random.Uint32N(5)
		}
		programs := [][]insn{{{code: opReturn, k: 7}}, {{code: opReturn, k: 8}}}
		if n > 3 {
			spans[0].answer = answer{ret: 1, args: true}
			spans[n-1].answer = answer{ret: 0, args: true}
			spans[n/2].answer = answer{ret: 1, args: true}
		}
		code := assemble([]group{{11, spans}, {22, spans[:1]}}, programs, 99)
		if got := decode(encode(code)); fmt.Sprint(got) != fmt.Sprint(code) {
			t.Fatal("decode(encode(code)) is not code")
		}
		want := func(s span) uint32 {
			if s.args {
				return programs[s.ret][0].k
			}
			return s.ret
		}
		check := func(nr, arch, want uint32) {
			t.Helper()
			got, err := simulate(code, &callData{nr: nr, arch: arch})
			if err != nil || got != want {
				t.Errorf("%d spans: arch %d number %d: got %d (%v), want %d", n, arch, nr, got, err, want)
			}
		}
		for i, s := range spans {
			last := ^uint32(0)
			if i+1 < len(spans) {
				last = spans[i+1].from - 1
			}
			check(s.from, 11, want(s))
			check(last, 11, want(s))
		}
		check(5, 22, want(spans[0]))
		check(0, 33, 99)
	}
}

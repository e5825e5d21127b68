package devices

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/cilium/ebpf/asm"
)

// The fields of struct bpf_cgroup_dev_ctx (linux/bpf.h), each 32 bits wide.
const (
	ctxAccessType = 0 // access in the upper 16 bits, type in the lower
	ctxMajor      = 4
	ctxMinor      = 8
)

// BPF_DEVCG_DEV_* of linux/bpf.h.
const (
	devBlock = 1
	devChar  = 2
)

// The registers of the program: R1 comes in as the context, R0 goes out as the
// verdict.
const (
	regType   = asm.R2
	regAccess = asm.R3
	regMajor  = asm.R4
	regMinor  = asm.R5
	regRest   = asm.R1 // the access a rule leaves over; the context is read by then
)

// Program compiles the filter to an eBPF program of type
// BPF_PROG_TYPE_CGROUP_DEVICE, which returns 1 for access that is allowed and 0
// for what is not (kernel 4.15; its 32-bit jumps want 5.1).
//
// The program is a straight list: each exception is a block that either gives
// the verdict or falls to the next, and the default comes last. The first
// instruction of each block carries the exception and its place in config.json
// as a comment, which [Text] prints. An exception takes at most seven
// instructions, the rest eight.
func Program(f *Filter) asm.Instructions {
	rules := f.needed()
	p := make(asm.Instructions, 0, 8+7*len(rules))
	if len(rules) > 0 {
		p = append(p,
			asm.LoadMem(regType, asm.R1, ctxAccessType, asm.Word).WithSource(asm.Comment("the device that is asked for")),
			asm.Mov.Reg32(regAccess, regType),
			asm.And.Imm32(regType, 0xffff),
			asm.RSh.Imm32(regAccess, 16),
			asm.LoadMem(regMajor, asm.R1, ctxMajor, asm.Word),
			asm.LoadMem(regMinor, asm.R1, ctxMinor, asm.Word),
		)
	}
	for i := range rules {
		p = appendRule(p, &rules[i], label(i), label(i+1))
	}
	verdict, comment := int32(0), "all else: deny"
	if f.AllowAll {
		verdict, comment = 1, "all else: allow"
	}
	if f.Origin != "" {
		comment = f.Origin + ": " + comment
	}
	last := asm.Mov.Imm32(asm.R0, verdict).WithSource(asm.Comment(comment))
	if len(rules) > 0 {
		last = last.WithSymbol(label(len(rules)))
	}
	return append(p, last, asm.Return())
}

func label(i int) string { return "rule" + strconv.Itoa(i) }

// appendRule appends the block of one exception. Its jumps go to the block that
// follows, next; their offsets are filled in here, so that the program does not
// change when it is encoded.
//
// Like the v1 device cgroup it allows only what one exception allows whole, and
// denies what any exception denies in part: opening for reading and writing
// asks for both at once. access(2) with F_OK asks for nothing, which no denial
// stands in the way of.
func appendRule(p asm.Instructions, r *Rule, name, next string) asm.Instructions {
	start := len(p)
	p = append(p, asm.JNE.Imm32(regType, devType(r.Type), next))
	switch {
	case r.Allow && r.Access == everyAccess:
	case r.Allow:
		p = append(p,
			asm.Mov.Reg32(regRest, regAccess),
			asm.And.Imm32(regRest, int32(everyAccess&^r.Access)),
			asm.JNE.Imm32(regRest, 0, next))
	default:
		p = append(p,
			asm.Mov.Reg32(regRest, regAccess),
			asm.And.Imm32(regRest, int32(r.Access)),
			asm.JEq.Imm32(regRest, 0, next))
	}
	if r.Major != Any {
		p = append(p, asm.JNE.Imm32(regMajor, int32(uint32(r.Major)), next))
	}
	if r.Minor != Any {
		p = append(p, asm.JNE.Imm32(regMinor, int32(uint32(r.Minor)), next))
	}
	verdict, comment := int32(0), "deny "
	if r.Allow {
		verdict, comment = 1, "allow "
	}
	p = append(p, asm.Mov.Imm32(asm.R0, verdict), asm.Return())
	p[start] = p[start].WithSymbol(name).WithSource(asm.Comment(r.Origin + ": " + comment + r.String()))
	for i := start; i < len(p); i++ {
		if p[i].Reference() != "" {
			p[i].Offset = int16(len(p) - i - 1)
		}
	}
	return p
}

func devType(t Type) int32 {
	if t == Block {
		return devBlock
	}
	return devChar
}

// Encode gives the program in the form that bpf(2) loads, an array of struct
// bpf_insn in the byte order of this machine.
func Encode(p asm.Instructions) ([]byte, error) {
	// asm knows the two orders by identity, not binary.NativeEndian.
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		order = binary.BigEndian
	}
	var b bytes.Buffer
	b.Grow(len(p) * asm.InstructionSize)
	if err := p.Marshal(&b, order); err != nil {
		return nil, fmt.Errorf("encode the device filter's eBPF program: %w", err)
	}
	return b.Bytes(), nil
}

// Text lists the program as `berth plan` prints it: an instruction a line, each
// block under the rule it comes from.
func Text(p asm.Instructions) string {
	return fmt.Sprintf("%v", p)
}

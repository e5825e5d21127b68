package devices

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
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

// The registers: R1 comes in as the context, R0 goes out as the verdict.
const (
	regCtx        = asm.R1
	regAccessType = asm.R2
	regMajor      = asm.R3
	regMinor      = asm.R4
)

// verdict is the label of the program's end that exceptions jump to.
const verdict = "exception"

// Program compiles the filter to an eBPF program of type
// BPF_PROG_TYPE_CGROUP_DEVICE, which returns 1 for access that is allowed and 0
// for what is not (kernel 4.15; its 32-bit jumps want 5.1).
//
// Each exception is an instruction that jumps to the verdict, with the
// exception and its place in config.json as a comment, which its text shows. As
// any exception that matches decides, their order is free. They are sorted into
// groups of the same type and access, and those by major number, for the sake of
// the kernel's verifier, which takes 2 µs an instruction at each start of a
// container:
//   - the usual filter has 27 instructions this way, a third of what it takes to
//     try each exception by itself;
//   - a major number that was found equal leads to its minor numbers and then
//     out of the group, and each group reads the device anew. What the program
//     has learnt so never outlives a group, and the verifier has nothing to tell
//     apart there; otherwise its work would grow with the square of the rules
//     (at 2800 it met its limit of a million instructions).
//
// An exception takes at most three instructions, each of the 14 groups eight
// more. The jumps name their labels; [Encode] and [Text] fill in how far they go.
func Program(f *Filter) asm.Instructions {
	rules := f.needed()
	slices.SortStableFunc(rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(b.Type, a.Type), cmp.Compare(a.Access, b.Access),
			cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
	})
	p := make(asm.Instructions, 0, 32+3*len(rules))
	name := ""
	for len(rules) > 0 {
		n := 1
		for n < len(rules) && rules[n].Type == rules[0].Type && rules[n].Access == rules[0].Access {
			n++
		}
		next := "default"
		if n < len(rules) {
			next = groupName(&rules[n])
		}
		p = appendGroup(p, rules[:n], name, next)
		rules, name = rules[n:], next
	}
	p = append(p, ending(name, f.AllowAll, f.Origin, "all else")...)
	if name != "" {
		p = append(p, ending(verdict, !f.AllowAll, "", "exceptions")...)
	}
	return p
}

// Encode gives a program in the form that bpf(2) loads, an array of struct
// bpf_insn in the byte order of this machine. It fails for one that jumps to a
// label which it has not, or too far, as none of [Program] does.
func Encode(p asm.Instructions) ([]byte, error) {
	// The assembler tells the two orders apart by identity, so that
	// binary.NativeEndian will not do.
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		order = binary.BigEndian
	}
	b := bytes.NewBuffer(make([]byte, 0, len(p)*asm.InstructionSize))
	if err := p.Marshal(b, order); err != nil {
		return nil, fmt.Errorf("assemble the device filter: %w", err)
	}
	return b.Bytes(), nil
}

// Text lists a program, an instruction a line, labels and comments above. It
// fails as [Encode] does.
func Text(p asm.Instructions) (string, error) {
	if _, err := Encode(p); err != nil { // for the offsets
		return "", err
	}
	return fmt.Sprintf("%v", p), nil
}

func groupName(r *Rule) string {
	return string(rune(r.Type)) + "_" + r.Access.String()
}

// ending returns the verdict. An empty name is that of a program's start.
func ending(name string, allow bool, origin, what string) asm.Instructions {
	value, comment := int32(0), what+": deny"
	if allow {
		value, comment = 1, what+": allow"
	}
	if origin != "" {
		comment = origin + ": " + comment
	}
	last := commented(asm.Mov.Imm32(asm.R0, value), comment)
	if name != "" {
		last = last.WithSymbol(name)
	}
	return asm.Instructions{last, asm.Return()}
}

// appendGroup appends the exceptions of one type and access. A device that
// matches none of them goes on at next.
//
// Like the v1 device cgroup it allows only what one exception allows whole, and
// denies what any exception denies in part: opening for reading and writing
// asks for both at once. access(2) with F_OK asks for nothing, which no denial
// stands in the way of.
func appendGroup(p asm.Instructions, rules []Rule, name, next string) asm.Instructions {
	first := &rules[0]
	start := len(p)
	p = append(p, load(regAccessType, ctxAccessType))
	everything := first.Major == Any && first.Minor == Any
	switch {
	case first.Allow:
		// None of the access that the rule does not give may be asked for.
		others := int32(everyAccess&^first.Access) << 16
		p = append(p, asm.And.Imm32(regAccessType, others|0xffff))
		if everything {
			p = append(p, matched(asm.JEq, regAccessType, devType(first.Type), first))
			break
		}
		p = append(p, asm.JNE.Imm32(regAccessType, int32(devType(first.Type)), next))
	default:
		p = append(p,
			asm.And.Imm32(regAccessType, 0xffff),
			asm.JNE.Imm32(regAccessType, int32(devType(first.Type)), next),
			load(regAccessType, ctxAccessType),
			asm.And.Imm32(regAccessType, int32(first.Access)<<16))
		if everything {
			p = append(p, matched(asm.JNE, regAccessType, 0, first))
			break
		}
		p = append(p, asm.JEq.Imm32(regAccessType, 0, next))
	}
	if name != "" {
		p[start] = p[start].WithSymbol(name)
	}
	if everything {
		// It covers any other of its group, so it is the only one.
		return p
	}
	p = append(p, load(regMajor, ctxMajor), load(regMinor, ctxMinor))
	return appendNumbers(p, rules, groupName(first), next)
}

// appendNumbers appends the comparisons of major and minor numbers, which are
// sorted: those of any major come first, those of any minor first of their
// major.
func appendNumbers(p asm.Instructions, rules []Rule, group, next string) asm.Instructions {
	label := ""
	mark := func(i asm.Instruction) asm.Instruction {
		if label != "" {
			i, label = i.WithSymbol(label), ""
		}
		return i
	}
	for n := 0; len(rules) > 0; rules = rules[n:] {
		r := &rules[0]
		n = 1
		switch {
		case r.Major == Any:
			p = append(p, mark(matched(asm.JEq, regMinor, r.Minor, r)))
			continue
		case r.Minor == Any:
			p = append(p, mark(matched(asm.JEq, regMajor, r.Major, r)))
			continue
		}
		for n < len(rules) && rules[n].Major == r.Major {
			n++
		}
		after := next
		if n < len(rules) {
			after = group + "_" + strconv.Itoa(int(rules[n].Major))
		}
		p = append(p, mark(asm.JNE.Imm32(regMajor, int32(uint32(r.Major)), after)))
		for i := range rules[:n] {
			p = append(p, matched(asm.JEq, regMinor, rules[i].Minor, &rules[i]))
		}
		if n < len(rules) {
			p = append(p, asm.Ja.Label(next))
			label = after
		}
	}
	return p
}

// matched is the jump that an exception comes down to.
func matched(op asm.JumpOp, register asm.Register, value int64, r *Rule) asm.Instruction {
	what := ": deny "
	if r.Allow {
		what = ": allow "
	}
	return commented(op.Imm32(register, int32(uint32(value)), verdict), r.Origin+what+r.String())
}

// load reads a field of the context.
func load(dst asm.Register, field int16) asm.Instruction {
	return asm.LoadMem(dst, regCtx, field, asm.Word)
}

func commented(i asm.Instruction, text string) asm.Instruction {
	return i.WithSource(asm.Comment(text))
}

func devType(t Type) int64 {
	if t == Block {
		return devBlock
	}
	return devChar
}

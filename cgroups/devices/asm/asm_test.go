package asm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	cilium "github.com/cilium/ebpf/asm"
)

// pair is an instruction of this package, and cilium/ebpf's.
type pair struct {
	ours   Instruction
	theirs cilium.Instruction
}

func register(r *rand.Rand) int { return r.IntN(int(R4) + 1) }

// kinds makes one instruction of each kind.
func kinds(r *rand.Rand, label string) []pair {
	d, s, value, offset := register(r), register(r), int32(r.Uint32()), int16(r.IntN(64))
	od, os, td, ts := Register(d), Register(s), cilium.Register(d), cilium.Register(s)
	return []pair{
		{LoadWord(od, os, offset), cilium.LoadMem(td, ts, offset, cilium.Word)},
		{Mov32(od, value), cilium.Mov.Imm32(td, value)},
		{And32(od, value), cilium.And.Imm32(td, value)},
		{JEq.Imm32(od, value, label), cilium.JEq.Imm32(td, value, label)},
		{JNE.Imm32(od, value, label), cilium.JNE.Imm32(td, value, label)},
		{Ja(label), cilium.Ja.Label(label)},
		{Return(), cilium.Return()},
	}
}

// flush takes the white space from the start of each line.
func flush(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimLeft(line, " \t"))
	}
	return b.String()
}

// TestAsCiliums assembles random programs with both: bytes and text are the same.
func TestAsCiliums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + r.IntN(200)
		ours, theirs := make(Instructions, 0, n), make(cilium.Instructions, 0, n)
		for i := range n {
			all := kinds(r, fmt.Sprint("l", r.IntN(n)))
			p := all[r.IntN(len(all))]
			name := fmt.Sprint("l", i)
			p.ours, p.theirs = p.ours.WithSymbol(name), p.theirs.WithSymbol(name)
			if r.IntN(3) == 0 {
				p.ours, p.theirs = p.ours.WithComment("why "+name), p.theirs.WithSource(cilium.Comment("why "+name))
			}
			ours, theirs = append(ours, p.ours), append(theirs, p.theirs)
		}
		ours.Resolve()
		for i := range theirs {
			if theirs[i].Reference() != "" {
				theirs[i].Offset = ours[i].Offset
			}
		}
		// Its column of numbers may be wider than they are.
		if got, want := flush(ours.Text()), flush(fmt.Sprintf("%v", theirs)); got != want {
			t.Fatalf("text:\n%s\ncilium/ebpf:\n%s", got, want)
		}
		// It knows the two orders by identity, not binary.NativeEndian; and it
		// fills the offsets in itself.
		var order binary.ByteOrder = binary.LittleEndian
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			order = binary.BigEndian
		}
		var b bytes.Buffer
		if err := theirs.Marshal(&b, order); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours.Encode(), b.Bytes()) {
			t.Fatalf("bytes:\n%x\ncilium/ebpf:\n%x", ours.Encode(), b.Bytes())
		}
	}
}

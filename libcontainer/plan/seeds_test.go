package plan

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var seeds = flag.String("seeds", "", "folder to write encoded plans to, for the fuzzer of the executor's decoder")

// Each operation alone, and all in one plan, with arguments and without.
func TestSeeds(t *testing.T) {
	write := func(name string, p *Plan) {
		t.Helper()
		b, err := p.Encode(Env{Socket: 4, Preserve: 1, SlotsFrom: 5, Slots: []Slot{SlotFifo, SlotReport}})
		if err != nil {
			t.Fatal(err)
		}
		if *seeds == "" {
			return
		}
		if err := os.WriteFile(filepath.Join(*seeds, name+".plan"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("all", everyPlan(filled))
	write("all-empty", everyPlan(func(op Op, _ uint64) Op { return op }))
	again := &Plan{}
	for range 5 {
		again.AddTolerant(At("x"), Execve{Argv: []string{"a", "b"}, Envp: []string{"c=d"}, Late: true}, 0, 2)
	}
	write("execve-again", again)
	for _, op := range every() {
		p := &Plan{}
		p.AddTolerant(At("x"), filled(op, 1), 1, 1, 2)
		p.Add(At("x"), Fork{})
		write(op.Code().String(), p)
	}
}

package compile

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"berth/libcontainer/plan"
)

var seeds = flag.String("seeds", "", "folder to write encoded plans to, for the fuzzer of the executor's decoder")

// Every plan that the golden files show can be encoded.
func TestSeeds(t *testing.T) {
	all := configs(t, "../../tests/workloads/*.json")
	maps.Copy(all, configs(t, "testdata/configs/*.json"))
	for name, file := range all {
		for _, l := range []string{"v1", "v2"} {
			out, err := Compile(inputOf(t, load(t, file), l))
			if err != nil {
				t.Fatal(err)
			}
			b, err := out.Plan.Encode(plan.Env{Socket: 4, SlotsFrom: 5, Slots: []plan.Slot{plan.SlotFifo, plan.SlotReport}})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if *seeds == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(*seeds, name+"."+l+".plan"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

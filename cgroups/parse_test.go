package cgroups

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"testing"
)

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]uint64{"max\n": math.MaxUint64, "42\n": 42, "0": 0, "": 0, "-1": 0, "18446744073709551615": math.MaxUint64, "18446744073709551616": 0} {
		if got := ParseLimit([]byte(text)); got != want {
			t.Errorf("ParseLimit(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestFlat(t *testing.T) {
	b := []byte("populated 1\nfrozen 0\npop 7\nbad x\nempty \n")
	if !Flag(b, "populated") || Flag(b, "frozen") || Flag(b, "absent") || Flag(b, "bad") {
		t.Error("Flag is wrong")
	}
	if n, ok := Value(b, "pop"); n != 7 || !ok {
		t.Errorf("Value(pop) = %d, %v", n, ok)
	}
	if _, ok := Value(b, "opulated"); ok {
		t.Error("a part of a key is found")
	}
	if got, want := ParseFlat(b), (map[string]uint64{"populated": 1, "frozen": 0, "pop": 7}); !reflect.DeepEqual(got, want) {
		t.Errorf("ParseFlat: %v", got)
	}
}

func TestCPUStats(t *testing.T) {
	var v2 CPUStats
	v2.CPUStatV2([]byte("usage_usec 1000\nuser_usec 600\nsystem_usec 400\nnr_periods 10\nnr_throttled 2\nthrottled_usec 77\nnr_bursts 0\n"))
	want := CPUStats{Usage: CPUUsage{Total: 1000000, User: 600000, Kernel: 400000}, Throttling: Throttling{Periods: 10, ThrottledPeriods: 2, ThrottledTime: 77000}}
	if !reflect.DeepEqual(v2, want) {
		t.Errorf("v2: %+v", v2)
	}
	var v1 CPUStats
	v1.CPUStatV1([]byte("nr_periods 10\nnr_throttled 2\nthrottled_time 77\n"))
	v1.Usage.UsageAll([]byte("cpu user system\n0 10 20\n1 1 2\nx 1 1\n"))
	want = CPUStats{
		Usage:      CPUUsage{Total: 33, User: 11, Kernel: 22, PerCPU: []uint64{30, 3}, PerCPUUser: []uint64{10, 1}, PerCPUKernel: []uint64{20, 2}},
		Throttling: Throttling{Periods: 10, ThrottledPeriods: 2, ThrottledTime: 77},
	}
	if !reflect.DeepEqual(v1, want) {
		t.Errorf("v1: %+v", v1)
	}
}

func TestBlockStats(t *testing.T) {
	got := ParseBlkio([]byte("8:0 Read 100\n8:0 Write 200\n8:0 Total 300\n253:16 7\nTotal 300\n8:x Read 1\n"))
	want := []BlkioEntry{{8, 0, "Read", 100}, {8, 0, "Write", 200}, {8, 0, "Total", 300}, {253, 16, "", 7}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("v1: %v", got)
	}
	var s BlkioStats
	s.IOStat([]byte("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n9:0\n8:16 rbytes=x\n"))
	if want := (BlkioStats{
		ServiceBytes: []BlkioEntry{{8, 0, "Read", 1}, {8, 0, "Write", 2}, {8, 0, "Discard", 5}},
		Serviced:     []BlkioEntry{{8, 0, "Read", 3}, {8, 0, "Write", 4}, {8, 0, "Discard", 6}},
	}); !reflect.DeepEqual(s, want) {
		t.Errorf("v2: %+v", s)
	}
}

func TestParsePressure(t *testing.T) {
	got := ParsePressure([]byte("some avg10=28.06 avg60=24.98 avg300=19.33 total=181062533\nfull avg10=0.00 avg60=0.50 avg300=0.00 total=4\n"))
	want := &PSI{Some: PSIData{28.06, 24.98, 19.33, 181062533}, Full: PSIData{0, 0.5, 0, 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := ParsePressure([]byte("other\n")); got != nil {
		t.Errorf("from nothing: %+v", got)
	}
	if got := ParsePressure([]byte("some avg10=NaN avg60=+Inf\n")); *got != (PSI{}) {
		t.Errorf("from no numbers: %+v", got)
	}
}

// TestStatsJSON pins the keys that engines read.
func TestStatsJSON(t *testing.T) {
	psi := &PSI{Some: PSIData{1.5, 2, 3, 4}}
	s := Stats{
		CPU:    CPUStats{Usage: CPUUsage{Total: 3, PerCPU: []uint64{3}, PerCPUKernel: []uint64{1}, PerCPUUser: []uint64{2}, Kernel: 1, User: 2}, Throttling: Throttling{1, 2, 3}, PSI: psi},
		Memory: MemoryStats{Cache: 1, Usage: MemoryUsage{1, 2, 3, 4}, Swap: MemoryUsage{Limit: math.MaxUint64}, Raw: map[string]uint64{"file": 1}, PSI: psi},
		Pids:   PidsStats{1, 2},
		Blkio: BlkioStats{ServiceBytes: []BlkioEntry{{8, 16, "Read", 5}}, Serviced: []BlkioEntry{{8, 0, "", 0}}, Queued: []BlkioEntry{{}}, ServiceTime: []BlkioEntry{{}},
			WaitTime: []BlkioEntry{{}}, Merged: []BlkioEntry{{}}, Time: []BlkioEntry{{}}, Sectors: []BlkioEntry{{}}, PSI: psi},
		Hugetlb: map[string]HugetlbStats{"2MB": {1, 2, 3}},
	}
	var got []byte
	for _, s := range []Stats{s, {Hugetlb: map[string]HugetlbStats{}}} {
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(append(got, b...), '\n')
	}
	const golden = "testdata/stats.golden"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got %s", got)
	}
}

// FuzzStats feeds every parser of control files the same bytes; what comes out
// must be fit for JSON.
func FuzzStats(f *testing.F) {
	for _, seed := range []string{
		"usage_usec 1\nuser_usec 2\n", "cpu user system\n0 1 2\n", "8:0 Read 1\nTotal 1\n", "8:0 rbytes=1 wios=18446744073709551615\n",
		"some avg10=1e309 avg60=-0 total=5\nfull\n", "max", "oom_kill_disable 0\nunder_oom 1\n", ": = \n", "8: rbytes=\n:8 x=1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stats
		s.CPU.CPUStatV1(b)
		s.CPU.CPUStatV2(b)
		s.CPU.Usage.UsageAll(b)
		s.CPU.Usage.UsagePerCPU(b)
		s.Blkio.IOStat(b)
		s.Blkio.Queued = ParseBlkio(b)
		s.Memory.Raw = ParseFlat(b)
		s.Memory.PSI = ParsePressure(b)
		s.Pids.Limit = ParseLimit(b)
		for key := range s.Memory.Raw {
			Value(b, key)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	})
}

// FuzzUndo: what is written back is one line, and never empty, as the kernel
// would not see an empty write.
func FuzzUndo(f *testing.F) {
	f.Add("io.max", "8:0 rbps=5", []byte("8:0 rbps=max\n"))
	f.Add("cgroup.subtree_control", "+cpu -io", []byte("cpu"))
	f.Add("io.weight", "8:0 5", []byte("default 100\n"))
	f.Add("io.weight", "0", []byte("default "))
	f.Add("0", "\n ", []byte("\n0"))
	f.Fuzz(func(t *testing.T, file, value string, before []byte) {
		if value == "" {
			return
		}
		if Undo(file, value, before) == "" && file != "cgroup.subtree_control" {
			t.Errorf("nothing to write")
		}
	})
}

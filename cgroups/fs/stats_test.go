package fs

import (
	"math"
	"reflect"
	"testing"

	"berth/cgroups"
)

func TestStatsV2(t *testing.T) {
	m := fake(t, true, nil, map[string]string{
		"cpu.stat":       "usage_usec 3\nuser_usec 2\nsystem_usec 1\nnr_periods 4\nnr_throttled 5\nthrottled_usec 6\n",
		"cpu.pressure":   "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"memory.current": "1000\n", "memory.max": "5000\n", "memory.peak": "2000\n", "memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n",
		"memory.stat": "anon 5\nfile 600\n", "memory.swap.current": "50\n", "memory.swap.max": "max\n", "memory.swap.events": "high 0\nmax 9\nfail 0\n",
		"io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n", "pids.current": "3\n", "pids.max": "max\n",
	})
	s, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	want := &cgroups.Stats{
		CPU: cgroups.CPUStats{Usage: cgroups.CPUUsage{Total: 3000, User: 2000, Kernel: 1000}, Throttling: cgroups.Throttling{Periods: 4, ThrottledPeriods: 5, ThrottledTime: 6000},
			PSI: &cgroups.PSI{Some: cgroups.PSIData{Avg10: 1, Avg60: 2, Avg300: 3, Total: 4}}},
		Memory: cgroups.MemoryStats{Cache: 600, Usage: cgroups.MemoryUsage{Limit: 5000, Usage: 1000, Max: 2000, Failcnt: 7},
			Swap: cgroups.MemoryUsage{Limit: math.MaxUint64, Usage: 1050, Failcnt: 9}, Raw: map[string]uint64{"anon": 5, "file": 600}},
		Pids: cgroups.PidsStats{Current: 3},
		Blkio: cgroups.BlkioStats{
			ServiceBytes: []cgroups.BlkioEntry{{Major: 8, Op: "Read", Value: 1}, {Major: 8, Op: "Write", Value: 2}, {Major: 8, Op: "Discard"}},
			Serviced:     []cgroups.BlkioEntry{{Major: 8, Op: "Read", Value: 3}, {Major: 8, Op: "Write", Value: 4}, {Major: 8, Op: "Discard"}},
		},
		Hugetlb: map[string]cgroups.HugetlbStats{},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestStatsCPUV1(t *testing.T) {
	m := fake(t, false, []string{"cpuacct"}, map[string]string{
		"cpuacct.usage_all": "cpu user system\n0 4000000 0\n1 0 8000000\n", "cpuacct.usage": "12345678\n", "cpuacct.usage_percpu": "4345678 8000000 \n",
	})
	s, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	want := cgroups.CPUUsage{Total: 12345678, PerCPU: []uint64{4345678, 8000000}, PerCPUUser: []uint64{4000000, 0}, PerCPUKernel: []uint64{0, 8000000},
		User: 4000000, Kernel: 8000000}
	if !reflect.DeepEqual(s.CPU.Usage, want) {
		t.Errorf("got %+v", s.CPU.Usage)
	}
}

func TestStatsBlkioV1(t *testing.T) {
	m := fake(t, false, []string{"blkio"}, map[string]string{
		"blkio.bfq.io_service_bytes_recursive": "Total 0\n", "blkio.throttle.io_service_bytes_recursive": "8:0 Read 5\nTotal 5\n",
		"blkio.bfq.io_serviced_recursive": "8:0 Read 1\nTotal 1\n", "blkio.throttle.io_serviced_recursive": "8:0 Read 77\nTotal 77\n",
		"blkio.bfq.time_recursive": "8:0 9\n",
	})
	s, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	want := cgroups.BlkioStats{ServiceBytes: []cgroups.BlkioEntry{{Major: 8, Op: "Read", Value: 5}}, Serviced: []cgroups.BlkioEntry{{Major: 8, Op: "Read", Value: 1}},
		Time: []cgroups.BlkioEntry{{Major: 8, Value: 9}}}
	if !reflect.DeepEqual(s.Blkio, want) {
		t.Errorf("got %+v", s.Blkio)
	}
}

func TestSizeName(t *testing.T) {
	for kb, want := range map[uint64]string{64: "64KB", 2048: "2MB", 32768: "32MB", 1 << 20: "1GB", 16 << 20: "16GB"} {
		if got := sizeName(kb); got != want {
			t.Errorf("sizeName(%d) = %s, want %s", kb, got, want)
		}
	}
}

func TestSumLimits(t *testing.T) {
	if sumLimits(1, 2) != 3 || sumLimits(math.MaxUint64, 5) != math.MaxUint64 || sumLimits(5, math.MaxUint64) != math.MaxUint64 {
		t.Error("sumLimits is wrong")
	}
}

func TestParsePids(t *testing.T) {
	if got := parsePids([]byte("1\n0\n77\nx\n"), nil); !reflect.DeepEqual(got, []int{1, 77}) {
		t.Errorf("got %v", got)
	}
}

func FuzzFolderNames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x18\x00\x04abcd\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range folderNames(b, nil) {
			if name == "." || name == ".." {
				t.Errorf("got %q", name)
			}
		}
	})
}

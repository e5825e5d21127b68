package cgroups

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// layouts are hosts with every controller: v1 with the usual co-mounts, v2, and
// a hybrid one that has hugetlb and rdma on v2.
func layouts() []*Layout {
	v1 := &Layout{Mode: V1}
	for _, mount := range []string{"cpu,cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", "net_cls,net_prio", "rdma", "freezer", "devices"} {
		v1.Hierarchies = append(v1.Hierarchies, Hierarchy{Mountpoint: "/sys/fs/cgroup/" + mount, Root: "/", Own: "/", Controllers: strings.Split(mount, ",")})
	}
	hybrid := &Layout{Mode: Hybrid}
	for _, h := range v1.Hierarchies {
		if h.Controllers[0] != "hugetlb" && h.Controllers[0] != "rdma" {
			hybrid.Hierarchies = append(hybrid.Hierarchies, h)
		}
	}
	hybrid.Hierarchies = append(hybrid.Hierarchies, Hierarchy{Mountpoint: "/sys/fs/cgroup/unified", Root: "/", Own: "/", Unified: true, Controllers: []string{"hugetlb", "rdma"}})
	return []*Layout{v1, hybrid, layoutV2("/")}
}

func resources(t testing.TB, text string) *specs.LinuxResources {
	t.Helper()
	r := &specs.LinuxResources{}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}

func TestLimitsGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/limits/*.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, l := range layouts() {
			fmt.Fprintf(&b, "# %s\n", l.Mode)
			writes, problems := Limits(l, resources(t, string(text)), "linux.resources")
			for i := range writes {
				b.WriteString(show(&writes[i]))
			}
			for _, p := range problems {
				fmt.Fprintf(&b, "! %v\n", p)
			}
			fmt.Fprintf(&b, "needs %v\n\n", Needed(writes))
		}
		golden := strings.TrimSuffix(input, ".json") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant %s\n%s", input, b.String(), golden, want)
		}
	}
}

func show(w *Write) string {
	home := "v1 " + w.Controller
	if w.Unified {
		home = "v2 " + w.Controller
	}
	extra := ""
	if w.Group != 0 {
		extra = fmt.Sprintf(" [any order %d]", w.Group)
	}
	if w.NotBelow != "" {
		extra += " [not below " + w.NotBelow + "]"
	}
	return fmt.Sprintf("%s: %v%s <- %s\n", home, w, extra, w.Origin)
}

func TestLimitsRefuses(t *testing.T) {
	all := layouts()
	v1, hybrid, v2 := all[0], all[1], all[2]
	for _, test := range []struct {
		layout *Layout
		text   string
		want   string // each problem's origin and a part of its cause
	}{
		{v1, `{"cpu":{"shares":1}}`, "cpu.shares: 1 is outside"},
		{v1, `{"cpu":{"shares":262145}}`, "cpu.shares: 262145 is outside"},
		{v1, `{"cpu":{"idle":2}}`, "cpu.idle: 2 is neither"},
		{v1, `{"cpu":{"quota":1000,"burst":1001}}`, "cpu.burst: 1001 is more than"},
		{v2, `{"cpu":{"realtimePeriod":1}}`, "cpu.realtimePeriod: cgroup v2 has no"},
		{v2, `{"cpu":{"realtimeRuntime":-1}}`, "cpu.realtimeRuntime: cgroup v2 has no"},
		{v1, `{"memory":{"limit":-2}}`, "memory.limit: -2 is neither"},
		{v1, `{"memory":{"limit":1,"swap":-5}}`, "memory.swap: -5 is neither"},
		{v2, `{"memory":{"reservation":-5}}`, "memory.reservation: -5 is neither"},
		{v1, `{"memory":{"swap":5}}`, "memory.swap: 5 limits memory and swap together"},
		{v2, `{"memory":{"swap":5}}`, "memory.swap: 5 limits memory and swap together"},
		{v2, `{"memory":{"limit":-1,"swap":5}}`, "memory.swap: 5 limits memory and swap together"},
		{v2, `{"memory":{"limit":6,"swap":5}}`, "memory.swap: 5 is less than memory.limit (6)"},
		{v1, `{"memory":{"limit":6,"swap":5}}`, "memory.swap: 5 is less than memory.limit (6)"},
		{v1, `{"memory":{"swappiness":101}}`, "memory.swappiness: 101 is outside"},
		{v2, `{"memory":{"swappiness":60}}`, "memory.swappiness: cgroup v2 has no"},
		{v2, `{"memory":{"disableOOMKiller":true}}`, "memory.disableOOMKiller: cgroup v2 has no"},
		{v1, `{"blockIO":{"weight":9}}`, "blockIO.weight: 9 is outside"},
		{v2, `{"blockIO":{"weight":1001}}`, "blockIO.weight: 1001 is outside"},
		{v2, `{"blockIO":{"leafWeight":10}}`, "blockIO.leafWeight: cgroup v2 has no"},
		{v1, `{"blockIO":{"weightDevice":[{"major":8,"minor":0}]}}`, "blockIO.weightDevice[0]: it weighs nothing"},
		{v1, `{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":-1,"rate":5}]}}`, "blockIO.throttleReadBpsDevice[0]: 8:-1 are not"},
		{v1, `{"hugepageLimits":[{"pageSize":"2MB/../x","limit":1}]}`, "hugepageLimits[0].pageSize: \"2MB/../x\" is not"},
		{v1, `{"hugepageLimits":[{"pageSize":"MB","limit":1},{"pageSize":"2mb","limit":1},{"pageSize":"0MB","limit":1},{"pageSize":"","limit":1}]}`,
			"hugepageLimits[0].pageSize|hugepageLimits[1].pageSize|hugepageLimits[2].pageSize|hugepageLimits[3].pageSize"},
		{v2, `{"network":{"classID":1,"priorities":[{"name":"eth0","priority":1}]}}`, "network.classID: only cgroup v1 has the net_cls controller|network.priorities[0]: only cgroup v1 has the net_prio"},
		{v1, `{"network":{"priorities":[{"name":"eth0\nlo 5","priority":1}]}}`, "network.priorities[0].name: \"eth0\\nlo 5\" is not"},
		{v1, `{"rdma":{"a b":{"hcaHandles":1},"c":{}}}`, "rdma.a b: \"a b\" is not|rdma.c: it limits nothing"},
		{v1, `{"unified":{"memory.high":"1"}}`, "unified[memory.high]: unified is for cgroup v2"},
		{hybrid, `{"unified":{"memory.high":"1"}}`, "unified[memory.high]: the v2 hierarchy at /sys/fs/cgroup/unified has no memory controller (it has: hugetlb rdma)"},
		{v2, `{"unified":{"../x":"1"}}`, "unified[../x]: this is not the name of a cgroup file"},
		{v2, `{"unified":{"memory.max/..":"1","a..b":"1","":"1","memory":"1",".x":"1","memory.":"1","x y.z":"1"}}`,
			"unified[]|unified[.x]|unified[a..b]|unified[memory]|unified[memory.]|unified[memory.max/..]|unified[x y.z]"},
		{v2, `{"unified":{"cgroup.procs":"1","cgroup.kill":"1"}}`, "unified[cgroup.kill]: this is not a limit|unified[cgroup.procs]: this is not a limit"},
		{v2, `{"unified":{"memory.high":"\n"}}`, "unified[memory.high]: the value is empty"},
		{v2, `{"unified":{"nonesuch.max":"1"}}`, "unified[nonesuch.max]: the v2 hierarchy at /sys/fs/cgroup has no nonesuch controller"},
	} {
		writes, problems := Limits(test.layout, resources(t, test.text), "o")
		want := strings.Split(test.want, "|")
		if len(problems) != len(want) {
			t.Errorf("%s: got %v, want %d problems", test.text, problems, len(want))
			continue
		}
		for i, p := range problems {
			if !strings.HasPrefix(p.Error(), "o."+want[i]) {
				t.Errorf("%s: got %q, want %q", test.text, p, want[i])
			}
		}
		if len(writes) != 0 && !strings.Contains(test.text, "disableOOMKiller") {
			t.Errorf("%s: writes %v beside the problem", test.text, writes)
		}
	}
}

// TestLimitsWithoutControllers: whatever asks for something names the field and
// the missing controller; what asks for nothing is fine.
func TestLimitsWithoutControllers(t *testing.T) {
	for _, l := range []*Layout{{Mode: V1}, {Mode: V2}} {
		text, err := os.ReadFile("testdata/limits/zero.json")
		if err != nil {
			t.Fatal(err)
		}
		if writes, problems := Limits(l, resources(t, string(text)), "o"); len(writes)+len(problems) > 0 {
			t.Errorf("%s: zero values: %v %v", l.Mode, writes, problems)
		}
		const unlimited = `{"pids":{"limit":-1},"memory":{"limit":-1,"swap":-1,"reservation":-1},"cpu":{"quota":-1}}`
		if writes, problems := Limits(l, resources(t, unlimited), "o"); len(writes)+len(problems) > 0 {
			t.Errorf("%s: no limits: %v %v", l.Mode, writes, problems)
		}
		for text, want := range map[string]string{
			`{"cpu":{"shares":5}}`:                                 "o.cpu.shares has no cpu controller",
			`{"cpu":{"quota":5000}}`:                               "o.cpu.quota has no cpu controller",
			`{"cpu":{"period":5000}}`:                              "o.cpu.period has no cpu controller",
			`{"cpu":{"burst":5000}}`:                               "o.cpu.burst has no cpu controller",
			`{"cpu":{"idle":1}}`:                                   "o.cpu.idle has no cpu controller",
			`{"cpu":{"realtimeRuntime":5}}`:                        "o.cpu.realtimeRuntime has no cpu controller",
			`{"cpu":{"realtimePeriod":5}}`:                         "o.cpu.realtimePeriod has no cpu controller",
			`{"cpu":{"cpus":"0"}}`:                                 "o.cpu.cpus has no cpuset controller",
			`{"cpu":{"mems":"0"}}`:                                 "o.cpu.mems has no cpuset controller",
			`{"memory":{"limit":5}}`:                               "o.memory.limit has no memory controller",
			`{"memory":{"swap":6}}`:                                "o.memory.swap has no memory controller",
			`{"memory":{"limit":-1,"swappiness":0}}`:               "o.memory.limit has no memory controller",
			`{"memory":{"reservation":5}}`:                         "o.memory.reservation has no memory controller",
			`{"memory":{"swappiness":0}}`:                          "o.memory.swappiness has no memory controller",
			`{"memory":{"disableOOMKiller":true}}`:                 "o.memory.disableOOMKiller has no memory controller",
			`{"memory":{"useHierarchy":true}}`:                     "o.memory.useHierarchy has no memory controller",
			`{"pids":{"limit":5}}`:                                 "o.pids.limit has no pids controller",
			`{"blockIO":{"weight":50}}`:                            "o.blockIO.weight has no " + map[Mode]string{V1: "blkio", V2: "io"}[l.Mode] + " controller",
			`{"hugepageLimits":[{"pageSize":"2MB","limit":5}]}`:    "o.hugepageLimits[0] has no hugetlb controller",
			`{"rdma":{"m":{"hcaHandles":5}}}`:                      "o.rdma.m has no rdma controller",
			`{"network":{"classID":5}}`:                            "o.network.classID " + map[Mode]string{V1: "has no", V2: "only cgroup v1 has the"}[l.Mode] + " net_cls controller",
			`{"blockIO":{"throttleReadBpsDevice":[{"rate":500}]}}`: "o.blockIO.throttleReadBpsDevice[0] has no",
		} {
			writes, problems := Limits(l, resources(t, text), "o")
			field, cause, _ := strings.Cut(want, " ")
			if len(problems) != 1 || problems[0].Origin != field || !strings.Contains(problems[0].Cause, cause) || len(writes) > 0 {
				t.Errorf("%s: %s: %v %v, want %s", l.Mode, text, writes, problems, want)
			}
		}
	}
	if w, p := Limits(&Layout{Mode: V1}, nil, "o"); w != nil || p != nil {
		t.Error("no resources: writes or problems")
	}
}

func TestSharesToWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 0, 1: 1, 2: 1, 3: 2, 512: 59, 1024: 100, 2048: 174, 262143: 10000, 262144: 10000, math.MaxUint64: 10000} {
		if got := SharesToWeight(shares); got != want {
			t.Errorf("SharesToWeight(%d) = %d, want %d", shares, got, want)
		}
	}
	last := uint64(0)
	for shares := uint64(2); shares <= maxShares; shares++ {
		w := SharesToWeight(shares)
		if w < last || w > 10000 {
			t.Fatalf("SharesToWeight(%d) = %d after %d", shares, w, last)
		}
		last = w
	}
}

func TestBlockWeightToIOWeight(t *testing.T) {
	for weight, want := range map[uint16]uint64{0: 0, 9: 1, 10: 1, 100: 910, 500: 4950, 1000: 10000, 1001: 10000} {
		if got := BlockWeightToIOWeight(weight); got != want {
			t.Errorf("BlockWeightToIOWeight(%d) = %d, want %d", weight, got, want)
		}
	}
}

func TestUndo(t *testing.T) {
	for _, test := range []struct{ file, value, before, want string }{
		{"memory.max", "5", "max\n", "max"},
		{"cpu.max", "50000 100000", "max 100000\n", "max 100000"},
		{"cpu.max", "50000", "20000 100000\n", "20000 100000"},
		{"cpuset.cpus", "0", "\n", "\n"},
		{"cpuset.cpus", "0", "", "\n"},
		{"memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "0"},
		{"memory.oom_control", "1", "oom_kill_disable 1\nunder_oom 0\n", "1"},
		{"io.max", "8:0 rbps=5", "8:0 rbps=max wbps=7 riops=max wiops=max\n8:16 rbps=1\n", "8:0 rbps=max wbps=7 riops=max wiops=max"},
		{"io.max", "8:0 rbps=5", "8:16 rbps=1\n", "8:0 rbps=max"},
		{"rdma.max", "mlx hca_handle=1 hca_object=2", "other hca_handle=1\n", "mlx hca_handle=max hca_object=max"},
		{"misc.max", "sev 5", "", "sev max"},
		{"io.weight", "200", "default 100\n8:0 50\n", "100"},
		{"io.bfq.weight", "200", "default 100\n", "100"},
		{"io.weight", "8:0 200", "default 100\n8:0 50\n", "8:0 50"},
		{"io.weight", "8:0 200", "default 100\n", "8:0 default"},
		{"blkio.bfq.weight", "200", "100\n", "100"},
		{"blkio.bfq.weight_device", "8:0 200", "default 100\n", "8:0 default"},
		{"blkio.weight_device", "8:0 200", "", "8:0 0"},
		{"blkio.throttle.read_bps_device", "8:0 200", "8:0 1024\n", "8:0 1024"},
		{"blkio.throttle.read_bps_device", "8:0 200", "", "8:0 0"},
		{"net_prio.ifpriomap", "eth0 5", "lo 0\neth0 1\n", "eth0 1"},
		{"cgroup.subtree_control", "+cpu -io +pids", "cpu io\n", "+cpu +io -pids"},
	} {
		if got := Undo(test.file, test.value, []byte(test.before)); got != test.want {
			t.Errorf("Undo(%s, %q, %q) = %q, want %q", test.file, test.value, test.before, got, test.want)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct {
		limit, usage string
		want         bool
	}{{"5", "6\n", true}, {"6", "6\n", false}, {"max", "6\n", false}, {"5", "x", false}} {
		if got := Below(test.limit, []byte(test.usage)); got != test.want {
			t.Errorf("Below(%s, %q) = %v", test.limit, test.usage, got)
		}
	}
}

func TestNeeded(t *testing.T) {
	got := Needed([]Write{{Controller: "memory", Unified: true}, {Controller: "cpu"}, {Unified: true}, {Controller: "memory", Unified: true}, {Controller: "io", Unified: true}})
	if !reflect.DeepEqual(got, []string{"memory", "io"}) {
		t.Errorf("got %v", got)
	}
}

func BenchmarkLimitsDocker(b *testing.B) {
	text, err := os.ReadFile("testdata/limits/docker.json")
	if err != nil {
		b.Fatal(err)
	}
	r := resources(b, string(text))
	for _, l := range layouts() {
		b.Run(l.Mode.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Limits(l, r, "linux.resources")
			}
		})
	}
}

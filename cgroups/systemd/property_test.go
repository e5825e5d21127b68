package systemd

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/cgroups/devices"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// layout is a host of the mode with every controller.
func layout(mode cgroups.Mode) *cgroups.Layout {
	if mode == cgroups.V2 {
		return &cgroups.Layout{Mode: mode, Hierarchies: []cgroups.Hierarchy{{
			Mountpoint: "/sys/fs/cgroup", Root: "/", Own: "/", Unified: true,
			Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"},
		}}}
	}
	l := &cgroups.Layout{Mode: mode}
	for _, c := range []string{"cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "pids", "hugetlb"} {
		l.Hierarchies = append(l.Hierarchies, cgroups.Hierarchy{Mountpoint: "/sys/fs/cgroup/" + c, Root: "/", Own: "/", Controllers: []string{c}})
	}
	return l
}

func resources(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

const everything = `{
	"cpu": {"shares": 512, "quota": 25000, "period": 50000, "cpus": "0-1,9", "mems": "0"},
	"memory": {"limit": 1073741824, "swap": 2147483648, "reservation": 536870912},
	"pids": {"limit": 100},
	"blockIO": {"weight": 500,
		"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}, {"major": 8, "minor": 16, "rate": 2097152}],
		"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 100}]},
	"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 8, "access": "r"}]
}`

// TestGolden prints the properties of whole containers.
func TestGolden(t *testing.T) {
	annotations := map[string]string{
		"org.systemd.property.TimeoutStopUSec": "uint64 10000000",
		"org.systemd.property.After":           "['network.target', 'dbus.service']",
		"org.systemd.property.TasksMax":        "uint64 7",
		"org.example":                          "left alone",
	}
	for _, c := range []struct {
		name string
		mode cgroups.Mode
		text string
	}{
		{"v2", cgroups.V2, everything},
		{"v1", cgroups.V1, everything},
		{"unlimited", cgroups.V2, `{"cpu": {"quota": -1}, "memory": {"limit": -1}, "pids": {"limit": -1}, "devices": [{"allow": true, "access": "rwm"}]}`},
		{"unified", cgroups.V2, `{"cpu": {"shares": 1024}, "memory": {"limit": 1048576},
			"unified": {"cpu.weight": "77", "memory.high": "500000", "memory.min": "4096", "cpu.max": "max 20000", "io.max": "8:0 rbps=max wbps=5\n8:16 riops=3", "io.weight": "8:0 50", "memory.oom.group": "1"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := resources(t, c.text)
			writes, problems := cgroups.Limits(layout(c.mode), r, "linux.resources")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			filter, err := devices.New(r.Devices)
			if err != nil {
				t.Fatal(err)
			}
			u, err := ParsePath("machine.slice:berth:web", "web", annotations, false)
			if err != nil {
				t.Fatal(err)
			}
			list, err := Properties(&Scope{Unit: u, ID: "web", Pid: 4711, Writes: writes, Devices: filter, Annotations: annotations})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, p := range list {
				fmt.Fprintf(&b, "%s", p)
				if p.Origin != "" {
					fmt.Fprintf(&b, "  # %s", p.Origin)
				}
				b.WriteByte('\n')
			}
			golden(t, c.name, b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test -update rewrites it):\n%s", file, got)
	}
}

func TestQuota(t *testing.T) {
	for _, c := range []struct {
		value string
		want  uint64 // CPUQuotaPerSecUSec; 0 for none
	}{
		{"50000 100000", 500000},
		{"50000", 500000},
		{"12345 100000", 130000}, // 12.345 % is not less than 12.345 %
		{"1000 1000000", 10000},
		{"9000000000000000000 1000", 0}, // beyond what systemd can hold
		{"max", infinity},
		{"max 20000", infinity},
		{"x", 0},
	} {
		var got uint64
		for _, p := range LimitProperties([]cgroups.Write{{Unified: true, File: "cpu.max", Value: c.value}}) {
			if p.Name == "CPUQuotaPerSecUSec" {
				got = p.Value.(uint64)
			}
		}
		if got != c.want {
			t.Errorf("cpu.max %s: CPUQuotaPerSecUSec %d, want %d", c.value, got, c.want)
		}
	}
}

func TestBitmap(t *testing.T) {
	for _, c := range []struct {
		list string
		want []byte
	}{
		{"0", []byte{1}},
		{"0-3,7", []byte{0x8f}},
		{"8", []byte{0, 1}},
		{" 1, 9-10\n", []byte{2, 6}},
		{"", nil}, {"a", nil}, {"3-1", nil}, {"0-99999", nil}, {"-1", nil}, {"1-", nil}, {"1,,2", nil},
	} {
		got, ok := bitmap(c.list)
		if !slices.Equal(got, c.want) || ok != (c.want != nil) {
			t.Errorf("%q: %x, %v; want %x", c.list, got, ok, c.want)
		}
	}
}

// TestDevicePolicy holds the filters that systemd can say in part only.
func TestDevicePolicy(t *testing.T) {
	for _, c := range []struct {
		rules []devices.Rule
		want  string
	}{
		{nil, `DevicePolicy = "strict", DeviceAllow = @a(ss) []`},
		{[]devices.Rule{{Allow: true, Type: devices.Char, Major: 10, Minor: 229, Access: devices.Read}},
			`DevicePolicy = "strict", DeviceAllow = [("/dev/char/10:229", "r",)]`},
		{[]devices.Rule{{Allow: true, Type: devices.Block, Major: devices.Any, Minor: 3, Access: devices.Read}},
			`DevicePolicy = "auto"`},
		{[]devices.Rule{{Allow: true, Type: devices.All, Major: devices.Any, Minor: devices.Any, Access: 7}, {Type: devices.Char, Major: 1, Minor: 1, Access: 7}},
			`DevicePolicy = "auto"`},
	} {
		f, err := devices.Merge(c.rules)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range deviceProperties(f) {
			got = append(got, p.String())
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%v: %s\nwant %s", c.rules, s, c.want)
		}
	}
}

func TestAnnotations(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"TimeoutStopUSec", "uint64 10000000", `TimeoutStopUSec = @t 10000000`},
		{"TimeoutStopSec", "uint64 10", `TimeoutStopUSec = @t 10000000`},
		{"TimeoutStopSec", "10", `TimeoutStopUSec = @t 10000000`},
		{"TimeoutStopSec", "1.5", `TimeoutStopUSec = @t 1500000`},
		{"TimeoutStopSec", "uint64 18446744073709551615", `TimeoutStopUSec = @t 18446744073709551615`},
		{"CollectMode", "'inactive'", `CollectMode = "inactive"`},
		{"IOAccounting", "false", `IOAccounting = false`},
		{"Requires", "['a.service']", `Requires = ["a.service"]`},
		{"Requires", "@as []", `Requires = @as []`},
		{"CPUWeight", "@t 5", `CPUWeight = @t 5`},
	} {
		list, err := annotationProperties(map[string]string{propertyAnnotation + c.key: c.text})
		if err != nil {
			t.Errorf("%s=%s: %v", c.key, c.text, err)
		} else if len(list) != 1 || list[0].String() != c.want || list[0].Origin != "annotations[org.systemd.property."+c.key+"]" {
			t.Errorf("%s=%s: %v, want %s", c.key, c.text, list, c.want)
		}
	}
	for _, c := range []struct{ key, text, want string }{
		{"CollectMode", "inactive", `annotations[org.systemd.property.CollectMode]: "inactive" is not a value in GVariant's text form, such as 'text' (with the quotes), true, uint64 5 or ['a', 'b']: `},
		{"TimeoutStopSec", "'10s'", `annotations[org.systemd.property.TimeoutStopSec]: '10s' is not a number of seconds: give one such as uint64 10`},
		{"TimeoutStopSec", "-1", `annotations[org.systemd.property.TimeoutStopSec]: -1 is not a number of seconds: give one such as uint64 10`},
		{"Slice", "'a.slice'", `annotations[org.systemd.property.Slice]: the slice is part of linux.cgroupsPath (slice:prefix:name): set it there`},
		{"Delegate", "false", `annotations[org.systemd.property.Delegate]: Delegate is what berth itself needs to set: remove the annotation`},
		{"", "1", `annotations[org.systemd.property.]: "" is not the name of a property of systemd: those are letters and digits, such as TimeoutStopUSec`},
		{"A.B", "1", `annotations[org.systemd.property.A.B]: "A.B" is not the name of a property of systemd: those are letters and digits, such as TimeoutStopUSec`},
	} {
		_, err := annotationProperties(map[string]string{propertyAnnotation + c.key: c.text})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s=%s: error\n%v\nwant\n%s", c.key, c.text, err, c.want)
		}
	}
}

func TestMicroseconds(t *testing.T) {
	for _, c := range []struct {
		value any
		want  uint64
		ok    bool
	}{
		{byte(3), 3000000, true}, {int16(3), 3000000, true}, {uint32(3), 3000000, true}, {int64(3), 3000000, true},
		{uint64(math.MaxUint64 / 1000000), 18446744073709000000, true}, {math.Inf(1), infinity, true},
		{int32(-1), 0, false}, {math.NaN(), 0, false}, {"3", 0, false},
	} {
		if got, ok := microseconds(c.value); got != c.want || ok != c.ok {
			t.Errorf("%v: %d, %v; want %d, %v", c.value, got, ok, c.want, c.ok)
		}
	}
}

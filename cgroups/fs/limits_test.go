package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/cgroups"
)

func limits(t testing.TB, l *cgroups.Layout, text string) []cgroups.Write {
	t.Helper()
	r := &specs.LinuxResources{}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	writes, problems := cgroups.Limits(l, r, "linux.resources")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return writes
}

// kernelAtLeast compares with this kernel's release.
func kernelAtLeast(major, minor int) bool {
	var name unix.Utsname
	return unix.Uname(&name) == nil && atLeast(unix.ByteSliceToString(name.Release[:]), major, minor)
}

// everything is what this kernel can do of each controller it may have.
func everything(l *cgroups.Layout) string {
	var parts []string
	cpu := `"cpu":{"shares":512,"quota":50000,"period":100000`
	if kernelAtLeast(5, 15) {
		cpu += `,"burst":10000,"idle":0` // since 5.14 and 5.15
	}
	if l.Find("cpuset") != nil {
		cpu += `,"cpus":"0","mems":"0"`
	}
	for _, part := range []struct{ controller, text string }{
		{"cpu", cpu + "}"},
		{"memory", `"memory":{"limit":67108864,"swap":67108864,"reservation":33554432}`},
		{"pids", `"pids":{"limit":50}`},
		{"hugetlb", `"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]`},
	} {
		if l.Find(part.controller) != nil {
			parts = append(parts, part.text)
		}
	}
	if major, minor, ok := disk(); ok && (l.Find("blkio") != nil || l.Find("io") != nil) {
		parts = append(parts, fmt.Sprintf(`"blockIO":{"throttleReadBpsDevice":[{"major":%s,"minor":%s,"rate":1048576}]}`, major, minor))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// disk finds a block device that has a request queue to throttle.
func disk() (major, minor string, ok bool) {
	devices, err := filepath.Glob("/sys/block/*/dev")
	if err != nil {
		return "", "", false
	}
	for _, name := range devices {
		if strings.HasPrefix(name, "/sys/block/loop") || strings.HasPrefix(name, "/sys/block/ram") {
			continue
		}
		if b, err := os.ReadFile(name); err == nil {
			return strings.Cut(strings.TrimSpace(string(b)), ":")
		}
	}
	return "", "", false
}

func TestHostApply(t *testing.T) {
	l := host(t)
	text := everything(l)
	if text == "{}" {
		t.Skip("no controller is there")
	}
	writes := limits(t, l, text)
	m := create(t, l, ownName(t, l)+"/c", cgroups.Needed(writes)...)
	if err := m.Apply(writes); err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		// io.max shows all of a device's limits in one line.
		if w := &writes[i]; now(t, m, w) != w.Value && !strings.HasPrefix(now(t, m, w), w.Value+" ") {
			t.Errorf("%s is %s, want %s", w.File, now(t, m, w), w.Value)
		}
	}
	remove(t, m)
}

func now(t testing.TB, m *Manager, w *cgroups.Write) string {
	t.Helper()
	f, dir, err := m.home(w)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readFile(dir, w.File, nil)
	if err != nil {
		t.Fatalf("%s: %v", f.Full(), err)
	}
	return trim(b)
}

func TestHostApplyRefused(t *testing.T) {
	l := host(t)
	m := create(t, l, ownName(t, l), unifiedControllers(l)...)
	for _, test := range []struct{ controller, text, want string }{
		{"pids", `{"pids":{"limit":99999999}}`, `linux.resources.pids.limit: write "99999999" to pids.max: invalid argument: the kernel takes 0 to 4194304`},
		{"cpu", `{"cpu":{"quota":5}}`, `linux.resources.cpu.quota: write "5" to cpu.`},
		{"cpu", `{"cpu":{"quota":1000,"period":500}}`, "the kernel takes a period of 1000 to 1000000 µs"},
		{"cpuset", `{"cpu":{"cpus":"4000"}}`, `linux.resources.cpu.cpus: write "4000" to cpuset.cpus: `},
		{"cpuset", `{"cpu":{"mems":"77"}}`, `linux.resources.cpu.mems: write "77" to cpuset.mems: `},
		{"hugetlb", `{"hugepageLimits":[{"pageSize":"3MB","limit":1}]}`, ": no such file or directory: the host has no huge pages of this size"},
		{"unified hugetlb", `{"unified":{"hugetlb.2MB.nonesuch":"1"}}`, "linux.resources.unified[hugetlb.2MB.nonesuch]: write \"1\" to hugetlb.2MB.nonesuch: no such file"},
		{"blkio", `{"blockIO":{"leafWeight":100}}`, "leaf weights were the CFQ scheduler's"},
		{"blkio", `{"blockIO":{"throttleReadBpsDevice":[{"major":4000,"minor":1,"rate":5}]}}`, "linux.resources.blockIO.throttleReadBpsDevice[0]: write \"4000:1 5\" to blkio.throttle.read_bps_device: no such device"},
	} {
		controller, unified := strings.CutPrefix(test.controller, "unified ")
		if h := l.Find(controller); h == nil || unified && !h.Unified {
			t.Logf("not tried, this layout has no %s: %s", test.controller, test.text)
			continue
		}
		err := m.Apply(limits(t, l, test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v\nwant %s", test.text, err, test.want)
		}
	}
	remove(t, m)
	writes := limits(t, l, everything(l))
	if len(writes) > 0 {
		if err := m.Apply(writes); !errors.Is(err, unix.ENOENT) {
			t.Errorf("Apply to a removed cgroup: %v", err)
		}
	}
	if err := Load(State{}).Apply([]cgroups.Write{{Controller: "pids", File: "pids.max", Value: "1", Origin: "o"}}); err == nil || !strings.HasPrefix(err.Error(), "o: the container has no cgroup with the controller pids") {
		t.Errorf("Apply without a folder: %v", err)
	}
}

// TestHostMemoryOrder raises and lowers memory and memory+swap through all the
// orders the kernel refuses.
func TestHostMemoryOrder(t *testing.T) {
	l := host(t)
	if l.Find("memory") == nil {
		t.Skip("no memory controller in this view")
	}
	m := create(t, l, ownName(t, l), memoryNeeds(l)...)
	for _, text := range []string{
		`{"memory":{"limit":10485760,"swap":20971520}}`,
		`{"memory":{"limit":41943040,"swap":41943040}}`,
		`{"memory":{"limit":8388608,"swap":8388608}}`,
		`{"memory":{"limit":-1}}`,
		`{"memory":{"limit":8388608,"swap":8388608}}`,
		`{"memory":{"limit":8388608,"swap":-1}}`,
		`{"memory":{"limit":41943040,"swap":62914560}}`,
	} {
		writes := limits(t, l, text)
		if err := m.Update(writes); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for i := range writes {
			if w := &writes[i]; w.Value != "-1" && now(t, m, w) != w.Value {
				t.Errorf("%s: %s is %s", text, w.File, now(t, m, w))
			}
		}
	}
	remove(t, m)
}

func memoryNeeds(l *cgroups.Layout) []string {
	if h := l.Unified(); h != nil && h.Has("memory") {
		return []string{"memory"}
	}
	return nil
}

// TestHostUpdateIsAllOrNothing changes everything, and then meets a value that
// the kernel refuses.
func TestHostUpdateIsAllOrNothing(t *testing.T) {
	l := host(t)
	writes := limits(t, l, everything(l))
	if len(writes) == 0 {
		t.Skip("no controller is there")
	}
	m := create(t, l, ownName(t, l), cgroups.Needed(writes)...)
	before := make([]string, len(writes))
	for i := range writes {
		before[i] = now(t, m, &writes[i])
	}
	last := writes[0]
	last.Value, last.Origin, last.Group = "nonsense", "the last", 0
	err := m.Update(append(writes[:len(writes):len(writes)], last))
	if err == nil || !strings.HasPrefix(err.Error(), "the last: write \"nonsense\"") {
		t.Errorf("Update: %v", err)
	}
	for i := range writes {
		// A new hugetlb limit is the largest number, which reads back as max.
		if w := &writes[i]; now(t, m, w) != before[i] && before[i] != "9223372036854771712" {
			t.Errorf("%s is %s after a failed update, was %s", w.File, now(t, m, w), before[i])
		}
	}
	if err := m.Update(writes); err != nil {
		t.Fatal(err)
	}
	if w := &writes[0]; now(t, m, w) != w.Value {
		t.Errorf("%s is %s after an update, want %s", w.File, now(t, m, w), w.Value)
	}
	remove(t, m)
}

// TestHostUpdateEnables sets a v2 limit in a cgroup that was made without its
// controller.
func TestHostUpdateEnables(t *testing.T) {
	l := host(t)
	h := l.Unified()
	if h == nil || !h.Has("hugetlb") {
		t.Skip("no hugetlb on v2")
	}
	m := create(t, l, ownName(t, l)+"/c")
	if err := m.Update(limits(t, l, `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`)); err != nil {
		t.Error(err)
	}
	if got := read(t, m.unified(), "hugetlb.2MB.max"); got != "4194304" {
		t.Errorf("hugetlb.2MB.max is %s", got)
	}
	remove(t, m)
}

// fake is a cgroup of plain files, for what no machine at hand has.
func fake(t testing.TB, unified bool, controllers []string, files map[string]string) *Manager {
	t.Helper()
	top := t.TempDir()
	if err := os.Mkdir(top+"/c", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(top+"/c/"+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(top+"/cgroup.controllers", []byte(files["cgroup.controllers"]), 0o644); err != nil {
		t.Fatal(err)
	}
	m := Load(State{Folders: []FolderState{{Folder: cgroups.Folder{Mountpoint: top, Path: "/c", Unified: unified, Controllers: controllers}}}})
	t.Cleanup(m.Close)
	return m
}

func TestCheckBeforeUpdate(t *testing.T) {
	m := fake(t, true, nil, map[string]string{"memory.max": "max\n", "memory.current": "5000\n", "cgroup.controllers": "cpu io memory pids\n", "cgroup.procs": ""})
	w := cgroups.Write{Controller: "memory", Unified: true, File: "memory.max", Value: "4999", Origin: "o", NotBelow: "memory.current"}
	if err := m.Update([]cgroups.Write{w}); err == nil || !strings.HasPrefix(err.Error(), "o: 4999 is below the present usage (memory.current is 5000)") {
		t.Errorf("below the usage: %v", err)
	}
	if got := now(t, m, &w); got != "max" {
		t.Errorf("memory.max became %s", got)
	}
	w.Value = "5000"
	if err := m.Update([]cgroups.Write{w}); err != nil || !strings.HasPrefix(now(t, m, &w), "5000") {
		t.Errorf("at the usage: %v", err)
	}
}

func TestElseAndOptional(t *testing.T) {
	m := fake(t, true, nil, map[string]string{"io.weight": "default 100\n", "cgroup.procs": ""})
	writes := []cgroups.Write{
		{Controller: "io", Unified: true, File: "io.bfq.weight", Value: "500", Origin: "o", Else: cgroups.Alternative{File: "io.weight", Value: "4950"}},
		{Controller: "cpu", Unified: true, File: "cpu.idle", Value: "0", Origin: "o", Optional: true},
	}
	if err := m.Apply(writes); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m.unified(), "io.weight"); !strings.HasPrefix(got, "4950") {
		t.Errorf("io.weight is %s", got)
	}
	writes[1].Optional = false
	if err := m.Apply(writes); err == nil || !strings.Contains(err.Error(), "it came with Linux 5.15") {
		t.Errorf("a missing file: %v", err)
	}
}

package resctrl

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// fakeTree is a folder that looks like resctrl on a machine with two caches, and
// in which a new folder is filled as by the kernel. A file written to has what
// was written last, where the kernel's has a line for each resource.
func fakeTree(t *testing.T) *Tree {
	t.Helper()
	tree := at(t.TempDir())
	tree.mkdir = func(dir string) error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		fill(t, dir)
		return nil
	}
	tree.remove = func(dir string) error {
		if _, err := os.Stat(dir); err != nil {
			return err
		}
		return os.RemoveAll(dir)
	}
	fill(t, tree.root)
	for name, text := range map[string]string{
		"info/last_cmd_status": "ok", "info/L3/cbm_mask": "7ff", "info/L3/min_cbm_bits": "1", "info/L3/num_closids": "16",
		"info/MB/bandwidth_gran": "10", "info/MB/delay_linear": "1", "info/MB/min_bandwidth": "10", "info/MB/num_closids": "8",
		"info/L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes",
	} {
		put(t, filepath.Join(tree.root, name), text+"\n")
	}
	return tree
}

func fill(t *testing.T, dir string) {
	t.Helper()
	put(t, filepath.Join(dir, "tasks"), "")
	put(t, filepath.Join(dir, "schemata"), "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n")
	put(t, filepath.Join(dir, "mon_data/mon_L3_00/llc_occupancy"), "4096\n")
	put(t, filepath.Join(dir, "mon_data/mon_L3_00/mbm_total_bytes"), "100\n")
	put(t, filepath.Join(dir, "mon_data/mon_L3_00/mbm_local_bytes"), "60\n")
	put(t, filepath.Join(dir, "mon_data/mon_L3_01/llc_occupancy"), "Unavailable\n")
	if err := os.MkdirAll(filepath.Join(dir, "mon_groups"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Which group a container gets, and whose it is.
func TestPlan(t *testing.T) {
	tree := at("/r")
	for _, c := range []struct {
		rdt  specs.LinuxIntelRdt
		want Group
	}{
		{specs.LinuxIntelRdt{}, Group{Dir: "/r/id", Own: true}},
		{specs.LinuxIntelRdt{EnableMonitoring: true}, Group{Dir: "/r/id", Own: true, Monitor: "/r/id/mon_groups/id"}},
		{specs.LinuxIntelRdt{ClosID: "gold"}, Group{Dir: "/r/gold"}},
		{specs.LinuxIntelRdt{ClosID: "gold", EnableMonitoring: true}, Group{Dir: "/r/gold", Monitor: "/r/gold/mon_groups/id"}},
		{specs.LinuxIntelRdt{ClosID: "/"}, Group{Dir: "/r"}},
	} {
		if got := tree.Plan(&c.rdt, "id"); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.rdt, got, c.want)
		}
	}
}

// The order of config-linux.md.
func TestLines(t *testing.T) {
	got := Lines(&specs.LinuxIntelRdt{Schemata: []string{"L2:0=f", "MB:0=20"}, MemBwSchema: "MB:0=10", L3CacheSchema: "L3:0=f"})
	if want := []string{"L3:0=f", "MB:0=10", "L2:0=f", "MB:0=20"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A group of the container's own comes and goes with it.
func TestOwnGroup(t *testing.T) {
	tree := fakeTree(t)
	r := &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", EnableMonitoring: true}
	g := tree.Plan(r, "id")
	if err := tree.Make(g, r); err != nil {
		t.Fatal(err)
	}
	if err := tree.Join(g, 4711); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"id/tasks": "4711", "id/mon_groups/id/tasks": "4711", "tasks": ""} {
		if got := text(filepath.Join(tree.root, name)); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	if got := schema(g.Dir, "L3"); got != "L3:0=f" {
		t.Errorf("schemata: %q", got)
	}
	if err := tree.Make(g, r); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("made twice: %v", err)
	}
	for range 2 {
		if err := tree.Remove(g); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(g.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
}

// A named group stays when the container goes, and only its monitoring group
// goes with it.
func TestNamedGroup(t *testing.T) {
	tree := fakeTree(t)
	r := &specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"L3:0=07F0;1=1f"}, EnableMonitoring: true}
	g := tree.Plan(r, "id")
	if err := tree.Make(g, r); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(g.Dir, "schemata"), "  L3:0=7f0;1=01f\n  MB:0= 20;1=70\n")
	if err := tree.Remove(g); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(g.Monitor); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the monitoring group is still there: %v", err)
	}
	// Another container with the same schemata, with some of them, with none.
	for _, same := range []specs.LinuxIntelRdt{*r, {ClosID: "gold", MemBwSchema: "MB:1=70"}, {ClosID: "gold"}} {
		other := tree.Plan(&same, "other")
		if err := tree.Make(other, &same); err != nil {
			t.Errorf("%+v: %v", same, err)
		}
		if err := tree.Remove(other); err != nil {
			t.Error(err)
		}
	}
	r.Schemata[0] = "L3:0=7f0;1=3f"
	if err := tree.Make(g, r); err == nil || !strings.Contains(err.Error(), "has L3:1=1f, not 3f") {
		t.Errorf("other schemata: %v", err)
	}
	if err := tree.Make(Group{Dir: filepath.Join(tree.root, "none")}, &specs.LinuxIntelRdt{ClosID: "none"}); err == nil || !strings.Contains(err.Error(), "closID") {
		t.Errorf("a group that is not there: %v", err)
	}
}

// What the kernel refuses is told in its own words, and a group half made goes.
func TestRefused(t *testing.T) {
	tree := fakeTree(t)
	put(t, filepath.Join(tree.root, "info/last_cmd_status"), "Mask f00 out of range\n")
	mkdir := tree.mkdir
	tree.mkdir = func(dir string) error {
		err := mkdir(dir)
		os.Remove(filepath.Join(dir, "schemata"))
		return err
	}
	r := &specs.LinuxIntelRdt{Schemata: []string{"L3:0=f00"}}
	g := tree.Plan(r, "id")
	err := tree.Make(g, r)
	if err == nil || !strings.Contains(err.Error(), `"L3:0=f00"`) || !strings.Contains(err.Error(), "Mask f00 out of range") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(g.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
	put(t, filepath.Join(tree.root, "info/last_cmd_status"), "ok\n")
	tree.mkdir = func(string) error { return unix.ENOSPC }
	if err := tree.Make(g, r); err == nil || !strings.Contains(err.Error(), "no class or monitor left") {
		t.Errorf("%v", err)
	}
}

// A change gives the lines that undo it, of what it changed alone; where a line is
// refused, those before it are taken back.
func TestChange(t *testing.T) {
	tree := fakeTree(t)
	r := &specs.LinuxIntelRdt{}
	g := tree.Plan(r, "id")
	if err := tree.Make(g, r); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ lines, undo []string }{
		{[]string{"L3:0=f;1=f"}, []string{"L3:0=7ff;1=7ff"}},
		{[]string{"L3:0=f;1=f", "MB:0=20;1=20"}, []string{"MB:0=100;1=100", "L3:0=7ff;1=7ff"}},
		{[]string{"L2:0=f"}, nil},
	} {
		put(t, filepath.Join(g.Dir, "schemata"), "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n")
		undo, err := tree.Change(g, c.lines)
		if err != nil || !reflect.DeepEqual(undo, c.undo) {
			t.Errorf("%q: undone by %q, want %q, %v", c.lines, undo, c.undo, err)
		}
	}
	var written []string
	tree.write = func(_, text string) error {
		written = append(written, strings.TrimSpace(text))
		if strings.HasPrefix(text, "MB:0=7;") {
			return unix.EINVAL
		}
		return nil
	}
	put(t, filepath.Join(g.Dir, "schemata"), "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n")
	if _, err := tree.Change(g, []string{"L3:0=f;1=f", "MB:0=7;1=7"}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("refused: %v", err)
	}
	if want := []string{"L3:0=f;1=f", "MB:0=7;1=7", "MB:0=100;1=100", "L3:0=7ff;1=7ff"}; !reflect.DeepEqual(written, want) {
		t.Errorf("written: %q, want %q", written, want)
	}
	// A group whose schemata cannot be read changes nothing, and says so.
	if _, err := tree.Change(Group{Dir: filepath.Join(tree.root, "none")}, []string{"L3:0=f"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no group: %v", err)
	}
}

func TestStats(t *testing.T) {
	tree := fakeTree(t)
	r := &specs.LinuxIntelRdt{}
	g := tree.Plan(r, "id")
	if err := tree.Make(g, r); err != nil {
		t.Fatal(err)
	}
	want := Stats{
		L3CacheInfo: &L3CacheInfo{"7ff", 1, 16}, L3CacheSchemaRoot: "L3:0=7ff;1=7ff", L3CacheSchema: "L3:0=7ff;1=7ff",
		MemBwInfo: &MemBwInfo{10, 1, 10, 8}, MemBwSchemaRoot: "MB:0=100;1=100", MemBwSchema: "MB:0=100;1=100",
		MBM: []Bandwidth{{100, 60}, {}}, CMT: []Occupancy{{4096}, {}},
	}
	if got := tree.Stats(g); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	// In a class that others share, only a monitoring group has figures of one's own.
	g.Own = false
	if got := tree.Stats(g); got.MBM != nil || got.CMT != nil || got.L3CacheInfo == nil {
		t.Errorf("of a shared class: %+v", got)
	}
	if got := at("/no/such").Stats(Group{Dir: "/no/such/id"}); !reflect.DeepEqual(got, Stats{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestFindSaysHowToMount(t *testing.T) {
	var fs unix.Statfs_t
	if unix.Statfs(Mountpoint, &fs) == nil && fs.Type == superMagic {
		t.Skip("resctrl is mounted here")
	}
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "mount -t resctrl") {
		t.Errorf("%v", err)
	}
}

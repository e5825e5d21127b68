package compile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/cgroups"
	"berth/cgroups/devices"
	"berth/libcontainer/facts"
	"berth/libcontainer/plan"
	"berth/spec"
)

var update = flag.Bool("update", false, "write the golden files again")

// Golden files hold a plan as text: what a configuration compiles to on a host
// of fixed facts. A change of theirs is a change of what berth does, to be
// read in review; `go test ./libcontainer/compile -update` writes them again.

// layout returns one of the three layouts of cgroups as hosts have them.
func layout(t testing.TB, name string) *cgroups.Layout {
	t.Helper()
	v1 := func(id int, controllers string) (self, mount string) {
		options := controllers
		folder := strings.TrimPrefix(controllers, "name=")
		return fmt.Sprintf("%d:%s:/user\n", id, controllers),
			fmt.Sprintf("%d 30 0:%d / /sys/fs/cgroup/%s rw,nosuid shared:9 - cgroup cgroup rw,%s\n", 30+id, 30+id, folder, options)
	}
	var self, mounts string
	if name != "v2" {
		for i, controllers := range []string{"name=systemd", "cpu,cpuacct", "cpuset", "memory", "pids", "devices"} {
			s, m := v1(i+1, controllers)
			self, mounts = self+s, mounts+m
		}
	}
	switch name {
	case "v1":
	case "hybrid":
		self += "0::/user\n"
		mounts += "60 30 0:60 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
	case "v2":
		return cgroups.ParseV2("/sys/fs/cgroup", []byte("0::/user\n"), []byte("cpuset cpu io memory pids\n"))
	default:
		t.Fatalf("no layout is called %s", name)
	}
	l, err := cgroups.Parse([]byte(self), []byte(mounts))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func layouts() []string { return []string{"v1", "hybrid", "v2"} }

// hostOf returns the facts that the golden files are for.
func hostOf(t testing.TB, layoutName string) *facts.Host {
	t.Helper()
	return &facts.Host{
		Kernel:      facts.Kernel{Major: 6, Minor: 1},
		LastCap:     40,
		Permitted:   1<<41 - 1,
		Cgroups:     layout(t, layoutName),
		RootfsMount: "/srv",
		Kcore:       true,

		MountSetattr: true,
	}
}

// load reads a configuration, which must be valid: a golden plan of one that
// berth refuses would show nothing.
func load(t testing.TB, file string) *specs.Spec {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := spec.Validate(s).Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

// inputOf returns what create compiles for a configuration.
func inputOf(t testing.TB, s *specs.Spec, layoutName string) Input {
	t.Helper()
	host := hostOf(t, layoutName)
	var path string
	if s.Linux != nil {
		path = s.Linux.CgroupsPath
	}
	if strings.Contains(path, ":") {
		path = "/" + path // the form for systemd, which places it itself
	}
	place, err := cgroups.Place(host.Cgroups, path, "golden")
	if err != nil {
		t.Fatal(err)
	}
	return Input{Spec: s, ID: "golden", Bundle: "/bundle", Host: host, Cgroup: place, Wait: true}
}

// text prints all of an output: a line for each thing that parent and executor
// will do. What asks for the default devices is counted where brief says so.
func text(out *Output, brief bool) string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	for _, w := range out.Warnings {
		p("warning: %s", w)
	}
	if out.Cgroup != nil {
		for i := range out.Cgroup.Folders {
			p("cgroup %s  # %s", out.Cgroup.Folders[i].Full(), out.Cgroup.Origin)
		}
	}
	for _, w := range out.Limits.Writes {
		p("write %q to %s  # %s", w.Value, w.File, w.Origin)
	}
	if out.Limits.Devices != nil {
		p("device filter of %d instructions", len(devices.Program(out.Limits.Devices)))
	}
	p("clone %s", strings.Join(CloneNames(out.Cloneflags), " "))
	p("into cgroup %v, %d tasks files, seccomp at %s, hooks %v, console %v, home %v",
		out.IntoCgroup, out.CgroupTasks, out.SeccompAt, out.Hooks, out.Console, out.Home)
	for _, j := range out.Joins {
		p("join %s in %s, of %s  # %s", j.Path, j.Slot, strings.Join(CloneNames(j.Flag), " "), j.Origin)
	}
	for i := range out.NetDevices {
		p("move %s  # %s", out.NetDevices[i].String(), out.NetDevices[i].Origin)
	}
	for i := range out.Sources {
		p("open %s  # %s", out.Sources[i].String(), out.Sources[i].Origin)
	}
	for i := range out.Plan.Steps {
		s := &out.Plan.Steps[i]
		if !brief || s.Origin != plan.At("default devices") {
			p("%3d %s", i, stepText(s))
		} else if out.Plan.Steps[i-1].Origin != s.Origin {
			p("%3d …  # %s", i, s.Origin)
		}
	}
	return b.String()
}

// stepText prints a step; arguments that are zero are left out.
func stepText(s *plan.Step) string {
	var b strings.Builder
	b.WriteString(s.Op.Code().String())
	for _, a := range s.Op.Args() {
		if v := argText(a); v != "" {
			b.WriteString(" " + a.Name + "=" + v)
		}
	}
	if len(s.OnError) > 0 {
		fmt.Fprintf(&b, "; on errno %v the next %d instead", s.OnError, s.Else)
	}
	return b.String() + "  # " + s.Origin.String()
}

func argText(a plan.Arg) string {
	if reflect.ValueOf(a.Value).IsZero() {
		return ""
	}
	switch v := a.Value.(type) {
	case string:
		return strconv.Quote(v)
	case []string:
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("%x", v)
	case uint64:
		return fmt.Sprintf("%#x", v)
	case uint32:
		if a.Name == "mode" || a.Name == "mask" {
			return fmt.Sprintf("%#o", v)
		}
	}
	return fmt.Sprint(a.Value)
}

// golden compares a text with a file, or writes the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: write it with -update", err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := lineAt(gotLines, i), lineAt(wantLines, i)
		if g != w {
			t.Errorf("%s:%d:\n got %s\nwant %s\n(-update writes the file again)", file, i+1, g, w)
			return
		}
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// configs lists the configurations of a folder with their names.
func configs(t testing.TB, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations at %s: %v", pattern, err)
	}
	all := make(map[string]string, len(files))
	for _, f := range files {
		all[strings.TrimSuffix(filepath.Base(f), ".json")] = f
	}
	return all
}

// What engines write, on each layout of cgroups.
func TestWorkloads(t *testing.T) {
	for name, file := range configs(t, "../../tests/workloads/*.json") {
		for _, l := range layouts() {
			t.Run(name+"/"+l, func(t *testing.T) {
				out, err := Compile(inputOf(t, load(t, file), l))
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "testdata/golden/"+name+"."+l+".txt", text(out, false))
			})
		}
	}
}

// ofCgroups says whether a step is there because of the host's cgroups.
func ofCgroups(s *plan.Step) bool {
	switch op := s.Op.(type) {
	case plan.Sync:
		return op.Point == plan.PointCgroup
	case plan.WriteSlot:
		return true
	}
	return false
}

// A small configuration for each concern. Those about cgroups are compiled on
// each layout; of the others it is checked that the layout makes no difference.
func TestConcerns(t *testing.T) {
	for name, file := range configs(t, "testdata/configs/*.json") {
		t.Run(name, func(t *testing.T) {
			steps := map[string]string{}
			for _, l := range layouts() {
				out, err := Compile(inputOf(t, load(t, file), l))
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(name, "cgroup") {
					golden(t, "testdata/golden/"+name+"."+l+".txt", text(out, true))
					continue
				}
				if l == "v2" {
					golden(t, "testdata/golden/"+name+".txt", text(out, name != "devices"))
				}
				for i := range out.Plan.Steps {
					if s := &out.Plan.Steps[i]; !ofCgroups(s) {
						steps[l] += stepText(s) + "\n"
					}
				}
			}
			if steps["v1"] != steps["v2"] || steps["hybrid"] != steps["v2"] {
				t.Errorf("the layout of cgroups changes more than it may:\nv1:\n%s\nhybrid:\n%s\nv2:\n%s", steps["v1"], steps["hybrid"], steps["v2"])
			}
		})
	}
}

// What flags and the host change in the plan of one configuration.
func TestCircumstances(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"run": func(in *Input) { in.Wait = false },
		"no-pivot": func(in *Input) {
			in.NoPivot = true
			in.Host.KernelMounts = []facts.KernelMount{{Path: "/proc", Parent: "/"}, {Path: "/sys", Parent: "/"}, {Path: "/srv/proc", Parent: "/srv"}}
		},
		"no-new-keyring":  func(in *Input) { in.NoNewKeyring = true },
		"no-cgroups":      func(in *Input) { in.Host.Cgroups, in.Cgroup = nil, nil },
		"no-kcore":        func(in *Input) { in.Host.Kcore = false },
		"few-permitted":   func(in *Input) { in.Host.Permitted = 1 << 10 }, // CAP_NET_BIND_SERVICE
		"old-kernel-caps": func(in *Input) { in.Host.LastCap = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, "../../tests/workloads/spec-default.json")
			if name == "no-cgroups" {
				s.Linux.Resources = nil
				s.Mounts = s.Mounts[:len(s.Mounts)-1]
			}
			in := inputOf(t, s, "v2")
			change(&in)
			out, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/golden/with-"+name+".txt", text(out, true))
		})
	}
}

// Another process in a container.
func TestExec(t *testing.T) {
	all := uint64(cloneNewpid | cloneNewnet | cloneNewns | cloneNewipc | cloneNewuts | cloneNewcgroup)
	for name, in := range map[string]ExecInput{
		"all":               {Namespaces: all},
		"user-namespace":    {Namespaces: all | cloneNewuser},
		"no-pid-namespace":  {Namespaces: all &^ cloneNewpid},
		"no-mounts":         {Namespaces: all &^ cloneNewns, Rootfs: "/bundle/rootfs"},
		"cgroup-v1":         {Namespaces: all, Tasks: 3},
		"container-default": {Namespaces: all, NoNewKeyring: true},
	} {
		t.Run(name, func(t *testing.T) {
			in.Spec = load(t, "testdata/configs/identity.json")
			process := &specs.Process{Args: []string{"sh"}, Cwd: "/", Env: []string{"PATH=/bin"}}
			if name == "container-default" {
				process.Terminal = true
				process.OOMScoreAdj = new(int)
			}
			in.Process, in.ID, in.Host = ExecProcess(in.Spec, process), "golden", hostOf(t, "v2")
			out, err := Exec(in)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/golden/exec-"+name+".txt", text(out, true))
		})
	}
}

// A golden file that no test writes is out of date for good.
func TestNoStaleGolden(t *testing.T) {
	known := map[string]bool{}
	for name := range configs(t, "../../tests/workloads/*.json") {
		for _, l := range layouts() {
			known[name+"."+l] = true
		}
	}
	for name := range configs(t, "testdata/configs/*.json") {
		known[name] = true
		for _, l := range layouts() {
			known[name+"."+l] = strings.HasPrefix(name, "cgroup")
		}
	}
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		if !known[name] && !strings.HasPrefix(name, "with-") && !strings.HasPrefix(name, "exec-") && !strings.HasPrefix(name, "rootless-") {
			t.Errorf("%s belongs to no configuration: remove it", f)
		}
	}
}

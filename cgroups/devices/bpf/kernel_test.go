package bpf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"berth/cgroups/devices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// These tests need root and a kernel with CONFIG_CGROUP_BPF. They make cgroups
// of their own, and start this test binary again inside them to use devices.

// probeVariable holds the probes, as JSON, that the binary is to make instead of
// running tests; the outcomes go to standard output.
const probeVariable = "BERTH_TEST_PROBES"

// probe is one attempt at a device.
type probe struct {
	Node   string // an existing device node, or for Mknod where to make one
	Type   string // b or c
	Major  uint32
	Minor  uint32
	Access string // r, w, rw, m; of access(2): R, W, RW, empty for F_OK
	Times  int    // how often to try again as long as it is denied
}

func (p probe) String() string {
	return fmt.Sprintf("%s %d:%d %q", p.Type, p.Major, p.Minor, p.Access)
}

func TestMain(m *testing.M) {
	text := os.Getenv(probeVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var probes []probe
	if err := json.Unmarshal([]byte(text), &probes); err != nil {
		panic(err)
	}
	if v1 := os.Getenv("BERTH_TEST_V1"); v1 != "" {
		if err := os.WriteFile(filepath.Join(v1, "cgroup.procs"), []byte("0"), 0); err != nil {
			panic(err)
		}
	}
	for _, p := range probes {
		var errno syscall.Errno
		for n := 0; n == 0 || n < p.Times && errno == unix.EPERM; n++ {
			errno = p.try()
		}
		fmt.Println(int(errno))
	}
}

// try makes the attempt and returns 0 where the device cgroup let it through.
// The kernel then goes on to the driver; that there is none for a node is
// ENXIO, or ENODEV.
func (p probe) try() syscall.Errno {
	var err error
	var fd int
	switch p.Access {
	case "":
		err = unix.Faccessat(unix.AT_FDCWD, p.Node, unix.F_OK, 0)
	case "R", "W", "RW":
		mode := map[string]uint32{"R": unix.R_OK, "W": unix.W_OK, "RW": unix.R_OK | unix.W_OK}[p.Access]
		err = unix.Faccessat(unix.AT_FDCWD, p.Node, mode, 0)
	case "m":
		kind := map[string]uint32{"b": unix.S_IFBLK, "c": unix.S_IFCHR}[p.Type]
		if err = unix.Mknod(p.Node, kind|0o600, int(unix.Mkdev(p.Major, p.Minor))); err == nil {
			err = unix.Unlink(p.Node)
		}
	default:
		mode := map[string]int{"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR}[p.Access]
		if fd, err = unix.Open(p.Node, mode|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0); err == nil {
			err = unix.Close(fd)
		}
	}
	if err == nil || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return 0
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		panic(err)
	}
	return errno
}

func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// unified returns where the v2 hierarchy is mounted.
func unified(t testing.TB) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	t.Skip("no cgroup v2 hierarchy is mounted")
	return ""
}

// newCgroup makes a cgroup below the hierarchy and removes it after the test.
func newCgroup(t testing.TB, hierarchy string) (dir string, fd int) {
	t.Helper()
	dir, err := os.MkdirTemp(hierarchy, "berth-test-devices-")
	if err != nil {
		t.Fatal(err)
	}
	// cgroups/fs opens folders with O_PATH.
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir, int(f.Fd())
}

// nodes makes a device node for each type and number and returns their folder.
// The majors are those devices.txt leaves to local use; nothing answers there.
func nodes(t testing.TB, majors, minors []uint32) string {
	t.Helper()
	// Folders for temporary files may be mounted with nodev.
	dir, err := os.MkdirTemp("/dev", "berth-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for name, kind := range map[string]uint32{"b": unix.S_IFBLK, "c": unix.S_IFCHR} {
		for _, major := range majors {
			for _, minor := range minors {
				node := filepath.Join(dir, fmt.Sprint(name, major, "-", minor))
				if err := unix.Mknod(node, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
					t.Fatalf("mknod %s: %v", node, err)
				}
			}
		}
	}
	return dir
}

// probesFor lists every access to every node, but without opening any: the
// kernel would look for a module with the driver, which takes its time.
func probesFor(dir string, majors, minors []uint32) []probe {
	var list []probe
	for _, kind := range []string{"b", "c"} {
		for _, major := range majors {
			for _, minor := range minors {
				for _, access := range []string{"", "R", "W", "RW", "m"} {
					p := probe{filepath.Join(dir, fmt.Sprint(kind, major, "-", minor)), kind, major, minor, access, 0}
					if access == "m" {
						p.Node += "-new"
					}
					list = append(list, p)
				}
			}
		}
	}
	return list
}

// run makes the probes inside the v2 cgroup (its descriptor, or -1) and the v1
// device cgroup (its folder, or empty).
func run(t testing.TB, probes []probe, v2 int, v1 string) []syscall.Errno {
	t.Helper()
	results, err := start(probes, v2, v1)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func start(probes []probe, v2 int, v1 string) ([]syscall.Errno, error) {
	text, err := json.Marshal(probes)
	if err != nil {
		return nil, err
	}
	c := exec.Command("/proc/self/exe")
	c.Env = []string{probeVariable + "=" + string(text), "BERTH_TEST_V1=" + v1}
	if v2 >= 0 {
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: v2}
	}
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("probes: %w: %s", err, out)
	}
	var results []syscall.Errno
	for _, line := range strings.Fields(string(out)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			return nil, fmt.Errorf("probes: %q", out)
		}
		results = append(results, syscall.Errno(n))
	}
	if len(results) != len(probes) {
		return nil, fmt.Errorf("%d results for %d probes: %q", len(results), len(probes), out)
	}
	return results, nil
}

func compile(t testing.TB, text string) *devices.Filter {
	t.Helper()
	var list []specs.LinuxDeviceCgroup
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	f, err := devices.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func encode(t testing.TB, f *devices.Filter) []byte {
	t.Helper()
	code, err := devices.Encode(devices.Program(f))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func apply(t testing.TB, dir int, f *devices.Filter) {
	t.Helper()
	if err := Apply(dir, f); err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, dir int) int {
	t.Helper()
	ids, err := attached(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(ids)
}

// TestLife attaches, replaces and detaches a filter, and looks from inside each
// time.
func TestLife(t *testing.T) {
	requireRoot(t)
	_, dir := newCgroup(t, unified(t))
	made := nodes(t, []uint32{240}, []uint32{7})
	probes := []probe{
		{"/dev/null", "c", 1, 3, "rw", 0},
		{"/dev/urandom", "c", 1, 9, "r", 0},
		{made + "/c240-7", "c", 240, 7, "r", 0},
		{made + "/c240-7", "c", 240, 7, "rw", 0},
		{made + "/c240-7-new", "c", 240, 7, "m", 0},
		{made + "/b240-7", "b", 240, 7, "r", 0},
	}
	const ok, denied = 0, unix.EPERM
	for _, step := range []struct {
		name, rules string
		programs    int
		want        []syscall.Errno
	}{
		{"default", `[{"allow":false,"access":"rwm"}]`, 1, []syscall.Errno{ok, ok, denied, denied, ok, denied}},
		{"wider", `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":240,"access":"r"}]`, 1, []syscall.Errno{ok, ok, ok, denied, ok, denied}},
		{"deny list", `[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":240,"minor":7,"access":"w"}]`, 1, []syscall.Errno{ok, ok, ok, denied, ok, ok}},
		{"privileged", `[{"allow":true,"access":"rwm"}]`, 0, []syscall.Errno{ok, ok, ok, ok, ok, ok}},
		{"default again", `[]`, 1, []syscall.Errno{ok, ok, denied, denied, ok, denied}},
	} {
		apply(t, dir, compile(t, step.rules))
		if n := count(t, dir); n != step.programs {
			t.Errorf("%s: %d programs are attached, want %d", step.name, n, step.programs)
		}
		for i, got := range run(t, probes, dir, "") {
			if got != step.want[i] {
				t.Errorf("%s: %v: errno %d, want %d", step.name, probes[i], got, step.want[i])
			}
		}
	}
	if err := Detach(dir); err != nil {
		t.Fatal(err)
	}
	if n := count(t, dir); n != 0 {
		t.Errorf("%d programs are left after Detach", n)
	}
	if err := Detach(dir); err != nil {
		t.Errorf("nothing to detach: %v", err)
	}
}

// TestOthersStay puts a foreign program and two of ours on a cgroup, as systemd
// and a killed update would leave them.
func TestOthersStay(t *testing.T) {
	requireRoot(t)
	_, dir := newCgroup(t, unified(t))
	code := encode(t, compile(t, `[]`))
	foreign := encode(t, &devices.Filter{}) // denies everything
	for _, c := range []struct {
		code []byte
		name string
	}{{foreign, "sd_devices"}, {code, ProgramName}, {code, ProgramName}} {
		fd, err := loadNamed(c.code, nil, c.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(attach(dir, fd, nil), closeFD(fd)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, dir); n != 3 {
		t.Fatalf("%d programs are attached, want 3", n)
	}
	apply(t, dir, compile(t, `[{"allow":true,"type":"c","major":240,"access":"rwm"}]`))
	if n := count(t, dir); n != 2 {
		t.Errorf("%d programs after Apply, want the foreign one and ours", n)
	}
	if got := run(t, []probe{{"/dev/null", "c", 1, 3, "r", 0}}, dir, "")[0]; got != unix.EPERM {
		t.Errorf("the foreign program denies everything, but /dev/null gives errno %d", got)
	}
	if err := Detach(dir); err != nil {
		t.Fatal(err)
	}
	if n := count(t, dir); n != 1 {
		t.Errorf("%d programs after Detach, want the foreign one", n)
	}
}

// TestUpdateLeavesNoGap opens a denied device as fast as it can while the
// filter is replaced again and again: it must never get in.
func TestUpdateLeavesNoGap(t *testing.T) {
	requireRoot(t)
	_, dir := newCgroup(t, unified(t))
	made := nodes(t, []uint32{240}, []uint32{7})
	apply(t, dir, compile(t, `[]`))
	type outcome struct {
		results []syscall.Errno
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		results, err := start([]probe{{made + "/c240-7", "c", 240, 7, "r", 20000}}, dir, "")
		done <- outcome{results, err}
	}()
	for replaced := 0; ; replaced++ {
		select {
		case o := <-done:
			if o.err != nil || o.results[0] != unix.EPERM {
				t.Fatalf("errno %d, want EPERM at every attempt (%v)", o.results, o.err)
			}
			if replaced < 10 {
				t.Errorf("the filter was replaced %d times only", replaced)
			}
			return
		default:
			apply(t, dir, compile(t, fmt.Sprintf(`[{"allow":true,"type":"c","major":241,"minor":%d,"access":"r"}]`, replaced)))
		}
	}
}

// TestAgainstV1 gives random rules to a real v1 device cgroup, one by one as
// they are, and to ours, and compares what the kernel then lets through.
func TestAgainstV1(t *testing.T) {
	requireRoot(t)
	const v1 = "/sys/fs/cgroup/devices"
	if _, err := os.Stat(v1 + "/devices.list"); err != nil {
		t.Skip("no v1 device cgroup is mounted at " + v1)
	}
	_, dir := newCgroup(t, unified(t))
	raw, _ := newCgroup(t, v1)
	written, _ := newCgroup(t, v1)
	numbers := []uint32{240, 241}
	probes := probesFor(nodes(t, numbers, numbers), numbers, numbers)
	random := rand.New(rand.NewPCG(7, 8))
	number := func() int64 { return []int64{devices.Any, 240, 241}[random.IntN(3)] }
	compared := 0
	for range 60 {
		rules := make([]devices.Rule, random.IntN(7))
		write(t, raw, "devices.deny", "a")
		for i := range rules {
			r := devices.Rule{Allow: random.IntN(3) > 0, Type: devices.Char, Major: number(), Minor: number(), Access: devices.Access(1 + random.IntN(7)), Origin: "test"}
			switch random.IntN(8) {
			case 0:
				r = devices.Rule{Allow: r.Allow, Type: devices.All, Major: devices.Any, Minor: devices.Any, Access: 7, Origin: "test"}
			case 1, 2, 3:
				r.Type = devices.Block
			}
			rules[i] = r
			write(t, raw, map[bool]string{true: "devices.allow", false: "devices.deny"}[r.Allow], r.String())
		}
		f, err := devices.Merge(rules)
		if err != nil {
			continue // v1 would not have honoured a rule; see the package's own tests
		}
		compared++
		for _, w := range f.V1Writes() {
			write(t, written, w.File, w.Value)
		}
		apply(t, dir, f)
		want := run(t, probes, -1, raw)
		program, writes := run(t, probes, dir, ""), run(t, probes, -1, written)
		for i, p := range probes {
			if program[i] != want[i] || writes[i] != want[i] {
				t.Fatalf("rules %v: %v: v1 says %d, the program %d, V1Writes %d", rules, p, want[i], program[i], writes[i])
			}
		}
	}
	if compared < 15 {
		t.Errorf("only %d lists were compared", compared)
	}
}

func write(t testing.TB, dir, file, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
		t.Fatalf("write %q: %v", value, err)
	}
}

// TestLargest loads the largest filters there can be, of the forms that the
// verifier might take ill.
func TestLargest(t *testing.T) {
	requireRoot(t)
	for _, c := range []struct {
		name   string
		number func(i int) (major, minor int64)
		access string
		first  string
	}{
		{"few majors", func(i int) (int64, int64) { return int64(240 + i%10), int64(i) }, "r", `{"allow":false,"access":"rwm"}`},
		{"all majors", func(i int) (int64, int64) { return int64(240 + i), int64(i) }, "rw", `{"allow":false,"access":"rwm"}`},
		{"any major", func(i int) (int64, int64) { return devices.Any, int64(1000 + i) }, "rwm", `{"allow":false,"access":"rwm"}`},
		{"deny list", func(i int) (int64, int64) { return int64(240 + i/3), int64(i) }, "w", `{"allow":true,"access":"rwm"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := make([]specs.LinuxDeviceCgroup, devices.MaxRules)
			if err := json.Unmarshal([]byte(c.first), &list[0]); err != nil {
				t.Fatal(err)
			}
			for i := range list[1:] {
				major, minor := c.number(i)
				list[1+i] = specs.LinuxDeviceCgroup{Allow: !list[0].Allow, Type: []string{"b", "c"}[i%2], Major: &major, Minor: &minor, Access: c.access}
			}
			f, err := devices.New(list)
			if err != nil {
				t.Fatal(err)
			}
			_, dir := newCgroup(t, unified(t))
			begin := time.Now()
			apply(t, dir, f)
			t.Logf("%d rules: %v", len(list), time.Since(begin))
			results := run(t, []probe{{"/dev/null", "c", 1, 3, "rw", 0}, {"/dev/kmsg", "c", 1, 11, "r", 0}}, dir, "")
			if kmsg := results[1]; results[0] != 0 || (kmsg == 0) != f.AllowAll {
				t.Errorf("/dev/null and /dev/kmsg give errno %d", results)
			}
		})
	}
}

// TestErrors checks what is said where the kernel refuses.
func TestErrors(t *testing.T) {
	requireRoot(t)
	hierarchy := unified(t)
	notCgroup, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer notCgroup.Close()
	err = Apply(int(notCgroup.Fd()), compile(t, `[]`))
	if want := "look for the cgroup's device filter: bpf(BPF_PROG_QUERY): bad file descriptor: this is no folder of a cgroup v2 hierarchy"; err == nil || err.Error() != want {
		t.Errorf("no cgroup: %v\nwant: %s", err, want)
	}

	_, err = load(make([]byte, 8)) // opcode 0
	if err == nil || !strings.Contains(err.Error(), "the kernel's verifier says: ") || !errors.Is(err, unix.EINVAL) {
		t.Errorf("bad program: %v", err)
	}

	dir, fd := newCgroup(t, hierarchy)
	code := encode(t, compile(t, `[]`))
	exclusive, err := loadNamed(code, nil, "exclusive")
	if err != nil {
		t.Fatal(err)
	}
	if err := attachExclusive(fd, exclusive); err != nil {
		t.Fatal(err)
	}
	if err := Apply(fd, compile(t, `[]`)); err == nil || !strings.Contains(err.Error(), "tolerates no other") {
		t.Errorf("exclusive program on %s: %v", dir, err)
	}
	if err := errors.Join(detach(fd, []int{exclusive}), closeFD(exclusive)); err != nil {
		t.Fatal(err)
	}
}

// attachExclusive attaches without BPF_F_ALLOW_MULTI.
func attachExclusive(dir, program int) error {
	attr := attachAttr{target: uint32(dir), program: uint32(program), kind: unix.BPF_CGROUP_DEVICE}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

// BenchmarkApply measures a new filter on a fresh cgroup, as create makes it.
func BenchmarkApply(b *testing.B) {
	requireRoot(b)
	hierarchy := unified(b)
	f := compile(b, `[]`)
	for b.Loop() {
		b.StopTimer()
		dir, err := os.MkdirTemp(hierarchy, "berth-test-devices-")
		if err != nil {
			b.Fatal(err)
		}
		d, err := os.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		apply(b, int(d.Fd()), f)
		b.StopTimer()
		if err := errors.Join(d.Close(), os.Remove(dir)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

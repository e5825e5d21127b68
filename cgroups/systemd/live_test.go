package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/cgroups"
	"berth/cgroups/devices"
	"berth/cgroups/devices/bpf"
)

// These tests need systemd as init: process 1 for root, the user's manager for
// anyone else. tests/vm has both.

// asUser is set for a test that runs as root of a user namespace.
const asUser = "BERTH_TEST_AS_USER"

func wantUser() bool { return os.Geteuid() != 0 || os.Getenv(asUser) != "" }

func liveConn(t *testing.T, timeout time.Duration) *Conn {
	t.Helper()
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("systemd is not this system's init")
	}
	c, err := Connect(Options{User: wantUser(), Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// hostMode tells v1 and v2 apart as systemd does.
func hostMode() cgroups.Mode {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return cgroups.V2
	}
	return cgroups.V1
}

// container is a process in a scope, as berth would have it.
type container struct {
	t    *testing.T
	conn *Conn
	unit Unit
	cmd  *exec.Cmd
}

// process starts a command that is to be in a scope.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // whose status is no matter
	})
	return cmd
}

func parse(t *testing.T, path string) Unit {
	t.Helper()
	u, err := ParsePath(path, fmt.Sprintf("test%d", os.Getpid()), nil, wantUser())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func compile(t *testing.T, u Unit, pid int, text string, annotations map[string]string) []Property {
	t.Helper()
	r := resources(t, text)
	writes, problems := cgroups.Limits(layout(hostMode()), r, "linux.resources")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := &Scope{Unit: u, ID: "live", Pid: pid, Writes: writes, Annotations: annotations}
	if !u.User {
		filter, err := devices.New(r.Devices)
		if err != nil {
			t.Fatal(err)
		}
		s.Devices = filter
	}
	list, err := Properties(s)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// begin starts a scope with limits around a sleeping process.
func begin(t *testing.T, conn *Conn, path, text string, annotations map[string]string) *container {
	t.Helper()
	c := &container{t, conn, parse(t, path), process(t, "sleep", "100")}
	if err := conn.Start(c.unit, compile(t, c.unit, c.cmd.Process.Pid, text, annotations)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Stop(c.unit); err != nil {
			t.Error(err)
		}
	})
	return c
}

// folder is where the process is, in the hierarchy that systemd manages.
func (c *container) folder() string {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if at, ok := strings.CutPrefix(line, "0::"); ok && hostMode() == cgroups.V2 {
			return at
		}
		if _, at, ok := strings.Cut(line, ":name=systemd:"); ok {
			return at
		}
	}
	c.t.Fatalf("no cgroup of systemd's: %s", text)
	return ""
}

// file reads a control file of the scope.
func (c *container) file(controller, name string) string {
	c.t.Helper()
	dir := "/sys/fs/cgroup"
	if hostMode() == cgroups.V1 {
		dir = filepath.Join(dir, controller)
	}
	text, err := os.ReadFile(filepath.Join(dir, c.unit.ScopePath(c.conn.ControlGroup()), name))
	if err != nil {
		c.t.Error(err)
	}
	return strings.TrimSpace(string(text))
}

func (c *container) expect(when string, want map[string]string) {
	c.t.Helper()
	for file, value := range want {
		controller, _, _ := strings.Cut(file, ".")
		if got := c.file(controller, file); got != value {
			c.t.Errorf("%s: %s is %q, want %q", when, file, got, value)
		}
	}
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	if wantUser() {
		args = append([]string{"--user"}, args...)
	}
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Logf("systemctl %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

const liveLimits = `{"cpu": {"shares": 512, "quota": 25000, "period": 50000}, "memory": {"limit": 67108864}, "pids": {"limit": 33}}`

func liveFiles() map[string]string {
	if hostMode() == cgroups.V1 {
		return map[string]string{"pids.max": "33", "memory.limit_in_bytes": "67108864", "cpu.shares": "512", "cpu.cfs_quota_us": "25000", "cpu.cfs_period_us": "50000"}
	}
	return map[string]string{"pids.max": "33", "memory.max": "67108864", "cpu.weight": "59", "cpu.max": "25000 50000"}
}

// TestLiveLimits starts a scope and looks at it from the kernel's side, across a
// reload of systemd, and after its end.
func TestLiveLimits(t *testing.T) {
	conn := liveConn(t, 0)
	c := begin(t, conn, "", liveLimits, nil)
	if got, want := c.folder(), c.unit.CgroupPath(conn.ControlGroup()); !strings.HasSuffix(want, got) || os.Getenv(asUser) == "" && got != want {
		t.Errorf("the process is in %s, want %s", got, want)
	}
	c.expect("started", liveFiles())
	if got := systemctl(t, "show", "-P", "Description", c.unit.Name); got != "container live" {
		t.Errorf("systemd's description is %q", got)
	}
	systemctl(t, "daemon-reload")
	c.expect("after a reload", liveFiles())

	if err := conn.Stop(c.unit); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
	if got := systemctl(t, "show", "-P", "LoadState", c.unit.Name); got != "not-found" {
		t.Errorf("the unit is still there: %s", got)
	}
	if _, err := os.Stat("/sys/fs/cgroup/" + c.unit.ScopePath(conn.ControlGroup())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
	if err := conn.Stop(c.unit); err != nil {
		t.Errorf("stopping what is gone: %v", err)
	}
}

// TestLiveUserNamespace does the same as root of a user namespace, where the
// user has another number than the manager sees.
func TestLiveUserNamespace(t *testing.T) {
	liveConn(t, 0)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", self, "-test.run=^TestLiveLimits$", "-test.v")
	if wantUser() {
		cmd.Env = append(os.Environ(), asUser+"=1")
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestLiveLimits") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestLiveEverything gives systemd every property there is a conversion to.
func TestLiveEverything(t *testing.T) {
	conn := liveConn(t, 0)
	text := strings.NewReplacer("0-1,9", "0-1").Replace(everything)
	if hostMode() == cgroups.V1 {
		text = strings.Replace(text, `, "mems": "0"`, "", 1)
	}
	c := begin(t, conn, "", text, map[string]string{
		"org.systemd.property.TimeoutStopSec": "uint64 5",
		"org.systemd.property.After":          "['network.target']",
	})
	want := map[string]string{"TimeoutStopUSec": "5s", "TasksMax": "100", "CPUQuotaPerSecUSec": "500ms", "CPUQuotaPeriodUSec": "50ms", "Delegate": "yes"}
	if hostMode() == cgroups.V2 {
		for name, value := range map[string]string{"MemoryMax": "1073741824", "MemorySwapMax": "1073741824", "MemoryLow": "536870912",
			"AllowedCPUs": "0-1", "AllowedMemoryNodes": "0", "IOWeight": "4950", "IOReadBandwidthMax": "/dev/block/8:16 2097152\n/dev/block/8:0 1048576"} {
			want[name] = value
		}
	}
	if !c.unit.User {
		want["DevicePolicy"] = "strict"
	}
	for name, value := range want {
		got := strings.Split(systemctl(t, "show", "-P", name, c.unit.Name), "\n")
		for _, line := range strings.Split(value, "\n") {
			if !slices.Contains(got, line) {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
	}
}

// TestLiveDevices filters devices, across a reload of systemd: first by systemd
// alone, then by berth's program alone, with rules that systemd cannot express.
func TestLiveDevices(t *testing.T) {
	conn := liveConn(t, 0)
	if wantUser() {
		t.Skip("a user's manager has no device filters")
	}
	vda := major(t, "/dev/vda")
	for _, c := range []struct {
		name, rules, want string
		program           bool
	}{
		{"systemd", `{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "access": "r", "major": ` + vda + `}`,
			"/dev/null\n/dev/zero\n/dev/vda\nmknod\n/dev/ptmx\n", false},
		{"program", `{"allow": true, "access": "rwm"}, {"allow": false, "type": "b", "access": "r", "major": ` + vda + `}, {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"}`,
			"/dev/null\n/dev/zero\nmknod\n/dev/ptmx\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.program && hostMode() == cgroups.V1 {
				t.Skip("v1 filters devices without a program")
			}
			begin := filepath.Join(t.TempDir(), "begin")
			cmd := exec.Command("sh", "-c", `while [ ! -e $0 ]; do sleep 0.1; done
for d in /dev/null /dev/zero /dev/kmsg /dev/vda; do ( : <>$d ) 2>/dev/null && echo $d || { [ $d = /dev/vda ] && ( : <$d ) 2>/dev/null && echo $d; }; done
mknod $0.node c 10 229 && echo mknod; : <>/dev/ptmx && echo /dev/ptmx`, begin)
			var out strings.Builder
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			u := parse(t, "system.slice:berth:devices")
			list := compile(t, u, cmd.Process.Pid, `{"devices": [`+c.rules+`]}`, nil)
			if err := conn.Start(u, list); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := conn.Stop(u); err != nil {
					t.Error(err)
				}
			}()
			if c.program {
				applyFilter(t, u.CgroupPath(conn.ControlGroup()), c.rules)
			}
			if _, err := conn.Update(u, []Property{{"TasksMax", uint64(50), ""}}); err != nil {
				t.Error(err)
			}
			systemctl(t, "daemon-reload")
			if err := os.WriteFile(begin, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the probes: %v", err)
			}
			if out.String() != c.want {
				t.Errorf("what could be used:\n%swant:\n%s", out.String(), c.want)
			}
		})
	}
}

// applyFilter attaches berth's own program.
func applyFilter(t *testing.T, path, rules string) {
	t.Helper()
	filter, err := devices.New(resources(t, `{"devices": [`+rules+`]}`).Devices)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open("/sys/fs/cgroup" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := bpf.Apply(int(dir.Fd()), filter); err != nil {
		t.Fatal(err)
	}
}

// major gives the major number of a device node.
func major(t *testing.T, node string) string {
	t.Helper()
	out, err := exec.Command("stat", "-c", "%Hr", node).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestLiveUpdate changes limits of a running scope, back again, and wrongly.
func TestLiveUpdate(t *testing.T) {
	conn := liveConn(t, 0)
	c := begin(t, conn, "", liveLimits, nil)
	writes, _ := cgroups.Limits(layout(hostMode()), resources(t, `{"pids": {"limit": 44}, "cpu": {"quota": 70000, "period": 100000}}`), "linux.resources")
	changed := liveFiles()
	changed["pids.max"] = "44"
	if hostMode() == cgroups.V1 {
		changed["cpu.cfs_quota_us"], changed["cpu.cfs_period_us"] = "70000", "100000"
	} else {
		changed["cpu.max"] = "70000 100000"
	}
	undo, err := conn.Update(c.unit, LimitProperties(writes))
	if err != nil {
		t.Fatal(err)
	}
	c.expect("updated", changed)
	systemctl(t, "daemon-reload")
	c.expect("updated, after a reload", changed)
	if _, err := conn.Update(c.unit, undo); err != nil {
		t.Fatal(err)
	}
	c.expect("undone", liveFiles())

	bad := []Property{{"TasksMax", uint64(55), "linux.resources.pids.limit"}, {"CPUWeight", uint64(10001), "linux.resources.unified[cpu.weight]"}}
	_, err = conn.Update(c.unit, bad)
	if err == nil || !strings.HasPrefix(err.Error(), "linux.resources.unified[cpu.weight]: change the unit "+c.unit.Name+": ") {
		t.Errorf("error: %v", err)
	}
	c.expect("after a refusal", liveFiles())
}

// TestLiveNames tries the names that a scope may have, and slices.
func TestLiveNames(t *testing.T) {
	conn := liveConn(t, 0)
	for _, path := range []string{
		"-::berth-test-root", "berthtest-deep-deeper.slice:p:n", "system.slice::we+ird@name", `berthtest-x\x2dy.slice:p:n`,
		"system.slice:p:" + strings.Repeat("l", 240),
	} {
		c := begin(t, conn, path, `{"pids": {"limit": 33}}`, nil)
		if got, want := c.folder(), c.unit.CgroupPath(conn.ControlGroup()); got != want {
			t.Errorf("%s: the process is in %s, want %s", path, got, want)
		}
		second := process(t, "sleep", "100")
		err := conn.Start(c.unit, compile(t, c.unit, second.Process.Pid, `{}`, nil))
		if err == nil || !strings.Contains(err.Error(), "which is active: another container uses this name") {
			t.Errorf("%s: a second scope of the name: %v", path, err)
		}
		c.expect("after a second start", map[string]string{"pids.max": "33"})
		if err := conn.Stop(c.unit); err != nil {
			t.Error(err)
		}
	}
	systemctl(t, "stop", "berthtest.slice")
}

// TestLiveRefused gives a property that systemd does not have.
func TestLiveRefused(t *testing.T) {
	conn := liveConn(t, 0)
	u := parse(t, "")
	p := process(t, "sleep", "100")
	err := conn.Start(u, compile(t, u, p.Process.Pid, `{}`, map[string]string{"org.systemd.property.NoSuchThing": "true"}))
	if err == nil || !strings.Contains(err.Error(), "NoSuchThing") {
		t.Errorf("error: %v", err)
	}
	t.Log(err)
	if got := systemctl(t, "show", "-P", "LoadState", u.Name); got != "not-found" {
		t.Errorf("the unit is there: %s", got)
	}
}

// TestLiveHung starts a scope that has to wait for a service which takes long.
func TestLiveHung(t *testing.T) {
	conn := liveConn(t, 4*time.Second)
	run := []string{"--unit=berth-test-slow", "--no-block", "--collect", "-p", "Type=oneshot", "sleep", "100"}
	if wantUser() {
		run = append([]string{"--user"}, run...)
	}
	if out, err := exec.Command("systemd-run", run...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer systemctl(t, "stop", "berth-test-slow")
	u := parse(t, "")
	p := process(t, "sleep", "100")
	begin := time.Now()
	err := conn.Start(u, compile(t, u, p.Process.Pid, `{}`, map[string]string{"org.systemd.property.After": "['berth-test-slow.service']"}))
	if err == nil || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "did not end within 4s: it is waiting (start "+u.Name+")") || !strings.Contains(err.Error(), "start berth-test-slow.service is running") {
		t.Errorf("error: %v", err)
	}
	t.Log(err)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := systemctl(t, "list-jobs", "--no-legend", "--plain"); strings.Contains(got, u.Name) {
		t.Errorf("the job is still there: %s", got)
	}
	if got := systemctl(t, "show", "-P", "ActiveState", u.Name); got != "inactive" {
		t.Errorf("the unit is %s", got)
	}
}

// TestLiveStubborn stops a scope whose process ignores SIGTERM.
func TestLiveStubborn(t *testing.T) {
	conn := liveConn(t, 4*time.Second)
	p := process(t, "sh", "-c", `trap "" TERM; while :; do sleep 1; done`)
	time.Sleep(200 * time.Millisecond) // for the trap
	u := parse(t, "")
	if err := conn.Start(u, compile(t, u, p.Process.Pid, `{}`, nil)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Stop(u); err != nil {
		t.Error(err)
	}
	if got := systemctl(t, "show", "-P", "LoadState", u.Name); got != "not-found" {
		t.Errorf("the unit is still there: %s", got)
	}
}

// TestLivePrivate goes to the manager without a bus, as where no daemon runs.
func TestLivePrivate(t *testing.T) {
	liveConn(t, 0)
	o := Options{User: wantUser(), Timeout: DefaultTimeout}
	at := place{systemPrivate, true}
	if o.User {
		places := userPlaces()
		at = places[len(places)-1]
	}
	conn, err := o.connect(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	c := begin(t, conn, "", liveLimits, nil)
	c.expect("started", liveFiles())
	if _, err := conn.Update(c.unit, []Property{{"TasksMax", uint64(44), ""}}); err != nil {
		t.Error(err)
	}
	c.expect("updated", map[string]string{"pids.max": "44"})
}

// TestLiveRounds starts and stops scopes again and again, and counts what stays.
func TestLiveRounds(t *testing.T) {
	conn := liveConn(t, 0)
	units := func() int {
		return strings.Count(systemctl(t, "list-units", "--all", "--no-legend", "--plain"), "\n")
	}
	before := units()
	var starts, stops []time.Duration
	for range 20 {
		u := parse(t, "system.slice:berth:rounds")
		p := process(t, "sleep", "100")
		list := compile(t, u, p.Process.Pid, liveLimits, nil)
		at := time.Now()
		if err := conn.Start(u, list); err != nil {
			t.Fatal(err)
		}
		starts = append(starts, time.Since(at))
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		at = time.Now()
		if err := conn.Stop(u); err != nil {
			t.Fatal(err)
		}
		stops = append(stops, time.Since(at))
	}
	slices.Sort(starts)
	slices.Sort(stops)
	t.Logf("start %v, stop %v (medians)", starts[10], stops[10])
	if after := units(); after > before {
		t.Errorf("%d units, and there were %d before", after, before)
	}
}

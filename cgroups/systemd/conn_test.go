package systemd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// These tests run against a bus daemon of their own, with a manager on it that
// does what a test says and is slow where it says so. What the real systemd
// makes of the calls is tested in live_test.go.

// busConfig makes a bus that knows of no services to start, and takes few rules
// for signals.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
	"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
	<type>session</type>
	<listen>unix:path=%s</listen>
	<auth>EXTERNAL</auth>
	<policy context="default">
		<allow send_destination="*"/>
		<allow receive_sender="*"/>
		<allow own="*"/>
	</policy>
	<limit name="max_match_rules_per_connection">8</limit>
</busconfig>
`

// startBus starts a bus daemon and returns its address.
func startBus(t testing.TB) string {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("dbus-daemon is not installed")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = c.Wait() // it was killed
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// fakeManager answers as org.freedesktop.systemd1.Manager, and as each of its
// jobs and units.
type fakeManager struct {
	t   testing.TB
	bus *dbus.Conn

	mu    sync.Mutex
	calls []string
	jobs  uint32

	// exists makes StartTransientUnit fail that often for a unit that is there,
	// whose state is state.
	exists int
	state  string
	// results are those of the jobs by their verb; a verb that has none hangs.
	results map[string]string
	// silent are methods that are never answered.
	silent map[string]bool
	// refuse is the answer to SetUnitProperties and StartTransientUnit.
	refuse *dbus.Error
	done   chan struct{}
}

func startManager(t testing.TB, address string, m *fakeManager) {
	t.Helper()
	bus, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	m.t, m.bus, m.done = t, bus, make(chan struct{})
	t.Cleanup(func() {
		close(m.done)
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, e := range []error{
		bus.Export(m, managerPath, managerInterface),
		bus.Export(fakeProperties{m}, managerPath, "org.freedesktop.DBus.Properties"),
		bus.Export(fakeProperties{m}, "/unit", "org.freedesktop.DBus.Properties"),
	} {
		if e != nil {
			t.Fatal(e)
		}
	}
	if _, err := bus.RequestName(destination, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
}

// enter notes a call, and hangs where it is to.
func (m *fakeManager) enter(method string, args ...any) {
	m.mu.Lock()
	m.calls = append(m.calls, strings.TrimSpace(method+" "+fmt.Sprintln(args...)))
	m.mu.Unlock()
	if m.silent[method] {
		<-m.done
	}
}

func (m *fakeManager) called() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.calls, "; ")
}

// job makes one, and ends it at once if it has a result.
func (m *fakeManager) job(verb, unit string) dbus.ObjectPath {
	m.mu.Lock()
	m.jobs++
	id := m.jobs
	m.mu.Unlock()
	path := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", id))
	if err := m.bus.Export(fakeJob{m, id}, path, destination+".Job"); err != nil {
		m.t.Error(err)
	}
	if result, ok := m.results[verb]; ok {
		m.end(id, unit, result)
	}
	return path
}

func (m *fakeManager) end(id uint32, unit, result string) {
	// Of another job first, so that they have to be told apart.
	for _, n := range []uint32{id + 1000, id} {
		path := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", n))
		if err := m.bus.Emit(managerPath, managerInterface+".JobRemoved", n, path, unit, result); err != nil {
			m.t.Error(err)
		}
	}
}

type fakeJob struct {
	m  *fakeManager
	id uint32
}

func (j fakeJob) Cancel() *dbus.Error {
	j.m.enter("Cancel", j.id)
	return nil
}

func (m *fakeManager) StartTransientUnit(name, mode string, properties []wireProperty, aux []auxUnit) (dbus.ObjectPath, *dbus.Error) {
	m.enter("StartTransientUnit", name, mode, len(properties))
	m.mu.Lock()
	exists := m.exists > 0
	m.exists--
	m.mu.Unlock()
	if exists {
		return "", dbus.NewError(errorUnitExists, []any{"Unit " + name + " was already loaded."})
	}
	if m.refuse != nil {
		return "", m.refuse
	}
	return m.job("start", name), nil
}

func (m *fakeManager) StopUnit(name, mode string) (dbus.ObjectPath, *dbus.Error) {
	m.enter("StopUnit", name, mode)
	if m.state == "gone" {
		return "", dbus.NewError(errorNoSuchUnit, []any{"Unit " + name + " not loaded."})
	}
	return m.job("stop", name), nil
}

func (m *fakeManager) KillUnit(name, who string, signal int32) *dbus.Error {
	m.enter("KillUnit", name, who, signal)
	if result, ok := m.results["kill"]; ok {
		m.end(m.jobs, name, result)
	}
	return nil
}

func (m *fakeManager) ResetFailedUnit(name string) *dbus.Error {
	m.enter("ResetFailedUnit", name)
	return dbus.NewError(errorNoSuchUnit, []any{"Unit " + name + " not loaded."})
}

func (m *fakeManager) SetUnitProperties(name string, runtime bool, properties []wireProperty) *dbus.Error {
	var list []any
	for _, p := range properties {
		text := p.Value.String()
		if signature := p.Value.Signature().String(); signature == "a(st)" {
			var limits []DeviceLimit
			if err := p.Value.Store(&limits); err != nil {
				return dbus.MakeFailedError(err)
			}
			text = fmt.Sprint(signature, " ", limits)
		}
		list = append(list, p.Name+"="+text)
	}
	m.enter("SetUnitProperties", append([]any{name, runtime}, list...)...)
	return m.refuse
}

func (m *fakeManager) GetUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	m.enter("GetUnit", name)
	return "/unit", nil
}

type fakeListed struct {
	ID                uint32
	Unit, Type, State string
	Job, UnitPath     dbus.ObjectPath
}

func (m *fakeManager) ListJobs() ([]fakeListed, *dbus.Error) {
	m.enter("ListJobs")
	return []fakeListed{
		{17, "other.service", "stop", "running", "/org/freedesktop/systemd1/job/17", "/other"},
		{1, "berth-web.scope", "start", "waiting", "/org/freedesktop/systemd1/job/1", "/unit"},
	}, nil
}

type fakeProperties struct{ m *fakeManager }

func (p fakeProperties) Get(intf, name string) (dbus.Variant, *dbus.Error) {
	p.m.enter("Get", name)
	if name == "ControlGroup" {
		return dbus.MakeVariant("/below"), nil
	}
	return dbus.MakeVariant(p.m.state), nil
}

func (p fakeProperties) GetAll(intf string) (map[string]dbus.Variant, *dbus.Error) {
	p.m.enter("GetAll", intf)
	return map[string]dbus.Variant{
		"TasksMax":           dbus.MakeVariant(uint64(9)),
		"IOReadBandwidthMax": dbus.MakeVariant([]DeviceLimit{{"/dev/block/8:0", 1}}),
	}, nil
}

// connectTo connects as a rootless berth does, which takes the bus from the
// environment. Where the manager is to be too slow, 300 ms are what it gets from
// then on.
func connectTo(t *testing.T, address string, slow bool) *Conn {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	c, err := Connect(Options{User: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if slow {
		c.timeout = 300 * time.Millisecond
	}
	return c
}

var web = Unit{Name: "berth-web.scope", Slice: "user.slice", User: true}

func TestStart(t *testing.T) {
	list := []Property{{"TasksMax", uint64(5), "linux.resources.pids.limit"}}
	for _, c := range []struct {
		name    string
		manager *fakeManager
		err     string // "" for none
		calls   string // after Get ControlGroup
	}{
		{name: "done", manager: &fakeManager{results: map[string]string{"start": "done"}},
			calls: "StartTransientUnit berth-web.scope replace 1"},
		{name: "an old failed unit", manager: &fakeManager{exists: 1, state: "failed", results: map[string]string{"start": "done"}},
			calls: "StartTransientUnit berth-web.scope replace 1; GetUnit berth-web.scope; Get ActiveState; ResetFailedUnit berth-web.scope; StartTransientUnit berth-web.scope replace 1"},
		{name: "an active unit", manager: &fakeManager{exists: 1, state: "active"},
			err:   "linux.cgroupsPath: systemd has a unit berth-web.scope already, which is active: another container uses this name; remove that one, or choose another (see `systemctl --user status berth-web.scope`)",
			calls: "StartTransientUnit berth-web.scope replace 1; GetUnit berth-web.scope; Get ActiveState"},
		{name: "a unit that comes back", manager: &fakeManager{exists: 2, state: "failed"},
			err:   "start the unit berth-web.scope: the user's systemd manager refuses: Unit berth-web.scope was already loaded.",
			calls: "StartTransientUnit berth-web.scope replace 1; GetUnit berth-web.scope; Get ActiveState; ResetFailedUnit berth-web.scope; StartTransientUnit berth-web.scope replace 1"},
		{name: "refused", manager: &fakeManager{refuse: dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"Value specified in TasksMax is out of range"})},
			err:   "linux.resources.pids.limit: start the unit berth-web.scope: the user's systemd manager refuses: Value specified in TasksMax is out of range",
			calls: "StartTransientUnit berth-web.scope replace 1"},
		{name: "failed", manager: &fakeManager{results: map[string]string{"start": "failed"}},
			err:   "linux.cgroupsPath: start the unit berth-web.scope: the user's systemd manager ended the job with the result \"failed\": see `systemctl --user status berth-web.scope`",
			calls: "StartTransientUnit berth-web.scope replace 1; StopUnit berth-web.scope replace; ResetFailedUnit berth-web.scope"},
		{name: "a hanging job", manager: &fakeManager{},
			err:   "start the unit berth-web.scope: its job 1 did not end within 300ms: it is waiting (start berth-web.scope), among 2 jobs: stop other.service is running (see `systemctl --user list-jobs`)",
			calls: "StartTransientUnit berth-web.scope replace 1; ListJobs; Cancel 1; StopUnit berth-web.scope replace; ResetFailedUnit berth-web.scope"},
		{name: "no answer", manager: &fakeManager{silent: map[string]bool{"StartTransientUnit": true}},
			err:   "start the unit berth-web.scope: the user's systemd manager (at ADDRESS) did not answer in time, which is 300ms for all",
			calls: "StartTransientUnit berth-web.scope replace 1; StopUnit berth-web.scope replace; ResetFailedUnit berth-web.scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := startBus(t)
			startManager(t, address, c.manager)
			conn := connectTo(t, address, strings.Contains(c.err, "300ms"))
			if root := conn.ControlGroup(); root != "/below" {
				t.Errorf("ControlGroup is %q, want /below", root)
			}
			begin := time.Now()
			err := conn.Start(web, list)
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("Start took %v", took)
			}
			c.manager.check(t, address, err, c.err, "Get ControlGroup; "+c.calls)
		})
	}
}

// check compares what came of a call, and what the manager was asked.
func (m *fakeManager) check(t *testing.T, address string, err error, want, calls string) {
	t.Helper()
	text := ""
	if err != nil {
		text = strings.ReplaceAll(err.Error(), address, "ADDRESS")
	}
	if text != want {
		t.Errorf("error:\n%s\nwant:\n%s", text, want)
	}
	if timeout := strings.Contains(want, "300ms"); errors.Is(err, context.DeadlineExceeded) != timeout {
		t.Errorf("a deadline's: %v, want %v", !timeout, timeout)
	}
	if got := m.called(); got != calls {
		t.Errorf("calls:\n%s\nwant:\n%s", got, calls)
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		name       string
		manager    *fakeManager
		err, calls string
	}{
		{name: "done", manager: &fakeManager{results: map[string]string{"stop": "done"}},
			calls: "StopUnit berth-web.scope replace; ResetFailedUnit berth-web.scope"},
		{name: "gone", manager: &fakeManager{state: "gone"},
			calls: "StopUnit berth-web.scope replace"},
		{name: "only SIGKILL helps", manager: &fakeManager{results: map[string]string{"kill": "done"}},
			calls: "StopUnit berth-web.scope replace; ListJobs; KillUnit berth-web.scope all 9; ResetFailedUnit berth-web.scope"},
		{name: "nothing helps", manager: &fakeManager{},
			err:   "stop the unit berth-web.scope: its job 1 did not end within 300ms: it is waiting (start berth-web.scope), among 2 jobs: stop other.service is running (see `systemctl --user list-jobs`)",
			calls: "StopUnit berth-web.scope replace; ListJobs; KillUnit berth-web.scope all 9; Cancel 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := startBus(t)
			startManager(t, address, c.manager)
			_, stops := c.manager.results["stop"]
			conn := connectTo(t, address, !stops)
			err := conn.Stop(web)
			c.manager.check(t, address, err, c.err, "Get ControlGroup; "+c.calls)
		})
	}
}

func TestUpdate(t *testing.T) {
	list := []Property{
		{"TasksMax", uint64(5), "linux.resources.pids.limit"},
		{"IOReadBandwidthMax", []DeviceLimit{{"/dev/block/8:0", 2}}, "linux.resources.blockIO.throttleReadBpsDevice[0]"},
	}
	address := startBus(t)
	m := &fakeManager{}
	startManager(t, address, m)
	conn := connectTo(t, address, false)
	undo, err := conn.Update(web, list)
	const read = "Get ControlGroup; GetUnit berth-web.scope; GetAll org.freedesktop.systemd1.Scope; "
	m.check(t, address, err, "", read+`SetUnitProperties berth-web.scope true TasksMax=@t 5 IOReadBandwidthMax=a(st) [{/dev/block/8:0 2}]`)
	m.calls = nil
	_, err = conn.Update(web, undo)
	m.check(t, address, err, "", strings.TrimPrefix(read, "Get ControlGroup; ")+
		`SetUnitProperties berth-web.scope true TasksMax=@t 9 IOReadBandwidthMax=a(st) [] IOReadBandwidthMax=a(st) [{/dev/block/8:0 1}]`)
	m.refuse = dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"TasksMax= is bad"})
	_, err = conn.Update(web, list[:1])
	if want := "linux.resources.pids.limit: change the unit berth-web.scope: the user's systemd manager refuses: TasksMax= is bad"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if undo, err := conn.Update(web, nil); undo != nil || err != nil {
		t.Errorf("nothing to change: %v, %v", undo, err)
	}
}

// TestManyUnits starts more scopes over one connection than the bus takes rules
// for signals (a system's takes 512).
func TestManyUnits(t *testing.T) {
	address := startBus(t)
	m := &fakeManager{results: map[string]string{"start": "done", "stop": "done"}}
	startManager(t, address, m)
	conn := connectTo(t, address, false)
	for n := range 20 {
		u := Unit{Name: fmt.Sprintf("berth-%d.scope", n), User: true}
		if err := conn.Start(u, nil); err != nil {
			t.Fatalf("unit %d: %v", n, err)
		}
		if err := conn.Stop(u); err != nil {
			t.Fatalf("unit %d: %v", n, err)
		}
	}
}

// TestRuleRefused finds no room left for the rule that would tell of the job's end.
func TestRuleRefused(t *testing.T) {
	address := startBus(t)
	m := &fakeManager{results: map[string]string{"start": "done", "stop": "done"}}
	startManager(t, address, m)
	conn := connectTo(t, address, false)
	for n := range 8 {
		if err := conn.bus.AddMatchSignal(dbus.WithMatchArg(0, fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	err := conn.Start(web, nil)
	if want := "listen for the end of the jobs of the unit berth-web.scope: the user's systemd manager refuses: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s…", err, want)
	}
	if calls := m.called(); !strings.Contains(calls, "Cancel 1; StopUnit berth-web.scope") {
		t.Errorf("the unit that was started is left: %s", calls)
	}
}

// TestLogin has to do with what sits on a bus's socket and does not agree.
func TestLogin(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ answer, want string }{
		"refuses":  {"REJECTED DBUS_COOKIE_SHA1\r\n", `log in to the bus: it answers "REJECTED DBUS_COOKIE_SHA1"`},
		"late":     {"DATA\r\nREJECTED EXTERNAL\r\n", `log in to the bus: it answers "REJECTED EXTERNAL"`},
		"hangs up": {"", "log in to the bus: "},
		"is mute":  {"DATA\r\n", "no answer within 500ms"},
		"babbles":  {"DATA\r\nOK 1\r\nbabble babble babble", "no answer within 500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", ""))
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				peer, err := listener.Accept()
				if err != nil {
					return // the test is over
				}
				buf := make([]byte, 256)
				_, _ = peer.Read(buf) // the login; the rest is no matter
				_, _ = peer.Write([]byte(c.answer))
				if c.answer != "" {
					_, _ = io.Copy(io.Discard, peer) // until the other side has enough
				}
				_ = peer.Close()
			}()
			_, err = (&Options{User: true, Timeout: 500 * time.Millisecond}).connect(place{address: "unix:path=" + path})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %s…", err, c.want)
			}
		})
	}
}

// TestSocketName takes over for godbus only what it knows.
func TestSocketName(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/dbus/system_bus_socket": "/run/dbus/system_bus_socket",
		"unix:guid=0123,path=/a%20b":            "/a b",
		"unix:abstract=/tmp/dbus-x,guid=0123":   "@/tmp/dbus-x",
		"unix:path=/a;unix:path=/b":             "",
		"unix:runtime=yes":                      "",
		"unix:path=%zz":                         "",
		"tcp:host=localhost,port=1":             "",
		"unixexec:path=/bin/ssh":                "",
		"autolaunch:":                           "",
		"":                                      "",
	} {
		if got, ok := socketName(address); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", address, got, ok, want)
		}
	}
}

// TestManagerDies ends the manager's connection while a job runs.
func TestManagerDies(t *testing.T) {
	address := startBus(t)
	m := &fakeManager{silent: map[string]bool{"StartTransientUnit": true}}
	startManager(t, address, m)
	conn := connectTo(t, address, false)
	go func() {
		for !strings.Contains(m.called(), "StartTransientUnit") {
			time.Sleep(10 * time.Millisecond)
		}
		m.bus.Close()
	}()
	err := conn.Start(web, nil)
	if want := "start the unit berth-web.scope: the user's systemd manager went away: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s…", err, want)
	}
}

// TestUnreachable checks what is said where there is no manager.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "mute"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	without := startBus(t)
	advice := fmt.Sprintf("): log in through PAM (ssh or `machinectl shell`, not su or sudo), or as root run `loginctl enable-linger %[1]d` and set XDG_RUNTIME_DIR=/run/user/%[1]d; or give --cgroup-manager cgroupfs", os.Getuid())
	rest := "unix:path=" + dir + "/bus: connect: no such file or directory; unix:path=" + dir + "/systemd/private: connect: no such file or directory" + advice
	for _, c := range []struct{ name, session, want string }{
		{"nothing", "", rest},
		{"no socket", "unix:path=" + dir + "/none", "unix:path=" + dir + "/none: connect: no such file or directory; " + rest},
		{"a mute one", "unix:path=" + dir + "/mute", "unix:path=" + dir + "/mute: no answer within 300ms; " + rest},
		{"a bus without", without, without + ": ask for its ControlGroup: this bus has no systemd on it: Name \"org.freedesktop.systemd1\" does not exist; " + rest},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", c.session)
			t.Setenv("XDG_RUNTIME_DIR", dir)
			o := Options{User: true}
			if c.name == "a mute one" {
				o.Timeout = 300 * time.Millisecond
			}
			_, err := Connect(o)
			if want := "there is no user's systemd manager to be reached (" + c.want; err == nil || err.Error() != want {
				t.Errorf("error:\n%v\nwant:\n%s", err, want)
			}
		})
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dir+"/none")
	_, err = Connect(Options{})
	if want := "systemd cannot be reached (unix:path=" + dir + "/none: connect: no such file or directory): see `systemctl status dbus`, or give --cgroup-manager cgroupfs"; err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

// TestFallback finds the manager on the user's own bus where the session's has
// none, as under dbus-launch.
func TestFallback(t *testing.T) {
	without, address := startBus(t), startBus(t)
	startManager(t, address, &fakeManager{})
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", without)
	path, _, _ := strings.Cut(strings.TrimPrefix(address, "unix:path="), ",")
	t.Setenv("XDG_RUNTIME_DIR", filepath.Dir(path))
	c, err := Connect(Options{User: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestNoLeak makes sure that a failed Connect leaves no descriptor open.
func TestNoLeak(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", startBus(t))
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	var before int
	for n := range 5 {
		if _, err := Connect(Options{User: true}); err == nil {
			t.Fatal("there is a manager")
		}
		if n == 0 {
			before = count() // the network poller has its own by now
		}
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors are open, and %d were", after, before)
	}
}

func BenchmarkConnect(b *testing.B) {
	address := startBus(b)
	startManager(b, address, &fakeManager{})
	b.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	for b.Loop() {
		c, err := Connect(Options{User: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

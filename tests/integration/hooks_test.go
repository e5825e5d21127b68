package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hookKinds are all of them, in the order in which the runtime-spec has them run.
var hookKinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// withHook adds a hook of a kind.
func withHook(kind string, h specs.Hook) option {
	return func(s *specs.Spec) {
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		list := map[string]*[]specs.Hook{
			//lint:ignore SA1019 prestart is deprecated and still what engines write
			"prestart": &s.Hooks.Prestart, "createRuntime": &s.Hooks.CreateRuntime,
			"createContainer": &s.Hooks.CreateContainer, "startContainer": &s.Hooks.StartContainer,
			"poststart": &s.Hooks.Poststart, "poststop": &s.Hooks.Poststop,
		}[kind]
		*list = append(*list, h)
	}
}

// shellHook is a hook that runs a shell. /bin/sh is on the host and in the container.
func shellHook(script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// hookLog is the file that the test's hooks write to, on the host; inside, /log is bound to its folder.
type hookLog struct {
	t    *testing.T
	path string
}

// newHookLog makes the log and the option that shows it in the container as /log/log. In the createContainer hook
// both paths can be reached.
func newHookLog(t *testing.T) (*hookLog, option) {
	t.Helper()
	needsRoot(t)
	dir, err := os.MkdirTemp(host.scratch, "hooks-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	log := &hookLog{t, filepath.Join(dir, "log")}
	if err := os.WriteFile(log.path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(log.path, 0o666); err != nil {
		t.Fatal(err)
	}
	return log, withMounts(specs.Mount{Destination: "/log", Type: "bind", Source: dir, Options: []string{"bind", "rw"}})
}

func (l *hookLog) text() string {
	l.t.Helper()
	text, err := os.ReadFile(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// at is the log's path for a hook of the kind.
func (l *hookLog) at(kind string) string {
	if kind == "startContainer" {
		return "/log/log"
	}
	return l.path
}

// logEach adds a hook of each kind that logs what the script prints after the kind's name.
func (l *hookLog) logEach(script string) option {
	return func(s *specs.Spec) {
		for _, kind := range hookKinds {
			// One write, since poststart's may come beside the process's own.
			withHook(kind, shellHook(fmt.Sprintf("line=$(%s); echo \"%s $line\" >> %s", script, kind, l.at(kind))))(s)
		}
	}
}

// Hooks run in the order of the specification, each kind at its time, with the container's state on standard input.
func TestHooksOrderAndState(t *testing.T) {
	t.Parallel()
	log, withLog := newHookLog(t)
	c := newContainer(t, withLog, log.logEach("cat; echo"), withScript("echo process >> /log/log; sleep 600"),
		func(s *specs.Spec) { s.Annotations = map[string]string{"a": "b"} })
	c.create().ok(t)
	s := c.state()
	inCreate := log.text()
	c.start().ok(t)
	waitFor(t, "the process logs", func() bool { return strings.Contains(log.text(), "process\n") })
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	inStart := strings.TrimPrefix(log.text(), inCreate)
	c.delete().ok(t)
	inDelete := strings.TrimPrefix(log.text(), inCreate+inStart)
	wanted := map[string]struct {
		status string
		pid    int
		in     string
	}{
		"prestart": {"creating", s.Pid, inCreate}, "createRuntime": {"creating", s.Pid, inCreate},
		"createContainer": {"creating", 1, inCreate}, "startContainer": {"created", 1, inStart},
		"poststart": {"running", s.Pid, inStart}, "poststop": {"stopped", 0, inDelete},
	}
	// runc 1.1.5 runs startContainer beside poststart.
	sides := func(kind string) bool {
		return host.name == "runc" && (kind == "startContainer" || kind == "poststart")
	}
	var order []string
	for line := range strings.Lines(log.text()) {
		kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "process" {
			continue
		}
		if !sides(kind) {
			order = append(order, kind)
		}
		if !sides(kind) && !strings.Contains(wanted[kind].in, line) {
			t.Errorf("%s came at another time", kind)
		}
		var got specs.State
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: state %q: %v", kind, text, err)
			continue
		}
		want(t, kind+": id", got.ID, c.id)
		want(t, kind+": bundle", got.Bundle, c.bundle)
		want(t, kind+": annotation", got.Annotations["a"], "b")
		if got.Version == "" {
			t.Errorf("%s: no ociVersion", kind)
		}
		if isBerth() { // runc 1.1.5 has the host's pid inside, and other words for the status
			want(t, kind+": status", string(got.Status), wanted[kind].status)
			want(t, kind+": pid", got.Pid, wanted[kind].pid)
		}
	}
	want(t, "order", strings.Join(order, " "), strings.Join(slices.DeleteFunc(slices.Clone(hookKinds), sides), " "))
	if p, h := strings.Index(log.text(), "process\n"), strings.Index(log.text(), "startContainer "); p < h {
		t.Errorf("startContainer comes after the process's program")
	}
}

// In the foreground of run all kinds have run when it ends.
func TestHooksOfRun(t *testing.T) {
	t.Parallel()
	log, withLog := newHookLog(t)
	c := newContainer(t, withLog, log.logEach("cat > /dev/null; echo"), withScript("echo process >> /log/log; sleep 0.3"))
	c.run().ok(t)
	text := strings.Join(strings.Fields(log.text()), " ")
	// The process and the poststart hook run side by side.
	text = strings.Replace(text, "process poststart", "poststart process", 1)
	if host.name == "runc" { // and startContainer too with 1.1.5
		text = strings.Replace(text, "poststart startContainer", "startContainer poststart", 1)
	}
	want(t, "order", text, "prestart createRuntime createContainer startContainer poststart process poststop")
}

// Each kind runs in the namespaces that the specification says, and finds its program where it says.
func TestHooksNamespaces(t *testing.T) {
	t.Parallel()
	log, withLog := newHookLog(t)
	c := newContainer(t, withLog, log.logEach(`echo $(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/net) $(readlink /proc/self/ns/pid) $(test -d /home/alice && echo inside || echo outside)`), withSleep())
	s := c.startSleeping()
	links := func(pid string) string {
		var all []string
		for _, n := range []string{"mnt", "net", "pid"} {
			link, err := os.Readlink("/proc/" + pid + "/ns/" + n)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, link)
		}
		return strings.Join(all, " ")
	}
	outer, inner := links("self")+" outside", links(itoa(s.Pid))
	c.delete("--force").ok(t)
	wanted := map[string]string{"prestart": outer, "createRuntime": outer, "createContainer": inner + " outside",
		"startContainer": inner + " inside", "poststart": outer, "poststop": outer}
	for line := range strings.Lines(log.text()) {
		kind, got, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "createContainer" && strings.HasPrefix(got, "outside") || host.name == "runc" && kind == "createContainer" {
			continue // its /proc is still the host's there, for runc that of another pid namespace
		}
		want(t, kind, got, wanted[kind])
	}
}

// Arguments and environment are the hook's own, and nothing but them.
func TestHookArgsAndEnv(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			log, withLog := newHookLog(t)
			h := specs.Hook{Path: "/bin/sh", Env: []string{"A=1", "B=x y"},
				Args: []string{"sh", "-c", `echo "$0 $1 $2"; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= -e ^PATH=; umask; `, "first", "second one", "third"}}
			h.Args[2] = "{ " + h.Args[2] + "} >> " + log.at(kind)
			c := newContainer(t, withLog, withHook(kind, h))
			c.run().ok(t)
			want(t, "log", log.text(), "first second one third\nA=1\nB=x y\n0022\n")
		})
	}
}

// A hook that fails in create keeps the container from being made; what is left is nothing but the poststop hooks' own.
func TestHookFailsInCreate(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"prestart", "createRuntime", "createContainer"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			log, withLog := newHookLog(t)
			c := newContainer(t, withLog, withHook(kind, shellHook("exit 0")),
				withHook(kind, shellHook("sleep 0.1; echo this is why >&2; exit 7")),
				withHook(kind, shellHook("echo too late >> "+log.path)),
				withHook("poststop", shellHook("echo poststop >> "+log.path)))
			r := c.create("--pid-file", filepath.Join(c.bundle, "pid")).exits(t, 1)
			if isBerth() {
				wantContains(t, "error", r.stderr, "hooks."+kind+"[1] (/bin/sh)", "exit status 7", " after ", "this is why")
				want(t, "log", log.text(), "poststop\n")
			}
			c.oci("state", c.id).exits(t, 1)
			if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// A hook that fails in start ends the container, as runtime.md has it: stopped, destroyed, poststop.
func TestHookFailsInStart(t *testing.T) {
	berthOnly(t, "runc 1.1.5 leaves the container to the caller")
	t.Parallel()
	for _, kind := range []string{"startContainer", "poststart"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			log, withLog := newHookLog(t)
			c := newContainer(t, withLog, withHook(kind, shellHook("echo this is why >&2; kill -TERM $$")),
				withHook("poststop", shellHook("echo poststop >> "+log.path)),
				withScript("echo process >> /log/log; exec sleep 600"))
			c.create().ok(t)
			pid := c.state().Pid
			r := c.start().exits(t, 1)
			wantContains(t, "error", r.stderr, "hooks."+kind+"[0] (/bin/sh)", "signal 15", "SIGTERM", "this is why")
			c.oci("state", c.id).exits(t, 1)
			orphanExit(t, pid)
			if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if kind == "startContainer" {
				want(t, "log", log.text(), "poststop\n")
			} else {
				wantContains(t, "log", log.text(), "poststop\n")
			}
			// run says the same, detached or not.
			for _, flags := range [][]string{nil, {"--detach"}} {
				r = c.run(flags...).exits(t, 1)
				wantContains(t, "error of run", r.stderr, "hooks."+kind+"[0] (/bin/sh)", "signal 15")
				c.oci("state", c.id).exits(t, 1)
			}
		})
	}
}

// A failing poststop hook is warned of; the others run, and the container is gone.
func TestPoststopFailsQuietly(t *testing.T) {
	t.Parallel()
	log, withLog := newHookLog(t)
	c := newContainer(t, withLog, withHook("poststop", shellHook("echo woe >&2; exit 3")),
		withHook("poststop", shellHook("echo second >> "+log.path)))
	c.create().ok(t)
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	r := c.delete()
	c.oci("state", c.id).exits(t, 1)
	if isBerth() { // runc 1.1.5 stops at the first
		want(t, "exit code of delete", r.code, 0)
		wantContains(t, "warning", r.stderr, "hooks.poststop[0] (/bin/sh)", "exit status 3", "woe")
		want(t, "log", log.text(), "second\n")
	}
}

// At its timeout a hook is killed with all of its process group.
func TestHookTimeout(t *testing.T) {
	berthOnly(t, "runc 1.1.5 waits for what the hook has started")
	t.Parallel()
	for _, kind := range []string{"createRuntime", "createContainer", "startContainer"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			log, withLog := newHookLog(t)
			h := shellHook("sleep 30 & echo $! > " + log.at(kind) + "; wait")
			if kind == "createRuntime" {
				h = shellHook("sleep 30 & echo $! > " + log.path + "; wait")
			}
			h.Timeout = ptr(1)
			c := newContainer(t, withLog, withHook(kind, h))
			begin := time.Now()
			r := c.run()
			took := time.Since(begin)
			if r.code == 0 {
				t.Fatal("run succeeds")
			}
			if took < time.Second || took > 10*time.Second {
				t.Errorf("it takes %s", took)
			}
			wantContains(t, "error", r.stderr, "hooks."+kind+"[0]", "timeout of 1 s")
			if kind == "createRuntime" {
				child := readPid(t, log.path)
				waitFor(t, "the hook's child ends", func() bool { return unix.Kill(child, 0) != nil })
			}
		})
	}
}

// A program that is not there is told by its name, and where it was looked for decides.
func TestHookMissing(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds[:5] {
		c := newContainer(t, withHook(kind, specs.Hook{Path: "/no/such/hook"}))
		r := c.run()
		if r.code == 0 {
			t.Errorf("%s: run succeeds", kind)
		}
		wantContains(t, kind, r.stderr, "/no/such/hook", "no such file or directory")
		if isBerth() {
			wantContains(t, kind, r.stderr, "hooks."+kind+"[0]")
		}
	}
	// Only the container has this one.
	c := newContainer(t, withHook("startContainer", specs.Hook{Path: "/only/inside"}))
	c.writeFile("only/inside", "#!/bin/sh\nexit 0\n", 0o755)
	c.run().ok(t)
}

// A startContainer hook is the image's: it has the rights of the container's process and no more.
func TestStartContainerHookRights(t *testing.T) {
	t.Parallel()
	log, withLog := newHookLog(t)
	c := newContainer(t, withLog, withHook("startContainer", shellHook("cat /proc/self/status /proc/self/cgroup > /log/log")),
		withArgs("cat", "/proc/self/status", "/proc/self/cgroup"),
		withProcess(func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1000} }))
	process := c.run().ok(t).stdout
	hook := log.text()
	for _, field := range []string{"Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"} {
		want(t, field, statusField(t, hook, field), statusField(t, process, field))
	}
	want(t, "cgroups", fmt.Sprint(membership(hook)), fmt.Sprint(membership(process)))
}

// A hook may call the runtime about its own container: that answers, and does not wait for the hook's end.
func TestHookAsksForTheState(t *testing.T) {
	t.Parallel()
	log, withLog := newHookLog(t)
	options := []option{withLog, withSleep()}
	c := newContainer(t)
	for _, kind := range []string{"createRuntime", "poststart"} {
		h := shellHook(fmt.Sprintf("{ %s --root %s state %s | grep '\"status\"'; } >> %s; true", host.runtime, c.stateRoot, c.id, log.path))
		h.Timeout = ptr(20)
		options = append(options, withHook(kind, h))
	}
	spec := baseSpec(c.id)
	for _, o := range options {
		o(spec)
	}
	c.writeConfig(spec)
	c.create().ok(t)
	if host.name != "runc" { // for 1.1.5 it does not exist yet then
		wantContains(t, "state in createRuntime", log.text(), `"creating"`)
	}
	c.start().ok(t)
	if host.name != "runc" { // for 1.1.5 it may still be "created" then
		wantContains(t, "state in poststart", log.text(), `"running"`)
	}
}

// What a hook leaves running in the background does not hold the runtime up.
func TestHookInBackground(t *testing.T) {
	berthOnly(t, "runc 1.1.5 waits for standard error's end")
	t.Parallel()
	log, _ := newHookLog(t)
	c := newContainer(t, withHook("createRuntime", shellHook("sleep 20 & echo $! > "+log.path)))
	begin := time.Now()
	c.run().ok(t)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("run takes %s", took)
	}
	sendSignal(t, readPid(t, log.path), unix.SIGKILL)
}

// crun's annotations name files for what hooks print.
func TestHookOutputFiles(t *testing.T) {
	berthOnly(t, "crun's annotations")
	t.Parallel()
	log, _ := newHookLog(t)
	out, err := log.path+".out", log.path+".err"
	c := newContainer(t, withHook("createRuntime", shellHook("echo one; echo two >&2")),
		withHook("createContainer", shellHook("echo three; echo four >&2")),
		withHook("startContainer", shellHook("echo five; echo six >&2")), func(s *specs.Spec) {
			s.Annotations = map[string]string{"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err}
		})
	r := c.run().ok(t)
	want(t, "run's own output", r.stdout+r.stderr, "")
	for path, text := range map[string]string{out: "one\nthree\nfive\n", err: "two\nfour\nsix\n"} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want(t, path, string(got), text)
	}
}

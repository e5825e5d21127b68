package engines

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"berth/tests/schema"
)

// replay is a container for calls that are made as an engine makes them, without the engine.
type replay struct {
	*engine
	id      string
	spec    specs.Spec
	process *specs.Process
}

// newReplay makes a bundle from berth's own default, without a terminal, and with a cgroup of the test's own.
func newReplay(t *testing.T, name, id string, args ...string) *replay {
	t.Helper()
	r := &replay{engine: newEngine(t, name, berth), id: id}
	rootfs := strings.TrimSuffix(r.rootfsTar(), ".tar")
	if err := os.MkdirAll(r.in("bundle"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.prefix = []string{berth}
	r.ok(t, "spec", "--bundle", r.in("bundle"))
	text, err := os.ReadFile(r.in("bundle/config.json"))
	if err == nil {
		err = json.Unmarshal(text, &r.spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.spec.Root = &specs.Root{Path: rootfs}
	r.spec.Linux.CgroupsPath = "/" + r.cgroup + "/" + id
	r.process = r.spec.Process
	r.process.Terminal, r.process.Args = false, args
	r.writeBundle()
	return r
}

func (r *replay) writeBundle() { r.writeJSON("bundle/config.json", r.spec) }

// writeProcess writes the process as `exec --process` reads it.
func (r *replay) writeProcess(name string) string { return r.writeJSON(name, r.process) }

func (r *replay) writeJSON(name string, value any) string {
	r.t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.write(name, string(text))
}

// conmon starts conmon as CRI-O does and gives the pid that the runtime wrote.
func (r *replay) conmon(t *testing.T, pidFile string, args ...string) int {
	t.Helper()
	all := append([]string{"-c", r.id, "-u", r.id, "-n", r.id, "-r", berth, "-b", r.in("bundle"), "-p", r.in(pidFile), "-l", r.in(pidFile + ".log"),
		"--exit-dir", r.in(pidFile + ".exits"), "--persist-dir", r.in("persist"), "--socket-dir-path", r.in("sockets"), "--log-level", "info",
		"--runtime-arg", "--root=" + r.in("state")}, args...)
	for _, folder := range []string{pidFile + ".exits", "persist", "sockets"} {
		if err := os.MkdirAll(r.in(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("conmon", all...)
	cmd.Dir = r.in("bundle")
	cmd.Env = r.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("conmon: %v\n%s", err, out)
	}
	var pid int
	waitFor(t, "the pid file", 20*time.Second, func() bool {
		text, err := os.ReadFile(r.in(pidFile))
		pid, _ = strconv.Atoi(string(text))
		return err == nil && pid > 0
	})
	return pid
}

// environment is all that CRI-O gives the runtime.
func (r *replay) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + r.in("xdg")}
}

// crioFeatures asks for the features as CRI-O does, which reads standard output and standard error as one.
func (r *replay) crioFeatures(t *testing.T) {
	r.test(t, "features", func(t *testing.T) {
		cmd := exec.Command(berth, "features")
		var both bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.Env = &both, &both, r.environment()
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		differences, err := schema.Check("features-schema.json", both.Bytes())
		if err != nil || len(differences) > 0 {
			t.Errorf("not as the schema wants: %v %s", err, strings.Join(differences, "\n"))
		}
	})
}

// CRI-O's calls: conmon's create and exec, with conmon itself, and its own.
func TestCRIO(t *testing.T) {
	r := newReplay(t, "conmon, with CRI-O's calls", "crio", "sh", "-c", "echo out; trap 'exit 3' TERM; while :; do sleep 0.1; done")
	noteVersion(r.name, version(t, "conmon"))
	clean := []string{"env", "-i"}
	clean = append(clean, r.environment()...)
	r.prefix = append(clean, berth)
	r.crioFeatures(t)
	r.prefix = append(r.prefix, "--root="+r.in("state"))
	pid := r.conmon(t, "pid")
	r.run(t, []check{
		{name: "version", args: []string{"--version"}, out: []string{"berth version ", "\ncommit: ", "\nspec: "}},
		{name: "state after create", args: []string{"state", r.id}, out: []string{`"created"`}},
		{name: "start", args: []string{"start", r.id}},
	})
	r.test(t, "state", func(t *testing.T) {
		text := r.ok(t, "state", r.id)
		var state specs.State
		if err := json.Unmarshal([]byte(text), &state); err != nil || state.Pid != pid || state.Status != specs.StateRunning || state.Bundle != r.in("bundle") {
			t.Errorf("%v in %s, want pid %d", err, text, pid)
		}
		if differences, err := schema.Check("state-schema.json", []byte(text)); err != nil || len(differences) > 0 {
			t.Errorf("not as the schema wants: %v %s", err, strings.Join(differences, "\n"))
		}
	})
	r.process.Args = []string{"sh", "-c", "echo inside; echo wrong >&2; exit 9"}
	fast := r.writeProcess("fast.json")
	r.process.Args = []string{"no-such"}
	absent := r.writeProcess("absent.json")
	r.process.Args = []string{"sleep", "600"}
	slow := r.writeProcess("slow.json")
	r.run(t, []check{
		{name: "exec in the foreground", args: []string{"exec", "--process", fast, r.id}, code: 9, out: []string{"inside\n"}, err: []string{"wrong\n"}},
		{name: "exec of what is missing", args: []string{"exec", "--process", absent, r.id}, code: 255, oneLine: true, err: []string{"executable file not found in $PATH"}},
	})
	r.test(t, "exec by conmon", func(t *testing.T) {
		exec := r.conmon(t, "exec.pid", "-e", "--exec-process-spec", slow)
		args, err := os.ReadFile("/proc/" + strconv.Itoa(exec) + "/cmdline")
		if err != nil || string(args) != "sleep\x00600\x00" {
			t.Errorf("process %d is %q (%v)", exec, args, err)
		}
	})
	r.run(t, []check{
		{name: "ps", args: []string{"ps", "--format", "json", r.id}, out: []string{strconv.Itoa(pid)}},
		{name: "update", args: []string{"update", "--resources", "-", r.id}, stdin: `{"memory": {"limit": 67108864}, "cpu": {"shares": 512, "quota": 50000, "period": 100000}, "pids": {"limit": 77}}`},
		{name: "the new limit", args: []string{"exec", r.id, "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"}, out: []string{"77\n"}},
		{name: "a bad update", args: []string{"update", "--resources", "-", r.id}, stdin: `{"cpu": {"cpus": "99"}}`, code: 1, oneLine: true, err: []string{"99"}},
		{name: "events", args: []string{"events", "--stats", r.id}, out: []string{`"type":"stats"`, `"pids":{"current":`, `"memory":`}},
		{name: "pause", args: []string{"pause", r.id}},
		{name: "paused", args: []string{"state", r.id}, out: []string{`"paused"`}},
		{name: "resume", args: []string{"resume", r.id}},
		{name: "kill", args: []string{"kill", r.id, "15"}},
	})
	r.test(t, "conmon's exit file", func(t *testing.T) {
		waitFor(t, "exit code 3", 20*time.Second, func() bool {
			text, err := os.ReadFile(filepath.Join(r.in("pid.exits"), r.id))
			return err == nil && string(text) == "3"
		})
	})
	r.test(t, "conmon's log", func(t *testing.T) {
		text, err := os.ReadFile(r.in("pid.log"))
		if err != nil || !strings.Contains(string(text), " stdout F out\n") {
			t.Errorf("the log is %q (%v)", text, err)
		}
	})
	r.run(t, []check{
		{name: "state of what has ended", args: []string{"state", r.id}, out: []string{`"stopped"`, `"pid": 0`}},
		{name: "kill of what has ended", args: []string{"kill", r.id, "9"}, code: 1, oneLine: true, err: []string{"not running"}},
		{name: "kill -a of what has ended", args: []string{"kill", "-a", r.id, "KILL"}},
		{name: "delete", args: []string{"delete", "--force", r.id}},
		{name: "state of what is gone", args: []string{"state", r.id}, code: 1, oneLine: true, err: []string{`"crio"`, "does not exist"}},
		{name: "list of nothing", args: []string{"list", "--format", "json"}, out: []string{"[]\n"}},
	})
}

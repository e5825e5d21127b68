package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// prune removes what has stopped, tells of each, runs its poststop hooks, and leaves the others alone.
func TestPrune(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command prune")
	hooked := filepath.Join(host.scratch, host.token+"-poststop-ran")
	t.Cleanup(func() { os.Remove(hooked) })
	stopped := newContainer(t, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/usr/bin/touch", Args: []string{"touch", hooked}}}}
	})
	running, created, paused := newContainer(t, withSleep()), newContainer(t), newContainer(t, withSleep())
	for _, c := range []*container{running, created, paused} {
		c.stateRoot = stopped.stateRoot
	}
	stopped.create().ok(t)
	stopped.start().ok(t)
	stopped.waitStatus("stopped")
	running.startSleeping()
	created.create().ok(t)
	paused.startSleeping()
	paused.oci("pause", paused.id).ok(t)

	// What an interrupted create left is old enough to be nobody's work, or is not.
	left, fresh := filepath.Join(stopped.stateRoot, "left-"+stopped.id), filepath.Join(stopped.stateRoot, "fresh")
	for _, folder := range []string{left, fresh} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}

	r := stopped.oci("prune").ok(t)
	want(t, "stderr", r.stderr, "")
	want(t, "lines", strings.Count(r.stdout, "\n"), 2)
	wantContains(t, "output", r.stdout, "removed "+stopped.id+": stopped", stopped.bundle, "removed left-"+stopped.id+": left by a create")
	for path, wanted := range map[string]bool{left: false, fresh: true, filepath.Join(stopped.stateRoot, stopped.id): false} {
		_, err := os.Stat(path)
		want(t, "is there: "+path, err == nil, wanted)
	}
	if _, err := os.Stat(hooked); err != nil {
		t.Errorf("the poststop hook has not run: %v", err)
	}
	want(t, "status", running.state().Status, "running")
	want(t, "status", created.state().Status, "created")
	want(t, "status", paused.state().Status, "paused")
	want(t, "output of another prune", stopped.oci("prune").ok(t).stdout, "there is nothing to remove\n")
	wantContains(t, "error for an argument", stopped.oci("prune", running.id).exits(t, 1).stderr, "prune")
	if err := os.Remove(fresh); err != nil {
		t.Fatal(err)
	}
}

// What a delete left that was killed half-way is nobody's: list does not show it, prune and the next delete remove it.
func TestHalfDeletedState(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the name of what is being removed")
	c := newContainer(t)
	trash := filepath.Join(c.stateRoot, c.id+"~")
	for _, command := range [][]string{{"prune"}, {"delete", c.id}} {
		if err := os.MkdirAll(filepath.Join(trash, "some"), 0o700); err != nil {
			t.Fatal(err)
		}
		want(t, "ids", c.oci("list", "-q").ok(t).stdout, "")
		c.create().ok(t)
		c.oci(command...).ok(t)
		if _, err := os.Stat(trash); err == nil {
			t.Errorf("%v left it", command)
		}
		c.delete("--force").ok(t)
	}
	// Also where there is no container of that id any more.
	if err := os.Mkdir(trash, 0o700); err != nil {
		t.Fatal(err)
	}
	c.delete().exits(t, 1)
	c.delete("--force").ok(t)
	if _, err := os.Stat(trash); err == nil {
		t.Error("delete --force left it")
	}
	// The longest id there is.
	long := strings.Repeat("x", 255-len(c.id)) + c.id
	root := filepath.Join(filepath.Dir(c.bundle), "long")
	other := *c
	other.stateRoot = root
	other.oci("run", "--bundle", c.bundle, long).ok(t)
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("left: %v %v", entries, err)
	}
}

// A state that cannot be read keeps nothing else from working; delete --force removes it.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	berthOnly(t, "how runc takes a damaged state")
	c := newContainer(t)
	folder := filepath.Join(c.stateRoot, c.id)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "state.json"), []byte(`{"id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"state", "delete", "pause", "events"} {
		wantContains(t, command, c.oci(command, c.id).exits(t, 1).stderr, "damaged", "delete --force")
	}
	for _, command := range []string{"list", "prune"} {
		wantContains(t, command, c.oci(command).ok(t).stderr, "damaged", "delete --force")
	}
	wantContains(t, "delete --force", c.delete("--force").ok(t).stderr, "warning", "damaged")
	if _, err := os.Stat(folder); err == nil {
		t.Error("delete --force left it")
	}
	c.run().ok(t)
}

// info tells of the host, as text and as JSON.
func TestInfo(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command info")
	text := oci(t, "info").ok(t)
	want(t, "stderr", text.stderr, "")
	release := strings.TrimSpace(runProgram(t, "uname", "-r"))
	wantContains(t, "info", text.stdout, "berth:", host.version, release, "cgroup "+host.cgroups.kind())
	var info struct {
		Kernel string
		CPUs   int
		User   *int
	}
	if err := json.Unmarshal([]byte(oci(t, "info", "--format", "json").ok(t).stdout), &info); err != nil {
		t.Fatal(err)
	}
	want(t, "kernel", info.Kernel, release)
	want(t, "CPUs are counted", info.CPUs > 0, true)
	want(t, "user", info.User != nil && *info.User == 0, true)
	wantContains(t, "unknown format", oci(t, "info", "-f", "xml").exits(t, 1).stderr, "xml")
}

// The script for bash completes commands, flags and containers.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the command completion")
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	c := newContainer(t, withSleep())
	c.startSleeping()
	script := filepath.Join(filepath.Dir(c.bundle), "berth.bash")
	if err := os.WriteFile(script, []byte(oci(t, "completion", "bash").ok(t).stdout), 0o644); err != nil {
		t.Fatal(err)
	}
	complete := func(words ...string) string {
		t.Helper()
		const program = `. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _berth; echo "${COMPREPLY[*]}"`
		return strings.TrimSpace(runProgram(t, "bash", append([]string{"-ec", program, script, host.runtime}, words...)...))
	}
	want(t, "commands with st", complete("st"), "start state")
	want(t, "a command after a global flag", complete("--log", "x", "feat"), "features")
	want(t, "flags of run with --b", complete("run", "--b"), "--bundle")
	want(t, "containers", complete("--root", c.stateRoot, "kill", ""), c.id)
	want(t, "ids for a new container", complete("--root", c.stateRoot, "run", ""), "")
	want(t, "a folder", complete("run", "--bundle", c.bundle[:len(c.bundle)-1]), c.bundle)
	for _, shell := range []string{"zsh", "fish"} {
		wantContains(t, shell, oci(t, "completion", shell).ok(t).stdout, "berth", "bundle", "update")
	}
	wantContains(t, "unknown shell", oci(t, "completion", "csh").exits(t, 1).stderr, "csh", "bash, zsh or fish")
	wantContains(t, "no shell", oci(t, "completion").exits(t, 1).stderr, "bash, zsh or fish")
}

// Under containerd runc and berth have one state root. What runc wrote there is not berth's to show, nor to remove.
func TestForeignState(t *testing.T) {
	t.Parallel()
	berthOnly(t, "whose state it is")
	c := newContainer(t)
	folder := filepath.Join(c.stateRoot, c.id)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(folder, "state.json")
	text := `{"id":"` + c.id + `","init_process_pid":1,"init_process_start":1,"created":"2020-01-01T00:00:00Z","config":{"labels":["bundle=/b"]}}`
	if err := os.WriteFile(state, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"state"}, {"delete"}, {"delete", "--force"}, {"kill"}, {"pause"}, {"events", "--stats"}} {
		wantContains(t, strings.Join(command, " "), c.oci(append(command, c.id)...).exits(t, 1).stderr, "is another runtime's", state)
	}
	for _, command := range []string{"list", "prune"} {
		r := c.oci(command).ok(t)
		wantContains(t, command, r.stderr, "is another runtime's")
		if strings.Contains(r.stdout, c.id) {
			t.Errorf("%s: %s", command, r.stdout)
		}
	}
	if left, err := os.ReadFile(state); err != nil || string(left) != text {
		t.Errorf("its state is %q, %v", left, err)
	}
	if err := os.RemoveAll(folder); err != nil { // before the test looks at what is left
		t.Fatal(err)
	}
}

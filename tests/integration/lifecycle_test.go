package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The whole life of a container as runtime.md draws it, with its state at each step.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	c := newContainer(t,
		withScript("touch /ran; read line < /go; exit 7"),
		func(s *specs.Spec) { s.Annotations = map[string]string{"org.example.key": "a value"} })
	runProgram(t, "mkfifo", filepath.Join(c.rootfs, "go"))
	began := time.Now().Add(-time.Second)

	c.create().ok(t)
	s := c.state()
	want(t, "status after create", s.Status, "created")
	want(t, "id", s.ID, c.id)
	want(t, "bundle", s.Bundle, c.bundle)
	want(t, "annotation", s.Annotations["org.example.key"], "a value")
	want(t, "ociVersion begins with 1.", strings.HasPrefix(s.OCIVersion, "1."), true)
	want(t, "rootfs", s.Rootfs, c.rootfs)
	if s.Created.Before(began) || s.Created.After(time.Now().Add(time.Second)) {
		t.Errorf("created: %v is not now", s.Created)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", s.Pid)); s.Pid <= 0 || err != nil {
		t.Errorf("pid %d of the created container: %v", s.Pid, err)
	}
	time.Sleep(50 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(c.rootfs, "ran")); err == nil {
		t.Error("the program ran before start")
	}

	c.start().ok(t)
	want(t, "status after start", c.state().Status, "running")
	want(t, "pid after start", c.state().Pid, s.Pid)
	waitFor(t, "the program runs", func() bool {
		_, err := os.Stat(filepath.Join(c.rootfs, "ran"))
		return err == nil
	})

	if err := os.WriteFile(filepath.Join(c.rootfs, "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	want(t, "exit code of the container's process", orphanExit(t, s.Pid), 7)
	stopped := c.waitStatus("stopped")
	want(t, "pid when stopped", stopped.Pid, 0)

	c.delete().ok(t)
	gone := c.oci("state", c.id).exits(t, 1)
	wantContains(t, "state of a deleted container", gone.stderr, "does not exist")
	if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
		t.Errorf("left after delete:\n%s", strings.Join(left, "\n"))
	}
}

// config.json is read at create; a later change has no effect (runtime.md, step 2).
func TestConfigIsReadAtCreate(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo first"))
	c.create().ok(t)
	c.writeConfigText("not even JSON")
	pid := c.state().Pid
	c.start().ok(t)
	want(t, "exit code", orphanExit(t, pid), 0)
	want(t, "output", c.output(), "first\n")
}

// An id may be used again after delete; while it is taken it is refused, and its container lives on.
func TestTakenID(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	before := c.startSleeping()
	r := c.oci(c.command("create", nil)...).exits(t, 1)
	wantContains(t, "error for a taken id", r.stderr, "exist")
	r = c.run().exits(t, 1)
	wantContains(t, "error for a taken id", r.stderr, "exist")
	want(t, "the first container's state", c.state().Status, "running")
	want(t, "the first container's pid", c.state().Pid, before.Pid)
	c.delete("--force").ok(t)
	c.create().ok(t)
}

// Start works on a created container only, and otherwise changes nothing.
func TestStartOfWrongStates(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	r := c.start().exits(t, 1)
	wantContains(t, "start of an unknown container", r.stderr, "does not exist")
	s := c.startSleeping()
	r = c.start().exits(t, 1)
	if isBerth() {
		wantContains(t, "second start", r.stderr, "it is running, not created", "it was started before")
	}
	want(t, "status after a second start", c.state().Status, "running")
	want(t, "pid after a second start", c.state().Pid, s.Pid)
	c.kill("KILL").ok(t)
	c.waitStatus("stopped")
	r = c.start().exits(t, 1)
	if isBerth() {
		wantContains(t, "start of the stopped container", r.stderr, "it is stopped, not created", "delete it, and create it again")
	}
	want(t, "status after a start of the stopped container", c.state().Status, "stopped")
}

// Delete refuses a container that is created or running, unless forced; forced, a missing one is no error.
func TestDelete(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	r := c.delete().exits(t, 1)
	wantContains(t, "delete of an unknown container", r.stderr, "does not exist")
	c.delete("--force").ok(t)
	c.delete("-f").ok(t)

	s := c.startSleeping()
	r = c.delete().exits(t, 1)
	wantContains(t, "delete of a running container", r.stderr, "not stopped")
	want(t, "status after the refused delete", c.state().Status, "running")
	c.delete("--force").ok(t)
	want(t, "exit code of the process", orphanExit(t, s.Pid), 128+9)
	if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
		t.Errorf("left after delete --force:\n%s", strings.Join(left, "\n"))
	}

	c.create().ok(t)
	created := c.state()
	c.delete("--force").ok(t)
	orphanExit(t, created.Pid)
	c.oci("state", c.id).exits(t, 1)
}

// A container whose every process was killed from outside is stopped, and can be deleted plainly.
func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	s := c.startSleeping()
	sendSignal(t, s.Pid, 9)
	orphanExit(t, s.Pid)
	c.waitStatus("stopped")
	c.delete().ok(t)
}

// Delete ends what runs in the container beside its first process, which without a pid namespace is not the
// kernel's doing.
func TestDeleteEndsRemainingProcesses(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withoutNamespace(specs.PIDNamespace), withScript("sleep 600 & echo ready; wait"))
	s := c.startSleeping()
	sendSignal(t, s.Pid, 9)
	orphanExit(t, s.Pid)
	c.delete("--force").ok(t)
	if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
		t.Errorf("left after delete --force:\n%s", strings.Join(left, "\n"))
	}
}

// The exit code of a foreground run is the process's own; 128 + N when a signal ended it.
func TestRunExitCodes(t *testing.T) {
	t.Parallel()
	for script, code := range map[string]int{
		"true": 0, "exit 1": 1, "exit 42": 42, "exit 255": 255,
		// The first process of a pid namespace cannot signal itself to death, so it becomes one that is in no such.
		"kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9,
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, withoutNamespace(specs.PIDNamespace), withScript(script))
			c.run().exits(t, code)
			c.oci("state", c.id).exits(t, 1)
		})
	}
}

// A foreground run hands on standard input, output and error, and deletes the container at its end.
func TestRunStreams(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("cat; echo to stderr >&2"))
	r := call{stdin: strings.NewReader("from stdin\n")}.run(t, c.args(c.command("run", nil)...)...).ok(t)
	want(t, "stdout", r.stdout, "from stdin\n")
	want(t, "stderr", r.stderr, "to stderr\n")
	want(t, "list afterwards", c.oci("list", "-q").ok(t).stdout, "")
}

// A detached run comes back at once and leaves the container running.
func TestRunDetached(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-d", "--detach"} {
		c := newContainer(t, withSleep())
		p := call{}.start(t, c.args(c.command("run", []string{flag})...)...)
		p.wait(t).ok(t)
		s := c.state()
		want(t, "status", s.Status, "running")
		c.kill("KILL").ok(t)
		want(t, "exit code", orphanExit(t, s.Pid), 128+9)
	}
}

// --keep leaves the stopped container to be looked at and deleted.
func TestRunKeep(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "run --keep")
	c := newContainer(t, withScript("exit 3"))
	c.run("--keep").exits(t, 3)
	want(t, "status", c.state().Status, "stopped")
	c.delete().ok(t)
}

// The state on disk belongs to root alone.
func TestStateFolderIsPrivate(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.create().ok(t)
	found := 0
	err := filepath.WalkDir(c.stateRoot, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		found++
		if path != c.stateRoot && d.IsDir() && info.Mode().Perm()&0o066 != 0 {
			t.Errorf("%s has mode %v: others can read or write it", path, info.Mode())
		}
		return nil
	})
	if err != nil || found < 2 {
		t.Errorf("state folder: %d entries, %v", found, err)
	}
}

// What state prints is a JSON object with the members of the runtime-spec's schema, of the right types.
func TestStateJSON(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.create().ok(t)
	var fields map[string]any
	text := c.oci("state", c.id).ok(t).stdout
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	for name, example := range map[string]any{
		"ociVersion": "", "id": "", "status": "", "bundle": "", "pid": 0.0, "rootfs": "", "created": "", "owner": "",
	} {
		if got := fields[name]; fmt.Sprintf("%T", got) != fmt.Sprintf("%T", example) {
			t.Errorf("%s is %#v, want a %T", name, got, example)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(fields["created"])); err != nil {
		t.Errorf("created: %v", err)
	}
}

// A relative --bundle, and none at all, mean the working directory's.
func TestBundleFlag(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo ran"))
	for dir, args := range map[string][]string{
		filepath.Dir(c.bundle): {"run", "--bundle", "bundle", c.id},
		c.rootfs:               {"run", "-b", "..", c.id},
		c.bundle:               {"run", c.id},
	} {
		r := call{dir: dir}.run(t, c.args(args...)...).ok(t)
		want(t, strings.Join(args, " "), r.stdout, "ran\n")
	}
}

// A relative --root is taken from the working directory.
func TestRelativeStateRoot(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	in := call{dir: filepath.Dir(c.stateRoot)}
	in.run(t, append([]string{"--root", "state"}, c.driver("run", "-d", "-b", c.bundle, c.id)...)...).ok(t)
	want(t, "status by the absolute path", c.state().Status, "running")
}

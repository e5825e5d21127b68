package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// container is a bundle, an id and a state folder of the test's own, and the calls on them.
type container struct {
	t         *testing.T
	id        string
	bundle    string // folder with config.json
	rootfs    string // folder, that the bundle's root.path names
	stateRoot string // --root
	created   *running
	as        *account // who calls the runtime; nil for the tests' own user
}

var lastID atomic.Int64

// newContainer makes a bundle from the base configuration and the options, with a rootfs of busybox. At the test's
// end the container is deleted by force, nothing may bear its id then, and its files go.
func newContainer(t *testing.T, options ...option) *container {
	t.Helper()
	needsRoot(t)
	c := newBundle(t)
	spec := baseSpec(c.id)
	for _, o := range options {
		o(spec)
	}
	c.writeConfig(spec)
	return c
}

// newContainerOf makes a bundle whose config.json is the given file, byte for byte.
func newContainerOf(t *testing.T, configFile string) *container {
	t.Helper()
	needsRoot(t)
	c := newBundle(t)
	text, err := os.ReadFile(configFile)
	if err != nil {
		t.Fatal(err)
	}
	c.writeConfigText(string(text))
	return c
}

// newBundle makes the folders, without a config.json, and sees to their end.
func newBundle(t *testing.T) *container {
	t.Helper()
	id := fmt.Sprintf("%s-%d", host.token, lastID.Add(1))
	folder := filepath.Join(host.scratch, id)
	c := &container{
		t: t, id: id,
		bundle:    filepath.Join(folder, "bundle"),
		rootfs:    filepath.Join(folder, "bundle", "rootfs"),
		stateRoot: filepath.Join(folder, "state"),
	}
	t.Cleanup(func() { removeAll(t, folder) })
	makeRootfs(t, c.rootfs)
	t.Cleanup(func() {
		t.Helper()
		if r := c.oci("delete", "--force", c.id); r.code != 0 {
			t.Errorf("delete --force at the test's end: %s", r.stderr)
		}
		if left := namedLeftovers(c.id, c.stateRoot); len(left) > 0 {
			t.Errorf("left by the container after delete --force:\n%s", strings.Join(left, "\n"))
		}
	})
	return c
}

// removeAll removes a folder, but first unmounts what a runtime may have left mounted below: the folder's removal
// must never go on into a host folder that was bound there.
func removeAll(t *testing.T, folder string) {
	t.Helper()
	for {
		// One at a time: where mounts are shared, one unmount may take others with it.
		topmost := mountedBelow(folder)
		if topmost == "" {
			break
		}
		if err := unix.Unmount(topmost, unix.MNT_DETACH); err != nil {
			t.Errorf("%s is kept: unmount %s: %v", folder, topmost, err)
			return
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Errorf("remove the test's files: %v", err)
	}
}

// mountedBelow gives the last mount on the folder or below it, "" for none.
func mountedBelow(folder string) string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return folder // which cannot be unmounted, and so is kept
	}
	for _, m := range slices.Backward(parseMountinfo(string(text))) {
		if m.target == folder || strings.HasPrefix(m.target, folder+"/") {
			return m.target
		}
	}
	return ""
}

func (c *container) writeConfig(spec *specs.Spec) {
	c.t.Helper()
	text, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		c.t.Fatal(err)
	}
	c.writeConfigText(string(text))
}

func (c *container) writeConfigText(text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.bundle, "config.json"), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// oci calls the runtime with the container's --root.
func (c *container) oci(args ...string) result {
	c.t.Helper()
	return c.call().run(c.t, c.args(args...)...)
}

// call is a call of the runtime by the container's owner.
func (c *container) call() call {
	if c.as == nil {
		return call{}
	}
	return c.as.call()
}

func (c *container) args(args ...string) []string {
	return append([]string{"--root", c.stateRoot}, c.driver(args...)...)
}

// driver puts the global flag for the cgroup driver under test before args.
func (c *container) driver(args ...string) []string {
	if host.systemd && (c.as == nil || os.Geteuid() != 0) {
		return append([]string{"--systemd-cgroup"}, args...)
	}
	return args
}

// run is `run` in the foreground, of this bundle and id, flags before them.
func (c *container) run(flags ...string) result {
	c.t.Helper()
	return c.oci(c.command("run", flags)...)
}

// command gives the arguments of create or run for this bundle and id.
func (c *container) command(name string, flags []string) []string {
	return append(append([]string{name, "--bundle", c.bundle}, flags...), c.id)
}

// create is `create`; what the container's process writes can be read by output.
func (c *container) create(flags ...string) result {
	c.t.Helper()
	c.created = c.call().start(c.t, c.args(c.command("create", flags)...)...)
	return c.created.wait(c.t)
}

// output is what the process of a created container has written so far.
func (c *container) output() string {
	c.t.Helper()
	return contents(c.t, c.created.stdout)
}

func (c *container) start() result {
	c.t.Helper()
	r := c.oci("start", c.id)
	if r.code != 0 {
		c.logEnd()
	}
	return r
}

// logEnd logs how the process of a container ended that was created, where the reaper knows.
func (c *container) logEnd() {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.stateRoot, c.id, "state.json"))
	if err != nil {
		return
	}
	var s struct {
		Pid  int `json:"pid"`
		Runc int `json:"init_process_pid"`
	}
	if json.Unmarshal(text, &s) != nil {
		return
	}
	pid := max(s.Pid, s.Runc)
	children.mutex.Lock()
	defer children.mutex.Unlock()
	if code, ok := children.exits[pid]; ok {
		c.t.Logf("the process of the created container, %d, ended with %d (128 and a signal's number, or its status)", pid, code)
	}
}

func (c *container) kill(signal string) result {
	c.t.Helper()
	return c.oci("kill", c.id, signal)
}

func (c *container) delete(flags ...string) result {
	c.t.Helper()
	return c.oci(append(append([]string{"delete"}, flags...), c.id)...)
}

// state is what `state` prints. The fields of the runtime-spec, and those that runc adds.
type state struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations"`
	Owner       string            `json:"owner"`
}

func (c *container) state() state {
	c.t.Helper()
	var s state
	r := c.oci("state", c.id).ok(c.t)
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		c.t.Fatalf("state's output: %v\n%s", err, r.stdout)
	}
	return s
}

// waitStatus waits until the container has the status, and gives its state then.
func (c *container) waitStatus(status string) state {
	c.t.Helper()
	deadline := time.Now().Add(commandTimeout / 4)
	for {
		s := c.state()
		if s.Status == status {
			return s
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("container is %s, and was to be %s", s.Status, status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// waitFor polls until done says so, and fails the test when it never does.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(commandTimeout / 4)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// startSleeping creates and starts a container whose process (a script that ends with "echo ready" and a sleep)
// has come to its "ready" line.
func (c *container) startSleeping(flags ...string) state {
	c.t.Helper()
	c.create(flags...).ok(c.t)
	c.start().ok(c.t)
	waitFor(c.t, "the container's script says ready", func() bool { return strings.Contains(c.output(), "ready\n") })
	return c.state()
}

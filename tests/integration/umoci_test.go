package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// umociBundle makes an OCI image layout of a busybox tree with umoci, unpacks it, and gives the container of the
// unpacked bundle, whose config.json umoci wrote. config are arguments of `umoci config`.
func umociBundle(t *testing.T, config ...string) *container {
	t.Helper()
	needsRoot(t)
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Fatal("umoci is missing: make deps-integration")
	}
	c := newBundle(t)
	layout := filepath.Join(filepath.Dir(c.bundle), "layout")
	image := layout + ":latest"
	runProgram(t, "umoci", "init", "--layout", layout)
	runProgram(t, "umoci", "new", "--image", image)
	runProgram(t, "umoci", "insert", "--image", image, c.rootfs, "/")
	runProgram(t, "umoci", append([]string{"config", "--image", image}, config...)...)
	if err := os.RemoveAll(c.bundle); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "umoci", "unpack", "--image", image, c.bundle)
	return c
}

// A bundle that umoci unpacked from an OCI image layout runs unchanged. Its config asks for a terminal, as the user
// has one who runs it by hand.
func TestUmociBundle(t *testing.T) {
	t.Parallel()
	c := umociBundle(t, "--config.cmd", "/bin/true")
	term := newTerminal(t, 24, 80)
	term.start(c.args(c.command("run", nil)...)...).wait(t).ok(t)
	want(t, "screen", term.shown(), "")
}

// The image's settings have their effect through umoci's config.json; here without a terminal, as under an engine.
func TestUmociBundleFromInside(t *testing.T) {
	t.Parallel()
	c := umociBundle(t, "--config.entrypoint", "/bin/sh", "--config.cmd", "-c", "--config.cmd",
		"id -u; pwd; echo $GREETING; grep -c . /proc/self/mountinfo >/dev/null && touch /tmp/file && echo written; grep NoNewPrivs /proc/self/status",
		"--config.user", "alice", "--config.workingdir", "/home/alice", "--config.env", "GREETING=hello")
	spec := c.readConfig()
	withProcess(func(p *specs.Process) { p.Terminal = false })(spec)
	c.writeConfig(spec)
	want(t, "output", c.run().ok(t).stdout, "1000\n/home/alice\nhello\nwritten\nNoNewPrivs:\t1\n")
}

package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ordinary is the user that rootless Podman runs as: one of Debian's own without a use of its own.
const ordinary = "games"

// newRootlessPodman sets Podman up for an ordinary user with ids of its own. The user's subordinate ids come from a
// file of the test's own, which only its mount namespaces see.
func newRootlessPodman(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t, "Podman, rootless", "podman", "conmon", "newuidmap", "setpriv")
	settings := e.podmanSettings()
	settings = settings[len(e.namespace):] // a user has no business in root's network namespace
	ids := e.write("subids", ordinary+":200000:65536\n")
	script := e.write("as", fmt.Sprintf("set -e\nmount --bind %s /etc/subuid\nmount --bind %s /etc/subgid\ncd %s\n"+
		"exec setpriv --reuid %s --regid %s --clear-groups env -i PATH=\"$PATH\" HOME=%s XDG_RUNTIME_DIR=%s \"$@\"\n",
		ids, ids, e.in("home"), ordinary, ordinary, e.in("home"), e.in("xdg")))
	// berth may be built where the user cannot go.
	if out, err := exec.Command("install", "-m", "0755", berth, e.in("berth")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e.write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\nrunroot = %q\ngraphroot = %q\n", e.in("xdg/run"), e.in("home/storage")))
	configuration := e.in("containers.conf")
	text, err := os.ReadFile(configuration)
	if err != nil {
		t.Fatal(err)
	}
	e.write("containers.conf", strings.ReplaceAll(string(text), berth, e.in("berth")))
	if out, err := exec.Command("sh", "-ec", `chmod 0755 "$1"; install -d -o "$2" -g "$2" -m 0700 "$1"/home "$1"/xdg "$1"/networks`, "sh", e.folder, ordinary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e.prefix = append(append([]string{"unshare", "--mount", "sh", script}, settings...), "podman")
	t.Cleanup(func() { endPause(t, e.in("xdg/libpod/tmp/pause.pid")) })
	e.ok(t, "import", e.rootfsTar(), "box")
	return e
}

// endPause ends the process that rootless Podman leaves to hold its namespaces.
func endPause(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return // there is none
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("end process %d of %s: %v", pid, file, err)
	}
}

// Podman of an ordinary user, without systemd and so without cgroups of its own.
func TestPodmanRootless(t *testing.T) {
	e := newRootlessPodman(t)
	run := func(args ...string) []string { return append([]string{"run", "--rm", "--network", "none"}, args...) }
	volume := filepath.Dir(e.write("home/volume/file", "kept\n"))
	e.run(t, []check{
		{name: "it is rootless and on berth", args: []string{"info", "--format", "{{.Host.Security.Rootless}} {{.Host.OCIRuntime.Path}}"}, out: []string{"true " + e.in("berth")}},
		{name: "run", args: run("box", "echo", "hello"), out: []string{"hello\n"}},
		{name: "exit code", args: run("box", "sh", "-c", "exit 42"), code: 42},
		{name: "root inside is the user outside", args: run("box", "cat", "/proc/self/uid_map"), out: []string{"         0          5          1\n         1     200000      65536\n"}},
		{name: "keep-id", args: run("--userns", "keep-id", "box", "id", "-u"), out: []string{"5\n"}},
		{name: "auto", args: run("--userns", "auto:size=1024", "box", "cat", "/proc/self/uid_map"), out: []string{" 1024\n"}},
		{name: "user", args: run("--user", "1000", "box", "id", "-u"), out: []string{"1000\n"}},
		{name: "files belong to root", args: run("box", "stat", "-c", "%u", "/etc/passwd"), out: []string{"0\n"}},
		{name: "volume", args: run("-v", volume+":/v:ro", "box", "cat", "/v/file"), out: []string{"kept\n"}},
		{name: "terminal", args: run("-t", "box", "tty"), out: []string{"/dev/pts/0"}},
		{name: "seccomp", args: run("box", "grep", "Seccomp:", "/proc/self/status"), out: []string{"2"}},
		{name: "missing executable", args: run("box", "no-such"), code: 127, oneLine: true, err: []string{"executable file not found in $PATH"}},
		{name: "executable without permission", args: run("box", "/etc/passwd"), code: 126, oneLine: true, err: []string{"permission denied"}},
		{name: "run in the background", args: []string{"run", "-d", "--name", "life", "--network", "none", "box", "sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done"}},
	})
	waitFor(t, "its output", 20*time.Second, func() bool { return strings.Contains(e.call("logs", "life").stdout, "up") })
	e.run(t, []check{
		{name: "exec", args: []string{"exec", "life", "echo", "inside"}, out: []string{"inside\n"}},
		{name: "exec's exit code", args: []string{"exec", "life", "sh", "-c", "exit 9"}, code: 9},
		{name: "top", args: []string{"top", "life"}, out: []string{"sleep"}},
		{name: "stop", args: []string{"stop", "-t", "10", "life"}},
		{name: "wait", args: []string{"wait", "life"}, out: []string{"7\n"}},
		{name: "rm", args: []string{"rm", "life"}},
		{name: "nothing is left", args: []string{"ps", "-aq"}, absent: []string{"e", "a", "0", "1", "2", "3"}},
	})
}

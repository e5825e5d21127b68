package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/daemon"
)

// callLimit bounds one call of a client.
const callLimit = 2 * time.Minute

// nodeScript makes the namespaces into a node: an interface with the node's address, and folders that are empty, in
// memory, and gone with the namespace, where the daemons have their state at the paths that are theirs by default.
// A kubelet sets kernel parameters that are the whole host's, unless they have its values: it finds them to have.
const nodeScript = `set -e
	mount --make-rshared /
	for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
	mkdir -p /var/lib/etcd "$1"/sysctl
	chmod 700 /var/lib/etcd
	while read -r name value; do
		echo "$value" > "$1"/sysctl/"${name##*/}"
		mount --bind "$1"/sysctl/"${name##*/}" /proc/sys/$name
	done <<-END
		vm/overcommit_memory 1
		vm/panic_on_oom 0
		kernel/panic 10
		kernel/panic_on_oops 1
		kernel/keys/root_maxkeys 1000000
		kernel/keys/root_maxbytes 25000000
	END
	ip link set lo up
	ip link add node0 type bridge
	ip address add "$2"/24 dev node0
	ip link set node0 up
	ip route add default via "$3"
	echo up
	exec sleep infinity`

// newNode makes the node's namespaces, which last as long as the test.
func (c *cluster) newNode(t *testing.T) {
	t.Helper()
	holder := exec.Command("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", nodeScript, "sh", c.folder, address, "10.111.0.1")
	var errOut bytes.Buffer
	holder.Stderr = &errOut
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Stop(t, holder) })
	if n, err := out.Read(make([]byte, 3)); n == 0 {
		t.Fatalf("no namespaces for the node: %v\n%s", err, errOut.String())
	}
	path := fmt.Sprintf("/proc/%d/ns/", holder.Process.Pid)
	t.Cleanup(func() { endStrays(t, path+"mnt", holder.Process.Pid) })
	c.inside = []string{"nsenter", "--net=" + path + "net", "--mount=" + path + "mnt", "--wd=/"}
}

// program is a daemon on the node.
type program struct {
	args []string
	log  string
	cmd  *exec.Cmd
}

// daemon starts a daemon on the node and ends it at the test's end.
func (c *cluster) daemon(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{args: append(append(append([]string{}, c.inside...), name), args...), log: c.in(filepath.Base(name) + ".log")}
	p.start(t)
	t.Cleanup(func() {
		daemon.ShowEnd(t, p.log)
		daemon.Stop(t, p.cmd)
	})
	return p
}

func (p *program) start(t *testing.T) {
	t.Helper()
	p.cmd = daemon.Start(t, p.log, p.args...)
}

// endStrays ends, by their ids, the processes that are still in the node's mount namespace, such as the shims of
// containers that a failed test has not removed; the holder of the namespace is left.
func endStrays(t *testing.T, namespace string, holder int) {
	t.Helper()
	own, err := os.Readlink(namespace)
	if err != nil {
		t.Error(err)
		return
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Error(err)
	}
	for _, process := range processes {
		pid, _ := strconv.Atoi(filepath.Base(process))
		if other, err := os.Readlink(process + "/ns/mnt"); err != nil || other != own || pid == holder {
			continue
		}
		text, _ := os.ReadFile(process + "/cmdline")
		t.Errorf("a process is left: %s", strings.ReplaceAll(string(text), "\x00", " "))
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// result is what a call gave.
type result struct {
	code           int
	stdout, stderr string
}

// call runs a program on the node.
func (c *cluster) call(t *testing.T, args ...string) result {
	t.Helper()
	return c.callIn(t, "", args...)
}

// callIn runs a program on the node with a text on its standard input.
func (c *cluster) callIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	all := append(append([]string{}, c.inside...), args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s: no end within %s\n%s%s", strings.Join(args, " "), callLimit, out.String(), errOut.String())
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// ok runs a program on the node, which must succeed, and gives its output without the last newline.
func (c *cluster) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := c.call(t, args...)
	if r.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return strings.TrimSuffix(r.stdout, "\n")
}

// waitFor polls until done, or fails the test.
func waitFor(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	daemon.WaitFor(t, what, limit, 200*time.Millisecond, done)
}

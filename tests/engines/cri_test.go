package engines

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// containerd's CRI runs a pod on the runtime that docs/engines.md's config.toml names, as a pod's RuntimeClass asks.
func TestCRI(t *testing.T) {
	e := newContainerd(t, "containerd's CRI")
	e.pod(t, "/"+e.cgroup)
}

// pod runs a pod with the handler berth by containerd's CRI, below a parent cgroup as a kubelet names it, and removes it.
func (e *engine) pod(t *testing.T, parent string) {
	t.Helper()
	client, err := filepath.Abs("../../build/cri")
	if err == nil {
		_, err = os.Stat(client)
	}
	if err != nil {
		t.Fatalf("make test-engines builds the client: %v", err)
	}
	const image = "localhost/box:latest"
	script := `set -e
		umoci init --layout layout
		umoci new --image layout:latest
		umoci insert --image layout:latest "$1" /
		umoci config --image layout:latest --config.cmd sleep --config.cmd 600
		tar -C layout -cf box-oci.tar .`
	if r := command(t, e.folder, "", "sh", "-c", script, "sh", strings.TrimSuffix(e.rootfsTar(), ".tar")); r.code != 0 {
		t.Fatalf("make the image: %s%s", r.stdout, r.stderr)
	}
	e.ok(t, "--namespace", "k8s.io", "image", "import", "--base-name", "localhost/box", e.in("box-oci.tar"))
	cmd := exec.Command(client, e.in("sock"), parent, image, "berth")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		outcome, step, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, why, _ := strings.Cut(step, ": ")
		e.test(t, name, func(t *testing.T) {
			if outcome != "ok" {
				t.Error(why)
			}
		})
	}
	if err != nil {
		t.Errorf("the pod's way does not come to its end: %v", err)
	}
}

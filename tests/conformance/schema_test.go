package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/tests/schema"
)

// valid fails the test where the document is not as the schema says.
func valid(t *testing.T, file, what string, document []byte) {
	t.Helper()
	differences, err := schema.Check(file, document)
	if err != nil {
		t.Errorf("%s: %v: %s", what, err, document)
	}
	for _, d := range differences {
		t.Errorf("%s: %s: %s", what, d, document)
	}
}

// output is what berth prints; on stderr it must print nothing. Both are files: a container keeps them open.
func output(t *testing.T, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(berth(t), args...)
	for name, to := range map[string]*io.Writer{"stdout": &cmd.Stdout, "stderr": &cmd.Stderr} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		*to = file
	}
	err := cmd.Run()
	texts := map[string][]byte{}
	for _, name := range []string{"stdout", "stderr"} {
		text, readErr := os.ReadFile(filepath.Join(dir, name))
		if readErr != nil {
			t.Fatal(readErr)
		}
		texts[name] = text
	}
	if err != nil || len(texts["stderr"]) > 0 {
		t.Fatalf("berth %q: %v: %s", args, err, texts["stderr"])
	}
	return texts["stdout"]
}

// What spec writes is a config.json.
func TestSchemaOfSpec(t *testing.T) {
	for _, args := range [][]string{{"spec"}, {"spec", "--rootless"}} {
		bundle := t.TempDir()
		output(t, append(args, "--bundle", bundle)...)
		text, err := os.ReadFile(filepath.Join(bundle, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		valid(t, "config-schema.json", strings.Join(args, " "), text)
	}
}

func TestSchemaOfFeatures(t *testing.T) {
	valid(t, "features-schema.json", "features", output(t, "features"))
}

// What state and list say of a container, and what its hooks are given, is valid all its life long. The schema knows
// no state that a runtime defines itself, as the runtime-spec allows: one that is paused is checked but for the word.
func TestSchemaOfState(t *testing.T) {
	folder(t) // root
	dir := t.TempDir()
	bundle, root := filepath.Join(dir, "bundle"), filepath.Join(dir, "root")
	newBundle(t, bundle, dir)
	id := fmt.Sprintf("conformance-%d", os.Getpid())
	call := func(args ...string) []byte { return output(t, append([]string{"--root", root}, args...)...) }
	check := func(status string) {
		t.Helper()
		text := call("state", id)
		var state specs.State
		if err := json.Unmarshal(text, &state); err != nil || string(state.Status) != status {
			t.Errorf("status %q, %v; want %q", state.Status, err, status)
		}
		known := func(text []byte) []byte {
			return []byte(strings.ReplaceAll(string(text), `"status": "paused"`, `"status": "running"`))
		}
		valid(t, "state-schema.json", "state of a "+status+" container", known(text))
		var list []json.RawMessage
		if err := json.Unmarshal(call("list", "--format", "json"), &list); err != nil || len(list) != 1 {
			t.Errorf("list: %d containers, %v", len(list), err)
		}
		for _, one := range list {
			valid(t, "state-schema.json", "list with a "+status+" container", known([]byte(strings.ReplaceAll(string(one), `"status":"`, `"status": "`))))
		}
	}
	call("create", "--bundle", bundle, id)
	defer exec.Command(berth(t), "--root", root, "delete", "--force", id).Run() //nolint:errcheck // it is gone when all went well
	check("created")
	call("start", id)
	check("running")
	call("pause", id)
	check("paused")
	call("resume", id)
	call("kill", id, "KILL")
	for range 100 {
		if strings.Contains(string(call("state", id)), `"stopped"`) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	check("stopped")
	call("delete", id)
	for _, hook := range []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"} {
		text, err := os.ReadFile(filepath.Join(dir, "hooks", hook))
		if err != nil {
			t.Error(err)
			continue
		}
		valid(t, "state-schema.json", "what a "+hook+" hook is given", text)
	}
}

// newBundle makes a bundle that sleeps, and whose hooks write what they are given to files of their names in hooks.
func newBundle(t *testing.T, bundle, dir string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	rootfs := filepath.Join(bundle, "rootfs")
	for _, folder := range []string{filepath.Join(rootfs, "bin"), filepath.Join(rootfs, "hooks"), filepath.Join(dir, "hooks")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(rootfs, "bin/busybox"), text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	output(t, "spec", "--bundle", bundle)
	file := filepath.Join(bundle, "config.json")
	if text, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	var config specs.Spec
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	hook := func(path, folder, name string) []specs.Hook {
		return []specs.Hook{{Path: path, Args: []string{"busybox", "dd", "status=none", "of=" + filepath.Join(folder, name)}}}
	}
	out := filepath.Join(dir, "hooks")
	config.Process.Terminal, config.Process.Args = false, []string{"busybox", "sleep", "60"}
	config.Root.Readonly = false
	config.Annotations = map[string]string{"org.example.key": "value"}
	config.Mounts = append(config.Mounts, specs.Mount{Destination: "/hooks", Source: out, Options: []string{"bind"}})
	config.Hooks = &specs.Hooks{
		Prestart:        hook(busybox, out, "prestart"), //nolint:staticcheck // deprecated, and supported
		CreateRuntime:   hook(busybox, out, "createRuntime"),
		CreateContainer: hook(busybox, out, "createContainer"),
		StartContainer:  hook("/bin/busybox", "/hooks", "startContainer"),
		Poststart:       hook(busybox, out, "poststart"),
		Poststop:        hook(busybox, out, "poststop"),
	}
	if text, err = json.Marshal(config); err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newRegistry starts a registry in the engine's network namespace, on loopback, and gives its address.
func (e *engine) newRegistry() string {
	e.t.Helper()
	const address = "127.0.0.1:5000"
	config := e.write("registry.yml", fmt.Sprintf("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", e.in("registry"), address))
	e.daemon("docker-registry", "serve", config)
	waitFor(e.t, "the registry", 30*time.Second, func() bool {
		return command(e.t, "", "", append(append([]string{}, e.namespace...), "busybox", "wget", "-qO-", "http://"+address+"/v2/")...).code == 0
	})
	return address
}

// From Docker's build to a registry, back into Docker, and by skopeo and umoci to a bundle for berth itself.
func TestRegistry(t *testing.T) {
	d := newDocker(t, "Docker", nil)
	if err := os.Setenv("DOCKER_BUILDKIT", "0"); err != nil {
		t.Fatal(err)
	}
	registry := d.newRegistry()
	image := registry + "/harbour/ship:1"
	folder := filepath.Dir(d.write("build/Dockerfile", "FROM box\nRUN echo cargo > /hold\nENV SHIP=Argo\nWORKDIR /deck\nUSER 1000\nCMD [\"sh\", \"-c\", \"cat /hold; echo $SHIP; pwd; id -u\"]\n"))
	const output = "cargo\nArgo\n/deck\n1000\n"
	d.run(t, []check{
		{name: "build", args: []string{"build", "-t", image, folder}},
		{name: "push", args: []string{"push", image}, out: []string{"digest: sha256:"}},
		{name: "remove", args: []string{"rmi", image}},
		{name: "pull", args: []string{"pull", image}},
		{name: "run", args: dockerArgs(image), out: []string{output}},
		{name: "remove again", args: []string{"rmi", image}},
		{name: "run, which pulls", args: dockerArgs(image), out: []string{output}},
	})
	t.Run("by hand", func(t *testing.T) { byHand(t, d.engine, image, output) })
}

// byHand is a user without an engine: skopeo, umoci and berth.
func byHand(t *testing.T, d *engine, image, output string) {
	h := *d
	h.name = "skopeo and umoci"
	h.prefix = append(append([]string{}, d.namespace...), "env", "-C", d.folder, "XDG_RUNTIME_DIR="+d.in("xdg"))
	noteVersion(h.name, version(t, "skopeo")+", "+version(t, "umoci"))
	root := []string{berth, "--root", d.in("berth")}
	h.run(t, []check{
		{name: "skopeo copy", args: []string{"skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "docker://" + image, "oci:layout:ship"}},
		{name: "umoci unpack", args: []string{"umoci", "unpack", "--image", "layout:ship", "bundle"}},
		{name: "berth validate", args: append(root, "validate", "--bundle", "bundle")},
	})
	// umoci's config.json asks for a terminal.
	run := func(name, bundle, hold string) {
		h.test(t, name, func(t *testing.T) {
			x := h.onTerminal(t, append(root, "run", "--bundle", bundle, "hand")...)
			x.ends(0)
			x.sees(strings.ReplaceAll(strings.Replace(output, "cargo", hold, 1), "\n", "\r\n"))
		})
	}
	run("berth run", "bundle", "cargo")
	h.run(t, []check{
		{name: "a layer on top", args: []string{"sh", "-ec", `echo more > bundle/rootfs/hold; umoci repack --image layout:loaded bundle; umoci unpack --image layout:loaded again`}},
	})
	run("berth run of it", "again", "more")
	h.run(t, []check{
		{name: "skopeo copy back", args: []string{"skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:layout:loaded", "docker://" + strings.Replace(image, ":1", ":2", 1)}},
	})
	d.run(t, []check{{name: "run what was made by hand", args: dockerArgs(strings.Replace(image, ":1", ":2", 1)), out: []string{"more\nArgo\n"}}})
}

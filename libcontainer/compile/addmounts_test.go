package compile

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Mounts in a container that runs: what they compile to.
func TestAddAndRemoveMounts(t *testing.T) {
	mounts := []specs.Mount{
		{Destination: "/more", Type: "tmpfs", Options: []string{"ro"}},
		{Destination: "/more/data", Source: "data", Options: []string{"rbind", "rro", "rshared"}},
	}
	input := func() ExecInput {
		return ExecInput{Spec: load(t, "testdata/configs/identity.json"), ID: "golden", Host: hostOf(t, "v2"),
			Namespaces: cloneNewns | cloneNewpid | cloneNewuser}
	}
	out, err := AddMounts(input(), "/bundle", mounts)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/golden/exec-add-mounts.txt", text(out, true))
	out, err = RemoveMounts(input(), mounts)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/golden/exec-remove-mounts.txt", text(out, true))
	in := input()
	in.Host.MountSetattr = false
	if _, err := AddMounts(in, "/bundle", mounts); err == nil || !strings.Contains(err.Error(), "Linux 5.12") {
		t.Errorf("on an older kernel: %v", err)
	}
}

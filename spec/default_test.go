package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata, or writes it.
func golden(t *testing.T, name string, have []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s differs (go test -update writes it anew); have\n%s", path, have)
	}
}

func TestDefault(t *testing.T) {
	if Version != specs.Version {
		t.Errorf("Version is %s, specs-go is of %s", Version, specs.Version)
	}
	data, err := JSON(Default())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "default.json", data)
	s, err := Parse(data)
	if err != nil || !reflect.DeepEqual(s, Default()) {
		t.Errorf("what is written does not come back: %v", err)
	}
	if problems, warnings := Check(s); problems != nil || warnings != nil {
		t.Errorf("the default has %v %q", problems, warnings)
	}
}

// The default is what users know from runc spec, but for what is said here.
func TestDefaultIsAsRuncs(t *testing.T) {
	want, err := Parse(workload(t, "spec-default.json"))
	if err != nil {
		t.Fatal(err)
	}
	want.Version = Version
	want.Hostname = "berth"
	want.Process.Terminal = true
	want.Process.Args = []string{"sh"}
	want.Linux.Namespaces = append(want.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	have, _ := json.MarshalIndent(Default(), "", " ")
	wanted, _ := json.MarshalIndent(want, "", " ")
	if !bytes.Equal(have, wanted) {
		t.Errorf("have %s\nwant %s", have, wanted)
	}
}

func TestDefaultSharesNothing(t *testing.T) {
	a := Default()
	a.Process.Capabilities.Bounding[0] = "changed"
	a.Mounts[1].Options[0] = "changed"
	b := Default()
	if b.Process.Capabilities.Bounding[0] == "changed" || a.Process.Capabilities.Effective[0] == "changed" || b.Mounts[1].Options[0] == "changed" {
		t.Error("a change of one default has changed another")
	}
}

func TestRootless(t *testing.T) {
	s := Default()
	Rootless(s, 1000, 100)
	data, err := JSON(s)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "rootless.json", data)
	if problems, warnings := Check(s); problems != nil || warnings != nil {
		t.Errorf("the rootless default has %v %q", problems, warnings)
	}
	again, _ := Parse(data)
	Rootless(again, 1000, 100)
	if !reflect.DeepEqual(s, again) {
		t.Error("making a rootless config rootless changes it")
	}
	bare := new(specs.Spec)
	Rootless(bare, 1, 2)
	if bare.Linux == nil || len(bare.Linux.Namespaces) != 1 {
		t.Errorf("a config without a linux section becomes %+v", bare)
	}
}

func TestJSONKeepsCharacters(t *testing.T) {
	data, err := JSON(&specs.Spec{Version: Version, Hostname: "<&>é"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"hostname\": \"<&>é\"\n}\n"; string(data) != want {
		t.Errorf("have %s, want %s", data, want)
	}
}

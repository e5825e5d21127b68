package libcontainer

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/tests/schema"
)

// The document is as the runtime-spec's schema wants it.
func TestFeaturesSchema(t *testing.T) {
	data, err := json.Marshal(Features("1.2.3", "abc"))
	if err != nil {
		t.Fatal(err)
	}
	differences, err := schema.Check("features-schema.json", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
	// And it leaves nothing open: what is absent is unknown.
	for _, key := range []string{`"hooks"`, `"mountOptions"`, `"namespaces"`, `"capabilities"`, `"cgroup"`, `"seccomp"`, `"supportedFlags"`, `"apparmor"`, `"selinux"`,
		`"intelRdt"`, `"memoryPolicy"`, `"mountExtensions"`, `"netDevices"`, `"potentiallyUnsafeConfigAnnotations"`} {
		if !strings.Contains(string(data), key) {
			t.Errorf("%s is missing", key)
		}
	}
}

// The annotations that change what berth does are those that its source names.
func TestUnsafeAnnotationsAreThoseInTheSource(t *testing.T) {
	name := regexp.MustCompile(`"((?:run\.oci|org\.systemd|org\.criu|org\.opencontainers\.runc)\.[a-zA-Z._-]+)"`)
	named := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "tests" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || d.Name() == "features.go":
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range name.FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := Features("", "").PotentiallyUnsafeConfigAnnotations
	for n := range named {
		if !slices.Contains(listed, n) {
			t.Errorf("%s has an effect, and features does not tell", n)
		}
	}
	for _, n := range listed {
		if !named[n] {
			t.Errorf("features tells of %s, which nothing reads", n)
		}
	}
}

// Each kind of hook that a configuration can have is listed.
func TestKindsOfHooksAreListed(t *testing.T) {
	var kinds []string
	for field := range reflect.TypeFor[specs.Hooks]().Fields() {
		kind, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		kinds = append(kinds, kind)
	}
	listed := Features("", "").Hooks
	slices.Sort(kinds)
	slices.Sort(listed)
	if !slices.Equal(kinds, listed) {
		t.Errorf("listed are %q, and there are %q", listed, kinds)
	}
}

package seccomp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// workload gives the profile of a config.json that an engine wrote.
func workload(t testing.TB, name string) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "tests", "workloads", name))
	if err != nil {
		t.Fatal(err)
	}
	var config specs.Spec
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	return config.Linux.Seccomp
}

func needX86(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers in this test are those of x86")
	}
}

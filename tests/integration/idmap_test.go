package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func idMapping(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

// withUserNamespace gives the container a user namespace of its own, its root the host's 100000.
func withUserNamespace(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings, s.Linux.GIDMappings = idMapping(0, 100000, 65536), idMapping(0, 100000, 65536)
}

// inUserNamespace makes a container that is in a user namespace, with its rootfs its root's.
func inUserNamespace(t *testing.T, options ...option) *container {
	t.Helper()
	c := newContainer(t, options...)
	err := filepath.WalkDir(c.rootfs, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, 100000, 100000)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

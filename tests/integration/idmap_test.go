package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ownedFolder makes a folder of the host with files of the ids 0, 1000 and 70000.
func ownedFolder(t *testing.T) string {
	t.Helper()
	folder := hostFolder(t)
	for _, id := range []int{0, 1000, 70000} {
		name := filepath.Join(folder, fmt.Sprint(id))
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, id, id+1); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

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

const owners = "cd /m; stat -c '%n %u:%g' *"

// A mount is idmapped by mappings of its own, in words or fields, or by those of the container's user namespace.
func TestIDMappedMounts(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	t.Parallel()
	newerThanReference(t, "idmapped mounts as the runtime-spec has them")
	folder := ownedFolder(t)
	for _, c := range []struct {
		name   string
		mount  specs.Mount
		userns bool
		prints string
	}{
		{"own mappings", specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: idMapping(0, 5000, 2000), GIDMappings: idMapping(0, 6000, 2000)},
			false, "0 5000:6001\n1000 6000:7001\n70000 65534:65534\nfile 5000:6000\n"},
		{"own mappings, no word", specs.Mount{Options: []string{"rbind"}, UIDMappings: idMapping(0, 5000, 2000), GIDMappings: idMapping(0, 6000, 2000)},
			false, "0 5000:6001\n1000 6000:7001\n70000 65534:65534\nfile 5000:6000\n"},
		{"words", specs.Mount{Options: []string{"bind", "idmap=uids=0-1-1#1000-3000-1;gids=0-0-2000"}},
			false, "0 1:1\n1000 3000:1001\n70000 65534:65534\nfile 1:0\n"},
		{"the container's", specs.Mount{Options: []string{"bind", "idmap"}}, true,
			"0 0:1\n1000 1000:1001\n70000 65534:65534\nfile 0:0\n"},
		{"recursive, the container's", specs.Mount{Options: []string{"rbind", "ridmap"}}, true,
			"0 0:1\n1000 1000:1001\n70000 65534:65534\nfile 0:0\n"},
		{"own mappings in a user namespace", specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: idMapping(0, 100005, 2000), GIDMappings: idMapping(0, 100000, 2000)},
			true, "0 5:1\n1000 1005:1001\n70000 65534:65534\nfile 5:0\n"},
		{"relative words", specs.Mount{Options: []string{"bind", "idmap=uids=@0-7-2000;gids=@0-0-2000"}}, true,
			"0 7:1\n1000 1007:1001\n70000 65534:65534\nfile 7:0\n"},
		{"none in a user namespace", specs.Mount{Options: []string{"bind"}}, true,
			"0 65534:65534\n1000 65534:65534\n70000 65534:65534\nfile 65534:65534\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.mount.Destination, c.mount.Source = "/m", folder
			options := []option{withMounts(c.mount), withScript(owners)}
			create := newContainer
			if c.userns {
				options, create = append(options, withUserNamespace), inUserNamespace
			}
			want(t, "owners", create(t, options...).run().ok(t).stdout, c.prints)
		})
	}
}

// What root of the container writes to an idmapped mount is the host root's, and the mapping stays off the source.
func TestIDMappedMountIsWritten(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	t.Parallel()
	newerThanReference(t, "idmapped mounts as the runtime-spec has them")
	folder := ownedFolder(t)
	c := inUserNamespace(t, withUserNamespace, withScript("echo text > /m/new; stat -c %u:%g /m/new"),
		withMounts(specs.Mount{Destination: "/m", Source: folder, Options: []string{"bind", "idmap"}}))
	want(t, "owner inside", c.run().ok(t).stdout, "0:0\n")
	info, err := os.Stat(filepath.Join(folder, "new"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "owner on the host", info.Sys().(*syscall.Stat_t).Uid, uint32(0))
}

// idmap is for the one mount, ridmap for those below it too.
func TestIDMapRecursion(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	t.Parallel()
	newerThanReference(t, "idmapped mounts as the runtime-spec has them")
	folder := ownedFolder(t)
	below := filepath.Join(folder, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	source := ownedFolder(t)
	if err := unix.Mount(source, below, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	for word, prints := range map[string]string{"idmap": "7000\n1000\n", "ridmap": "7000\n7000\n"} {
		c := newContainer(t, withScript("stat -c %u /m/1000 /m/below/1000"), withMounts(specs.Mount{Destination: "/m", Source: folder,
			Options: []string{"rbind", word}, UIDMappings: idMapping(1000, 7000, 1), GIDMappings: idMapping(0, 0, 5000)}))
		want(t, word, c.run().ok(t).stdout, prints)
	}
}

// A container in a user namespace that it joins by path has its mounts mapped by that.
func TestIDMapOfJoinedUserNamespace(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	t.Parallel()
	newerThanReference(t, "idmapped mounts as the runtime-spec has them")
	first := inUserNamespace(t, withUserNamespace, withSleep())
	path := fmt.Sprintf("/proc/%d/ns/user", first.startSleeping().Pid)
	folder := ownedFolder(t)
	c := inUserNamespace(t, withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace, Path: path}), withScript(owners),
		withMounts(specs.Mount{Destination: "/m", Source: folder, Options: []string{"bind", "idmap"}}))
	want(t, "owners", c.run().ok(t).stdout, "0 0:1\n1000 1000:1001\n70000 65534:65534\nfile 0:0\n")
}

// A source that only root may get to is mounted in a container whose root is nobody on the host: in a user namespace
// of its own, and in one that it joins.
func TestSourceForRootAlone(t *testing.T) {
	cameWith(t, 5, 12, "sources that the parent opens")
	t.Parallel()
	newerThanReference(t, "sources opened for a container in a user namespace")
	hidden := filepath.Join(hostFolder(t), "hidden")
	if err := os.MkdirAll(filepath.Join(hidden, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hidden, "data", "file"), []byte("hidden\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(hidden, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := withMounts(specs.Mount{Destination: "/m", Source: hidden + "/data", Options: []string{"rbind"}})
	first := inUserNamespace(t, withUserNamespace, mount, withScript("cat /m/file; echo ready; exec sleep 1000"))
	path := fmt.Sprintf("/proc/%d/ns/user", first.startSleeping().Pid)
	want(t, "in its own user namespace", first.output(), "hidden\nready\n")
	second := inUserNamespace(t, withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace, Path: path}), mount, withScript("cat /m/file"))
	want(t, "in one that it joins", second.run().ok(t).stdout, "hidden\n")
}

// Mistakes with idmapped mounts name the mount and the word.
func TestIDMapBadInput(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	berthOnly(t, "the words of its errors")
	hostUnchanged(t)
	folder := hostFolder(t)
	for name, c := range map[string]struct {
		mount specs.Mount
		says  []string
	}{
		"no mappings":  {specs.Mount{Source: folder, Options: []string{"bind", "idmap"}}, []string{"mounts[", "].options", "uidMappings"}},
		"no bind":      {specs.Mount{Type: "tmpfs", Options: []string{"idmap"}, UIDMappings: idMapping(0, 1, 1), GIDMappings: idMapping(0, 1, 1)}, []string{"(/m)", "only bind mounts"}},
		"no range":     {specs.Mount{Source: folder, Options: []string{"bind", "idmap=uids=0-1;gids=0-0-1"}}, []string{"options[1]", `"0-1"`}},
		"file system":  {specs.Mount{Source: "/proc", Options: []string{"bind", "idmap"}, UIDMappings: idMapping(0, 1, 1), GIDMappings: idMapping(0, 1, 1)}, []string{"(/m)", "cannot be idmapped"}},
		"only the one": {specs.Mount{Source: folder, Options: []string{"bind"}, UIDMappings: idMapping(0, 1, 1)}, []string{"gidMappings"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.mount.Destination = "/m"
			checkOneLine(t, "run", newContainer(t, withMounts(c.mount)).run().exits(t, 1), c.says)
		})
	}
}

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Folders and files of an overlay and of a FUSE file system are bound as those of any other, in a user namespace too.
func TestBindFromOverlayAndFUSE(t *testing.T) {
	t.Parallel()
	type source struct{ path, file, prints string }
	for name, make := range map[string]func(*testing.T) source{
		"overlay": func(t *testing.T) source {
			merged := overlayFolder(t, hostFolder(t))
			return source{merged, merged + "/file", "from the host\n"}
		},
		"FUSE": func(t *testing.T) source {
			folder := fuseServer{allowOther: true}.mount(t)
			return source{folder, folder + "/file", fuseText}
		},
	} {
		for _, userns := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, user namespace: %v", name, userns), func(t *testing.T) {
				t.Parallel()
				from := make(t)
				options := []option{withMounts(
					specs.Mount{Destination: "/folder", Source: from.path, Options: []string{"bind", "ro", "nosuid", "nodev"}},
					specs.Mount{Destination: "/deep", Source: from.path, Options: []string{"rbind", "rprivate", "nosuid", "nodev"}},
					specs.Mount{Destination: "/file", Source: from.file, Options: []string{"bind", "nosuid", "nodev"}},
				), withScript("cat /folder/file /deep/file /file; echo x 2>/dev/null > /folder/new || echo read-only")}
				create := newContainer
				if userns {
					options, create = append(options, withUserNamespace), inUserNamespace
				}
				want(t, "output", create(t, options...).run().ok(t).stdout, from.prints+from.prints+from.prints+"read-only\n")
			})
		}
	}
}

// A FUSE mount that only its owner may use, as FUSE's are by default (sshfs, rclone), is none that root can look into.
// It is bound all the same, its mount point made, and who it belongs to uses it in the container.
func TestBindFromAnotherUsersFUSE(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "it: it wants to know the source's kind from stat(2)")
	folder := fuseServer{user: 1000}.mount(t)
	if _, err := os.Stat(folder); err == nil {
		t.Skip("root may look into FUSE mounts of others here (fuse.allow_sys_admin_access)")
	}
	c := newContainer(t, withMounts(specs.Mount{Destination: "/m", Source: folder, Options: []string{"rbind", "nosuid", "nodev"}}),
		withScript("cat /m/file"), withProcess(func(p *specs.Process) { p.User.UID, p.User.GID = 1000, 1000 }))
	want(t, "output", c.run().ok(t).stdout, fuseText)
}

// fuseIdmaps tells whether the kernel has idmapped mounts of FUSE.
func fuseIdmaps(t *testing.T) bool {
	t.Helper()
	return kernelAtLeast(t, 6, 12)
}

// A FUSE mount is idmapped where its server allows that; where not, and for an overlay, the kernel refuses, and the
// error says so.
func TestIDMapOverlayAndFUSE(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	t.Parallel()
	newerThanReference(t, "idmapped mounts as the runtime-spec has them")
	mount := func(source string, options ...string) option {
		return withMounts(specs.Mount{Destination: "/m", Source: source, Options: options,
			UIDMappings: idMapping(0, 5000, 2000), GIDMappings: idMapping(0, 6000, 2000)})
	}
	refused := func(t *testing.T, option option, says ...string) {
		t.Helper()
		r := newContainer(t, option).run().exits(t, 1)
		if isBerth() {
			checkOneLine(t, "run", r, append(says, "mounts[5] (/m): idmap /", "cannot be idmapped"))
		}
	}
	t.Run("FUSE, its server allows it", func(t *testing.T) {
		t.Parallel()
		option := mount(fuseServer{allowOther: true, idmap: true}.mount(t), "bind", "idmap", "nosuid", "nodev")
		if !fuseIdmaps(t) {
			refused(t, option, "FUSE", "Linux 6.12")
			return
		}
		c := newContainer(t, option, withScript("stat -c %u:%g /m /m/file; cat /m/file"))
		want(t, "output", c.run().ok(t).stdout, "6000:7001\n6000:7001\n"+fuseText)
	})
	t.Run("FUSE, its server does not", func(t *testing.T) {
		t.Parallel()
		refused(t, mount(fuseServer{allowOther: true}.mount(t), "rbind", "idmap"), "FUSE", "Linux 6.12", "server")
	})
	t.Run("FUSE of another user", func(t *testing.T) {
		t.Parallel()
		refused(t, mount(fuseServer{user: 1000}.mount(t), "rbind", "idmap"), "FUSE")
	})
	t.Run("overlay", func(t *testing.T) {
		t.Parallel()
		refused(t, mount(overlayFolder(t, hostFolder(t)), "rbind", "idmap"), "overlay", "layers")
	})
	t.Run("overlay below, with ridmap", func(t *testing.T) {
		t.Parallel()
		refused(t, mount(withOverlayBelow(t), "rbind", "ridmap"), "below")
	})
	t.Run("overlay below, with idmap", func(t *testing.T) {
		t.Parallel()
		c := newContainer(t, mount(withOverlayBelow(t), "rbind", "idmap"), withScript("stat -c %u /m/file /m/below/file"))
		want(t, "output", c.run().ok(t).stdout, "5000\n0\n")
	})
}

// withOverlayBelow makes a folder with an overlay mounted at below.
func withOverlayBelow(t *testing.T) string {
	t.Helper()
	folder := hostFolder(t)
	below := filepath.Join(folder, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(overlayFolder(t, hostFolder(t)), below, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	return folder
}

// What the error for an overlay advises works: its layer is idmapped, and the overlay of it is bound.
func TestOverlayOfIDMappedLayer(t *testing.T) {
	cameWith(t, 5, 12, "idmapped mounts")
	t.Parallel()
	newerThanReference(t, "user namespaces as the runtime-spec has them")
	first := inUserNamespace(t, withUserNamespace, withSleep())
	userns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", first.startSleeping().Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer userns.Close()
	layer := hostFolder(t)
	tree, err := unix.OpenTree(unix.AT_FDCWD, ownedFolder(t), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		t.Fatal(err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, layer, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		t.Fatal(err)
	}
	c := inUserNamespace(t, withUserNamespace, withScript(owners),
		withMounts(specs.Mount{Destination: "/m", Source: overlayFolder(t, layer), Options: []string{"bind"}}))
	want(t, "owners", c.run().ok(t).stdout, "0 0:1\n1000 1000:1001\n70000 65534:65534\nfile 0:0\n")
}

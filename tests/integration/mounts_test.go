package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountsInside runs the bundle and gives the container's mounts; a script that runs first may be given.
func mountsInside(t *testing.T, script string, options ...option) ([]mountEntry, string) {
	t.Helper()
	c := newContainer(t, append(options, withScript(script+"\ncat /proc/self/mountinfo"))...)
	out := c.run().ok(t).stdout
	return parseMountinfo(out), out
}

// hostFolder makes a folder with a file in it outside of any bundle.
func hostFolder(t *testing.T) string {
	t.Helper()
	needsRoot(t)
	folder, err := os.MkdirTemp(host.scratch, "source-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// Each file system type that configs name is mounted with its own options.
func TestMountTypes(t *testing.T) {
	t.Parallel()
	lower, upper, work := hostFolder(t), hostFolder(t), hostFolder(t)
	for _, m := range []struct {
		mount  specs.Mount
		fstype string
		super  []string // options of the file system
		script string   // what it must print first
		prints string
	}{
		{specs.Mount{Type: "proc", Source: "proc"}, "proc", nil, "test -d /m/self/ns && echo ok", "ok\n"},
		{specs.Mount{Type: "sysfs", Source: "sysfs"}, "sysfs", nil, "test -d /m/class && echo ok", "ok\n"},
		{specs.Mount{Type: "mqueue", Source: "mqueue"}, "mqueue", nil, "touch /m/queue && echo ok", "ok\n"},
		{specs.Mount{Type: "tmpfs", Source: "a name", Options: []string{"size=1m", "mode=1750", "nr_inodes=100", "uid=5", "gid=6"}},
			"tmpfs", []string{"size=1024k", "mode=1750", "nr_inodes=100", "uid=5", "gid=6"}, "stat -c '%a %u:%g' /m", "1750 5:6\n"},
		// Without a mode it is that of a mount point that was there, or the kernel's 1777; here the runtime made it.
		{specs.Mount{Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0640", "mode=0600", "gid=5"}},
			"devpts", []string{"gid=5", "mode=600", "ptmxmode=640"}, "stat -c %a /m/ptmx", "640\n"},
		{specs.Mount{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + lower, "upperdir=" + upper, "workdir=" + work}},
			"overlay", []string{"lowerdir=" + lower}, "cat /m/file; echo new > /m/new", "from the host\n"},
		{specs.Mount{Type: "bind", Source: lower, Options: []string{"bind"}}, "ext4", nil, "cat /m/file", "from the host\n"},
		{specs.Mount{Type: "none", Source: lower, Options: []string{"rbind"}}, "ext4", nil, "cat /m/file", "from the host\n"},
		{specs.Mount{Source: lower, Options: []string{"rbind", "rprivate"}}, "ext4", nil, "cat /m/file", "from the host\n"},
	} {
		m.mount.Destination = "/m"
		t.Run(m.mount.Type+" "+strings.Join(m.mount.Options, ","), func(t *testing.T) {
			t.Parallel()
			mounts, out := mountsInside(t, m.script, withMounts(m.mount))
			got := mountAt(t, mounts, "/m")
			if m.mount.Type == "bind" || m.mount.Type == "none" || m.mount.Type == "" {
				m.fstype = got.fstype // the host's own
			}
			want(t, "type", got.fstype, m.fstype)
			for _, o := range m.super {
				want(t, "option "+o+" in "+got.superOptions, got.hasSuper(o), true)
			}
			want(t, "output", strings.HasPrefix(out, m.prints), true)
		})
	}
}

// A bind mount's source may be a file, a folder, a device or a socket, absolute or relative to the bundle.
func TestBindSources(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	socket := filepath.Join(folder, "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, withMounts(
		specs.Mount{Destination: "/m/folder", Source: folder, Options: []string{"bind"}},
		specs.Mount{Destination: "/m/file", Source: folder + "/file", Options: []string{"bind"}},
		specs.Mount{Destination: "/m/socket", Source: socket, Options: []string{"bind"}},
		specs.Mount{Destination: "/m/device", Source: "/dev/zero", Options: []string{"bind"}},
		specs.Mount{Destination: "/m/relative", Source: "beside", Options: []string{"rbind"}},
	), withScript(`cat /m/folder/file /m/file /m/relative; test -S /m/socket && echo socket; test -c /m/device && echo device`))
	if err := os.WriteFile(filepath.Join(c.bundle, "beside"), []byte("in the bundle\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, "output", c.run().ok(t).stdout, "from the host\nfrom the host\nin the bundle\nsocket\ndevice\n")
}

// rbind brings the mounts below the source along, bind does not.
func TestBindAndRbind(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	below := filepath.Join(folder, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("below", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	mounts, _ := mountsInside(t, "", withMounts(
		specs.Mount{Destination: "/plain", Source: folder, Options: []string{"bind", "ro"}},
		specs.Mount{Destination: "/deep", Source: folder, Options: []string{"rbind", "ro", "nosuid"}},
	))
	all := " " + targets(mounts) + " "
	want(t, "/deep/below is mounted", strings.Contains(all, " /deep/below "), true)
	want(t, "/plain/below is mounted", strings.Contains(all, " /plain/below "), false)
	// ro and its like are for the top mount only; the recursive ones have names of their own.
	want(t, "ro of /deep", mountAt(t, mounts, "/deep").has("ro"), true)
	want(t, "ro of /deep/below", mountAt(t, mounts, "/deep/below").has("ro"), false)
	want(t, "nosuid of /deep/below", mountAt(t, mounts, "/deep/below").has("nosuid"), false)
}

// A bind mount keeps the flags of its source that the config does not change.
func TestBindKeepsFlagsOfTheSource(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	if err := unix.Mount("flags", folder, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NOATIME, ""); err != nil {
		t.Fatal(err)
	}
	mounts, _ := mountsInside(t, "", withMounts(
		specs.Mount{Destination: "/plain", Source: folder, Options: []string{"bind"}},
	))
	for _, option := range []string{"rw", "nosuid", "nodev", "noexec", "noatime"} {
		want(t, option, mountAt(t, mounts, "/plain").has(option), true)
	}
}

// Mount points that are missing are made: folders for folders and file systems, an empty file for a file. A
// destination may be relative to the root, go through a symlink of the rootfs, and have spaces and colons.
func TestMountPoints(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	bind := []string{"bind"}
	c := newContainer(t, withMounts(
		specs.Mount{Destination: "/deep/in/folders", Source: folder, Options: bind},
		specs.Mount{Destination: "/deep/in/a-file", Source: folder + "/file", Options: bind},
		specs.Mount{Destination: "relative/to/root", Source: folder, Options: bind},
		specs.Mount{Destination: "/link/through", Source: folder, Options: bind},
		specs.Mount{Destination: "/with space: and colon", Source: folder, Options: bind},
		specs.Mount{Destination: "/etc/passwd", Source: folder + "/file", Options: bind},
		specs.Mount{Destination: "/there/../here/./folder/", Source: folder, Options: bind},
	), withScript(`cat /deep/in/folders/file /deep/in/a-file /relative/to/root/file /target/through/file \
		"/with space: and colon/file" /etc/passwd /here/folder/file`))
	// An absolute link means the container's root, not the host's.
	if err := os.Symlink("/target", filepath.Join(c.rootfs, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.rootfs, "target"), 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, "output", c.run().ok(t).stdout, strings.Repeat("from the host\n", 7))
	if _, err := os.Stat("/target"); err == nil {
		t.Error("a mount point was made on the host")
	}
	info, err := os.Stat(filepath.Join(c.rootfs, "deep/in/a-file"))
	if err != nil || !info.Mode().IsRegular() || info.Size() != 0 {
		t.Errorf("the mount point of a file: %v, %v", info, err)
	}
}

// Mounts are made in the config's order: a later one may lie in an earlier one, or hide it.
func TestMountOrder(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	c := newContainer(t, withMounts(
		specs.Mount{Destination: "/outer", Type: "tmpfs", Source: "outer"},
		specs.Mount{Destination: "/outer/inner", Source: folder, Options: []string{"bind"}},
		specs.Mount{Destination: "/twice", Type: "tmpfs", Source: "first"},
		specs.Mount{Destination: "/twice/below", Type: "tmpfs", Source: "hidden"},
		specs.Mount{Destination: "/twice", Source: folder, Options: []string{"bind"}},
	), withScript("cat /outer/inner/file; ls /outer /twice"))
	want(t, "output", c.run().ok(t).stdout, "from the host\n/outer:\ninner\n\n/twice:\nfile\n")
}

// A mount in the container does not reach the host, and one on the host reaches it by the propagation asked for.
func TestMountPropagation(t *testing.T) {
	hostUnchanged(t)
	for _, p := range []struct {
		word        string
		root        string // rootfsPropagation, as engines set it for this word
		propagation string // in mountinfo
		down, up    bool   // does a mount on the host show inside; one made inside on the host
	}{
		{"private", "rprivate", "private", false, false},
		{"rprivate", "rprivate", "private", false, false},
		{"slave", "rslave", "slave", true, false},
		{"rslave", "rslave", "slave", true, false},
		{"shared", "rshared", "shared", true, true},
		{"rshared", "rshared", "shared", true, true},
		{"unbindable", "rprivate", "unbindable", false, false},
		{"runbindable", "rprivate", "unbindable", false, false},
	} {
		t.Run(p.word, func(t *testing.T) {
			folder := hostFolder(t)
			for _, name := range []string{"by-host", "by-container"} {
				if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			// A mount of its own, so that its propagation is not the whole host's.
			for _, flags := range []uintptr{unix.MS_BIND, unix.MS_PRIVATE, unix.MS_SHARED} {
				if err := unix.Mount(folder, folder, "", flags, ""); err != nil {
					t.Fatal(err)
				}
			}
			c := newContainer(t, withCapabilities("CAP_SYS_ADMIN"),
				withMounts(specs.Mount{Destination: "/m", Source: folder, Options: []string{"rbind", p.word}}),
				withLinux(func(l *specs.Linux) { l.RootfsPropagation = p.root }),
				withScript(`mount -t tmpfs inside /m/by-container; echo ready
					while test ! -e /checked; do sleep 0.02; done; cat /proc/self/mountinfo; echo end`))
			c.startSleeping()
			if err := unix.Mount("outside", filepath.Join(folder, "by-host"), "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			want(t, "the container's mount is on the host",
				strings.Contains(targets(parseMountinfo(string(text))), folder+"/by-container"), p.up)
			c.writeFile("checked", "", 0o644)
			waitFor(t, "the container's mounts", func() bool { return strings.HasSuffix(c.output(), "end\n") })
			mounts := parseMountinfo(c.output())
			want(t, "propagation", mountAt(t, mounts, "/m").propagation(), p.propagation)
			want(t, "the host's mount is in the container", strings.Contains(targets(mounts), "/m/by-host"), p.down)
		})
	}
}

// tmpcopyup fills a tmpfs with what the rootfs has at its place.
func TestTmpcopyup(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withMounts(specs.Mount{Destination: "/filled", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "mode=700"}}),
		withScript("cat /filled/a/file; readlink /filled/link; stat -c %a /filled/a/file; echo changed > /filled/a/file"))
	file := c.writeFile("filled/a/file", "text\n", 0o640)
	if err := os.Symlink("a/file", filepath.Join(c.rootfs, "filled/link")); err != nil {
		t.Fatal(err)
	}
	want(t, "output", c.run().ok(t).stdout, "text\na/file\n640\n")
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "text\n" {
		t.Errorf("the rootfs's own file: %q, %v", text, err)
	}
}

// Fifty mounts are no more trouble than one.
func TestManyMounts(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	var many []specs.Mount
	for i := range 50 {
		many = append(many, specs.Mount{Destination: fmt.Sprintf("/many/%d", i), Source: folder, Options: []string{"rbind", "ro", "rprivate"}})
	}
	c := newContainer(t, withMounts(many...), withScript("cat /many/*/file | wc -l"))
	want(t, "output", strings.TrimSpace(c.run().ok(t).stdout), "50")
}

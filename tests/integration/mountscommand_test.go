package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// mounts calls mounts add or mounts remove with a file that has the list.
func (c *container) mounts(verb string, mounts ...specs.Mount) result {
	c.t.Helper()
	text, err := json.Marshal(mounts)
	if err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(c.bundle, "more.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		c.t.Fatal(err)
	}
	return c.oci("mounts", verb, c.id, file)
}

// inside runs a command in the container.
func (c *container) inside(args ...string) string {
	c.t.Helper()
	return c.oci(append([]string{"exec", c.id}, args...)...).ok(c.t).stdout
}

// Mounts are made in a container that runs, with what config.json's could have, and taken away.
func TestMountsAddAndRemove(t *testing.T) {
	cameWith(t, 5, 12, "mount_setattr")
	newerThanReference(t, "mounts add and remove, as crun has them")
	hostUnchanged(t)
	folder := ownedFolder(t)
	for name, userns := range map[string]bool{"plain": false, "in a user namespace": true} {
		t.Run(name, func(t *testing.T) {
			create, options := newContainer, []option{withSleep()}
			if userns {
				create, options = inUserNamespace, append(options, withUserNamespace)
			}
			c := create(t, options...)
			c.startSleeping()
			list := []specs.Mount{
				{Destination: "/more", Type: "tmpfs", Source: "more", Options: []string{"size=64k", "nosuid", "ro"}},
				{Destination: "/more/bound", Source: folder, Options: []string{"rbind", "ro"}},
				{Destination: "/more/file", Source: folder + "/file", Options: []string{"bind"}},
				{Destination: "/procs", Type: "proc", Source: "proc"},
				{Destination: "/owned", Source: folder, Options: []string{"bind", "idmap"}, UIDMappings: idMapping(1000, 100007, 1), GIDMappings: idMapping(0, 100000, 5000)},
			}
			want(t, "output of add", c.mounts("add", list...).ok(t).stdout, "")
			want(t, "files", c.inside("cat", "/more/bound/file", "/more/file"), strings.Repeat("from the host\n", 2))
			mounts := parseMountinfo(c.inside("cat", "/proc/self/mountinfo"))
			for at, flags := range map[string]string{"/more": "ro nosuid", "/more/bound": "ro", "/more/file": "rw", "/owned": "rw"} {
				for _, f := range strings.Fields(flags) {
					want(t, f+" of "+at, mountAt(t, mounts, at).has(f), true)
				}
			}
			want(t, "size", mountAt(t, mounts, "/more").hasSuper("size=64k"), true)
			// A procfs shows the container's processes, not the host's.
			want(t, "its first process", strings.Contains(c.inside("cat", "/procs/1/cmdline"), "sleep"), true)
			owner := "100007\n"
			if userns {
				owner = "7\n"
			}
			want(t, "owner", c.inside("stat", "-c", "%u", "/owned/1000"), owner)
			c.mounts("remove", list...).ok(t)
			after := targets(parseMountinfo(c.inside("cat", "/proc/self/mountinfo")))
			want(t, "mounts are left", strings.Contains(after, "/more") || strings.Contains(after, "/owned") || strings.Contains(after, "/procs"), false)
		})
	}
}

// A file may be an object with mounts, or come by standard input; a paused and a created container take mounts too.
func TestMountsAddToWaiting(t *testing.T) {
	cameWith(t, 5, 12, "mount_setattr")
	berthOnly(t, "how the list may be given")
	folder := hostFolder(t)
	c := newContainer(t, withScript("cat /m/file; echo ready; exec sleep 1000"))
	c.create().ok(t)
	text := `{"mounts": [{"destination": "/m", "source": "` + folder + `", "options": ["bind"]}]}`
	call{stdin: strings.NewReader(text)}.run(t, c.args("mounts", "add", c.id, "-")...).ok(t)
	c.start().ok(t)
	waitFor(t, "the container's output", func() bool { return strings.Contains(c.output(), "ready\n") })
	want(t, "output", c.output(), "from the host\nready\n")
	c.oci("pause", c.id).ok(t)
	c.mounts("remove", specs.Mount{Destination: "/m"}).ok(t)
	c.oci("resume", c.id).ok(t)
	want(t, "files", c.inside("ls", "/m"), "")
}

// A removal that stops at a mount forgets those that it took away before, and them alone: a checkpoint must not ask for them.
func TestMountsRemoveInPart(t *testing.T) {
	cameWith(t, 5, 12, "mount_setattr")
	berthOnly(t, "where it keeps them")
	folder := hostFolder(t)
	c := newContainer(t, withSleep())
	c.startSleeping()
	bind := func(at string) specs.Mount {
		return specs.Mount{Destination: at, Source: folder, Options: []string{"bind"}}
	}
	c.mounts("add", bind("/a"), bind("/b"), bind("/c")).ok(t)
	kept := func() string {
		text, err := os.ReadFile(filepath.Join(c.stateRoot, c.id, "mounts.json"))
		if err != nil {
			t.Fatal(err)
		}
		var mounts []specs.Mount
		if err := json.Unmarshal(text, &mounts); err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, m := range mounts {
			all += m.Destination
		}
		return all
	}
	want(t, "kept", kept(), "/a/b/c")
	wantContains(t, "error", c.mounts("remove", bind("/a"), bind("/bin"), bind("/c")).exits(t, 1).stderr, "mounts[1] (/bin)")
	want(t, "kept then", kept(), "/a/b")
	want(t, "files", c.inside("cat", "/a/file", "/b/file"), strings.Repeat("from the host\n", 2))
	want(t, "left in the removed mount", c.inside("ls", "/c"), "")
}

// Mistakes say which mount, and leave the container's mounts as they were.
func TestMountsBadInput(t *testing.T) {
	cameWith(t, 5, 12, "mount_setattr")
	berthOnly(t, "the words of its errors")
	folder := hostFolder(t)
	c := newContainer(t, withSleep())
	for _, verb := range []string{"add", "remove"} {
		wantContains(t, "of no container", c.mounts(verb, specs.Mount{Destination: "/m", Type: "tmpfs"}).exits(t, 1).stderr, "does not exist")
	}
	c.startSleeping()
	if err := os.Symlink("/proc", filepath.Join(c.rootfs, "link")); err != nil {
		t.Fatal(err)
	}
	before := c.inside("cat", "/proc/self/mountinfo")
	good := specs.Mount{Destination: "/good", Source: folder, Options: []string{"bind"}}
	for _, bad := range []struct {
		verb  string
		mount specs.Mount
		says  []string
	}{
		{"add", specs.Mount{Destination: "/m", Source: "/no/such", Options: []string{"bind"}}, []string{"mounts[1] (/m)", "/no/such"}},
		{"add", specs.Mount{Destination: "/m", Type: "nofs"}, []string{"mounts[1] (/m)", "nofs"}},
		{"add", specs.Mount{Destination: "/m"}, []string{"mounts[1].type"}},
		{"add", specs.Mount{Destination: "/", Type: "tmpfs"}, []string{"mounts[1] (/)", "root folder"}},
		{"add", specs.Mount{Destination: "/proc/self/attr", Type: "tmpfs"}, []string{"mounts[1]", "/proc"}},
		{"add", specs.Mount{Destination: "/link/sys", Type: "tmpfs"}, []string{"mounts[1]", "procfs"}},
		{"add", specs.Mount{Destination: "/m", Type: "cgroup"}, []string{"mounts[1]", "cgroup"}},
		{"add", specs.Mount{Destination: "/m", Type: "tmpfs", Options: []string{"remount"}}, []string{"mounts[1]", "remount"}},
		{"remove", specs.Mount{Destination: "/bin"}, []string{"mounts[1] (/bin)", "no mount point"}},
		{"remove", specs.Mount{Destination: "/"}, []string{"mounts[1] (/)", "root folder"}},
	} {
		r := c.mounts(bad.verb, good, bad.mount).exits(t, 1)
		checkOneLine(t, "mounts "+bad.verb, r, bad.says)
		want(t, "mounts after it", c.inside("cat", "/proc/self/mountinfo"), before)
	}
	for _, text := range []string{"", "7", "[]", `[{"destination": 5}]`, `[] []`} {
		r := call{stdin: strings.NewReader(text)}.run(t, c.args("mounts", "add", c.id, "-")...).exits(t, 1)
		checkOneLine(t, "mounts add", r, []string{"standard input"})
	}
	for _, args := range [][]string{{"mounts"}, {"mounts", "add", c.id}, {"mounts", "change", c.id, "x"}} {
		wantContains(t, "wrong arguments", c.oci(args...).exits(t, 1).stderr, "add or remove")
	}
}

package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// linkedFolder makes a folder of the host with a file, a link to it and a link that leads nowhere.
func linkedFolder(t *testing.T) string {
	t.Helper()
	folder := hostFolder(t)
	for name, to := range map[string]string{"link": "file", "dangling": "/no/such/place"} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// With copy-symlink a source that is a link is made again, whatever it leads to; another is bound.
func TestCopySymlink(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "copy-symlink")
	folder := linkedFolder(t)
	word := []string{"bind", "ro", "copy-symlink"}
	for name, create := range map[string]func(*testing.T, ...option) *container{
		"plain": newContainer,
		"in a user namespace": func(t *testing.T, options ...option) *container {
			return inUserNamespace(t, append(options, withUserNamespace)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := create(t, withMounts(
				specs.Mount{Destination: "/made/link", Source: folder + "/link", Options: word},
				specs.Mount{Destination: "/made/dangling", Source: folder + "/dangling", Options: word},
				specs.Mount{Destination: "/made/file", Source: folder + "/file", Options: word},
				specs.Mount{Destination: "/made/folder", Source: folder, Options: word},
				specs.Mount{Destination: "/followed", Source: folder + "/link", Options: []string{"bind"}},
			), withScript("cd /made; readlink link; readlink dangling; cat link file folder/file /followed; touch folder/x 2>&1"))
			r := c.run().exits(t, 1)
			want(t, "output", r.stdout, "file\n/no/such/place\nfrom the host\nfrom the host\nfrom the host\nfrom the host\ntouch: folder/x: Read-only file system\n")
		})
	}
}

// What is at the destination of copy-symlink stays, and must be the same link.
func TestCopySymlinkOverAnother(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the words of its errors")
	folder := linkedFolder(t)
	c := newContainer(t, withMounts(specs.Mount{Destination: "/m", Source: folder + "/link", Options: []string{"bind", "copy-symlink"}}), withScript("readlink /m"))
	for range 2 {
		want(t, "output", c.run().ok(t).stdout, "file\n")
	}
	clearPath(t, filepath.Join(c.rootfs, "m"))
	if err := os.Symlink("/elsewhere", filepath.Join(c.rootfs, "m")); err != nil {
		t.Fatal(err)
	}
	checkOneLine(t, "run", c.run().exits(t, 1), []string{"(/m)", "is there and is no link to file"})
}

// src-nofollow mounts a link itself, dest-nofollow mounts over one.
func TestNofollowMounts(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "src-nofollow and dest-nofollow")
	folder := linkedFolder(t)
	c := newContainer(t, withMounts(
		specs.Mount{Destination: "/link", Source: folder + "/dangling", Options: []string{"bind", "src-nofollow", "dest-nofollow"}},
		specs.Mount{Destination: "/through", Source: folder + "/file", Options: []string{"bind"}},
		specs.Mount{Destination: "/over", Source: folder + "/file", Options: []string{"bind", "dest-nofollow"}},
	), withScript("readlink /link; cat /over /target; test -L /through && echo still a link; test -L /over || echo covered"))
	for _, link := range []string{"link", "through", "over"} {
		if err := os.Symlink("/target", filepath.Join(c.rootfs, link)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "output", c.run().ok(t).stdout, "/no/such/place\nfrom the host\nfrom the host\nstill a link\ncovered\n")
}

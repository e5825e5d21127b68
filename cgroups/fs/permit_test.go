package fs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/cgroups"
)

// Root may write anywhere, so the refusals are shown by what the kernel refuses root too: a file system that is
// mounted read-only has the same error path, but takes a mount; a folder that is none (ENOTDIR) does here.
func TestPermit(t *testing.T) {
	v1, v2 := t.TempDir(), t.TempDir()
	for _, file := range []string{v1 + "/cgroup.procs", v2 + "/cgroup.procs", v2 + "/own/cgroup.procs"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(v1+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	layout := &cgroups.Layout{Mode: cgroups.Hybrid, Hierarchies: []cgroups.Hierarchy{
		{Mountpoint: v1, Root: "/", Own: "/", Controllers: []string{"pids"}},
		{Mountpoint: v2, Root: "/", Own: "/own/x", Unified: true},
	}}
	place := func(v1Path, v2Path string) *cgroups.Placement {
		return &cgroups.Placement{Folders: []cgroups.Folder{
			{Mountpoint: v1, Path: v1Path, Controllers: []string{"pids"}},
			{Mountpoint: v2, Path: v2Path, Unified: true},
		}}
	}
	p := place("/a/b", "/own/c")
	Permit(p, layout, false)
	if len(p.Folders) != 2 || len(p.Refused) != 0 {
		t.Errorf("what may be made is refused: %+v", p.Refused)
	}
	p = place("/file/b", "/own/c")
	Permit(p, layout, false)
	if len(p.Folders) != 1 || len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Cause, v1+"/file/b: "+unix.ENOTDIR.Error()) {
		t.Errorf("got %+v", p)
	}
	if r := p.Denies(&cgroups.Write{Controller: "pids"}); r == nil || r.Path != "/file/b" {
		t.Errorf("a limit of pids is denied by %+v", r)
	}
	for _, w := range []cgroups.Write{{Controller: "memory"}, {Controller: "pids", Unified: true}} {
		if r := p.Denies(&w); r != nil {
			t.Errorf("%+v is denied by %+v", w, r)
		}
	}
	// Without the file of the common ancestor nothing can be moved.
	if err := os.Remove(v2 + "/own/cgroup.procs"); err != nil {
		t.Fatal(err)
	}
	p = place("/a", "/own/c")
	Permit(p, layout, false)
	if len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Cause, "no process can be moved from cgroup /own/x to /own/c") {
		t.Errorf("got %+v", p)
	}
	p = place("/a", "/own/c")
	Permit(p, layout, true)
	if len(p.Refused) != 0 {
		t.Errorf("what systemd makes is refused: %+v", p.Refused)
	}
}

func TestCommonAncestor(t *testing.T) {
	for _, c := range [][3]string{
		{"/", "/a", ""}, {"/a/b", "/a/c", "/a"}, {"/a/b", "/a/b/c", "/a/b"}, {"/a/b", "/ab", ""}, {"/x/y", "/a", ""}, {"/a/b/c", "/a", "/a"},
	} {
		if got := commonAncestor(c[0], c[1]); got != c[2] {
			t.Errorf("%s and %s: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

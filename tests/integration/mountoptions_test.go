package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// optionCase is a list of mount options and what /proc/self/mountinfo then says: words with a leading - are absent.
type optionCase struct {
	options []string
	flags   string // of the mount: ro rw nosuid nodev noexec noatime nodiratime relatime nosymfollow
	super   string // of the file system
	newer   bool   // than the reference, which refuses it or does otherwise
}

// optionWords covers the words of the runtime-spec's table that have no r- form and no test elsewhere.
func optionWords() []optionCase {
	return []optionCase{
		{[]string{"ro"}, "ro -rw", "", false},
		{[]string{"rw"}, "rw -ro", "", false},
		{[]string{"ro", "rw"}, "rw -ro", "", false},
		{[]string{"defaults"}, "rw -nosuid -nodev -noexec", "", true},
		{[]string{"nosuid"}, "nosuid", "", false},
		{[]string{"nosuid", "suid"}, "-nosuid", "", false},
		{[]string{"nodev"}, "nodev", "", false},
		{[]string{"nodev", "dev"}, "-nodev", "", false},
		{[]string{"noexec"}, "noexec", "", false},
		{[]string{"noexec", "exec"}, "-noexec", "", false},
		{[]string{"noatime"}, "noatime -relatime", "", false},
		{[]string{"noatime", "atime"}, "-noatime", "", false},
		{[]string{"relatime"}, "relatime -noatime", "", false},
		{[]string{"norelatime"}, "-noatime", "", false},
		{[]string{"strictatime"}, "-relatime -noatime", "", false},
		{[]string{"strictatime", "nostrictatime"}, "relatime", "", false},
		{[]string{"nodiratime"}, "nodiratime", "", false},
		{[]string{"nodiratime", "diratime"}, "-nodiratime", "", false},
		{[]string{"nosymfollow"}, "nosymfollow", "", true},
		{[]string{"nosymfollow", "symfollow"}, "-nosymfollow", "", true},
		{[]string{"sync"}, "", "sync", false},
		{[]string{"sync", "async"}, "", "-sync", false},
		{[]string{"dirsync"}, "", "dirsync", false},
		{[]string{"lazytime"}, "", "lazytime", false},
		{[]string{"lazytime", "nolazytime"}, "", "-lazytime", false},
		// These change nothing that can be seen of a tmpfs; that they are taken is what is shown.
		{[]string{"iversion"}, "rw", "", false},
		{[]string{"noiversion"}, "rw", "", false},
		{[]string{"mand"}, "rw", "", false},
		{[]string{"nomand"}, "rw", "", false},
		{[]string{"silent"}, "rw", "", false},
		{[]string{"loud"}, "rw", "", false},
		{[]string{"nosuid", "nodev", "noexec", "ro", "noatime", "size=64k"}, "nosuid nodev noexec ro noatime", "size=64k", false},
	}
}

// check compares a mount with what the case wants.
func (o optionCase) check(t *testing.T, m mountEntry) {
	t.Helper()
	compare := func(kind, words string, has func(string) bool) {
		for word := range strings.FieldsSeq(words) {
			name, absent := strings.CutPrefix(word, "-")
			if has(name) == absent {
				t.Errorf("%s with options %v: %s %s, want %s", m.target, o.options, kind,
					strings.Join(m.options, ",")+" - "+m.superOptions, words)
			}
		}
	}
	compare("mount flags", o.flags, m.has)
	compare("file system options", o.super, m.hasSuper)
}

// Every option word of the runtime-spec's table has its effect on a new file system.
func TestMountOptionWords(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	cases := optionWords()
	if !isBerth() {
		cases = slices.DeleteFunc(cases, func(o optionCase) bool { return o.newer })
	}
	var mounts []specs.Mount
	for i, o := range cases {
		mounts = append(mounts, specs.Mount{Destination: fmt.Sprintf("/m/%d", i), Type: "tmpfs", Source: "tmpfs", Options: o.options})
	}
	got, _ := mountsInside(t, "", withMounts(mounts...))
	for i, o := range cases {
		o.check(t, mountAt(t, got, mounts[i].Destination))
	}
}

// The flags of a mount have their effect on a bind mount too; those of the file system do not reach the host's.
func TestBindOptionWords(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	if err := unix.Mount("source", folder, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	cases := slices.DeleteFunc(optionWords(), func(o optionCase) bool {
		return o.super != "" || o.flags == "rw" || o.newer && !isBerth()
	})
	var mounts []specs.Mount
	for i, o := range cases {
		mounts = append(mounts, specs.Mount{Destination: fmt.Sprintf("/m/%d", i), Source: folder, Options: append([]string{"bind"}, o.options...)})
	}
	got, _ := mountsInside(t, "", withMounts(mounts...))
	for i, o := range cases {
		o.check(t, mountAt(t, got, mounts[i].Destination))
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	source := mountAt(t, parseMountinfo(string(text)), folder)
	want(t, "the source's own flags", strings.Join(source.options, ","), "rw,relatime")
}

// The words with an r in front are for the mounts below as well (mount_setattr, Linux 5.12).
func TestRecursiveOptionWords(t *testing.T) {
	cameWith(t, 5, 12, "recursive mount options")
	t.Parallel()
	folder := hostFolder(t)
	below := filepath.Join(folder, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("below", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	cases := []optionCase{
		{[]string{"rro"}, "ro", "", false},
		{[]string{"rro", "rrw"}, "rw", "", true},
		{[]string{"rnosuid"}, "nosuid", "", false},
		{[]string{"rnosuid", "rsuid"}, "-nosuid", "", true},
		{[]string{"rnodev"}, "nodev", "", false},
		{[]string{"rnodev", "rdev"}, "-nodev", "", true},
		{[]string{"rnoexec"}, "noexec", "", false},
		{[]string{"rnoexec", "rexec"}, "-noexec", "", true},
		{[]string{"rnoatime"}, "noatime -relatime", "", false},
		{[]string{"rnoatime", "ratime"}, "-noatime", "", true},
		{[]string{"rrelatime"}, "relatime", "", false},
		{[]string{"rnorelatime"}, "-noatime", "", false},
		{[]string{"rstrictatime"}, "-relatime -noatime", "", false},
		{[]string{"rstrictatime", "rnostrictatime"}, "-noatime", "", true},
		{[]string{"rnodiratime"}, "nodiratime", "", false},
		{[]string{"rnodiratime", "rdiratime"}, "-nodiratime", "", true},
		{[]string{"rnosymfollow"}, "nosymfollow", "", false},
		{[]string{"rnosymfollow", "rsymfollow"}, "-nosymfollow", "", true},
		{[]string{"rro", "rnosuid", "rnodev", "rnoexec"}, "ro nosuid nodev noexec", "", false},
	}
	if !isBerth() {
		cases = slices.DeleteFunc(cases, func(o optionCase) bool { return o.newer }) // runc: an r word cannot be taken back
	}
	var mounts []specs.Mount
	for i, o := range cases {
		mounts = append(mounts, specs.Mount{Destination: fmt.Sprintf("/m/%d", i), Source: folder, Options: append([]string{"rbind"}, o.options...)})
	}
	got, _ := mountsInside(t, "", withMounts(mounts...))
	for i, o := range cases {
		o.check(t, mountAt(t, got, mounts[i].Destination))
		o.check(t, mountAt(t, got, mounts[i].Destination+"/below"))
	}
}

// remount changes the flags of a mount that an earlier entry made.
func TestRemount(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	mounts, _ := mountsInside(t, "", withMounts(
		specs.Mount{Destination: "/m", Source: folder, Options: []string{"bind"}},
		specs.Mount{Destination: "/m", Options: []string{"remount", "bind", "ro", "nosuid"}},
		specs.Mount{Destination: "/t", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=64k"}},
		specs.Mount{Destination: "/t", Type: "tmpfs", Source: "tmpfs", Options: []string{"remount", "ro", "size=128k"}},
	))
	optionCase{flags: "ro nosuid"}.check(t, mountAt(t, mounts, "/m"))
	optionCase{flags: "ro", super: "size=128k"}.check(t, mountAt(t, mounts, "/t"))
	want(t, "mounts on /m", strings.Count(" "+targets(mounts)+" ", " /m "), 1)
}

// An option that the file system does not know is refused with its place in the config.
func TestUnknownMountOption(t *testing.T) {
	hostUnchanged(t)
	for _, option := range []string{"no-such-option", "size=much"} {
		c := newContainer(t, withMounts(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", option}}))
		r := c.run().exits(t, 1)
		wantContains(t, "error", r.stderr, "/m")
		if isBerth() {
			wantContains(t, "error", r.stderr, "mounts[5]", option)
		}
	}
}

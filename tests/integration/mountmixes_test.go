package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// 500 masked folders, as Kubernetes has them for each CPU, are mounts of one superblock; and so the files among them.
func TestManyMasksShareOneSuperblock(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "masks that share a superblock")
	var paths []string
	for i := range 500 {
		paths = append(paths, fmt.Sprintf("/masked/%d", i))
	}
	c := newContainer(t, withLinux(func(l *specs.Linux) { l.MaskedPaths = paths }),
		withScript("ls -A /masked/* | grep -c secret; cat /proc/self/mountinfo"))
	for _, p := range paths {
		c.writeFile(p+"/secret", "", 0o644)
	}
	out := c.run().ok(t).stdout
	count, mountinfo, _ := strings.Cut(out, "\n")
	want(t, "files that show", count, "0")
	superblocks := map[string]bool{}
	masked := 0
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 5 && strings.HasPrefix(fields[4], "/masked/") {
			masked++
			superblocks[fields[2]] = true
			want(t, "read-only", strings.HasPrefix(fields[5], "ro"), true)
		}
	}
	want(t, "masks", masked, 500)
	want(t, "superblocks of the masks", len(superblocks), 1)
}

// The host's /dev bound over the container's is used as it is: no node is made in it, no link.
func TestDevGivenAsBind(t *testing.T) {
	t.Parallel()
	dev := hostFolder(t)
	if err := os.Chmod(dev, 0o755); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "mknod", filepath.Join(dev, "null"), "c", "1", "3")
	c := newContainer(t, func(s *specs.Spec) {
		var mounts []specs.Mount
		for _, m := range s.Mounts {
			if !strings.HasPrefix(m.Destination, "/dev") {
				mounts = append(mounts, m)
			}
		}
		s.Mounts = append(mounts, specs.Mount{Destination: "/dev", Type: "bind", Source: dev, Options: []string{"rbind"}})
	}, withScript("ls /dev; cat /dev/file"))
	want(t, "output", c.run().ok(t).stdout, "file\nnull\nfrom the host\n")
	found, err := os.ReadDir(dev)
	if err != nil || len(found) != 2 {
		t.Errorf("in the folder there is now %v, %v", found, err)
	}
}

// Namespaces joined by path in any mix with new ones: every pair, all at once, with a user namespace that is joined.
func TestNamespacesByPathInAnyMix(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "some of the mixes")
	own := withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace})
	first := inUserNamespace(t, withUserNamespace, own, withSleep())
	pid := first.startSleeping().Pid
	kinds := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc",
		specs.UTSNamespace: "uts", specs.PIDNamespace: "pid", specs.CgroupNamespace: "cgroup"}
	var mixes [][]specs.LinuxNamespaceType
	all := []specs.LinuxNamespaceType{}
	for a := range kinds {
		mixes = append(mixes, []specs.LinuxNamespaceType{a})
		for b := range kinds {
			if a < b {
				mixes = append(mixes, []specs.LinuxNamespaceType{a, b})
			}
		}
		all = append(all, a)
	}
	for _, mix := range append(mixes, all) {
		options := []option{own, withNamespace(specs.LinuxNamespace{Type: specs.UserNamespace, Path: fmt.Sprintf("/proc/%d/ns/user", pid)}),
			func(s *specs.Spec) { s.Hostname = "" }, withScript("cd /proc/self/ns; for n in net ipc uts pid cgroup user; do echo $n $(readlink $n); done")}
		joined := map[string]bool{"user": true}
		for _, kind := range mix {
			options = append(options, withNamespace(specs.LinuxNamespace{Type: kind, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, kinds[kind])}))
			joined[kinds[kind]] = true
		}
		c := inUserNamespace(t, options...)
		for line := range strings.Lines(c.run().ok(t).stdout) {
			name, link, _ := strings.Cut(strings.TrimSpace(line), " ")
			firsts, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
			if err != nil {
				t.Fatal(err)
			}
			want(t, fmt.Sprintf("with %v joined, %s is the first's", mix, name), link == firsts, joined[name])
		}
	}
}

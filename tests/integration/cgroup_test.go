package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// membership maps hierarchies to the cgroup that a /proc/PID/cgroup text puts the process in: controllers to paths
// on v1, "" for v2.
func membership(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if _, err := strconv.Atoi(parts[0]); err != nil {
			continue // a line of something else that the script printed
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			found[controller] = parts[2]
		}
	}
	return found
}

// hierarchies lists the controllers (and "" for v2) that this namespace shows, whose cgroup the container must be in.
func hierarchies() []string {
	var all []string
	for controller := range host.cgroups.v1 {
		all = append(all, controller)
	}
	if host.cgroups.v2 != "" {
		all = append(all, "")
	}
	return all
}

// The container's process is in the cgroup that cgroupsPath names, in every hierarchy, from before the program
// starts; it is made with missing parents, and is gone when the container is deleted.
func TestCgroupsPath(t *testing.T) {
	t.Parallel()
	parents := []string{"/", "/" + host.token + "-parent/nested/"}
	if host.systemd {
		parents = []string{"/system.slice/", "/" + slice("") + "/" + slice("-nested") + "/"}
		t.Cleanup(func() { runProgram(t, "systemctl", "stop", slice("")) }) // which stays, since systemd made it
	}
	for _, parent := range parents {
		c := newContainer(t)
		path := parent + c.id
		spec := baseSpec(c.id)
		spec.Linux.CgroupsPath = path
		if host.systemd {
			spec.Linux.CgroupsPath = filepath.Base(parent) + ":harbour:" + c.id
			path = parent + "harbour-" + c.id + ".scope"
		}
		withScript("cat /proc/self/cgroup; echo ready; exec sleep 600")(spec)
		c.writeConfig(spec)
		s := c.startSleeping()
		inside := membership(c.output())
		outsideText, err := os.ReadFile("/proc/" + itoa(s.Pid) + "/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		outside := membership(string(outsideText))
		for _, h := range hierarchies() {
			want(t, "path in hierarchy "+h+" from inside", inside[h], path)
			want(t, "path in hierarchy "+h+" from outside", outside[h], path)
		}
		c.delete("--force").ok(t)
		for _, folder := range cgroupFolders() {
			if strings.HasSuffix(folder, path) {
				t.Errorf("%s is left", folder)
			}
		}
		if !host.systemd {
			removeParents(parent)
		}
	}
}

// A parent folder that was made for one container goes with the last that is in it.
func TestCgroupParentGoesWithTheLast(t *testing.T) {
	t.Parallel()
	berthOnly(t, "that parents of a cgroupsPath go")
	if host.systemd {
		t.Skip("systemd makes the parents, and keeps them")
	}
	parent := "/" + host.token + "-shared/nested"
	var all []*container
	for range 3 {
		c := newContainer(t)
		spec := baseSpec(c.id)
		spec.Linux.CgroupsPath = parent + "/" + c.id
		withSleep()(spec)
		c.writeConfig(spec)
		c.create().ok(t)
		all = append(all, c)
	}
	foreign := filepath.Join(host.cgroups.mountPoints()[0], filepath.Dir(parent), "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		c.delete("--force").ok(t)
	}
	var left []string
	for _, folder := range cgroupFolders() {
		if strings.Contains(folder, filepath.Dir(parent)) {
			left = append(left, folder)
		}
	}
	want(t, "what is left", strings.Join(left, " "), filepath.Dir(foreign)+" "+foreign)
	if err := errors.Join(os.Remove(foreign), os.Remove(filepath.Dir(foreign))); err != nil {
		t.Error(err)
	}
}

// slice names a slice of this run's own.
func slice(suffix string) string { return strings.ReplaceAll(host.token, "-", "_") + suffix + ".slice" }

// removeParents takes the empty parents of a cgroupsPath away, which no runtime can know to be its own.
func removeParents(parent string) {
	for _, point := range host.cgroups.mountPoints() {
		for p := strings.TrimSuffix(parent, "/"); len(p) > 1; p = filepath.Dir(p) { // "/" and "." end it
			_ = os.Remove(filepath.Join(point, p)) // another runtime's, or not there
		}
	}
}

// Without a cgroupsPath the container still has a cgroup of its own, that bears its id; a relative one likewise.
func TestCgroupsPathDefaultAndRelative(t *testing.T) {
	t.Parallel()
	paths, suffix := []string{"", "relative-"}, ""
	if host.systemd {
		paths, suffix = paths[:1], ".scope" // systemd's units have no folders
	}
	for _, path := range paths {
		c := newContainer(t)
		spec := baseSpec(c.id)
		spec.Linux.CgroupsPath = path
		if path != "" {
			spec.Linux.CgroupsPath = path + c.id
		}
		withScript("cat /proc/self/cgroup")(spec)
		c.writeConfig(spec)
		inside := membership(c.run().ok(t).stdout)
		for _, h := range hierarchies() {
			want(t, "hierarchy "+h+": "+inside[h]+" ends with the id", strings.HasSuffix(inside[h], c.id+suffix), true)
		}
	}
}

// TestHierarchyKeepsOptions starts a container that sees the host's cgroups. A new mount of cgroup v2 from the host's
// cgroup namespace gives its own options to the whole hierarchy: without nsdelegate, who has a part of it delegated may
// move processes out of it.
//
// It does not run beside others, which might make such a mount.
func TestHierarchyKeepsOptions(t *testing.T) {
	if !isBerth() {
		t.Skip("runc and crun make a new mount")
	}
	before := needsUnifiedOptions(t)
	mount := withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
	for name, options := range map[string][]option{
		"none":    {mount},
		"by path": {mount, withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace, Path: "/proc/self/ns/cgroup"})},
	} {
		c := newContainer(t, append(options, withScript("cat /proc/self/mountinfo"))...)
		for _, m := range parseMountinfo(c.run().ok(t).stdout) {
			if m.fstype == "cgroup2" {
				want(t, name+": options inside", m.superOptions, before)
				want(t, name+": root inside", m.root, "/")
				want(t, name+": propagation inside", len(m.optional), 0)
			}
		}
		want(t, name+": options of the host's hierarchy", unifiedOptions(t), before)
	}
}

// unifiedOptions are those of the host's cgroup v2 hierarchy.
func unifiedOptions(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parseMountinfo(string(text)) {
		if m.fstype == "cgroup2" {
			return m.superOptions
		}
	}
	return ""
}

// needsUnifiedOptions skips the test where there are none that could be lost.
func needsUnifiedOptions(t *testing.T) string {
	t.Helper()
	options := unifiedOptions(t)
	if !strings.Contains(options, "nsdelegate") && !strings.Contains(options, "memory_recursiveprot") {
		t.Skip("cgroup v2 is not mounted here, or without options that could be lost")
	}
	return options
}

// A mount of type cgroup shows the hierarchies of the host's layout, with the options of the config, and cannot be
// written when it is read-only. In a cgroup namespace, the container is at the root of each.
func TestCgroupMount(t *testing.T) {
	t.Parallel()
	for _, cgroupNamespace := range []bool{false, true} {
		options := []option{
			withMounts(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}),
			withScript(`for d in /sys/fs/cgroup /sys/fs/cgroup/pids; do test -e $d/cgroup.procs && mkdir $d/new 2>&1 && echo WRITTEN
				cat $d/cgroup.procs 2>/dev/null; done; cat /proc/self/cgroup /proc/self/mountinfo`),
		}
		if cgroupNamespace {
			options = append(options, withNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}))
		}
		c := newContainer(t, options...)
		out := c.run().ok(t).stdout
		wantContains(t, "output", out, "Read-only file system")
		mounts := parseMountinfo(out)
		if host.cgroups.kind() == "v2" {
			m := mountAt(t, mounts, "/sys/fs/cgroup")
			want(t, "type", m.fstype, "cgroup2")
			optionCase{flags: "ro nosuid nodev noexec"}.check(t, m)
		}
		for controller, point := range host.cgroups.v1 {
			m := mountAt(t, mounts, "/sys/fs/cgroup/"+filepath.Base(point))
			want(t, "type", m.fstype, "cgroup")
			want(t, "controller "+controller, m.hasSuper(controller), true)
			optionCase{flags: "ro nosuid nodev noexec"}.check(t, m)
		}
		if cgroupNamespace || host.cgroups.kind() != "v2" {
			// The container sees its own cgroup at the top, and itself (its shell is process 1) in it. On v2 that
			// takes a cgroup namespace.
			wantContains(t, "output", out, "\n1\n")
		}
		if cgroupNamespace {
			for h, path := range membership(out) {
				want(t, "path in hierarchy "+h, path, "/")
			}
		}
	}
}

// A second container whose cgroupsPath is that of a running one must not take the first with it when it is deleted:
// a non-empty cgroup is refused, or at least its processes live on.
func TestDeleteSparesForeignProcesses(t *testing.T) {
	t.Parallel()
	first := newContainer(t, withSleep())
	s := first.startSleeping()
	second := newContainer(t)
	spec := baseSpec(first.id)
	second.writeConfig(spec)
	second.run()
	second.delete("--force").ok(t)
	want(t, "status of the first container", first.state().Status, "running")
	want(t, "pid of the first container", first.state().Pid, s.Pid)
}

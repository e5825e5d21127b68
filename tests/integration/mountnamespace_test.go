package integration

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountNamespaceOf starts a process in a mount namespace of its own, that of the user namespace of owner (a pid; 0 for
// the host's), and gives its pid.
func mountNamespaceOf(t *testing.T, owner int) int {
	t.Helper()
	args := []string{"--mount", "--propagation", "private", "sleep", "600"}
	p := call{program: lookPath(t, "unshare")}
	if owner != 0 {
		args = append([]string{"--user", "--setuid", "0", "--setgid", "0", "--target", strconv.Itoa(owner), "unshare"}, args...)
		p.program = lookPath(t, "nsenter")
	}
	pid := p.start(t, args...).cmd.Process.Pid
	var own, st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &own); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a mount namespace", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && string(text) == "sleep\n"
	})
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid), &st); err != nil || st.Ino == own.Ino {
		t.Fatalf("process %d is in the tests' own mount namespace: %v", pid, err)
	}
	return pid
}

func joining(kind specs.LinuxNamespaceType, pid int) option {
	return withNamespace(specs.LinuxNamespace{Type: kind, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, cmp.Or(nsFiles()[kind], string(kind)))})
}

// A mount namespace is joined by path, alone or with the user namespace that owns it; the container's mounts are made
// in it, from what it has, and its root becomes the container's.
func TestMountNamespaceByPath(t *testing.T) {
	t.Parallel()
	folder := hostFolder(t)
	for _, userns := range []bool{false, true} {
		t.Run(fmt.Sprintf("user namespace joined: %v", userns), func(t *testing.T) {
			t.Parallel()
			options := []option{withMounts(specs.Mount{Destination: "/m", Source: folder, Options: []string{"rbind"}}),
				withScript("readlink /proc/self/ns/mnt; cat /m/file; id -u; test -e " + folder + " || echo only the rootfs")}
			create, owner := newContainer, 0
			if userns {
				newerThanReference(t, "a user namespace by path without mappings")
				owner = inUserNamespace(t, withUserNamespace, withSleep()).startSleeping().Pid
				options, create = append(options, joining(specs.UserNamespace, owner)), inUserNamespace
			}
			pid := mountNamespaceOf(t, owner)
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
			if err != nil {
				t.Fatal(err)
			}
			c := create(t, append(options, joining(specs.MountNamespace, pid))...)
			want(t, "output", c.run().ok(t).stdout, link+"\nfrom the host\n0\nonly the rootfs\n")
		})
	}
}

// A user namespace, new or joined, has no power over a mount namespace that it does not own: one line says so.
func TestMountNamespaceOfAnotherOwner(t *testing.T) {
	t.Parallel()
	berthOnly(t, "the words of its errors")
	owner := inUserNamespace(t, withUserNamespace, withSleep()).startSleeping().Pid
	other := inUserNamespace(t, withUserNamespace, withSleep()).startSleeping().Pid
	hosts, owners := mountNamespaceOf(t, 0), mountNamespaceOf(t, owner)
	for name, c := range map[string]struct {
		spec []option
		says []string
	}{
		"the host's, user new":             {[]option{joining(specs.MountNamespace, hosts), withUserNamespace}, []string{"linux.namespaces: nothing can be mounted"}},
		"the host's, user joined":          {[]option{joining(specs.MountNamespace, hosts), joining(specs.UserNamespace, owner)}, []string{"linux.namespaces[4].path", "does not belong", "linux.namespaces[5]"}},
		"another's, another user joined":   {[]option{joining(specs.MountNamespace, owners), joining(specs.UserNamespace, other)}, []string{"linux.namespaces[4].path", "does not belong"}},
		"another's, user listed before":    {[]option{joining(specs.UserNamespace, other), joining(specs.MountNamespace, owners)}, []string{"linux.namespaces[5].path", "does not belong"}},
		"another's, user namespace is new": {[]option{joining(specs.MountNamespace, owners), withUserNamespace}, []string{"linux.namespaces: nothing can be mounted"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkOneLine(t, "run", inUserNamespace(t, c.spec...).run().exits(t, 1), c.says)
		})
	}
}

// With a user namespace that is joined, others are joined by path that belong to the host; and exec gets in there too.
func TestJoinedUserNamespaceWithTheHosts(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "a user namespace by path without mappings")
	first := newContainer(t, withSleep())
	pid := first.startSleeping().Pid
	user := inUserNamespace(t, withUserNamespace, withSleep()).startSleeping().Pid
	for _, kinds := range [][]specs.LinuxNamespaceType{
		{specs.NetworkNamespace}, {specs.IPCNamespace}, {specs.UTSNamespace}, {specs.PIDNamespace}, {specs.CgroupNamespace},
		{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace, specs.CgroupNamespace},
	} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			const script = "id -u; cd /proc/self/ns; for n in net ipc uts pid cgroup user; do echo $n $(readlink $n); done"
			options := []option{joining(specs.UserNamespace, user), func(s *specs.Spec) { s.Hostname = "" }, withBindOfSys,
				withScript(script + "; echo ready; exec sleep 600")}
			expected := "0\n"
			joined := map[string]int{"user": user}
			for _, kind := range kinds {
				options = append(options, joining(kind, pid))
				joined[nsFiles()[kind]] = pid
				if kind == specs.PIDNamespace {
					options = append(options, withBindOfProc) // a procfs of the host's pid namespace cannot be mounted
				}
			}
			c := inUserNamespace(t, options...)
			own := c.startSleeping().Pid
			for _, name := range []string{"net", "ipc", "uts", "pid", "cgroup", "user"} {
				of, isJoined := joined[name]
				if !isJoined {
					of = own
				}
				link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", of, name))
				if err != nil {
					t.Fatal(err)
				}
				expected += name + " " + link + "\n"
			}
			want(t, "namespaces", c.output(), expected+"ready\n")
			want(t, "namespaces of exec", c.oci("exec", c.id, "/bin/sh", "-c", script).ok(t).stdout, expected)
		})
	}
}

package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Options of bind mounts hold on a kernel without mount_setattr(2) too (before 5.12), where mount(2) changes what is
// attached alone; in a user namespace, into which the host's /sys is bound, likewise. What only newer kernels can do is
// refused by name.
func TestBindOptionsOnOldKernel(t *testing.T) {
	t.Parallel()
	newerThanReference(t, "mount_setattr(2)") // which it does not know: it is the old way itself
	folder := hostFolder(t)
	bind := func(target string, options ...string) specs.Mount {
		return specs.Mount{Destination: target, Source: folder, Options: options}
	}
	for _, userns := range []bool{false, true} {
		t.Run(fmt.Sprintf("user namespace: %v", userns), func(t *testing.T) {
			t.Parallel()
			options := []option{withMounts(bind("/plain", "bind"), bind("/ro", "bind", "ro", "nosuid", "noexec"), bind("/times", "rbind", "noatime", "nodiratime", "nosymfollow"),
				bind("/both", "bind", "ro", "rw", "nodev", "rslave"), specs.Mount{Destination: "/shared", Source: folder, Options: []string{"rbind", "rshared"}},
				specs.Mount{Destination: "/file", Source: folder + "/file", Options: []string{"bind", "ro"}}),
				withScript("cat /ro/file /file >/dev/null; cat /proc/self/mountinfo")}
			create, times := newContainer, []string{"rw", "nosymfollow", "noatime", "nodiratime"}
			if userns {
				times = times[:2] // how access times are kept is locked there
				options, create = append(options, withUserNamespace, withBindOfSys), inUserNamespace
			}
			c := create(t, options...)
			r := call{noSyscall: unix.SYS_MOUNT_SETATTR}.run(t, c.args(c.command("run", nil)...)...).ok(t)
			mounts := parseMountinfo(r.stdout)
			for target, has := range map[string][]string{"/plain": {"rw"}, "/ro": {"ro", "nosuid", "noexec"}, "/times": times,
				"/both": {"rw", "nodev"}, "/file": {"ro"}, "/sys": {"ro"}} {
				for _, o := range has {
					want(t, target+" has "+o, mountAt(t, mounts, target).has(o), true)
				}
			}
			wantContains(t, "propagation of /shared", mountAt(t, mounts, "/shared").propagation(), "shared")
			want(t, "/both is shared", strings.Contains(mountAt(t, mounts, "/both").propagation(), "shared"), false)
		})
	}
	for word, says := range map[string]string{"rro": "Linux 5.12", "idmap=uids=0-0-1;gids=0-0-1": "Linux 5.12"} {
		c := newContainer(t, withMounts(bind("/m", "rbind", word)))
		r := call{noSyscall: unix.SYS_MOUNT_SETATTR}.run(t, c.args(c.command("run", nil)...)...).exits(t, 1)
		if isBerth() {
			checkOneLine(t, word, r, []string{"mounts[5] (/m)", says})
		}
	}
}

// cameWith skips a test of what an older kernel has not.
func cameWith(t *testing.T, major, minor int, what string) {
	t.Helper()
	if !kernelAtLeast(t, major, minor) {
		t.Skipf("%s came with Linux %d.%d", what, major, minor)
	}
}

func kernelAtLeast(t *testing.T, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	words := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	first, _ := strconv.Atoi(words[0])
	second, _ := strconv.Atoi(words[1])
	return first > major || first == major && second >= minor
}

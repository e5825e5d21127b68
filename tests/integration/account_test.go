package integration

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// account is a user without root's powers, who calls the runtime.
type account struct {
	uid, gid uint32
	runtime  string // absolute path of the runtime under test, where this user may execute it
	folder   string // of this user, in which the tests' files are
	// subordinate ids of subuid(5) and subgid(5); size 0 for none
	subuid, subgid specs.LinuxIDMapping
}

// ordinary is the account of the rootless tests: whoever runs the suite, or with root a user of this run's own.
var ordinary account

// ordinaryID is that user's, which no machine should have otherwise.
const ordinaryID = 71234

// prepareOrdinary makes the user known in the tests' own mount namespace, where they will leave with it.
func prepareOrdinary() error {
	ordinary = account{uid: ordinaryID, gid: ordinaryID, folder: filepath.Join(host.scratch, "ordinary")}
	for _, folder := range []string{ordinary.folder, filepath.Join(host.scratch, "bin"), filepath.Join(host.scratch, "etc")} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chown(ordinary.folder, ordinaryID, ordinaryID); err != nil {
		return err
	}
	// Where the runtime is, this user may not be let in.
	ordinary.runtime = filepath.Join(host.scratch, "bin", host.name)
	program, err := os.ReadFile(host.runtime)
	if err == nil {
		err = os.WriteFile(ordinary.runtime, program, 0o755)
	}
	if err != nil {
		return err
	}
	const first, size = 710000000, 65536
	ordinary.subuid = specs.LinuxIDMapping{ContainerID: 1, HostID: first, Size: size}
	ordinary.subgid = ordinary.subuid
	for file, line := range map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", host.token, ordinaryID, ordinaryID),
		"group":  fmt.Sprintf("%s:x:%d:\n", host.token, ordinaryID),
		"subuid": fmt.Sprintf("%s:%d:%d\n", host.token, first, size),
		"subgid": fmt.Sprintf("%s:%d:%d\n", host.token, first, size),
	} {
		text, err := os.ReadFile("/etc/" + file)
		if err != nil {
			return err
		}
		own := filepath.Join(host.scratch, "etc", file)
		if err := os.WriteFile(own, append(text, line...), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, "/etc/"+file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind over /etc/%s: %w", file, err)
		}
	}
	return nil
}

// runAsUser runs those tests that need no root.
func runAsUser(m *testing.M) (code int, err error) {
	host.skipAll = "needs root"
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become a subreaper: %w", err)
	}
	if host.cgroups, err = detectLayout(); err != nil {
		return 1, err
	}
	if host.systemd, err = systemdAsked(); err != nil {
		return 1, err
	}
	if host.systemd && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		// The tests' calls have another XDG_RUNTIME_DIR.
		os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+os.Getenv("XDG_RUNTIME_DIR")+"/bus")
	}
	if err := findRuntime(); err != nil {
		return 1, err
	}
	if host.scratch, err = os.MkdirTemp("", "berth-test-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(host.scratch)
	host.token = filepath.Base(host.scratch)
	ordinary = account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), runtime: host.runtime, folder: host.scratch}
	ordinary.subuid = subordinate("/etc/subuid")
	ordinary.subgid = subordinate("/etc/subgid")
	stop := startReaper()
	defer stop()
	return m.Run(), nil
}

// subordinate is the first range of subordinate ids that this user has.
func subordinate(file string) specs.LinuxIDMapping {
	text, err := os.ReadFile(file)
	if err != nil {
		return specs.LinuxIDMapping{}
	}
	name, err := exec.Command("id", "-un").Output()
	if err != nil {
		return specs.LinuxIDMapping{}
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] != strings.TrimSpace(string(name)) && fields[0] != strconv.Itoa(os.Geteuid()) {
			continue
		}
		first, err := strconv.ParseUint(fields[1], 10, 32)
		if err != nil {
			continue
		}
		if size, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			return specs.LinuxIDMapping{ContainerID: 1, HostID: uint32(first), Size: uint32(size)}
		}
	}
	return specs.LinuxIDMapping{}
}

// call is a call of the runtime by this user, with an own folder in XDG_RUNTIME_DIR.
func (a *account) call() call {
	return call{program: a.runtime, attr: a.attr(), env: []string{"XDG_RUNTIME_DIR=" + filepath.Join(a.folder, "run"), "HOME=/"}}
}

// attr makes a process this user's.
func (a *account) attr() *syscall.SysProcAttr {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{a.gid}}}
}

// mapRoot maps the user's own ids to root, and with subordinate ids those to the others.
func (a *account) mapRoot(subordinates bool) (uids, gids []specs.LinuxIDMapping) {
	uids = []specs.LinuxIDMapping{{ContainerID: 0, HostID: a.uid, Size: 1}}
	gids = []specs.LinuxIDMapping{{ContainerID: 0, HostID: a.gid, Size: 1}}
	if subordinates {
		uids, gids = append(uids, a.subuid), append(gids, a.subgid)
	}
	return uids, gids
}

// needsSubordinates skips the test where only the user's own id can be mapped.
func needsSubordinates(t *testing.T) {
	t.Helper()
	for _, helper := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(helper); err != nil {
			t.Skipf("%s (Debian's package uidmap) is missing", helper)
		}
	}
	if ordinary.subuid.Size < 1000 || ordinary.subgid.Size < 1000 {
		t.Skip("this user has no subordinate ids in /etc/subuid and /etc/subgid")
	}
}

// own gives a file or folder, with all in it, to the user.
func (a *account) own(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
		return cmp.Or(err, os.Lchown(p, int(a.uid), int(a.gid)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

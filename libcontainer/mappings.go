package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/entry"
)

// writeMappings writes the mappings of the executor's user namespace, each at
// once as the kernel wants it, or has newuidmap(1) and newgidmap(1) write them.
func (m *creation) writeMappings() error {
	pid, out := m.process.Pid, m.compile
	if err := writeMapping("linux.uidMappings", "newuidmap", "uid_map", pid, out.UIDMappings, out.UIDHelper); err != nil {
		return err
	}
	if out.DenySetgroups {
		path := fmt.Sprintf("/proc/%d/setgroups", pid)
		if err := os.WriteFile(path, []byte("deny"), 0); err != nil {
			return fmt.Errorf("linux.gidMappings: write %s: %w", path, err)
		}
	}
	return writeMapping("linux.gidMappings", "newgidmap", "gid_map", pid, out.GIDMappings, out.GIDHelper)
}

// writeMapping writes one mapping, which field of the config holds.
func writeMapping(field, helper, file string, pid int, mappings []specs.LinuxIDMapping, byHelper bool) error {
	if byHelper {
		return runMapper(field, helper, pid, mappings)
	}
	var b strings.Builder
	for i := range mappings {
		fmt.Fprintf(&b, "%d %d %d\n", mappings[i].ContainerID, mappings[i].HostID, mappings[i].Size)
	}
	path := fmt.Sprintf("/proc/%d/%s", pid, file)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: open %s: %w", field, path, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(b.String())); err != nil {
		return fmt.Errorf("%s: write %s: %w", field, path, err)
	}
	return nil
}

// runMapper runs newuidmap(1) or newgidmap(1), which may map what subuid(5) and
// subgid(5) give the user.
func runMapper(field, helper string, pid int, mappings []specs.LinuxIDMapping) error {
	path, err := exec.LookPath(helper)
	if err != nil {
		return fmt.Errorf("%s: without root's powers only one's own id can be mapped, and other ids by %s, which is not in PATH: install it (Debian's package uidmap), or map %d alone", field, helper, os.Geteuid())
	}
	args := make([]string, 0, 1+3*len(mappings))
	args = append(args, strconv.Itoa(pid))
	for i := range mappings {
		for _, n := range [3]uint32{mappings[i].ContainerID, mappings[i].HostID, mappings[i].Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	runtime.LockOSThread() // until it is forked
	defer runtime.UnlockOSThread()
	entry.RestoreTimerSlack()
	out, err := exec.Command(path, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	said := string(bytes.TrimSpace(out))
	said = strings.Join(strings.FieldsFunc(said, func(r rune) bool { return r == '\n' }), "; ")
	if said == "" {
		said = err.Error()
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%s: %s: %w", field, path, err)
	}
	return fmt.Errorf("%s: %s: %s: map your own id and ids that %s gives you (see `getsubids %s`)", field, path, said, subFile(helper), owner())
}

func subFile(helper string) string {
	if helper == "newgidmap" {
		return "/etc/subgid"
	}
	return "/etc/subuid"
}

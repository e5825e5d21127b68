package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The files in tests/workloads are config.json files as real engines wrote them: `runc spec`, Docker and Podman.
func workloads() []string {
	return []string{"spec-default.json", "docker-run.json", "podman-run.json"}
}

// Each engine's config.json runs /bin/true unchanged, and leaves nothing behind.
func TestWorkloadsRun(t *testing.T) {
	for _, name := range workloads() {
		t.Run(name, func(t *testing.T) {
			c := newContainerOf(t, filepath.Join("../workloads", name))
			spec := c.readConfig()
			needsControllersFor(t, spec)
			if c.takePathOfDriver(spec) {
				c.writeConfig(spec)
			}
			hostUnchangedBelow(t, c)
			r := c.run().ok(t)
			want(t, "output", r.stdout+r.stderr, "")
			c.create().ok(t)
			c.start().ok(t)
			c.waitStatus("stopped")
			c.delete().ok(t)
		})
	}
}

// takePathOfDriver gives a config a cgroupsPath of systemd's form where that driver is under test, and says whether it had
// to: the engines wrote theirs for the other.
func (c *container) takePathOfDriver(spec *specs.Spec) bool {
	if !host.systemd || spec.Linux.CgroupsPath == "" {
		return false
	}
	spec.Linux.CgroupsPath = defaultCgroupsPath(c.id)
	return true
}

// hostUnchangedBelow is hostUnchanged for a config that is run as it is: the parents of its cgroupsPath, that no
// runtime can know to be its own, are not counted.
func hostUnchangedBelow(t *testing.T, c *container) {
	t.Helper()
	parent := filepath.Dir(c.readConfig().Linux.CgroupsPath)
	for _, point := range host.cgroups.mountPoints() {
		if err := os.MkdirAll(filepath.Join(point, parent), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { removeParents(parent) })
	hostUnchanged(t)
}

// needsControllersFor skips the test where the hierarchies lack a controller that one of the config's limits needs, as
// a v2 view of a host whose controllers are on v1 does: a limit that cannot be applied is an error.
func needsControllersFor(t *testing.T, spec *specs.Spec) {
	t.Helper()
	for controller, needed := range map[string]bool{
		"memory": spec.Linux.Resources.Memory != nil, "cpu": spec.Linux.Resources.CPU != nil, "pids": spec.Linux.Resources.Pids != nil,
	} {
		if needed {
			needsController(t, controller)
		}
	}
}

func (c *container) readConfig() *specs.Spec {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.bundle, "config.json"))
	if err != nil {
		c.t.Fatal(err)
	}
	spec := &specs.Spec{}
	if err := json.Unmarshal(text, spec); err != nil {
		c.t.Fatal(err)
	}
	return spec
}

// From inside, each engine's container is what its config says: namespaces, mounts and their flags, devices, masks,
// capabilities, limits, seccomp mode and cgroup membership. Only the program is replaced, by a script that looks.
func TestWorkloadsFromInside(t *testing.T) {
	for _, name := range workloads() {
		t.Run(name, func(t *testing.T) {
			c := newContainerOf(t, filepath.Join("../workloads", name))
			spec := c.readConfig()
			needsControllersFor(t, spec)
			var masked strings.Builder
			for _, path := range spec.Linux.MaskedPaths {
				masked.WriteString("test -d " + path + " && ls -A " + path + "; test -f " + path + " && cat " + path + "\n")
			}
			withReport(map[string]string{
				"ns":       "cd /proc/self/ns; for n in *; do echo $n $(readlink $n); done; cd /",
				"mounts":   "cat /proc/self/mountinfo",
				"devices":  "cd /dev; for d in *; do echo $d $(stat -c '%F %t:%T %a' $d) $(readlink $d); done; cd /",
				"masked":   masked.String() + ":",
				"status":   "cat /proc/self/status",
				"limits":   "cat /proc/self/limits",
				"cgroup":   "cat /proc/self/cgroup",
				"hostname": "hostname",
				"env":      "env",
				"network":  "ls /sys/class/net",
				"sysctl":   "cat /proc/sys/net/ipv4/ping_group_range",
			})(spec)
			c.takePathOfDriver(spec)
			c.writeConfig(spec)
			removeParents(filepath.Dir(spec.Linux.CgroupsPath))
			hostUnchangedBelow(t, c)
			out := c.run().ok(t).stdout

			checkNamespaces(t, spec, section(t, out, "ns"))
			checkMounts(t, spec, parseMountinfo(section(t, out, "mounts")))
			want(t, "what masked paths show", section(t, out, "masked"), "")
			checkStatus(t, spec, section(t, out, "status"))
			checkLimits(t, spec, section(t, out, "limits"))
			want(t, "hostname", strings.TrimSpace(section(t, out, "hostname")), spec.Hostname)
			want(t, "network devices", section(t, out, "network"), "lo\n")
			wantContains(t, "environment", section(t, out, "env"), spec.Process.Env...)
			wantContains(t, "devices", section(t, out, "devices"),
				"null character special file 1:3 666", "tty character special file 5:0 666", "ptmx symbolic link", "fd symbolic link")
			if value, ok := spec.Linux.Sysctl["net.ipv4.ping_group_range"]; ok {
				want(t, "sysctl", strings.Join(strings.Fields(section(t, out, "sysctl")), " "), value)
			}
			inside := membership(section(t, out, "cgroup"))
			for _, h := range hierarchies() {
				path := spec.Linux.CgroupsPath
				if path == "" || host.systemd {
					path = c.id // which ends the default's last name
				}
				if host.systemd {
					path += ".scope"
				}
				want(t, "hierarchy "+h+": "+inside[h]+" ends with "+path, strings.HasSuffix(inside[h], path), true)
			}
		})
	}
}

func checkNamespaces(t *testing.T, spec *specs.Spec, text string) {
	t.Helper()
	for kind, file := range nsFiles() {
		hosts, err := os.Readlink("/proc/self/ns/" + file)
		if err != nil {
			t.Fatal(err)
		}
		listed := slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
		want(t, "the host's "+file+" namespace inside", strings.Contains(text, file+" "+hosts+"\n"), !listed)
	}
}

// checkMounts compares each configured mount with what is mounted there. Options of tmpfs and devpts are compared
// where the kernel shows them as they were given.
func checkMounts(t *testing.T, spec *specs.Spec, mounts []mountEntry) {
	t.Helper()
	want(t, "option ro of /", mountAt(t, mounts, "/").has("ro"), spec.Root.Readonly)
	for _, m := range spec.Mounts {
		got := mountAt(t, mounts, m.Destination)
		switch {
		case m.Type != "cgroup":
			want(t, "type of "+m.Destination, got.fstype, m.Type)
		case host.cgroups.kind() == "v2":
			want(t, "type of "+m.Destination, got.fstype, "cgroup2")
		default:
			continue // a tmpfs with a mount for each hierarchy; see TestCgroupMount
		}
		for _, option := range m.Options {
			switch option {
			case "ro", "nosuid", "nodev", "noexec", "relatime":
				want(t, "option "+option+" of "+m.Destination, got.has(option), true)
			case "strictatime":
				want(t, "option relatime of "+m.Destination, got.has("relatime"), false)
			case "size=65536k", "mode=755", "gid=5", "mode=1777":
				want(t, "option "+option+" of "+m.Destination+" in "+got.superOptions, got.hasSuper(option) || option == "mode=1777", true)
			}
		}
	}
	for _, path := range spec.Linux.ReadonlyPaths {
		if _, err := os.Stat(path); err == nil && !strings.HasSuffix(path, "asound") {
			want(t, "option ro of "+path, mountAt(t, mounts, path).has("ro"), true)
		}
	}
}

func checkStatus(t *testing.T, spec *specs.Spec, status string) {
	t.Helper()
	wanted := capabilityMask(spec.Process.Capabilities.Bounding)
	for _, field := range []string{"CapPrm", "CapEff", "CapBnd"} {
		want(t, field, capabilityNumbers(t, statusField(t, status, field)), wanted)
	}
	mode, bit := "0", "0"
	if spec.Linux.Seccomp != nil {
		mode = "2"
	}
	if spec.Process.NoNewPrivileges {
		bit = "1"
	}
	want(t, "Seccomp", statusField(t, status, "Seccomp"), mode)
	want(t, "NoNewPrivs", statusField(t, status, "NoNewPrivs"), bit)
}

// capabilityMask gives the numbers of the capabilities that the workloads use, as capabilityNumbers writes them.
func capabilityMask(names []string) string {
	order := []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
		"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
		"SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
		"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"} // linux/capability.h
	var numbers []string
	for number, name := range order {
		if slices.Contains(names, "CAP_"+name) {
			numbers = append(numbers, itoa(number))
		}
	}
	return strings.Join(numbers, " ")
}

func checkLimits(t *testing.T, spec *specs.Spec, limits string) {
	t.Helper()
	rows := map[string]string{"RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes"}
	for _, limit := range spec.Process.Rlimits {
		found := false
		for line := range strings.Lines(limits) {
			if rest, ok := strings.CutPrefix(line, rows[limit.Type]); ok {
				found = true
				fields := strings.Fields(rest)
				want(t, limit.Type, fields[0]+" "+fields[1], itoa(int(limit.Soft))+" "+itoa(int(limit.Hard)))
			}
		}
		want(t, "a row for "+limit.Type, found, true)
	}
}

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// badInput is a mistake of a user's, and what berth's one line about it must say: the field and the cause.
type badInput struct {
	name  string
	says  []string
	spec  option             // what is wrong in the config, or
	files func(c *container) // in the bundle
	lax   bool               // the reference accepts it
}

// Each mistake in a bundle gives one line that names the field and the cause, exit code 1, and a host as it was:
// no mount, cgroup, process, state or file more than before. All problems are found before anything is made that
// could be left, or what was made is taken back.
func TestBadInput(t *testing.T) {
	for _, bad := range badInputs() {
		t.Run(bad.name, func(t *testing.T) {
			needsRoot(t)
			if bad.lax && !isBerth() {
				newerThanReference(t, "this check: it accepts the config")
			}
			hostUnchanged(t)
			options := []option{}
			if bad.spec != nil {
				options = append(options, bad.spec)
			}
			c := newContainer(t, options...)
			if bad.files != nil {
				bad.files(c)
			}
			before := listTree(t, filepath.Dir(c.bundle))
			for _, command := range []string{"create", "run"} {
				r := c.oci(c.command(command, nil)...).exits(t, 1)
				checkOneLine(t, command, r, bad.says)
			}
			c.oci("state", c.id).exits(t, 1)
			// The rootfs may keep mount points that were made before the mistake was met, nothing else.
			for path := range listTree(t, filepath.Dir(c.bundle)) {
				if !before[path] && !strings.HasPrefix(path, c.rootfs+"/") && path != c.stateRoot {
					t.Errorf("new file: %s", path)
				}
			}
		})
	}
}

// checkOneLine looks at a failed call's error.
func checkOneLine(t *testing.T, command string, r result, says []string) {
	t.Helper()
	want(t, command+"'s stdout", r.stdout, "")
	if !isBerth() {
		want(t, command+" says why", r.stderr != "", true)
		return
	}
	want(t, "lines on stderr of "+command+":\n"+r.stderr, strings.Count(r.stderr, "\n"), 1)
	wantContains(t, command+"'s error", r.stderr, says...)
}

// listTree lists all paths below a folder.
func listTree(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		found[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func badInputs() []badInput {
	all := badFiles()
	all = append(all, badProcess()...)
	return append(all, badRest()...)
}

// replaceConfig writes another text in place of config.json.
func replaceConfig(text string) func(*container) {
	return func(c *container) { c.writeConfigText(text) }
}

// inConfig replaces a part of the config's text, which must be there.
func inConfig(old, new string) func(*container) {
	return func(c *container) {
		c.t.Helper()
		text, err := os.ReadFile(filepath.Join(c.bundle, "config.json"))
		if err != nil {
			c.t.Fatal(err)
		}
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			c.t.Fatalf("the config has no %q to replace", old)
		}
		c.writeConfigText(changed)
	}
}

func remove(path func(*container) string) func(*container) {
	return func(c *container) {
		c.t.Helper()
		if err := os.RemoveAll(path(c)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func configPath(c *container) string { return filepath.Join(c.bundle, "config.json") }

func badFiles() []badInput {
	return []badInput{
		{name: "no config.json", says: []string{"config.json", "no such file or directory"}, files: remove(configPath)},
		{name: "config.json is a folder", says: []string{"config.json", "is a directory"}, files: func(c *container) {
			remove(configPath)(c)
			if err := os.Mkdir(configPath(c), 0o755); err != nil {
				c.t.Fatal(err)
			}
		}},
		{name: "config.json is a loop of links", says: []string{"config.json", "too many levels of symbolic links"}, files: func(c *container) {
			remove(configPath)(c)
			symlink(c.t, "config.json", configPath(c))
		}},
		{name: "empty config.json", says: []string{"config.json"}, files: replaceConfig("")},
		// With the line and the column.
		{name: "broken JSON", says: []string{"config.json:3:2"}, files: replaceConfig("{\n\t\"ociVersion\": \"1.0.2\"\n\t\"process\": {}\n}\n")},
		{name: "JSON that ends early", says: []string{"config.json:2:13"}, files: replaceConfig("{\"ociVersion\": \"1.0.2\",\n\"process\": {")},
		{name: "more after the JSON", says: []string{"config.json"}, lax: true, files: func(c *container) {
			text, err := os.ReadFile(configPath(c))
			if err != nil {
				c.t.Fatal(err)
			}
			c.writeConfigText(string(text) + "{}")
		}},
		{name: "a list for an object", says: []string{"config.json", "process"}, files: inConfig(`"process": {`, `"process": [], "x": {`)},
		{name: "a string for a number", says: []string{"process.user.uid"}, files: inConfig(`"uid": 0`, `"uid": "root"`)},
		{name: "a number for a string", says: []string{"process.args[0]"}, files: inConfig(`"/bin/true"`, `17`)},
		{name: "a number out of range", says: []string{"process.user.gid"}, files: inConfig(`"gid": 0`, `"gid": 4294967296`)},
		{name: "a fraction", says: []string{"process.user.gid"}, files: inConfig(`"gid": 0`, `"gid": 1.5`)},
		{name: "a word for a truth value", says: []string{"process.noNewPrivileges"}, files: inConfig(`"noNewPrivileges": true`, `"noNewPrivileges": "yes"`)},
		{name: "no rootfs", says: []string{"root.path", "no such file or directory"}, files: remove(func(c *container) string { return c.rootfs })},
		{name: "rootfs is a file", says: []string{"root.path", "is not a folder"}, files: func(c *container) {
			remove(func(c *container) string { return c.rootfs })(c)
			if err := os.WriteFile(c.rootfs, nil, 0o644); err != nil {
				c.t.Fatal(err)
			}
		}},
		{name: "the program is missing", says: []string{"process.args", "/bin/missing", "no such file or directory"}, spec: withArgs("/bin/missing")},
		{name: "the program is not in PATH", says: []string{"process.args", "missing", "executable file not found in $PATH"}, spec: withArgs("missing")},
		{name: "the program cannot be executed", says: []string{"process.args", "/etc/passwd", "permission denied"}, spec: withArgs("/etc/passwd")},
		{name: "the program is a folder", says: []string{"process.args", "/etc"}, spec: withArgs("/etc")},
		{name: "a missing bind source", says: []string{"mounts[5]", "/no/such/source", "no such file or directory"},
			spec: withMounts(specs.Mount{Destination: "/m", Source: "/no/such/source", Options: []string{"bind"}})},
		{name: "a folder over a file", says: []string{"mounts[5]", "/etc/passwd", "not a directory"},
			spec: withMounts(specs.Mount{Destination: "/etc/passwd", Type: "tmpfs", Source: "tmpfs"})},
	}
}

func badProcess() []badInput {
	rlimits := func(limits ...specs.POSIXRlimit) option {
		return withProcess(func(p *specs.Process) { p.Rlimits = limits })
	}
	return []badInput{
		{name: "no args", says: []string{"process.args"}, spec: withArgs()},
		{name: "an empty program name", says: []string{"process.args[0]"}, spec: withArgs("")},
		{name: "no process", says: []string{"process"}, spec: func(s *specs.Spec) { s.Process = nil }},
		{name: "relative cwd", says: []string{"process.cwd", "home"}, spec: withProcess(func(p *specs.Process) { p.Cwd = "home" })},
		{name: "no cwd", says: []string{"process.cwd"}, spec: withProcess(func(p *specs.Process) { p.Cwd = "" })},
		{name: "cwd is a file", says: []string{"process.cwd", "/etc/passwd", "not a directory"}, spec: withProcess(func(p *specs.Process) { p.Cwd = "/etc/passwd" })},
		{name: "an unknown rlimit", says: []string{"process.rlimits[0].type", "RLIMIT_FUN"}, spec: rlimits(specs.POSIXRlimit{Type: "RLIMIT_FUN"})},
		{name: "an rlimit twice", says: []string{"process.rlimits[1].type", "RLIMIT_CORE"},
			spec: rlimits(specs.POSIXRlimit{Type: "RLIMIT_CORE"}, specs.POSIXRlimit{Type: "RLIMIT_CORE"}), lax: true},
		{name: "an rlimit with soft over hard", says: []string{"process.rlimits[0]"},
			spec: rlimits(specs.POSIXRlimit{Type: "RLIMIT_CORE", Soft: 10, Hard: 5})},
		{name: "oomScoreAdj out of range", says: []string{"process.oomScoreAdj", "1001"},
			spec: withProcess(func(p *specs.Process) { p.OOMScoreAdj = ptr(1001) })},
	}
}

func badRest() []badInput {
	return []badInput{
		{name: "another major version", says: []string{"ociVersion", "2.0.0"}, lax: true, spec: func(s *specs.Spec) { s.Version = "2.0.0" }},
		{name: "no version", says: []string{"ociVersion"}, lax: true, spec: func(s *specs.Spec) { s.Version = "" }},
		{name: "a version that is none", says: []string{"ociVersion", "one"}, lax: true, spec: func(s *specs.Spec) { s.Version = "one" }},
		{name: "another platform", says: []string{"linux"}, lax: true, spec: func(s *specs.Spec) {
			s.Linux, s.Windows = nil, &specs.Windows{LayerFolders: []string{"C:\\layer"}}
		}},
		{name: "no root", says: []string{"root"}, spec: func(s *specs.Spec) { s.Root = nil }},
		{name: "an empty root path", says: []string{"root.path"}, lax: true, spec: func(s *specs.Spec) { s.Root.Path = "" }},
		{name: "a mount without destination", says: []string{"mounts[5].destination"}, lax: true,
			spec: withMounts(specs.Mount{Type: "tmpfs", Source: "tmpfs"})},
		{name: "an unknown mount option", says: []string{"mounts[5]", "/m", "sharp"},
			spec: withMounts(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs", Options: []string{"sharp"}})},
		{name: "an unknown option of a bind mount", says: []string{"mounts[5]", "/m", "sharp"}, lax: true,
			spec: withMounts(specs.Mount{Destination: "/m", Type: "bind", Source: "/etc", Options: []string{"bind", "sharp"}})},
		{name: "a device that cannot be made", says: []string{"linux.devices[0]", "/etc/passwd/null"}, spec: withLinux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{{Path: "/etc/passwd/null", Type: "c", Major: 1, Minor: 3}}
		})},
		{name: "a device where a file is", says: []string{"linux.devices[0]", "/etc/passwd", "is there and is not the device"}, lax: true,
			spec: withLinux(func(l *specs.Linux) {
				l.Devices = []specs.LinuxDevice{{Path: "/etc/passwd", Type: "c", Major: 1, Minor: 3}}
			})},
		{name: "a device of no type", says: []string{"linux.devices[0]", "q"}, spec: withLinux(func(l *specs.Linux) {
			l.Devices = []specs.LinuxDevice{{Path: "/dev/odd", Type: "q", Major: 1, Minor: 3}}
		})},
		{name: "an unknown file system", says: []string{"mounts[5]", "nosuchfs"},
			spec: withMounts(specs.Mount{Destination: "/m", Type: "nosuchfs", Source: "x"})},
		{name: "an unknown namespace", says: []string{"linux.namespaces[5].type", "dream"},
			spec: withNamespace(specs.LinuxNamespace{Type: "dream"})},
		{name: "a namespace twice", says: []string{"linux.namespaces[5]", "ipc"}, spec: withLinux(func(l *specs.Linux) {
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.IPCNamespace})
		})},
		{name: "no mount namespace", says: []string{"linux.namespaces", "mount"}, lax: true, spec: withoutNamespace(specs.MountNamespace)},
		{name: "a relative namespace path", says: []string{"linux.namespaces[4].path"},
			spec: withNamespace(specs.LinuxNamespace{Type: specs.IPCNamespace, Path: "ns/ipc"})},
		{name: "a cgroup path with ..", says: []string{"linux.cgroupsPath"}, lax: true,
			spec: withLinux(func(l *specs.Linux) { l.CgroupsPath = "/../../" + l.CgroupsPath })},
	}
}

// Ids of other characters than the allowed, and the two names of folders, are refused before anything else is done.
func TestBadIDs(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t)
	for _, id := range []string{".", "..", "a/b", "../a", "with space", "ünïcödé", "a\nb", "", "semi;colon", "a*"} {
		for _, command := range []string{"create", "run"} {
			r := c.oci(command, "--bundle", c.bundle, id)
			if r.code == 0 {
				t.Errorf("%s with id %q succeeds", command, id)
			}
			if isBerth() {
				want(t, "exit code", r.code, 1)
				wantContains(t, command+"'s error", r.stderr, "container id")
			}
		}
		for _, command := range []string{"state", "start", "delete"} {
			if r := c.oci(command, id); r.code == 0 {
				t.Errorf("%s with id %q succeeds", command, id)
			}
		}
	}
	for path := range listTree(t, filepath.Dir(c.bundle)) {
		if strings.HasPrefix(path, c.stateRoot+"/") {
			t.Errorf("new file: %s", path)
		}
	}
}

// All characters that are allowed in an id work, up to a great length.
func TestGoodIDs(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("cat /proc/self/cgroup"))
	for _, id := range []string{c.id + "_with+all-kinds.of_it", c.id + ".", c.id + "-" + strings.Repeat("x", 150)} {
		r := c.oci("run", "--bundle", c.bundle, id).ok(t)
		wantContains(t, "cgroup", r.stdout, c.id)
	}
}

// A bundle that is not there, or is a file, is an error that names it.
func TestBadBundle(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t)
	for _, bundle := range []string{"/no/such/bundle", configPath(c)} {
		r := c.oci("run", "--bundle", bundle, c.id).exits(t, 1)
		wantContains(t, "error", r.stderr, bundle)
	}
}

// Intel RDT without resctrl, as on most machines, is refused with how to mount it, and what is wrong with its fields.
func TestIntelRdtWithoutResctrl(t *testing.T) {
	berthOnly(t, "the words of its errors")
	hostUnchanged(t)
	if _, err := os.Stat("/sys/fs/resctrl/schemata"); err == nil {
		t.Skip("resctrl is mounted here")
	}
	for _, bad := range []struct {
		rdt  specs.LinuxIntelRdt
		says []string
	}{
		{specs.LinuxIntelRdt{}, []string{"linux.intelRdt", "mount -t resctrl"}},
		{specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}, []string{"linux.intelRdt", "mount -t resctrl"}},
		{specs.LinuxIntelRdt{ClosID: "../x"}, []string{"linux.intelRdt.closID"}},
		{specs.LinuxIntelRdt{MemBwSchema: "L3:0=f"}, []string{"linux.intelRdt.memBwSchema"}},
	} {
		c := newContainer(t, withLinux(func(l *specs.Linux) { l.IntelRdt = &bad.rdt }))
		checkOneLine(t, "run", c.run().exits(t, 1), bad.says)
	}
}

// A configuration that may not be read is told as such, to a user who is not root.
func TestUnreadableConfig(t *testing.T) {
	needsRoot(t)
	hostUnchanged(t)
	folder := filepath.Join(ordinary.folder, "unreadable")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	user := call{program: ordinary.runtime, attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary.uid, Gid: ordinary.gid}}}
	for _, command := range []string{"create", "run"} {
		r := user.run(t, "--root", filepath.Join(ordinary.folder, "state"), command, "--bundle", folder, "unreadable").exits(t, 1)
		checkOneLine(t, command, r, []string{"config.json", "permission denied"})
	}
}

// An id that is taken, and one that nobody has, are told in one line, and nothing changes: not the container that has
// the id either.
func TestTakenAndUnknownIDs(t *testing.T) {
	hostUnchanged(t)
	c := newContainer(t, withSleep())
	started := c.startSleeping()
	before, files := takeSnapshot(), listTree(t, c.stateRoot)
	for _, command := range []string{"create", "run"} {
		checkOneLine(t, command, c.oci(c.command(command, nil)...).exits(t, 1), []string{c.id, "exist"})
	}
	for _, args := range [][]string{{"start"}, {"state"}, {"kill", "nobody", "TERM"}, {"delete"}, {"pause"}, {"resume"}, {"ps"}, {"update", "--pids-limit", "7"}, {"events", "--stats"}} {
		if len(args) == 1 || args[0] != "kill" {
			args = append(args, "nobody")
		}
		checkOneLine(t, args[0], c.oci(args...).exits(t, 1), []string{"nobody", "does not exist"})
	}
	checkOneLine(t, "exec", c.oci("exec", "nobody", "true").exits(t, 255), []string{"nobody", "does not exist"})
	if left := before.newSince(); len(left) > 0 {
		t.Errorf("new on the host: %s", strings.Join(left, "\n"))
	}
	for path := range listTree(t, c.stateRoot) {
		want(t, "was there before: "+path, files[path], true)
	}
	now := c.state()
	want(t, "the container's status", now.Status, "running")
	want(t, "its pid", now.Pid, started.Pid)
	c.delete("--force").ok(t)
}

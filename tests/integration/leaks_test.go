package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// snapshot is the state of the host in everything that a container may leave behind: each item is a line that names
// one mount, cgroup, process, network namespace or file.
type snapshot map[string]bool

// defaultRoot is where berth keeps containers' states without --root. The folder itself stays once it is made, as
// other runtimes' do; nothing may stay in it.
const defaultRoot = "/run/berth"

// takeSnapshot looks at the host now.
func takeSnapshot() snapshot {
	s := snapshot{}
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMountinfo(string(text)) {
			s[fmt.Sprintf("mount %s on %s (%s %s)", m.source, m.target, m.fstype, strings.Join(m.options, ","))] = true
		}
	}
	for _, folder := range cgroupFolders() {
		s["cgroup "+folder] = true
	}
	for _, p := range descendants() {
		s["process "+p.String()] = true
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.pid)); err == nil {
			s["network namespace "+ns] = true
		}
	}
	for _, folder := range []string{"/run", "/tmp", "/dev/shm", "/dev/mqueue", "/var/run", defaultRoot} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // not every host has all of them
		}
		for _, e := range entries {
			s["file "+filepath.Join(folder, e.Name())] = true
		}
	}
	delete(s, "file "+defaultRoot)
	delete(s, "file /var"+defaultRoot)
	return s
}

// newSince lists what is on the host now and was not when the snapshot was taken. It gives the kernel two seconds:
// a cgroup or process that was ended goes away a moment later. Where the machine is shared with others, cgroups and
// files that do not bear the run's name are taken to be theirs; mounts and processes are always the tests' own.
func (before snapshot) newSince() []string {
	deadline := time.Now().Add(2 * time.Second)
	for {
		var found []string
		for item := range takeSnapshot() {
			theirs := strings.HasPrefix(item, "cgroup ") || strings.HasPrefix(item, "file ")
			if before[item] || theirs && !host.alone && !strings.Contains(item, host.token) {
				continue
			}
			found = append(found, item)
		}
		if len(found) == 0 || time.Now().After(deadline) {
			slices.Sort(found)
			return found
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// hostUnchanged fails the test when it leaves anything on the host at its end. A test that calls it must not be
// parallel, since it would see the others' containers; it calls it before it makes its first container, so that the
// comparison comes after all other clean-up.
func hostUnchanged(t *testing.T) {
	t.Helper()
	before := takeSnapshot()
	t.Cleanup(func() {
		if left := before.newSince(); len(left) > 0 {
			t.Errorf("left on the host:\n%s", strings.Join(left, "\n"))
		}
	})
}

// namedLeftovers lists what on the host still bears a container's id: cgroups, mounts, the state folder's files,
// and processes in its cgroups. It waits up to two seconds for that to be nothing.
func namedLeftovers(id, stateRoot string) []string {
	deadline := time.Now().Add(2 * time.Second)
	for {
		found := namedNow(id, stateRoot)
		if len(found) == 0 || time.Now().After(deadline) {
			return found
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func namedNow(id, stateRoot string) []string {
	var found []string
	for _, folder := range cgroupFolders() {
		// The id ends the name, or a suffix of letters follows (.scope); the next digit would be another id.
		if _, rest, ok := strings.Cut(folder, id); ok && (rest == "" || rest[0] < '0' || rest[0] > '9') {
			found = append(found, "cgroup "+folder)
			if pids, err := os.ReadFile(filepath.Join(folder, "cgroup.procs")); err == nil {
				for _, pid := range strings.Fields(string(pids)) {
					found = append(found, "process in it "+describeProcess(pid))
				}
			}
		}
	}
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMountinfo(string(text)) {
			if strings.Contains(m.target+"/", "/"+id+"/") {
				found = append(found, "mount on "+m.target)
			}
		}
	}
	entries, err := os.ReadDir(stateRoot)
	if err != nil {
		return found // the runtime never made its state folder
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), id) {
			found = append(found, "state "+filepath.Join(stateRoot, e.Name()))
		}
	}
	return found
}

// process is one of the tests' descendants.
type process struct {
	pid, ppid int
	state     byte // as in /proc/PID/stat: R, S, Z, …
	name      string
}

func (p process) String() string {
	return fmt.Sprintf("%d (%s) state %c", p.pid, p.name, p.state)
}

func describeProcess(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return pid + " (gone)"
	}
	p, _ := parseStat(string(text))
	return p.String()
}

// parseStat reads the first fields of /proc/PID/stat; the name, in brackets, may hold anything.
func parseStat(text string) (process, bool) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	rest := strings.Fields(text[end+1:])
	if len(rest) < 2 {
		return process{}, false
	}
	p := process{name: text[open+1 : end], state: rest[0][0]}
	p.pid, _ = strconv.Atoi(strings.TrimSpace(text[:open]))
	p.ppid, _ = strconv.Atoi(rest[1])
	return p, true
}

// descendants lists this process's children, theirs, and so on. Orphans among them are its children, since it is
// a subreaper.
func descendants() []process {
	children := map[int][]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		if p, ok := parseStat(string(text)); ok {
			children[p.ppid] = append(children[p.ppid], p)
		}
	}
	var all []process
	for queue := children[os.Getpid()]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0].pid]...)
	}
	return all
}

// sweep ends the processes and removes the cgroups that a faulty runtime or an interrupted run left, so that the next
// starts on a clean host.
func sweep() {
	for _, p := range descendants() {
		_ = unix.Kill(p.pid, unix.SIGKILL) // it may have ended
	}
	folders := cgroupFolders()
	slices.Reverse(folders) // children before their parents
	for _, folder := range folders {
		if !strings.Contains(folder, host.token) {
			continue
		}
		for tries := 0; tries < 20; tries++ {
			children.reap()
			if err := os.Remove(folder); err == nil || os.IsNotExist(err) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

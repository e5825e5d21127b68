package integration

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// agent is what decides about a container's system calls over SCMP_ACT_NOTIFY: it lets none of them happen, and
// answers success.
type agent struct {
	t      *testing.T
	path   string
	mutex  sync.Mutex
	states []specs.ContainerProcessState
	calls  int // it has answered
	done   sync.WaitGroup
}

// struct seccomp_notif and seccomp_notif_resp of seccomp_unotify(2).
type notification struct {
	id         uint64
	pid, flags uint32
	data       struct {
		number int32
		arch   uint32
		ip     uint64
		args   [6]uint64
	}
}

type verdict struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	needsRoot(t)
	dir, err := os.MkdirTemp(host.scratch, "agent-")
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, path: filepath.Join(dir, "socket")}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	a.done.Go(func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return // the test is over
			}
			a.done.Go(func() { a.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); a.done.Wait() })
	return a
}

// serve takes one state and its descriptor, and answers until the process and all of its children have ended.
func (a *agent) serve(conn *net.UnixConn) {
	text, oob := make([]byte, 65536), make([]byte, 64)
	n, oobn, _, _, err := conn.ReadMsgUnix(text, oob)
	conn.Close()
	if err != nil {
		a.t.Errorf("agent: %v", err)
		return
	}
	var state specs.ContainerProcessState
	if err := json.Unmarshal(text[:n], &state); err != nil {
		a.t.Errorf("agent: %q: %v", text[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		a.t.Errorf("agent: %d control messages: %v", len(messages), err)
		return
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		a.t.Errorf("agent: %d descriptors: %v", len(fds), err)
		return
	}
	defer unix.Close(fds[0])
	a.mutex.Lock()
	a.states = append(a.states, state)
	a.mutex.Unlock()
	for a.answer(fds[0]) {
	}
}

func (a *agent) answer(fd int) bool {
	// On Linux 6.1 a wait for a call goes on when nobody is left to make one: none begins unless there is one.
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, -1); errors.Is(err, unix.EINTR) {
		return true // Go's runtime sends its threads signals
	}
	if poll[0].Revents&unix.POLLIN == 0 {
		return false
	}
	var asked notification
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&asked)))
	if errno != 0 {
		return errno == unix.EINTR || errno == unix.ENOENT // the caller is gone
	}
	reply := verdict{id: asked.id}
	_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&reply)))
	if errno != 0 && errno != unix.ENOENT {
		a.t.Errorf("agent: answer: %v", errno)
		return false
	}
	a.mutex.Lock()
	a.calls++
	a.mutex.Unlock()
	return true
}

func (a *agent) seen() ([]specs.ContainerProcessState, int) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.Clone(a.states), a.calls
}

// askAbout is a profile that has the agent decide about calls.
func (a *agent) askAbout(calls ...string) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: a.path, ListenerMetadata: "meta",
		Syscalls: []specs.LinuxSyscall{{Names: calls, Action: specs.ActNotify}}}
}

// With SCMP_ACT_NOTIFY the agent gets the listener and the container's process state, for create and for exec, and
// decides from then on.
func TestSeccompNotify(t *testing.T) {
	t.Parallel()
	for name, nnp := range map[string]bool{"with no_new_privs": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t)
			c := newContainer(t, withSeccomp(a.askAbout("mkdir", "mkdirat")), withScript("mkdir /nowhere/x && echo made; ls -d /nowhere; echo ready; exec sleep 600"),
				withProcess(func(p *specs.Process) { p.NoNewPrivileges = nnp }),
				func(s *specs.Spec) { s.Annotations = map[string]string{"a": "b"} })
			c.create().ok(t)
			created := c.state().Pid
			var states []specs.ContainerProcessState
			waitFor(t, "the agent's first state", func() bool { states, _ = a.seen(); return len(states) > 0 })
			_, calls := a.seen()
			want(t, "states at create, calls", len(states)*10+calls, 10)
			want(t, "pid", states[0].Pid, created)
			want(t, "metadata", states[0].Metadata, "meta")
			want(t, "descriptors' names", strings.Join(states[0].Fds, " "), "seccompFd")
			want(t, "id", states[0].State.ID, c.id)
			want(t, "annotation", states[0].State.Annotations["a"], "b")
			want(t, "bundle", states[0].State.Bundle, c.bundle)
			want(t, "status", string(states[0].State.Status), "creating")
			want(t, "pid of the state", states[0].State.Pid, created)

			c.start().ok(t)
			waitFor(t, "the script says ready", func() bool { return strings.Contains(c.output(), "ready\n") })
			wantContains(t, "output", c.output(), "made\n")
			r := c.execScript("mkdir /nowhere/y && echo made too; ls /nowhere").exits(t, 1)
			want(t, "exec's output", r.stdout, "made too\n")
			// The agent counts a call once it has answered, and the caller may be quicker.
			waitFor(t, "2 states and calls", func() bool { states, calls = a.seen(); return len(states) >= 2 && calls >= 2 })
			want(t, "states, calls", len(states)*10+calls, 22)
			want(t, "status at exec", string(states[1].State.Status), "running")
			want(t, "pid of the state at exec", states[1].State.Pid, created)
			if states[1].Pid == created || states[1].Pid <= 1 {
				t.Errorf("exec's pid is %d, the container's %d", states[1].Pid, created)
			}
		})
	}
}

// Flags of seccomp(2) go together with a listener: TSYNC, and a wait that only a fatal signal ends.
func TestSeccompNotifyFlags(t *testing.T) {
	cameWith(t, 5, 19, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
	newerThanReference(t, "flags of seccomp(2)")
	t.Parallel()
	for _, flags := range [][]specs.LinuxSeccompFlag{
		{"SECCOMP_FILTER_FLAG_TSYNC"}, {specs.LinuxSeccompFlagWaitKillableRecv},
		{specs.LinuxSeccompFlagWaitKillableRecv, "SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow},
	} {
		a := newAgent(t)
		profile := a.askAbout("mkdir", "mkdirat")
		profile.Flags = flags
		c := newContainer(t, withSeccomp(profile), withScript("mkdir /nowhere/x && echo made"))
		want(t, "output", c.run().ok(t).stdout, "made\n")
	}
}

// Calls that the set-up needs after the filter is in force may be the agent's too.
func TestSeccompNotifyOfSetup(t *testing.T) {
	berthOnly(t, "runc needs more calls")
	t.Parallel()
	a := newAgent(t)
	profile := a.askAbout("sendmsg", "recvmsg", "capset")
	c := newContainer(t, withSeccomp(profile), withProcess(func(p *specs.Process) { p.NoNewPrivileges = false }))
	c.create().ok(t)
	c.start().ok(t)
}

// crun's annotation names the agent where the profile does not.
func TestSeccompReceiver(t *testing.T) {
	berthOnly(t, "crun's annotation")
	t.Parallel()
	a := newAgent(t)
	profile := a.askAbout("mkdir", "mkdirat")
	profile.ListenerPath = ""
	c := newContainer(t, withSeccomp(profile), withScript("mkdir /nowhere/x && echo made"),
		func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.seccomp.receiver": a.path} })
	want(t, "output", c.run().ok(t).stdout, "made\n")
}

// Without the agent nothing starts and nothing stays; the error names the socket.
func TestSeccompNotifyWithoutAgent(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	profile := a.askAbout("mkdir")
	profile.ListenerPath = "/no/agent"
	c := newContainer(t, withSeccomp(profile))
	for _, command := range []string{"create", "run"} {
		r := c.oci(c.command(command, nil)...)
		if r.code == 0 {
			t.Errorf("%s succeeds", command)
		}
		wantContains(t, command, r.stderr, "/no/agent")
		if isBerth() {
			wantContains(t, command, r.stderr, "linux.seccomp.listenerPath")
		}
		c.oci("state", c.id).exits(t, 1)
	}
	// With an agent that goes away, exec fails and the container runs on.
	profile.ListenerPath = a.path
	c = newContainer(t, withSeccomp(profile), withSleep())
	c.startSleeping()
	if err := os.Remove(a.path); err != nil {
		t.Fatal(err)
	}
	r := c.exec(nil, "true").exits(t, 255)
	wantContains(t, "exec's error", r.stderr, a.path)
	want(t, "status", c.state().Status, "running")
}

// Compiled programs are kept for the next container; what somebody else could have written is not used.
func TestSeccompCache(t *testing.T) {
	berthOnly(t, "the cache of compiled programs")
	t.Parallel()
	profile := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(unix.EDOM))}}}
	c := newContainer(t, withSeccomp(profile), withScript("mkdir /x"))
	folder := filepath.Join(c.stateRoot, "@seccomp")
	denied := func() {
		t.Helper()
		wantContains(t, "error", c.run().exits(t, 1).stderr, "Numerical argument out of domain")
	}
	entry := func() os.FileInfo {
		t.Helper()
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) != 1 {
			t.Fatalf("the cache has %d entries: %v", len(entries), err)
		}
		info, err := entries[0].Info()
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	denied()
	first := entry()
	want(t, "mode of the entry", first.Mode().String(), "-rw-------")
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "mode of the folder", info.Mode().String(), "drwx------")
	denied()
	if !os.SameFile(first, entry()) {
		t.Error("the second container does not use the first one's program")
	}
	if list := c.oci("list", "--quiet").ok(t).stdout; list != "" {
		t.Errorf("list shows the cache: %s", list)
	}
	// A damaged entry, one that others may write, and a folder that others may write.
	file := filepath.Join(folder, first.Name())
	for _, harm := range []func() error{
		func() error { return os.WriteFile(file, make([]byte, first.Size()), 0o600) },
		func() error { return os.Chmod(file, 0o666) },
		func() error { return os.Chmod(folder, 0o777) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		denied()
	}
}

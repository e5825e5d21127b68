package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
	"berth/nsenter"
)

// Where systemd started berth as a service that tells when it is ready
// (sd_notify(3)), the container's process is to be the one that tells. It gets
// a socket of its own at notifyTarget, and a small process of the executor's,
// outside the container, passes on what comes there: systemd only listens to
// processes of the service. The relay ends with the container; nobody waits
// for it, so a container that never says that it is ready holds nobody up.

const (
	notifyFolder = "notify" // in the container's state folder
	notifyName   = "notify.sock"
	notifyTarget = "/run/notify"
)

// notifyLines are the assignments that may go on. MAINPID would be a number of
// the container's pid namespace, and FDSTORE would fill systemd's memory.
func notifyLines() []string {
	return []string{"READY=", "RELOADING=", "STOPPING=", "STATUS=", "ERRNO=", "BUSERROR=", "VARLINKERROR=", "EXIT_STATUS=",
		"WATCHDOG=", "WATCHDOG_USEC=", "EXTEND_TIMEOUT_USEC=", "MONOTONIC_USEC=", "X_"}
}

// activated returns the bundle with what systemd has given berth to hand on:
// descriptors (sd_listen_fds(3)) and the socket that it listens to.
func (r *Runtime) activated(opt *CreateOptions) *Bundle {
	if opt.ListenFDs == 0 && opt.NotifySocket == "" || opt.Bundle.Spec.Process == nil {
		return opt.Bundle
	}
	b, s, p := *opt.Bundle, *opt.Bundle.Spec, *opt.Bundle.Spec.Process
	b.Spec, s.Process = &s, &p
	if opt.ListenFDs > 0 {
		p.Env = withoutEnv(p.Env, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
		p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(opt.ListenFDs))
		if opt.ListenNames != "" {
			p.Env = append(p.Env, "LISTEN_FDNAMES="+opt.ListenNames)
		}
	}
	if opt.NotifySocket != "" {
		p.Env = append(withoutEnv(p.Env, "NOTIFY_SOCKET"), "NOTIFY_SOCKET="+notifyTarget+"/"+notifyName)
		s.Mounts = append(slices.Clone(s.Mounts), specs.Mount{Type: "bind", Destination: notifyTarget,
			Source: filepath.Join(r.dir(opt.ID), notifyFolder), Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}})
	}
	return &b
}

// withoutEnv returns env without the named entries.
func withoutEnv(env []string, names ...string) []string {
	out := make([]string, 0, len(env)+3)
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains(names, name) {
			out = append(out, e)
		}
	}
	return out
}

// lateEnv returns the entries that are known only now: HOME, from the image's
// passwd, and whom LISTEN_FDS is for.
func (m *creation) lateEnv(passwd int) ([]byte, error) {
	var entries []string
	if m.compile.Home {
		entries = append(entries, "HOME="+homeFolder(passwd, m.opt.Bundle.Spec.Process.User.UID))
	}
	if m.opt.ListenFDs > 0 {
		pid, err := pidInside(m.Pid)
		if err != nil {
			return nil, fmt.Errorf("LISTEN_PID: %w", err)
		}
		entries = append(entries, "LISTEN_PID="+strconv.Itoa(pid))
	}
	return []byte(strings.Join(entries, "\x00")), nil
}

// makeNotifySocket makes the container's socket, which everybody in there may
// send to.
func (m *creation) makeNotifySocket() error {
	if m.opt.NotifySocket == "" {
		return nil
	}
	dir := filepath.Join(m.dir, notifyFolder)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: socket: %w", err)
	}
	m.fds = append(m.fds, s)
	m.notify = s
	err = atFolder(dir, func(short string) error { return unix.Bind(s, &unix.SockaddrUnix{Name: short + "/" + notifyName}) })
	if err == nil {
		err = os.Chmod(filepath.Join(dir, notifyName), 0o777)
	}
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: bind %s/%s: %w", dir, notifyName, err)
	}
	return nil
}

// atFolder calls f with a path to dir that always fits into a socket's address,
// which holds 107 bytes; unix(7).
func atFolder(dir string, f func(short string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f("/proc/self/fd/" + strconv.Itoa(fd))
}

// relayNotify starts the process that passes messages on.
func (m *creation) relayNotify() error {
	if m.opt.NotifySocket == "" {
		return nil
	}
	to, err := connectNotify(m.opt.NotifySocket)
	if err != nil {
		// A service must not depend on being listened to; sd_notify(3).
		m.runtime.Log("warning", fmt.Sprintf("NOTIFY_SOCKET: connect to %s: %v: nobody will be told that the container is ready", m.opt.NotifySocket, err))
		return nil
	}
	defer unix.Close(to)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	const first = plan.SlotFree
	relay := plan.RelayNotify{From: first, To: first + 1, Pidfd: plan.SlotPidfd, Keep: notifyLines()}
	if !m.opt.NotifyAsMain {
		relay.Extra = "MAINPID=" + strconv.Itoa(m.Pid)
	}
	var p plan.Plan
	p.Add(plan.At("NOTIFY_SOCKET"), plan.SetName{Name: "berth:notify"})
	p.Add(plan.At("NOTIFY_SOCKET"), plan.Setsid{})
	p.Add(plan.At("NOTIFY_SOCKET"), plan.Chdir{Path: "/"})
	p.Add(plan.At("NOTIFY_SOCKET"), relay)
	cmd := nsenter.Command{Plan: &p, Stdio: [3]int{null, null, null}, CgroupFD: -1, Slots: []nsenter.SlotFD{
		{Slot: first, FD: m.notify}, {Slot: first + 1, FD: to}, {Slot: plan.SlotPidfd, FD: m.process.PidFD}}}
	started, err := cmd.Start()
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	started.Close()
	return nil
}

// connectNotify connects to the socket that systemd listens to; a name that
// starts with @ is abstract.
func connectNotify(name string) (int, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if name[0] == '@' {
		err = unix.Connect(s, &unix.SockaddrUnix{Name: name})
	} else {
		err = atFolder(filepath.Dir(name), func(short string) error {
			return unix.Connect(s, &unix.SockaddrUnix{Name: short + "/" + filepath.Base(name)})
		})
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(s))
	}
	return s, nil
}

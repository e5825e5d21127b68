package nsenter

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
)

// What an error says where its number alone would leave one guessing. The words
// about a program that is not found are those that engines look for.
func TestCause(t *testing.T) {
	two := []string{"/bin/x", "/usr/bin/x"}
	for _, c := range []struct {
		op    plan.Op
		errno syscall.Errno
		want  string
	}{
		{plan.FindExec{Name: "x", Candidates: two}, unix.ENOENT, `exec: "x": executable file not found in $PATH`},
		{plan.FindExec{Name: "x", Candidates: two}, unix.EACCES, `exec: "x": permission denied`},
		{plan.FindExec{Name: "x"}, unix.ENOENT, `exec: "x": executable file not found in $PATH`},
		{plan.FindExec{Name: "/x", Candidates: []string{"/x"}}, unix.ENOENT, `exec: "/x": stat /x: no such file or directory`},
		{plan.FindExec{Name: "/x", Candidates: []string{"/x"}}, unix.EISDIR, `exec: "/x": is a directory: permission denied`},
		{plan.FindExec{Name: "/x/y", Candidates: []string{"/x/y"}}, unix.ENOTDIR, `exec: "/x/y": not a directory`},
		{plan.Execve{}, unix.ENOEXEC, "exec format error: it is neither a program for this machine nor a script with #! in its first line"},
		{plan.Execve{}, unix.ENOENT, "no such file or directory: its interpreter or dynamic loader is missing in the rootfs"},
		{plan.Execve{}, unix.E2BIG, "argument list too long"},
		{plan.OpenTree{Path: "/s"}, unix.ENOENT, "no such file or directory: make the source, or take the mount out"},
		{plan.OpenTree{Path: "/s"}, unix.EINVAL, "invalid argument: file systems are mounted below it, which a user namespace may not uncover: use rbind"},
		{plan.OpenTree{Path: "/s", Recursive: true}, unix.EINVAL, "invalid argument"},
		{plan.OpenTree{Path: "/s"}, unix.EACCES, "permission denied: the way there is closed to who makes the mount (before Linux 5.12 to the container's own root): see the permissions of the folders above it"},
		{plan.MountSetattr{}, unix.EPERM, "operation not permitted: the host's mount has ro, nosuid, nodev, noexec or its times locked for this user namespace: take the opposite option (rw, suid, dev, exec, …) out"},
		{plan.Attach{}, unix.EROFS, "read-only file system: it is missing, and cannot be made here: make it in the rootfs beforehand"},
		{plan.Attach{}, unix.EACCES, "permission denied: it is missing or not in reach, and the container's root may not make it: make it in the rootfs, or give the rootfs to who that is on the host (chown)"},
		{plan.Setns{}, unix.EPERM, "operation not permitted: to join a namespace takes CAP_SYS_ADMIN in the user namespace that owns it: join that one by path too, or run berth as root"},
		{plan.WriteProc{Path: "self/oom_score_adj"}, unix.EACCES, "permission denied: only root of the host may lower it: give one that is not below berth's own (see /proc/self/oom_score_adj)"},
		{plan.Fsmount{Fstype: "devpts", Params: []string{"mode=620", "gid=5"}}, unix.EINVAL, "invalid argument: an id that uid= or gid= names must be mapped in the user namespace: map it, or take the option out"},
		{plan.Fsmount{Fstype: "devpts", Params: []string{"mode=620"}}, unix.EINVAL, "invalid argument"},
		{plan.Setgroups{}, unix.EPERM, "operation not permitted: setgroups(2) is denied in this user namespace (user_namespaces(7)): take the groups out"},
		{plan.Fsmount{Fstype: "proc"}, unix.EPERM, "operation not permitted: in a user namespace it takes a pid namespace that belongs to it, and that nothing is mounted over parts of the host's /proc: add {\"type\": \"pid\"} to linux.namespaces, or bind the host's /proc"},
		{plan.Fsmount{Fstype: "cgroup2"}, unix.EPERM, "operation not permitted: in a user namespace it takes a cgroup namespace that belongs to it: add {\"type\": \"cgroup\"} to linux.namespaces, or take the mount out"},
		{plan.Fsmount{Fstype: "ext4"}, unix.EPERM, "operation not permitted: only the host's root may mount this file system"},
		{plan.Chdir{Path: "/f"}, unix.ENOTDIR, "not a directory: name a folder"},
		{plan.Fsmount{Fstype: "dreamfs"}, unix.ENODEV, `no such device: this kernel knows no file system "dreamfs"`},
		{plan.Scheduler{}, unix.EOPNOTSUPP, "operation not supported: this kernel is built without CONFIG_UCLAMP_TASK: take SCHED_FLAG_UTIL_CLAMP_MIN and _MAX out"},
		{plan.Scheduler{}, unix.EINVAL, "invalid argument: the kernel does not take this policy with these values and flags: see sched_setattr(2)"},
		{plan.PivotRoot{}, unix.EINVAL, "invalid argument: where the host runs from an initramfs, use --no-pivot"},
		{plan.PivotRoot{}, unix.EBUSY, "device or resource busy"},
		{plan.Attach{Nosymlink: true}, unix.ELOOP, "too many levels of symbolic links: it must be a folder in the rootfs, not a link"},
		{plan.MountData{Nosymlink: true}, unix.ELOOP, "too many levels of symbolic links: it must be a folder in the rootfs, not a link"},
		{plan.Attach{}, unix.ELOOP, "too many levels of symbolic links: a link in the rootfs goes round in circles, or through /proc"},
		{plan.Mkdir{}, unix.ELOOP, "too many levels of symbolic links: a link in the rootfs goes round in circles, or through /proc"},
		{plan.Execve{}, unix.ELOOP, "too many levels of symbolic links"},
		{plan.Mknod{}, unix.EEXIST, "file exists: remove it from the rootfs, or mount a tmpfs over the folder"},
		{nil, unix.EPERM, "operation not permitted"},
	} {
		e := &StepError{Op: c.op, Errno: c.errno}
		if got := e.Error(); got != c.want {
			t.Errorf("%T, %v: got %q, want %q", c.op, c.errno, got, c.want)
		}
		e.Origin, e.Detail = plan.At("root.path"), "call"
		if got, want := e.Error(), "root.path: call: "+c.want; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Before Linux 5.12 a mount's flags are changed by mount(2), once it is attached.
func TestRemountCause(t *testing.T) {
	e := &StepError{Op: plan.Attach{}, Errno: unix.EPERM, Detail: remountDetail}
	if got, want := e.Error(), "mount: remount: operation not permitted"+lockedHint; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.Detail = "move_mount to data"
	if got, want := e.Error(), "move_mount to data: operation not permitted"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Why no process could be made, and what to do.
func TestStartError(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		unix.ENOSPC: "user.max_*_namespaces",
		unix.EPERM:  "need root or a user namespace",
		unix.EAGAIN: "pids limit or RLIMIT_NPROC",
		unix.ENOENT: "is /proc mounted",
		unix.EACCES: "vm.memfd_noexec",
		unix.ENOMEM: "cannot allocate memory",
	} {
		err := startError(errno)
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), errno.Error()) {
			t.Errorf("%v: got %q", errno, err)
		}
	}
}

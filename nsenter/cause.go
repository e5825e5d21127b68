package nsenter

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/libcontainer/plan"
)

// cause returns the error number's text, in words that engines know where
// they look for some, and what to do about it where that is known.
func (e *StepError) cause() string {
	text := e.Errno.Error()
	if e.Errno == unix.ELOOP {
		return text + linkHint(e.Op)
	}
	switch op := e.Op.(type) {
	case plan.FindExec:
		return execCause(op.Name, e.Errno)
	case plan.Execve:
		switch e.Errno {
		case unix.ENOEXEC:
			return text + ": it is neither a program for this machine nor a script with #! in its first line"
		case unix.ENOENT:
			return text + ": its interpreter or dynamic loader is missing in the rootfs"
		}
	case plan.OpenTree:
		switch {
		case e.Errno == unix.ENOENT:
			return text + ": make the source, or take the mount out"
		case e.Errno == unix.EINVAL && !op.Recursive:
			return text + ": file systems are mounted below it, which a user namespace may not uncover: use rbind"
		case e.Errno == unix.EACCES:
			return text + ": the way there is closed to who makes the mount (before Linux 5.12 to the container's own root): see the permissions of the folders above it"
		}
	case plan.MountSetattr:
		if e.Errno == unix.EPERM {
			return text + lockedHint
		}
	case plan.Setns, plan.Fsmount, plan.Setgroups:
		if e.Errno == unix.EPERM {
			return text + ownerHint(op)
		}
		if op, ok := op.(plan.Fsmount); ok && e.Errno == unix.EINVAL && namesID(op.Params) {
			return text + ": an id that uid= or gid= names must be mapped in the user namespace: map it, or take the option out"
		}
		if op, ok := op.(plan.Fsmount); ok && e.Errno == unix.ENODEV {
			return fmt.Sprintf("%s: this kernel knows no file system %q", text, op.Fstype)
		}
	case plan.Attach:
		// What mount_setattr(2) would have done before, without it (Linux 5.12).
		if e.Errno == unix.EPERM && e.Detail == remountDetail {
			return text + lockedHint
		}
		return text + mountPointHint(e.Errno)
	case plan.Mknod:
		if e.Errno == unix.EEXIST {
			return text + ": remove it from the rootfs, or mount a tmpfs over the folder"
		}
	case plan.Chdir:
		if e.Errno == unix.ENOTDIR {
			return text + ": name a folder"
		}
	case plan.Affinity, plan.Scheduler, plan.Ioprio, plan.Mempolicy:
		return text + schedulingHint(op, e.Errno)
	case plan.WriteProc:
		return text + labelHint(op.Path, e.Errno)
	case plan.PivotRoot:
		if e.Errno == unix.EINVAL {
			return text + ": where the host runs from an initramfs, use --no-pivot"
		}
	}
	return text
}

// lockedHint says which flags of a mount a user namespace cannot change.
const lockedHint = ": the host's mount has ro, nosuid, nodev, noexec or its times locked for this user namespace: take the opposite option (rw, suid, dev, exec, …) out"

// remountDetail is the executor's for mount(2) with MS_REMOUNT (mount.c).
const remountDetail = "mount: remount"

// namesID says whether a file system's parameters name a user or group.
func namesID(params []string) bool {
	for _, p := range params {
		if strings.HasPrefix(p, "uid=") || strings.HasPrefix(p, "gid=") {
			return true
		}
	}
	return false
}

// mountPointHint says why a mount point that is missing could not be made.
func mountPointHint(errno syscall.Errno) string {
	switch errno {
	case unix.EROFS:
		return ": it is missing, and cannot be made here: make it in the rootfs beforehand"
	case unix.EACCES:
		return ": it is missing or not in reach, and the container's root may not make it: make it in the rootfs, or give the rootfs to who that is on the host (chown)"
	}
	return ""
}

// ownerHint says what a user namespace may do only with what belongs to it.
func ownerHint(op plan.Op) string {
	switch op := op.(type) {
	case plan.Setns:
		return ": to join a namespace takes CAP_SYS_ADMIN in the user namespace that owns it: join that one by path too, or run berth as root"
	case plan.Setgroups:
		return ": setgroups(2) is denied in this user namespace (user_namespaces(7)): take the groups out"
	case plan.Fsmount:
		switch op.Fstype {
		case "proc":
			return ": in a user namespace it takes a pid namespace that belongs to it, and that nothing is mounted over parts of the host's /proc: add {\"type\": \"pid\"} to linux.namespaces, or bind the host's /proc"
		case "cgroup", "cgroup2":
			return ": in a user namespace it takes a cgroup namespace that belongs to it: add {\"type\": \"cgroup\"} to linux.namespaces, or take the mount out"
		}
		return ": only the host's root may mount this file system"
	}
	return ""
}

// linkHint says what is wrong with a link in the rootfs; openat2(2) has one
// number for all of it.
func linkHint(op plan.Op) string {
	nosymlink := false
	switch op := op.(type) {
	case plan.Attach:
		nosymlink = op.Nosymlink
	case plan.MountData:
		nosymlink = op.Nosymlink
	case plan.Execve, plan.FindExec:
		return ""
	}
	if nosymlink {
		return ": it must be a folder in the rootfs, not a link"
	}
	return ": a link in the rootfs goes round in circles, or through /proc"
}

// labelHint says why the kernel refuses an AppArmor profile, a SELinux label or
// an OOM score.
func labelHint(path string, errno syscall.Errno) string {
	switch {
	case path == "self/oom_score_adj" && (errno == unix.EACCES || errno == unix.EPERM):
		return ": only root of the host may lower it: give one that is not below berth's own (see /proc/self/oom_score_adj)"
	case path == "self/attr/apparmor/exec" && errno == unix.ENOENT:
		return ": the profile is not loaded: load it with apparmor_parser, see aa-status"
	case path == "self/attr/apparmor/exec" && (errno == unix.EACCES || errno == unix.EPERM):
		return ": the profile that berth runs under does not allow this one"
	case path == "self/attr/exec" && (errno == unix.EACCES || errno == unix.EPERM):
		return ": the policy does not let berth's domain set it"
	}
	return ""
}

// schedulingHint says what usually stands in the way.
func schedulingHint(op plan.Op, errno syscall.Errno) string {
	switch op.(type) {
	case plan.Affinity:
		if errno == unix.EINVAL {
			return ": none of these CPUs is in the container's cpuset"
		}
	case plan.Scheduler:
		switch errno {
		case unix.EPERM:
			return ": it takes CAP_SYS_NICE on the host, and real-time policies need time of the cpu cgroup (linux.resources.cpu.realtimeRuntime) where the kernel has CONFIG_RT_GROUP_SCHED"
		case unix.EBUSY:
			return ": SCHED_DEADLINE asks for more time than the CPUs have left"
		case unix.EOPNOTSUPP:
			return ": this kernel is built without CONFIG_UCLAMP_TASK: take SCHED_FLAG_UTIL_CLAMP_MIN and _MAX out"
		case unix.EINVAL:
			return ": the kernel does not take this policy with these values and flags: see sched_setattr(2)"
		}
	case plan.Ioprio:
		if errno == unix.EPERM {
			return ": IOPRIO_CLASS_RT takes CAP_SYS_NICE on the host"
		}
	case plan.Mempolicy:
		switch errno {
		case unix.EINVAL:
			return ": none of the nodes has memory and is in the container's cpuset, or mode and flags do not go together"
		case unix.ENOSYS:
			return ": this kernel has no NUMA"
		}
	}
	return ""
}

// execCause words a program that was not found as moby and podman match it.
func execCause(name string, errno syscall.Errno) string {
	quoted := fmt.Sprintf("exec: %q: ", name)
	switch {
	case errno == unix.ENOENT && !strings.Contains(name, "/"):
		return quoted + "executable file not found in $PATH"
	case errno == unix.ENOENT:
		return fmt.Sprintf("exec: %q: stat %s: no such file or directory", name, name)
	case errno == unix.EISDIR:
		return quoted + "is a directory: permission denied"
	}
	return quoted + errno.Error()
}

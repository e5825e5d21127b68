/*
 * The floor: a container's start with the system calls that its plan asks of the kernel, and nothing else. No
 * config is read, nothing is checked, no state is kept, nobody can talk to it, and a failure just ends it. No
 * runtime can be faster than this for the same bundle; how much slower one is, is its own doing.
 *
 * What it does is in steps.h, which the bench generates from `berth plan --format json`: a parent that makes the
 * cgroup, clones, waits and removes the cgroup, and a child that goes through the operations and executes the
 * container's program. Each function here is one operation, under the name it has in the plan, and returns 0, or -1
 * with errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

#define TREE_CLONE     (1u | O_CLOEXEC)
#define TREE_RECURSIVE 0x8000u
#define MOVE_FDS       (0x4 | 0x40) /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */
#define ATTR_RDONLY    0x1u
#define ATTR_MASK      0xfu /* read-only, nosuid, nodev, noexec */

enum { FSCONFIG_FLAG = 0, FSCONFIG_STRING = 1, FSCONFIG_CREATE = 6 };

struct attributes {
	uint64_t set, clear, propagation, userns;
};

/* What fails ends the floor: its bundle is known to work. */
#define NEED(call)                                                                                                     \
	do {                                                                                                           \
		if ((call) < 0) {                                                                                      \
			fprintf(stderr, "floor: %s: %s\n", #call, strerror(errno));                                    \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static int put(int *slot, int fd)
{
	if (fd < 0)
		return -1;
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
	return 0;
}

static int in_root(int root, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int op_propagation(const char *path, unsigned long flags)
{
	return mount(NULL, path, NULL, flags, NULL);
}

static int op_root_open(const char *path, unsigned recursive, int *into)
{
	int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = (int)syscall(SYS_open_tree, at, "", TREE_CLONE | AT_EMPTY_PATH | recursive);
	int r = put(into, fd);

	if (r == 0)
		r = (int)syscall(SYS_move_mount, fd, "", at, "", MOVE_FDS);
	close(at);
	return r;
}

static int op_open_tree(int from, const char *path, unsigned flags, int *into)
{
	return put(into, (int)syscall(SYS_open_tree, from, path, TREE_CLONE | AT_EMPTY_PATH | flags));
}

static int op_fsmount(const char *type, const char *source, const char *const *params, unsigned attr, int *into)
{
	int fs = (int)syscall(SYS_fsopen, type, 1);
	int fd = -1, r;

	if (fs < 0)
		return -1;
	r = source ? (int)syscall(SYS_fsconfig, fs, FSCONFIG_STRING, "source", source, 0) : 0;
	for (; *params && r == 0; params += 2)
		r = (int)syscall(SYS_fsconfig, fs, params[1] ? FSCONFIG_STRING : FSCONFIG_FLAG, params[0], params[1],
				 0);
	if (r == 0)
		r = (int)syscall(SYS_fsconfig, fs, FSCONFIG_CREATE, NULL, NULL, 0);
	if (r == 0)
		fd = (int)syscall(SYS_fsmount, fs, 1, attr);
	close(fs);
	return r < 0 ? r : put(into, fd);
}

static int op_mount_setattr(int fd, unsigned recursive, uint64_t set, uint64_t clear, uint64_t propagate)
{
	struct attributes a = {set, clear, propagate, 0};

	return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | recursive, &a, sizeof(a));
}

/* Makes what is missing of path inside root. */
static int make_target(int root, const char *path, int file)
{
	char part[256];

	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (!path[i] && file)
			return mknodat(root, part + 1, S_IFREG | 0644, 0);
		if (mkdirat(root, part + 1, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int op_attach(int mounted, int root, const char *target, int file)
{
	int at = in_root(root, target, O_PATH), r;

	if (at < 0 && errno == ENOENT && make_target(root, target, file) == 0)
		at = in_root(root, target, O_PATH);
	r = (int)syscall(SYS_move_mount, mounted, "", at, "", MOVE_FDS);
	close(at);
	return r;
}

static int op_mknod(int root, const char *path, mode_t mode, dev_t dev)
{
	return mknodat(root, path + 1, mode, dev);
}

static int op_symlink(int root, const char *path, const char *to)
{
	return symlinkat(to, root, path + 1);
}

static int op_open_path(int root, const char *path, int *into)
{
	return put(into, in_root(root, path, O_PATH));
}

static int mask_dir(int *dir)
{
	static const char *const params[] = {"nr_blocks", "1", "nr_inodes", "1", "mode", "0755", "ro", NULL, NULL};

	return *dir >= 0 ? 0 : op_fsmount("tmpfs", NULL, params, ATTR_MASK, dir);
}

static int op_mask(int root, const char *path, int *null, int *dir)
{
	static int read_only; /* the mask of files; the others are its clones */
	int at = in_root(root, path, O_PATH), fd, r = 0;
	struct stat st;

	if (at < 0)
		return errno == ENOENT ? 0 : -1;
	fstat(at, &st);
	if (S_ISDIR(st.st_mode))
		r = mask_dir(dir);
	fd = (int)syscall(SYS_open_tree, S_ISDIR(st.st_mode) ? *dir : *null, "", TREE_CLONE | AT_EMPTY_PATH);
	if (r == 0 && !S_ISDIR(st.st_mode) && !read_only)
		r = op_mount_setattr(fd, 0, ATTR_RDONLY, 0, 0);
	if (r == 0)
		r = (int)syscall(SYS_move_mount, fd, "", at, "", MOVE_FDS);
	close(at);
	if (r == 0 && !S_ISDIR(st.st_mode) && !read_only) {
		read_only = 1;
		return put(null, fd);
	}
	close(fd);
	return r;
}

static int op_readonly(int root, const char *path)
{
	int at = in_root(root, path, O_PATH), fd, r;

	if (at < 0)
		return errno == ENOENT ? 0 : -1;
	fd = (int)syscall(SYS_open_tree, at, "", TREE_CLONE | AT_EMPTY_PATH | TREE_RECURSIVE);
	r = op_mount_setattr(fd, TREE_RECURSIVE, ATTR_RDONLY, 0, 0);
	if (r == 0)
		r = (int)syscall(SYS_move_mount, fd, "", at, "", MOVE_FDS);
	close(fd);
	close(at);
	return r;
}

static int op_pivot_root(int root)
{
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -1;
	return chdir("/");
}

static int op_loopback(void)
{
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = ioctl(fd, SIOCSIFFLAGS, &req);

	close(fd);
	return r;
}

static int write_text(int fd, const char *data)
{
	return write(fd, data, strlen(data)) < 0 ? -1 : 0;
}

static int write_file(int dir, const char *path, const char *data)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	int r = write_text(fd, data);

	close(fd);
	return r;
}

static int op_write_slot(int *slot, const char *data)
{
	ssize_t n = write(*slot, data, strlen(data));

	close(*slot);
	*slot = -1;
	return n < 0 ? -1 : 0;
}

static int op_keyring(const char *name)
{
	return (int)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
}

static int op_rlimit(int resource, uint64_t soft, uint64_t hard)
{
	uint64_t limit[2] = {soft, hard};

	return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

/* To all CPUs that the cpuset has. */
static int op_affinity(void)
{
	unsigned char every[1024];

	memset(every, 0xff, sizeof(every));
	return (int)syscall(SYS_sched_setaffinity, 0, sizeof(every), every);
}

/* Up to the last capability that the kernel knows, which it says by EINVAL. */
static int op_bounding(uint64_t keep)
{
	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(keep & (1ull << cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -1;
	return 0;
}

static int op_setids(uid_t uid, gid_t gid)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
	    syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -1;
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
}

static int op_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
		{(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
	};

	return (int)syscall(SYS_capset, &head, data);
}

static int op_ambient(uint64_t set)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (unsigned long cap = 0; cap < 64; cap++)
		if ((set & (1ull << cap)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	return 0;
}

static int op_seccomp(unsigned flags, const struct sock_filter *filter, unsigned short length)
{
	struct sock_fprog program = {.len = length, .filter = (struct sock_filter *)(uintptr_t)filter};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* enter_folder makes a folder of the cgroup and returns a descriptor of what lets a process in; see folders in steps.h.
 */
struct folder {
	const char *path;
	const char *cpus, *mems; /* what a new v1 cpuset has to be given before a process may enter; or NULL */
	int unified;
};

struct limit {
	int folder; /* index into folders */
	const char *file, *value;
};

/* in_folder returns the path of a file in a folder of the cgroup, or of the folder for "", until it is called again. */
static const char *in_folder(int folder, const char *file);

#include "steps.h"

/* The filter lives as long as its cgroup, without a descriptor. */
static void load_device_filter(int cgroup)
{
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
			       .insns = (uint64_t)(uintptr_t)device_filter,
			       .insn_cnt = DEVICE_FILTER,
			       .license = (uint64_t)(uintptr_t) "Apache-2.0"};
	union bpf_attr attach = {
		.target_fd = (uint32_t)cgroup, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
	int fd;

	NEED(fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load)));
	attach.attach_bpf_fd = (uint32_t)fd;
	NEED(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)));
	close(fd);
}

/* What the names of the cgroup's folders end with: something else for each floor where several run at a time. */
static const char *suffix = "";

static const char *in_folder(int folder, const char *file)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s%s/%s", folders[folder].path, suffix, file);
	return path;
}

/* Writes to one file come one after the other, and it is opened once for them. */
static int set_limits(void)
{
	int fd = -1;

	for (int i = 0; limits[i].file; i++) {
		if (i == 0 || limits[i].folder != limits[i - 1].folder || strcmp(limits[i].file, limits[i - 1].file)) {
			if (fd >= 0)
				close(fd);
			NEED(fd = open(in_folder(limits[i].folder, limits[i].file), O_WRONLY | O_CLOEXEC));
		}
		NEED(write_text(fd, limits[i].value));
	}
	if (fd >= 0)
		close(fd);
	return 0;
}

static int make_cgroup(int *unified)
{
	for (int i = 0; folders[i].path; i++) {
		int dir;

		NEED(mkdir(in_folder(i, ""), 0755));
		NEED(dir = open(in_folder(i, ""), O_PATH | O_DIRECTORY | O_CLOEXEC));
		if (folders[i].cpus) {
			NEED(write_file(dir, "cpuset.cpus", folders[i].cpus));
			NEED(write_file(dir, "cpuset.mems", folders[i].mems));
		}
		if (folders[i].unified) {
			if (DEVICE_FILTER)
				load_device_filter(dir);
			*unified = dir;
			continue;
		}
		NEED(tasks[i] = openat(dir, "tasks", O_WRONLY | O_CLOEXEC));
		close(dir);
	}
	return set_limits();
}

/* A first argument is the suffix. */
int main(int argc, char *argv[])
{
	struct clone_args args = {.flags = CLONE_FLAGS, .exit_signal = SIGCHLD};
	int unified = -1, status;
	long pid;

	if (argc > 1)
		suffix = argv[1];
	NEED(make_cgroup(&unified));
	if (unified >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)unified;
	}
	NEED(pid = syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0) {
		umask(0); /* modes in the plan are exact */
		steps();
		_exit(1);
	}
	NEED(waitpid((pid_t)pid, &status, 0));
	for (int i = 0; folders[i].path; i++)
		NEED(rmdir(in_folder(i, "")));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

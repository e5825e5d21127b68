/* Who the container's process is and what it may do. */
#include "executor.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CAPS 64

int op_rlimit(struct executor *x, const struct op_rlimit *op)
{
	uint64_t limit[2] = {op->soft, op->hard};

	if (syscall(SYS_prlimit64, 0, (int)op->resource, limit, NULL) < 0)
		return fail(x, "prlimit");
	return 0;
}

int op_umask(struct executor *x, const struct op_umask *op)
{
	(void)x;
	umask((mode_t)op->mask);
	return 0;
}

int op_no_new_privs(struct executor *x, const struct op_no_new_privs *op)
{
	(void)op;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(x, "prctl PR_SET_NO_NEW_PRIVS");
	return 0;
}

int op_bounding(struct executor *x, const struct op_bounding *op)
{
	for (unsigned cap = 0; cap < CAPS; cap++) {
		int errnum, have;

		if ((op->keep & (1ull << cap)) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		errnum = errno;
		have = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (have < 0)
			break; /* EINVAL: beyond the kernel's last capability */
		if (have == 0)
			continue; /* without CAP_SETPCAP, but also without this one */
		errno = errnum;
		return fail(x, "prctl PR_CAPBSET_DROP %u", cap);
	}
	return 0;
}

static int is_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* The container's own /dev/null, opened as the flags say, or -1 for none. */
static int container_null(int root, uint64_t flags)
{
	int fd = root_open(root, "dev/null", O_PATH, RESOLVE_NO_SYMLINKS);
	struct stat st;
	int null;

	if (fd < 0)
		return -1;
	/* It is looked at before it is opened: to open some devices is to act on them. */
	null = fstat(fd, &st) == 0 && is_null(&st);
	close(fd);
	if (!null)
		return -1;
	fd = root_open(root, "dev/null", flags, RESOLVE_NO_SYMLINKS);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !is_null(&st))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* One that is nobody else's, or -1 where making devices is not permitted. */
static int private_null(uint64_t flags)
{
	int fs = sys_fsopen("tmpfs"), dir = -1, fd = -1;

	if (fs >= 0 && sys_fsconfig(fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL) == 0)
		dir = sys_fsmount(fs, 0);
	if (dir >= 0 && mknodat(dir, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
		fd = openat(dir, "null", (int)flags | O_CLOEXEC);
	if (fs >= 0)
		close(fs);
	if (dir >= 0)
		close(dir);
	return fd;
}

/*
 * Puts a /dev/null that is the container's in the place of the host's, whose
 * owner and mode it could change: many an image begins with a chown of
 * /dev/stdout. In a user namespace, where neither can be had, it has no power
 * over the host's either.
 */
static int exchange_null(struct executor *x, int root, int fd)
{
	int flags = fcntl(fd, F_GETFL), own;

	if (flags < 0)
		return fail(x, "fcntl of descriptor %d", fd);
	if (flags & O_PATH)
		return 0;
	flags &= O_ACCMODE | O_APPEND;
	own = container_null(root, (uint64_t)flags | O_NONBLOCK | O_NOCTTY);
	if (own < 0)
		own = private_null((uint64_t)flags);
	if (own < 0)
		return 0;
	if (fcntl(own, F_SETFL, flags) < 0 || dup3(own, fd, 0) < 0) {
		int r = fail(x, "exchange descriptor %d", fd);
		close(own);
		return r;
	}
	close(own);
	return 0;
}

/* A device of the host's is nobody's to give away; a terminal is of who works at it. */
static int can_be_given(const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		return 0;
	return !S_ISCHR(st->st_mode) || (major(st->st_rdev) >= 136 && major(st->st_rdev) <= 143);
}

int op_own_stdio(struct executor *x, const struct op_own_stdio *op)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) < 0) {
			if (errno == EBADF)
				continue;
			return fail(x, "stat of descriptor %d", fd);
		}
		if (is_null(&st)) {
			int r = exchange_null(x, slot_fd(x, op->root), fd);

			if (r < 0)
				return r;
			continue;
		}
		if (st.st_uid == op->uid || !can_be_given(&st))
			continue;
		/* Not everything can be given away, and not everything needs to be. */
		if (fchown(fd, (uid_t)op->uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL && errno != EROFS)
			return fail(x, "chown of descriptor %d", fd);
	}
	return 0;
}

int op_setgroups(struct executor *x, const struct op_setgroups *op)
{
	if (syscall(SYS_setgroups, op->gids.len / sizeof(gid_t), x->plan + op->gids.off) < 0)
		return fail(x, "setgroups");
	return 0;
}

int op_setids(struct executor *x, const struct op_setids *op)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return fail(x, "prctl PR_SET_KEEPCAPS");
	if (syscall(SYS_setresgid, (gid_t)op->gid, (gid_t)op->gid, (gid_t)op->gid) < 0)
		return fail(x, "setresgid %u", (unsigned)op->gid);
	if (syscall(SYS_setresuid, (uid_t)op->uid, (uid_t)op->uid, (uid_t)op->uid) < 0)
		return fail(x, "setresuid %u", (unsigned)op->uid);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return fail(x, "prctl PR_SET_KEEPCAPS");
	return 0;
}

int op_capset(struct executor *x, const struct op_capset *op)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)op->effective, (uint32_t)op->permitted, (uint32_t)op->inheritable},
		{(uint32_t)(op->effective >> 32), (uint32_t)(op->permitted >> 32), (uint32_t)(op->inheritable >> 32)},
	};

	if (syscall(SYS_capset, &head, data) < 0)
		return fail(x, "capset");
	return 0;
}

int op_ambient(struct executor *x, const struct op_ambient *op)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return fail(x, "prctl PR_CAP_AMBIENT_CLEAR_ALL");
	for (unsigned long cap = 0; cap < CAPS; cap++)
		if ((op->set & (1ull << cap)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return fail(x, "prctl PR_CAP_AMBIENT_RAISE %lu", cap);
	return 0;
}

/* Eight bytes of flags, then the filter. */
#define SECCOMP_HEAD 8

int op_seccomp(struct executor *x, const struct op_seccomp *op)
{
	struct sock_fprog program;
	struct stat st;
	const unsigned char *data;
	uint64_t flags;
	size_t size;
	int fd = slot_fd(x, op->program);
	long r;

	if (fstat(fd, &st) < 0)
		return fail(x, "stat of the seccomp program");
	size = st.st_size < SECCOMP_HEAD ? 0 : (size_t)st.st_size - SECCOMP_HEAD;
	if (!size || size % sizeof(struct sock_filter) || size / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return fail_with(x, EINVAL, "the seccomp program has no valid size");
	data = mmap(NULL, size + SECCOMP_HEAD, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return fail(x, "mmap of the seccomp program");
	/* Nothing but what is needed may be called after the filter is in force. */
	slot_close(x, op->program);
	memcpy(&flags, data, sizeof(flags));
	program.len = (unsigned short)(size / sizeof(struct sock_filter));
	program.filter = (struct sock_filter *)(uintptr_t)(data + SECCOMP_HEAD);
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)flags, &program);
	if (r < 0)
		return fail(x, "seccomp");
	if (op->listen != PLAN_SLOT_NONE && (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
		slot_put(x, op->listen, (int)r);
	return 0;
}

/* Mounts, all by descriptor: nothing is looked up twice. */
#include "executor.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define OPEN_TREE_FLAGS (1u /* OPEN_TREE_CLONE */ | O_CLOEXEC)
#define TREE_RECURSIVE	0x8000u /* AT_RECURSIVE */

/* MOUNT_ATTR__ATIME, MOUNT_ATTR_NODIRATIME, and what linux/mount.h and linux/statfs.h have of newer flags. */
#define ATTR_NOSYMFOLLOW    0x200000u /* Linux 5.14; mount(2) has it since 5.10 */
#define ATTR_ATIME	    0x70u
#define ATTR_NODIRATIME	    0x80u
#define ST_NOSYMFOLLOW_FLAG 0x2000
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

enum { FSCONFIG_FLAG = 0, FSCONFIG_STRING = 1, FSCONFIG_CREATE = 6 };

int op_propagation(struct executor *x, const struct op_propagation *op)
{
	if (mount(NULL, plan_str(x, op->path), NULL, op->flags, NULL) < 0)
		return fail(x, "mount: propagation of %s", plan_str(x, op->path));
	return 0;
}

int op_root_open(struct executor *x, const struct op_root_open *op)
{
	const char *path = plan_str(x, op->path);
	int fd, at;

	at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return fail(x, "open %s", path);
	fd = sys_open_tree(at, "", OPEN_TREE_FLAGS | AT_EMPTY_PATH | (op->recursive ? TREE_RECURSIVE : 0));
	if (fd < 0) {
		int r = fail(x, "open_tree %s", path);
		close(at);
		return r;
	}
	slot_put(x, op->into, fd);
	if (sys_move_mount(fd, at) < 0) {
		int r = fail(x, "move_mount %s", path);
		close(at);
		return r;
	}
	close(at);
	return 0;
}

int op_dir_open(struct executor *x, const struct op_dir_open *op)
{
	int fd = open(plan_str(x, op->path), O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(x, "open %s", plan_str(x, op->path));
	slot_put(x, op->into, fd);
	return 0;
}

/* The kernel explains a refused fsconfig on the descriptor itself. */
static int fs_fail(struct executor *x, int fs, const char *call, const char *what)
{
	char why[256];
	int error = errno;
	ssize_t n = read(fs, why, sizeof(why) - 1);

	if (n <= 2) {
		errno = error;
		return fail(x, "%s %s", call, what);
	}
	why[n] = 0;
	why[strcspn(why, "\n")] = 0;
	return fail_with(x, error, "%s %s (%s)", call, what, why + 2);
}

static int configure(struct executor *x, int fs, const char *param)
{
	char key[64];
	const char *equals = strchr(param, '=');
	size_t n = equals ? (size_t)(equals - param) : strlen(param);
	int r;

	if (n >= sizeof(key))
		return fail_with(x, ENAMETOOLONG, "fsconfig %s", param);
	memcpy(key, param, n);
	key[n] = 0;
	r = equals ? sys_fsconfig(fs, FSCONFIG_STRING, key, equals + 1) : sys_fsconfig(fs, FSCONFIG_FLAG, key, NULL);
	return r < 0 ? fs_fail(x, fs, "fsconfig", param) : 0;
}

static void put_detached(struct executor *x, uint64_t slot, int fd)
{
	slot_put(x, slot, fd);
	x->detached[slot] = 1;
}

int op_fsmount(struct executor *x, const struct op_fsmount *op)
{
	const char *fstype = plan_str(x, op->fstype);
	const char *source = plan_str(x, op->source);
	int fs = sys_fsopen(fstype);
	int fd, r = 0;

	if (fs < 0)
		return fail(x, "fsopen %s", fstype);
	if (*source && sys_fsconfig(fs, FSCONFIG_STRING, "source", source) < 0)
		r = fs_fail(x, fs, "fsconfig source", source);
	for (uint32_t i = 0; r == 0 && i < op->params.count; i++)
		r = configure(x, fs, plan_item(x, op->params, i));
	if (r == 0 && sys_fsconfig(fs, FSCONFIG_CREATE, NULL, NULL) < 0)
		r = fs_fail(x, fs, "create superblock of", fstype);
	if (r == 0) {
		fd = sys_fsmount(fs, (unsigned)op->attr);
		if (fd < 0)
			r = fs_fail(x, fs, "fsmount", fstype);
		else
			put_detached(x, op->into, fd);
	}
	close(fs);
	return r;
}

int op_open_tree(struct executor *x, const struct op_open_tree *op)
{
	const char *path = plan_str(x, op->path);
	unsigned flags = OPEN_TREE_FLAGS | (op->recursive ? TREE_RECURSIVE : 0);
	int from = op->from == PLAN_SLOT_NONE ? AT_FDCWD : slot_fd(x, op->from);
	int at = -1, fd;

	if (op->in_root) {
		at = root_open(from, path, O_PATH | (op->nofollow ? O_NOFOLLOW : 0), 0);
		if (at < 0)
			return fail(x, "open %s", path);
		fd = sys_open_tree(at, "", flags | AT_EMPTY_PATH);
	} else {
		fd = sys_open_tree(from, path, flags | AT_EMPTY_PATH | (op->nofollow ? AT_SYMLINK_NOFOLLOW : 0));
	}
	if (fd < 0) {
		int r = fail(x, "open_tree %s", path);
		if (at >= 0)
			close(at);
		return r;
	}
	if (at >= 0)
		close(at);
	put_detached(x, op->into, fd);
	return 0;
}

/* The flags of mount(2) that say the same as a set of MOUNT_ATTR_* bits. */
static unsigned long mount_flags(uint64_t attr)
{
	unsigned long flags = 0;

	if (attr & 0x1)
		flags |= MS_RDONLY;
	if (attr & 0x2)
		flags |= MS_NOSUID;
	if (attr & 0x4)
		flags |= MS_NODEV;
	if (attr & 0x8)
		flags |= MS_NOEXEC;
	if ((attr & 0x70) == 0x10)
		flags |= MS_NOATIME;
	if ((attr & 0x70) == 0x20)
		flags |= MS_STRICTATIME;
	if (attr & 0x80)
		flags |= MS_NODIRATIME;
	if (attr & ATTR_NOSYMFOLLOW)
		flags |= MS_NOSYMFOLLOW;
	return flags;
}

/* statfs reports the flags that a mount has as ST_* bits, which are MS_* bits. */
#define STATFS_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)

int mount_readonly(struct executor *x, int fd, const char *link, const char *path)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return fail(x, "fstatfs %s", path);
	if (mount(NULL, link, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | ((unsigned long)fs.f_flags & STATFS_FLAGS),
		  NULL) < 0)
		return fail(x, "mount: make %s read-only", path);
	return 0;
}

static int remount_flags(struct executor *x, int fd, uint64_t set, uint64_t clear)
{
	char path[32];
	struct statfs fs;
	unsigned long flags;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstatfs(fd, &fs) < 0)
		return fail(x, "fstatfs");
	flags = (unsigned long)fs.f_flags & STATFS_FLAGS;
	if (fs.f_flags & ST_NOSYMFOLLOW_FLAG)
		flags |= MS_NOSYMFOLLOW;
	if (clear & ATTR_ATIME)
		flags &= ~(unsigned long)MS_NOATIME;
	flags &= ~mount_flags(clear & ~(uint64_t)ATTR_ATIME);
	flags |= mount_flags(set);
	if ((clear & ATTR_ATIME) && !(set & ATTR_ATIME))
		flags |= MS_RELATIME;
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0)
		return 0;
	/* How access times are kept is locked in a user namespace, and no more than a preference. */
	if (errno == EPERM && ((set | clear) & (ATTR_ATIME | ATTR_NODIRATIME))) {
		set &= ~(uint64_t)(ATTR_ATIME | ATTR_NODIRATIME);
		clear &= ~(uint64_t)(ATTR_ATIME | ATTR_NODIRATIME);
		return set | clear ? remount_flags(x, fd, set, clear) : 0;
	}
	return fail(x, "mount: remount");
}

static int change_propagation(struct executor *x, int fd, unsigned long flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return mount(NULL, path, NULL, flags, NULL) < 0 ? fail(x, "mount: propagation") : 0;
}

/* Notes a change of a mount that mount(2) can only make where it is attached. */
static int put_off(struct executor *x, const struct op_mount_setattr *op, unsigned long propagation)
{
	struct put_off *p = &x->put_off;

	if (p->slot && p->slot != op->mount)
		return fail_with(x, ENOSYS, "mount_setattr: two mounts at once need Linux 5.12");
	p->slot = op->mount;
	p->set = (p->set & ~op->clear) | op->set;
	p->clear |= op->clear;
	if (!propagation)
		return 0;
	if (p->propagations == sizeof(p->propagation) / sizeof(*p->propagation))
		return fail_with(x, ENOSYS, "mount_setattr: so many changes of propagation need Linux 5.12");
	p->propagation[p->propagations++] = propagation;
	return 0;
}

static int catch_up(struct executor *x, uint64_t slot, int fd)
{
	struct put_off p = x->put_off;
	int r = 0;

	x->detached[slot] = 0;
	if (p.slot != slot)
		return 0;
	memset(&x->put_off, 0, sizeof(x->put_off));
	if (p.set | p.clear)
		r = remount_flags(x, fd, p.set, p.clear);
	for (uint32_t i = 0; r == 0 && i < p.propagations; i++)
		r = change_propagation(x, fd, p.propagation[i]);
	return r;
}

int mounts_done(struct executor *x)
{
	return x->put_off.slot ? fail_with(x, ENOSYS, "mount_setattr: a mount that was not attached needs Linux 5.12")
			       : 0;
}

/*
 * Kernels before 5.12 have no mount_setattr: mount(2) does what is not
 * recursive, once the mount is attached, through the host's /proc, which is
 * still in place.
 */
static int remount(struct executor *x, int fd, const struct op_mount_setattr *op)
{
	unsigned long propagation = op->propagation;
	int r = 0;

	if (op->recursive && (op->set || op->clear))
		return fail_with(x, ENOSYS, "mount_setattr: recursive attributes need Linux 5.12");
	if (op->userns != PLAN_SLOT_NONE)
		return fail_with(x, ENOSYS, "mount_setattr: idmapped mounts need Linux 5.12");
	if (propagation && op->recursive)
		propagation |= MS_REC;
	if (x->detached[op->mount])
		return put_off(x, op, propagation);
	if (op->set || op->clear)
		r = remount_flags(x, fd, op->set, op->clear);
	if (r == 0 && propagation)
		r = change_propagation(x, fd, propagation);
	return r;
}

int op_mount_setattr(struct executor *x, const struct op_mount_setattr *op)
{
	int fd = slot_fd(x, op->mount);
	int userns = op->userns == PLAN_SLOT_NONE ? -1 : slot_fd(x, op->userns);
	/* MS_REC is not part of the attribute; the flag says the same. */
	uint64_t propagation = op->propagation & ~(uint64_t)MS_REC;

	if (sys_mount_setattr(fd, (int)op->recursive, op->set, op->clear, propagation, userns) == 0)
		return 0;
	if (errno == ENOSYS)
		return remount(x, fd, op);
	if (errno == EINVAL && ((op->set | op->clear) & ATTR_NOSYMFOLLOW) && !op->recursive &&
	    op->userns == PLAN_SLOT_NONE)
		return remount(x, fd, op);
	return fail(x, "mount_setattr");
}

/*
 * A FUSE mount that another user made for himself alone does not answer even root's fstat: the kernel knows without
 * asking its server whether a name may be looked up below it, or it is no folder. Keeps errno.
 */
static int is_dir(int fd)
{
	struct stat st;
	int error = errno;
	int at, dir = 1;

	if (fstat(fd, &st) == 0)
		return S_ISDIR(st.st_mode);
	at = openat(fd, ".", O_PATH | O_CLOEXEC);
	if (at >= 0)
		close(at);
	else
		dir = errno != ENOTDIR;
	errno = error;
	return dir;
}

static int create_flags(int mount_fd, uint64_t kind)
{
	switch (kind) {
	case PLAN_KIND_DIR:
		return ROOT_CREATE_DIR;
	case PLAN_KIND_FILE:
		return ROOT_CREATE_FILE;
	case PLAN_KIND_SOURCE:
		return is_dir(mount_fd) ? ROOT_CREATE_DIR : ROOT_CREATE_FILE;
	}
	return 0;
}

int op_attach(struct executor *x, const struct op_attach *op)
{
	const char *path = plan_str(x, op->target);
	int fd = slot_fd(x, op->mount);
	int how = create_flags(fd, op->create);
	int at, r = 0;

	if (op->nosymlink)
		how |= ROOT_NOSYMLINK;
	if (op->nofollow)
		how |= ROOT_NOFOLLOW;
	at = root_target(slot_fd(x, op->root), path, how);
	if (at < 0)
		return fail(x, "open mount point %s", path);
	/* A mount in /proc could hide what the set-up itself relies on. */
	if (!op->in_proc && in_procfs(at))
		r = fail_with(x, EPERM, "mount point %s lies in a procfs", path);
	else if (sys_move_mount(fd, at) < 0)
		r = errno == EINVAL && is_dir(fd) != is_dir(at)
			    ? fail_with(x, ENOTDIR, "mount a folder over a file, or a file over a folder, at %s", path)
			    : fail(x, "move_mount %s", path);
	else
		r = catch_up(x, op->mount, fd);
	close(at);
	return r;
}

/* The descriptor's link in the host's /proc, still in place, names the target. */
int op_mount_data(struct executor *x, const struct op_mount_data *op)
{
	const char *path = plan_str(x, op->target);
	int how = op->create == PLAN_KIND_NONE ? 0 : ROOT_CREATE_DIR;
	char link[32];
	int at, r = 0;

	if (op->nosymlink)
		how |= ROOT_NOSYMLINK;
	at = root_target(slot_fd(x, op->root), path, how);
	if (at < 0)
		return fail(x, "open mount point %s", path);
	if (!op->in_proc && in_procfs(at)) {
		close(at);
		return fail_with(x, EPERM, "mount point %s lies in a procfs", path);
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
	if (mount(plan_str(x, op->source), link, plan_str(x, op->fstype), op->flags, plan_str(x, op->data)) < 0)
		r = fail(x, "mount %s at %s", plan_str(x, op->fstype), path);
	close(at);
	return r;
}

/* By its name in a folder that was opened inside the root: no link leads away. */
int op_unmount(struct executor *x, const struct op_unmount *op)
{
	const char *path = plan_str(x, op->path);
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	size_t n = slash ? (size_t)(slash - path) : 0;
	int dir, r = 0;

	if (!slash || !slash[1])
		return fail_with(x, EINVAL, "%s is no mount that can be removed", path);
	if (n >= sizeof(folder))
		return fail_with(x, ENAMETOOLONG, "%s", path);
	memcpy(folder, path, n);
	folder[n] = 0;
	dir = root_open(slot_fd(x, op->root), folder, O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return fail(x, "open folder %s", folder);
	if (fchdir(dir) < 0)
		r = fail(x, "fchdir to %s", folder);
	else if (umount2(slash + 1, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		r = errno == EINVAL
			    ? fail_with(x, EINVAL,
					"%s is no mount point, or one that this user namespace may not remove", path)
			    : fail(x, "umount %s", path);
	close(dir);
	return r;
}

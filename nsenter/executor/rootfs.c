/* What is made and hidden in the rootfs, and how it becomes the root. */
#include "executor.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ATTR_RDONLY		 0x1u
#define ATTR_NOSUID_NODEV_NOEXEC 0xeu
#define TREE_CLONE		 (1u | O_CLOEXEC | AT_EMPTY_PATH)
#define TREE_RECURSIVE		 0x8000u

static int same_node(const struct stat *st, const struct op_mknod *op)
{
	if ((st->st_mode & S_IFMT) != (op->mode & S_IFMT))
		return 0;
	return S_ISFIFO(st->st_mode) || st->st_rdev == op->dev;
}

/*
 * An empty file is what is left of a device in a rootfs that was unpacked, or
 * run, in a user namespace: the host's device is mounted on it, as where
 * mknod(2) is not permitted.
 */
static int placeholder(const struct stat *st, const struct op_mknod *op)
{
	return S_ISREG(st->st_mode) && st->st_size == 0 && !S_ISFIFO(op->mode);
}

/*
 * Gives the new node to its owner. Who shares the folder may have put another
 * file in its place by now, which is not given away.
 */
static int own_node(struct executor *x, int dir, const char *name, const struct op_mknod *op)
{
	const char *path = plan_str(x, op->path);
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return fail(x, "open %s", path);
	if (fstat(fd, &st) < 0)
		r = fail(x, "stat %s", path);
	else if (!same_node(&st, op))
		r = fail_with(x, EEXIST, "%s was exchanged while it was made", path);
	else if (fchownat(fd, "", (uid_t)op->uid, (gid_t)op->gid, AT_EMPTY_PATH) < 0)
		r = fail(x, "chown %s", path);
	close(fd);
	return r;
}

static int make_node(struct executor *x, int dir, const char *name, const struct op_mknod *op)
{
	const char *path = plan_str(x, op->path);
	struct stat st;

	if (mknodat(dir, name, (mode_t)op->mode, (dev_t)op->dev) < 0) {
		if (errno != EEXIST)
			return fail(x, "mknod %s", path);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return fail(x, "stat %s", path);
		if (placeholder(&st, op))
			return fail_with(x, EPERM, "%s is an empty file", path);
		if (!same_node(&st, op))
			return fail_with(x, EEXIST, "%s is there and is not the device %u:%u", path,
					 major((dev_t)op->dev), minor((dev_t)op->dev));
		return 0;
	}
	return op->uid || op->gid ? own_node(x, dir, name, op) : 0;
}

int op_mknod(struct executor *x, const struct op_mknod *op)
{
	const char *name;
	int dir = root_parent(x, slot_fd(x, op->root), plan_str(x, op->path), &name);
	int r;

	if (dir < 0)
		return dir;
	r = make_node(x, dir, name, op);
	close(dir);
	return r;
}

int op_mkdir(struct executor *x, const struct op_mkdir *op)
{
	const char *path = plan_str(x, op->path), *name;
	int dir = root_parent(x, slot_fd(x, op->root), path, &name);
	int r = 0;

	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, (mode_t)op->mode) < 0 && errno != EEXIST)
		r = fail(x, "mkdir %s", path);
	close(dir);
	return r;
}

int op_symlink(struct executor *x, const struct op_symlink *op)
{
	const char *path = plan_str(x, op->path), *name;
	int dir = root_parent(x, slot_fd(x, op->root), path, &name);
	int r = 0;

	if (dir < 0)
		return dir;
	if (symlinkat(plan_str(x, op->to), dir, name) < 0 && errno != EEXIST)
		r = fail(x, "symlink %s", path);
	close(dir);
	return r;
}

static int copy_link(struct executor *x, int dir, const char *name, const char *to, const char *path)
{
	char there[PATH_MAX];
	ssize_t n;

	if (symlinkat(to, dir, name) == 0)
		return 0;
	if (errno != EEXIST)
		return fail(x, "symlink %s", path);
	n = readlinkat(dir, name, there, sizeof(there) - 1);
	if (n >= 0)
		there[n] = 0;
	if (n < 0 || strcmp(there, to) != 0)
		return fail_with(x, EEXIST, "%s is there and is no link to %s", path, to);
	return 0;
}

int op_copy_link(struct executor *x, const struct op_copy_link *op)
{
	const char *path = plan_str(x, op->path), *name;
	int from = slot_fd(x, op->from), dir, r;
	char to[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstat(from, &st) < 0)
		return fail(x, "stat the source of %s", path);
	if (!S_ISLNK(st.st_mode))
		return fail_with(x, EINVAL, "the source of %s is no symbolic link", path);
	n = readlinkat(from, "", to, sizeof(to) - 1);
	if (n < 0)
		return fail(x, "readlink the source of %s", path);
	to[n] = 0;
	dir = root_parent(x, slot_fd(x, op->root), path, &name);
	if (dir < 0)
		return dir;
	r = copy_link(x, dir, name, to, path);
	close(dir);
	return r;
}

int op_open_null(struct executor *x, const struct op_open_null *op)
{
	struct stat st;
	int fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return fail(x, "open /dev/null");
	slot_put(x, op->into, fd);
	if (fstat(fd, &st) < 0)
		return fail(x, "stat /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return fail_with(x, ENODEV, "the host's /dev/null is not character device 1:3");
	return 0;
}

/* All masked folders are clones of one mount: one superblock for any number. */
static int mask_dir(struct executor *x, uint64_t slot)
{
	int fs, fd;

	if (slot_fd(x, slot) >= 0)
		return 0;
	fs = sys_fsopen("tmpfs");
	if (fs < 0)
		return fail(x, "fsopen tmpfs");
	if (sys_fsconfig(fs, 1, "nr_blocks", "1") < 0 || sys_fsconfig(fs, 1, "nr_inodes", "1") < 0 ||
	    sys_fsconfig(fs, 1, "mode", "0755") < 0 || sys_fsconfig(fs, 0, "ro", NULL) < 0 ||
	    sys_fsconfig(fs, 6, NULL, NULL) < 0) {
		int r = fail(x, "fsconfig tmpfs");
		close(fs);
		return r;
	}
	fd = sys_fsmount(fs, ATTR_RDONLY | ATTR_NOSUID_NODEV_NOEXEC);
	if (fd < 0) {
		int r = fail(x, "fsmount tmpfs");
		close(fs);
		return r;
	}
	close(fs);
	slot_put(x, slot, fd);
	return 0;
}

static int missing(int error)
{
	return error == ENOENT || error == ENOTDIR;
}

/*
 * Attaches a mount at a path and makes it read-only. Kernels before 5.12 do so
 * by mount(2), and to the topmost mount alone, through the host's /proc, which
 * is still in place.
 */
static int attach_readonly(struct executor *x, int fd, int at, int recursive, const char *path)
{
	int old = sys_mount_setattr(fd, recursive, ATTR_RDONLY, 0, 0, -1) < 0;
	char link[32];

	if (old && errno != ENOSYS)
		return fail(x, "mount_setattr %s", path);
	if (sys_move_mount(fd, at) < 0)
		return fail(x, "move_mount %s", path);
	if (!old)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return mount_readonly(x, fd, link, path);
}

/*
 * Attaches a first mask, of which the others are clones. Older kernels (seen:
 * 6.1, 6.12) clone only what is attached. A masked file is the host's own
 * /dev/null; that the mount is read-only keeps the container from changing its
 * owner and mode, and not from writing to it.
 */
static int first_mask(struct executor *x, const struct op_mask *op, int dir, int at)
{
	const char *path = plan_str(x, op->path);
	int fd, r;

	if (dir) {
		r = mask_dir(x, op->dir);
		if (r == 0 && sys_move_mount(slot_fd(x, op->dir), at) < 0)
			r = fail(x, "move_mount %s", path);
		return r;
	}
	fd = sys_open_tree(slot_fd(x, op->null), "", TREE_CLONE);
	if (fd < 0)
		return fail(x, "open_tree mask for %s", path);
	slot_put(x, op->null, fd);
	return attach_readonly(x, fd, at, 0, path);
}

static int mask_target(struct executor *x, const struct op_mask *op, int at)
{
	const char *path = plan_str(x, op->path);
	struct stat st;
	int fd, dir, r = 0;

	if (fstat(at, &st) < 0)
		return fail(x, "stat %s", path);
	dir = S_ISDIR(st.st_mode);
	if (!x->mask_attached[dir]) {
		x->mask_attached[dir] = 1;
		return first_mask(x, op, dir, at);
	}
	fd = sys_open_tree(slot_fd(x, dir ? op->dir : op->null), "", TREE_CLONE);
	if (fd < 0)
		return fail(x, "open_tree mask for %s", path);
	if (sys_move_mount(fd, at) < 0)
		r = fail(x, "move_mount %s", path);
	close(fd);
	return r;
}

int op_mask(struct executor *x, const struct op_mask *op)
{
	int at = root_open(slot_fd(x, op->root), plan_str(x, op->path), O_PATH, 0);
	int r;

	if (at < 0)
		return missing(errno) ? 0 : fail(x, "open %s", plan_str(x, op->path));
	r = mask_target(x, op, at);
	close(at);
	return r;
}

static int readonly_target(struct executor *x, const char *path, int at)
{
	int fd = sys_open_tree(at, "", TREE_CLONE | TREE_RECURSIVE);
	int r;

	if (fd < 0)
		return fail(x, "open_tree %s", path);
	r = attach_readonly(x, fd, at, 1, path);
	close(fd);
	return r;
}

int op_readonly(struct executor *x, const struct op_readonly *op)
{
	const char *path = plan_str(x, op->path);
	int at = root_open(slot_fd(x, op->root), path, O_PATH, 0);
	int r;

	if (at < 0)
		return missing(errno) ? 0 : fail(x, "open %s", path);
	r = readonly_target(x, path, at);
	close(at);
	return r;
}

int op_pivot_root(struct executor *x, const struct op_pivot_root *op)
{
	int old = -1, r = 0;

	if (mounts_done(x) < 0)
		return -1;
	if (op->slave) {
		old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (old < 0)
			return fail(x, "open the old root");
	}
	/* pivot_root(2): with both at ".", the old root lies over the new one. */
	if (fchdir(slot_fd(x, op->root)) < 0)
		r = fail(x, "fchdir to the rootfs");
	else if (sys_pivot_root(".", ".") < 0)
		r = fail(x, "pivot_root");
	/* "." is the new root still; only umount2 looks at what lies over it. */
	else if (op->slave && (fchdir(old) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0))
		r = fail(x, "mount: make the old root a slave");
	if (old >= 0)
		close(old);
	if (r < 0)
		return r;
	if (umount2(".", MNT_DETACH) < 0)
		return fail(x, "umount the old root");
	if (chdir("/") < 0)
		return fail(x, "chdir /");
	return 0;
}

/*
 * Takes a procfs or sysfs of the host's out of the namespace: as long as there
 * is one without masks, whoever makes a user namespace may mount another one
 * (mount_too_revealing() in the kernel's fs/namespace.c). A locked mount cannot
 * go, and is covered.
 */
static int hide_mount(struct executor *x, const char *path)
{
	/* With what is mounted in it, whose end the host's mounts would follow. */
	if (mount(NULL, path, NULL, MS_REC | MS_PRIVATE, NULL) == 0 && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EINVAL && errno != EPERM)
		return fail(x, "umount %s of the host", path);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "size=4k,nr_inodes=1") < 0)
		return fail(x, "cover %s of the host", path);
	return 0;
}

int op_move_root(struct executor *x, const struct op_move_root *op)
{
	if (mounts_done(x) < 0)
		return -1;
	for (uint32_t i = 0; i < op->private.count; i++)
		if (mount(NULL, plan_item(x, op->private, i), NULL, MS_PRIVATE, NULL) < 0)
			return fail(x, "make the host's %s private", plan_item(x, op->private, i));
	for (uint32_t i = op->hide.count; i > 0; i--)
		if (hide_mount(x, plan_item(x, op->hide, i - 1)) < 0)
			return -1;
	if (fchdir(slot_fd(x, op->root)) < 0)
		return fail(x, "fchdir to the rootfs");
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return fail(x, "mount: move the rootfs to /");
	if (chroot(".") < 0 || chdir("/") < 0)
		return fail(x, "chroot");
	return 0;
}

int op_chroot(struct executor *x, const struct op_chroot *op)
{
	if (fchdir(slot_fd(x, op->root)) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return fail(x, "chroot");
	return 0;
}

int op_root_propagation(struct executor *x, const struct op_root_propagation *op)
{
	if (mount(NULL, "/", NULL, op->flags, NULL) < 0)
		return fail(x, "mount: propagation of the container's root");
	return 0;
}

int op_open_path(struct executor *x, const struct op_open_path *op)
{
	int fd = root_open(slot_fd(x, op->root), plan_str(x, op->path), O_PATH, 0);

	if (fd < 0)
		return fail(x, "open %s", plan_str(x, op->path));
	slot_put(x, op->into, fd);
	return 0;
}

/* A file of the image's own, which the kernel makes no text of: not /proc/kmsg. */
static int plain_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !in_procfs(fd);
}

/*
 * A FIFO, a device or a link into /proc in its place is as good as missing. It
 * is looked at before it is opened: to open some devices is to act on them.
 */
int op_open_file(struct executor *x, const struct op_open_file *op)
{
	const char *path = plan_str(x, op->path);
	int at = root_open(slot_fd(x, op->root), path, O_PATH, 0);
	int fd = -1;

	slot_close(x, op->into);
	if (at < 0)
		return 0;
	if (plain_file(at))
		fd = root_open(slot_fd(x, op->root), path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	close(at);
	if (fd >= 0 && !plain_file(fd)) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		slot_put(x, op->into, fd);
	return 0;
}

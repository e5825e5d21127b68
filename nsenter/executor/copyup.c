/* tmpcopyup: what the image has at a mount point is copied into the tmpfs. */
#include "executor.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* folders in folders: the image is not trusted */

struct dirent64_head {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

static int copy_tree(struct executor *x, int from, int to, int depth);

static int copy_bytes(struct executor *x, int from, int to, const char *name)
{
	char buf[8192];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) != 0) {
		if (n < 0)
			return fail(x, "read %s", name);
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, buf + done, (size_t)(n - done));

			if (w < 0)
				return fail(x, "write %s", name);
			done += w;
		}
	}
	return 0;
}

/*
 * What is mounted in the folder is not the image's: another mount of the
 * config, or /proc itself where the folder was a link to a root.
 */
static int open_source(int from, const char *name, int flags)
{
	return sys_openat2(from, name, (uint64_t)(O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags), 0, RESOLVE_NO_XDEV);
}

/*
 * *st becomes the metadata of what was opened: who shares the folder may have
 * put another file in the place of the one that was looked at, and content of
 * theirs must not get that one's owner and mode.
 */
static int copy_file(struct executor *x, int from, int to, const char *name, struct stat *st)
{
	int in = open_source(from, name, O_NONBLOCK | O_NOCTTY);
	int out, r;

	if (in < 0 && errno != EXDEV)
		return fail(x, "open %s", name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = out < 0 ? fail(x, "create %s", name) : 0;
	if (r == 0 && in >= 0 && fstat(in, st) < 0)
		r = fail(x, "stat %s", name);
	if (r == 0 && !S_ISREG(st->st_mode))
		r = fail_with(x, EAGAIN, "%s was exchanged while it was copied", name);
	if (r == 0 && in >= 0)
		r = copy_bytes(x, in, out, name);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

static int copy_link(struct executor *x, int from, int to, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return fail(x, "readlink %s", name);
	target[n] = 0;
	if (symlinkat(target, to, name) < 0)
		return fail(x, "symlink %s", name);
	return 0;
}

static int copy_folder(struct executor *x, int from, int to, const char *name, int depth, struct stat *st)
{
	int in = open_source(from, name, O_DIRECTORY);
	int out = -1, r = 0;

	if (in < 0 && errno != EXDEV)
		return fail(x, "open %s", name);
	if (mkdirat(to, name, 0700) < 0)
		r = fail(x, "mkdir %s", name);
	if (r == 0 && in >= 0 && fstat(in, st) < 0)
		r = fail(x, "stat %s", name);
	if (r == 0 && in >= 0) {
		out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = out < 0 ? fail(x, "open %s", name) : copy_tree(x, in, out, depth + 1);
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

static int copy_entry(struct executor *x, int from, int to, const char *name, int depth)
{
	struct timespec times[2];
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(x, "stat %s", name);
	if (S_ISREG(st.st_mode))
		r = copy_file(x, from, to, name, &st);
	else if (S_ISDIR(st.st_mode))
		r = copy_folder(x, from, to, name, depth, &st);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(x, from, to, name);
	else
		r = mknodat(to, name, st.st_mode, st.st_rdev) < 0 ? fail(x, "mknod %s", name) : 0;
	if (r < 0)
		return r;
	if (fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(x, "chown %s", name);
	if (S_ISLNK(st.st_mode))
		return 0;
	if (fchmodat(to, name, st.st_mode & 07777, 0) < 0)
		return fail(x, "chmod %s", name);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(x, "utimensat %s", name);
	return 0;
}

static int copy_tree(struct executor *x, int from, int to, int depth)
{
	char buf[2048] __attribute__((aligned(8)));
	long n;

	if (depth > DEPTH_MAX)
		return fail_with(x, ELOOP, "more than %d folders in each other", DEPTH_MAX);
	while ((n = syscall(SYS_getdents64, from, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64_head *d = (const void *)(buf + at);
			int r = 0;

			if (strcmp(d->name, ".") && strcmp(d->name, ".."))
				r = copy_entry(x, from, to, d->name, depth);
			if (r < 0)
				return r;
			at += d->len;
		}
	}
	return n < 0 ? fail(x, "getdents64") : 0;
}

int op_copy_up(struct executor *x, const struct op_copy_up *op)
{
	const char *path = plan_str(x, op->path);
	int from = root_open(slot_fd(x, op->root), path, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	int to, r = 0;

	if (from < 0)
		return errno == ENOENT ? 0 : fail(x, "open %s", path);
	if (in_procfs(from)) {
		close(from);
		return fail_with(x, EPERM, "%s lies in a procfs", path);
	}
	to = openat(slot_fd(x, op->mount), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		r = fail(x, "open the tmpfs for %s", path);
	if (r == 0)
		r = copy_tree(x, from, to, 0);
	if (r == 0 &&
	    (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0))
		r = fail(x, "copy owner and mode of %s", path);
	close(from);
	if (to >= 0)
		close(to);
	return r;
}

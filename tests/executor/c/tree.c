#include "tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

static const struct tree *failing;

void tree_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s (%m); the tree is in %s\n", file, line, what,
		failing ? failing->outer : "(none)");
	abort();
}

static int opendirat(int at, const char *path)
{
	return sys_openat2(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, BENEATH);
}

/* Times, sizes and link counts of outer and its canary, in one string. */
static void outside(const struct tree *t, char *out, size_t size)
{
	static const char *const paths[] = {".", "canary", "canary/secret", "canary/folder"};
	unsigned long long sum = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		REQUIRE(fstatat(t->outer_fd, paths[i], &st, AT_SYMLINK_NOFOLLOW) == 0);
		sum = sum * 31 + st.st_ino + st.st_mode + st.st_uid + st.st_gid + (unsigned long long)st.st_size;
		sum = sum * 31 + st.st_nlink;
		if (i) /* outer itself changes when root is made again */
			sum = sum * 31 + (unsigned long long)st.st_ctim.tv_sec * 1000000000 +
			      (unsigned long long)st.st_ctim.tv_nsec;
	}
	snprintf(out, size, "%llu", sum);
}

void tree_make(struct tree *t)
{
	const char *tmp = getenv("TMPDIR");
	int secret;

	if (!tmp)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* a file system in memory is faster */
	snprintf(t->outer, sizeof(t->outer), "%s/berth-tree-XXXXXX", tmp);
	REQUIRE(mkdtemp(t->outer));
	REQUIRE(chmod(t->outer, 0755) == 0);
	t->outer_fd = open(t->outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->proc_fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(t->outer_fd >= 0 && t->proc_fds >= 0);
	REQUIRE(mkdirat(t->outer_fd, "canary", 0777) == 0 && mkdirat(t->outer_fd, "canary/folder", 0777) == 0);
	REQUIRE(mkdirat(t->outer_fd, "copy", 0700) == 0 && mkdirat(t->outer_fd, "root", 0755) == 0);
	secret = openat(t->outer_fd, "canary/secret", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
	REQUIRE(secret >= 0 && write(secret, "secret\n", 7) == 7);
	close(secret);
	t->root_fd = t->copy_fd = -1;
	failing = t;
	outside(t, t->before, sizeof(t->before));
	REQUIRE(unlinkat(t->outer_fd, "root", AT_REMOVEDIR) == 0);
	REQUIRE(unlinkat(t->outer_fd, "copy", AT_REMOVEDIR) == 0);
}

void tree_enter(struct tree *t)
{
	REQUIRE(fchdir(t->outer_fd) == 0);
	if (geteuid() != 0)
		return;
	REQUIRE(chroot(".") == 0);
	t->chrooted = 1;
}

void tree_root(struct tree *t)
{
	REQUIRE(mkdirat(t->outer_fd, "root", 0755) == 0 && mkdirat(t->outer_fd, "copy", 0700) == 0);
	t->root_fd = openat(t->outer_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	t->copy_fd = openat(t->outer_fd, "copy", O_PATH | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(t->root_fd >= 0 && t->copy_fd >= 0);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void drop_tree(const struct tree *t, const char *name)
{
	char path[PATH_MAX + 32];

	if (t->chrooted)
		snprintf(path, sizeof(path), "/%s", name);
	else
		snprintf(path, sizeof(path), "%s/%s", t->outer, name);
	REQUIRE(nftw(path, drop, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0);
}

void tree_clear(struct tree *t)
{
	close(t->root_fd);
	close(t->copy_fd);
	t->root_fd = t->copy_fd = -1;
	drop_tree(t, "root");
	drop_tree(t, "copy");
}

/* From where the whole of outer is in reach still. */
void tree_remove(struct tree *t)
{
	t->chrooted = 0;
	drop_tree(t, "");
}

static void plant_link(struct tree *t, int folder, const char *name, const char *target)
{
	char full[PATH_MAX * 2];

	if (target[0] == '@') {
		snprintf(full, sizeof(full), "%s%s", t->chrooted ? "" : t->outer, target + 1);
		target = full;
	}
	(void)!symlinkat(target, folder, name);
}

static void plant_file(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

void tree_plant(struct tree *t, char *line)
{
	char *name = strchr(line, ' ');
	char *value = name ? strchr(name + 1, ' ') : NULL;
	char *base;
	int folder;

	if (!name)
		return;
	*name++ = 0;
	if (value)
		*value++ = 0;
	while (*name == '/')
		name++;
	base = strrchr(name, '/');
	if (base)
		*base++ = 0;
	folder = base ? opendirat(t->root_fd, name) : opendirat(t->root_fd, ".");
	if (folder < 0)
		return;
	if (!base)
		base = name;
	switch (line[0]) {
	case 'l':
		plant_link(t, folder, base, value ? value : "");
		break;
	case 'd':
		(void)!mkdirat(folder, base, 0755);
		break;
	case 'f':
		plant_file(folder, base, value ? value : "");
		break;
	case 'p':
		(void)!mknodat(folder, base, S_IFIFO | 0644, 0);
		break;
	case 's':
		(void)!mknodat(folder, base, S_IFSOCK | 0644, 0);
		break;
	}
	close(folder);
}

void tree_check(const struct tree *t)
{
	char now[sizeof(t->before)];

	outside(t, now, sizeof(now));
	REQUIRE(!strcmp(now, t->before));
}

/* Where a descriptor leads to, from the host's view. */
static const char *real_path(const struct tree *t, int fd)
{
	static char path[PATH_MAX];
	char number[16];
	ssize_t n;

	snprintf(number, sizeof(number), "%d", fd);
	n = readlinkat(t->proc_fds, number, path, sizeof(path) - 1);
	REQUIRE(n > 0);
	path[n] = 0;
	return path;
}

const char *tree_path(const struct tree *t, int fd)
{
	const char *path = real_path(t, fd);
	size_t outer = t->chrooted ? 0 : strlen(t->outer);

	/* The kernel gives the path as the reader of the link would walk it. */
	if (t->chrooted && !strncmp(path, t->outer, strlen(t->outer)))
		outer = strlen(t->outer);
	if (strncmp(path, t->chrooted && !outer ? "" : t->outer, outer) || strncmp(path + outer, "/root", 5))
		return NULL;
	path += outer + 5;
	if (*path && *path != '/')
		return NULL;
	return *path ? path : "/";
}

int tree_inside(const struct tree *t, int fd)
{
	return tree_path(t, fd) != NULL;
}

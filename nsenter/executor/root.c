/*
 * Paths inside the rootfs. The image is the attacker: no path is followed with
 * the host's root in reach. Everything goes through openat2 with
 * RESOLVE_IN_ROOT, and magic links are never followed.
 */
#include "executor.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* openat2 answers EAGAIN when a rename elsewhere raced with a "..". */
#define RACE_RETRIES 128
#define LINKS_MAX    40

int root_open(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	int fd = -1;

	if (!*path)
		path = ".";
	for (int i = 0; i < RACE_RETRIES; i++) {
		fd = sys_openat2(root, path, flags | O_CLOEXEC, 0, resolve | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd;
}

/* The state of a walk: what is resolved, without links, and what is to come. */
struct walk {
	int root;
	int how;
	int links;
	char done[PATH_MAX];
	char todo[PATH_MAX];
};

/* Takes the next component off w->todo; 0 at the end, -1 when it is too long. */
static int next_component(struct walk *w, char *name, size_t size, int *last)
{
	char *p = w->todo + strspn(w->todo, "/");
	size_t n = strcspn(p, "/");
	char *rest = p + n + strspn(p + n, "/");

	if (n == 0)
		return 0;
	if (n >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, p, n);
	name[n] = 0;
	*last = *rest == 0;
	memmove(w->todo, rest, strlen(rest) + 1);
	return 1;
}

static int append(char *path, const char *name)
{
	size_t have = strlen(path), more = strlen(name);

	if (have + more + 2 > PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (have)
		path[have++] = '/';
	memcpy(path + have, name, more + 1);
	return 0;
}

static int follow(struct walk *w, int parent, const char *name)
{
	char link[PATH_MAX];
	ssize_t n = readlinkat(parent, name, link, sizeof(link) - 1);

	if (n < 0)
		return -1;
	link[n] = 0;
	if ((w->how & ROOT_NOSYMLINK) || ++w->links > LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	if (link[0] == '/')
		w->done[0] = 0;
	if ((size_t)n + 1 + strlen(w->todo) + 1 > sizeof(w->todo)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memmove(w->todo + n + 1, w->todo, strlen(w->todo) + 1);
	memcpy(w->todo, link, (size_t)n);
	w->todo[n] = '/';
	return 0;
}

static int make(int how, int parent, const char *name, int last)
{
	int fd;

	if (!last || (how & ROOT_CREATE_DIR))
		return mkdirat(parent, name, 0755);
	fd = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* One component: follow a link, make what is missing, or step into it. */
static int walk_component(struct walk *w, const char *name, int last)
{
	int parent = root_open(w->root, w->done, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	struct stat st;
	int r;

	if (parent < 0)
		return -1;
	r = fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0 && errno == ENOENT) {
		r = make(w->how, parent, name, last);
		if (r < 0 && errno == EEXIST)
			r = 0; /* somebody else was faster; the last open checks it */
	} else if (r == 0 && S_ISLNK(st.st_mode) && !(last && (w->how & ROOT_NOFOLLOW))) {
		r = follow(w, parent, name);
		close(parent);
		return r;
	}
	close(parent);
	return r < 0 ? r : append(w->done, name);
}

static void drop_component(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = 0;
	else
		*path = 0;
}

/*
 * Makes and opens path where nothing but its last component is missing and no
 * link is on the way, as with nearly every mount point. Whatever else it meets
 * (-1) is for the walk, which begins anew.
 */
static int make_last(int root, const char *path, int how, uint64_t flags)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t n = slash ? (size_t)(slash - path) : 0;
	int parent, fd = -1;

	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || n >= sizeof(folder))
		return -1;
	memcpy(folder, path, n);
	folder[n] = 0;
	parent = root_open(root, folder, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (parent < 0)
		return -1;
	if (make(how, parent, name, 1) == 0)
		fd = root_open(parent, name, flags, RESOLVE_NO_SYMLINKS);
	close(parent);
	return fd;
}

/*
 * Opens path inside root as O_PATH; with ROOT_CREATE_* what is missing is made
 * first, folder by folder, without ever following a link by itself.
 */
int root_target(int root, const char *path, int how)
{
	uint64_t flags = O_PATH | (how & ROOT_NOFOLLOW ? O_NOFOLLOW : 0);
	uint64_t resolve = how & ROOT_NOSYMLINK ? RESOLVE_NO_SYMLINKS : 0;
	int fd = root_open(root, path, flags, resolve);
	struct walk w;
	char name[NAME_MAX + 1];
	int last = 0, r;

	if (fd >= 0 || errno != ENOENT || !(how & (ROOT_CREATE_DIR | ROOT_CREATE_FILE)))
		return fd;
	fd = make_last(root, path, how, flags);
	if (fd >= 0)
		return fd;
	if (strlen(path) >= sizeof(w.todo)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	w.root = root;
	w.how = how;
	w.links = 0;
	w.done[0] = 0;
	strcpy(w.todo, path);
	while ((r = next_component(&w, name, sizeof(name), &last)) > 0) {
		if (!strcmp(name, "."))
			continue;
		if (!strcmp(name, ".."))
			drop_component(w.done);
		else if (walk_component(&w, name, last) < 0)
			return -1;
	}
	if (r < 0)
		return -1;
	return root_open(root, w.done, flags, (how & ROOT_NOFOLLOW) ? 0 : RESOLVE_NO_SYMLINKS);
}

/* Opens the folder above path, made where it is missing; *base is the rest. */
int root_parent(struct executor *x, int root, const char *path, const char **base)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	int fd;

	*base = slash ? slash + 1 : path;
	if (!**base || !strcmp(*base, ".") || !strcmp(*base, ".."))
		return fail_with(x, EINVAL, "%s is no name for a file", path);
	if (n >= sizeof(folder))
		return fail_with(x, ENAMETOOLONG, "%s", path);
	memcpy(folder, path, n);
	folder[n] = 0;
	fd = root_target(root, folder, ROOT_CREATE_DIR);
	if (fd < 0)
		return fail(x, "open folder %s", folder);
	return fd;
}

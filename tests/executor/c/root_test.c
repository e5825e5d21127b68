/*
 * Paths inside a rootfs that an attacker made: each case is a tree, a path, and
 * where root_target must end up, seen from the root, or how it must fail. What
 * lies outside of the root must be as it was after each.
 */
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define A_DIR  ROOT_CREATE_DIR
#define A_FILE ROOT_CREATE_FILE

struct target_case {
	const char *tree; /* lines; see tree.h */
	const char *path;
	int how;
	const char *at; /* where it leads, or NULL */
	int error;	/* then this */
};

static const struct target_case target_cases[] = {
	/* What is there. */
	{"d a", "/a", 0, "/a", 0},
	{"d a", "a", 0, "/a", 0},
	{"d a\nf a/b x", "/a//./b", 0, "/a/b", 0},
	{"", "/", 0, "/", 0},
	{"", "", 0, "/", 0},
	{"", "/..", 0, "/", 0},
	{"", "../../..", 0, "/", 0},
	{"d a", "/../../a/../a/../../a", 0, "/a", 0},
	{"p a", "/a", A_DIR, "/a", 0}, /* opened without waiting for a writer */
	{"s a", "/a", A_DIR, "/a", 0},
	{"", "/missing", 0, NULL, ENOENT},

	/* Links. */
	{"d b\nl a b", "/a", 0, "/b", 0},
	{"d b\nl a /b", "/a", 0, "/b", 0},
	{"l a @/canary", "/a", 0, NULL, ENOENT},
	{"l a ../../../../canary", "/a", 0, NULL, ENOENT},
	{"d a\nl a/up ../../../..", "/a/up", 0, "/", 0},
	{"d a\nl a/up ../../../..", "/a/up/a", 0, "/a", 0},
	{"l a b\nl b a", "/a", A_DIR, NULL, ELOOP},
	{"l a a", "/a/x", A_DIR, NULL, ELOOP},
	{"l a ./a/a/a/a", "/a", A_DIR, NULL, ELOOP},
	{"d b\nl a b", "/a", ROOT_NOSYMLINK, NULL, ELOOP},
	{"d b\nd b/c\nl a b", "/a/c", ROOT_NOSYMLINK, NULL, ELOOP},
	{"d b\nd b/c\nl a b", "/a/c", ROOT_NOSYMLINK | A_DIR, NULL, ELOOP},
	{"l a missing", "/a", ROOT_NOSYMLINK | A_DIR, NULL, ELOOP},
	{"l a missing", "/a/b/c", ROOT_NOSYMLINK | A_DIR, NULL, ELOOP},
	{"d b\nl a b", "/a", ROOT_NOFOLLOW, "/a", 0},
	{"l a @/canary/secret", "/a", ROOT_NOFOLLOW | A_FILE, "/a", 0},
	{"l a missing", "/a", ROOT_NOFOLLOW | A_DIR, "/a", 0},

	/* What is missing is made: where the path leads inside, never outside. */
	{"", "/new", A_DIR, "/new", 0},
	{"", "/new", A_FILE, "/new", 0},
	{"", "/a/b/c/d", A_DIR, "/a/b/c/d", 0},
	{"", "/a/b/c/d", A_FILE, "/a/b/c/d", 0},
	{"", "a/./b//c/", A_DIR, "/a/b/c", 0},
	{"", "/a/../b", A_DIR, "/b", 0},
	{"", "/../../a", A_DIR, "/a", 0},
	{"l a b", "/a", A_DIR, "/b", 0},
	{"l a b", "/a/c", A_DIR, "/b/c", 0},
	{"d a\nl a/b /c", "/a/b", A_DIR, "/c", 0},
	{"d a\nl a/b /c/../d", "/a/b/e", A_DIR, "/d/e", 0},
	{"l a b/c/d", "/a/e", A_FILE, "/b/c/d/e", 0},
	{"l a @/canary/new", "/a", A_DIR, "/canary/new", 0},
	{"l a @/canary/new", "/a", A_FILE, "/canary/new", 0},
	{"l a @/canary", "/a/new", A_DIR, "/canary/new", 0},
	{"l a ../../canary/new", "/a", A_FILE, "/canary/new", 0},
	{"d a\nd a/b\nl a/b/c ../../../../../canary/new", "/a/b/c", A_FILE, "/canary/new", 0},
	{"d a\nl a/up ..", "/a/up/../new", A_DIR, "/new", 0},
	{"d a\nl a/up ../..", "/a/up/canary/new", A_DIR, "/canary/new", 0},
	{"l a b\nl b c\nl c d", "/a/x", A_DIR, "/d/x", 0},
	{"l a .", "/a/a/a/new", A_DIR, "/new", 0},
	{"l a ..", "/a/a/new", A_DIR, "/new", 0},
	{"l a /", "/a/new", A_DIR, "/new", 0},
	{"d a", "/a/b", ROOT_NOFOLLOW | A_FILE, "/a/b", 0},
	{"d b\nl a b", "/a/c", ROOT_NOFOLLOW | A_DIR, "/b/c", 0},

	/* A file, FIFO or socket is no folder, and is not waited on. */
	{"f a x", "/a/b", A_DIR, NULL, ENOTDIR},
	{"p a", "/a/b", A_DIR, NULL, ENOTDIR},
	{"s a", "/a/b/c", A_FILE, NULL, ENOTDIR},
	{"f b x\nl a b", "/a/c", A_DIR, NULL, ENOTDIR},
	{"f a x", "/a/../b", A_DIR, NULL, ENOTDIR},
};

static const char long_name[] = "/0123456789012345678901234567890123456789012345678901234567890123456789"
				"0123456789012345678901234567890123456789012345678901234567890123456789"
				"0123456789012345678901234567890123456789012345678901234567890123456789"
				"01234567890123456789012345678901234567890123456789";

static int failures;

static void wrong(const char *what, const char *path, int how, const char *got)
{
	printf("%s %s (how %d): %s\n", what, path, how, got);
	failures++;
}

static void plant_all(struct tree *t, const char *lines)
{
	char copy[512], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", lines);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		tree_plant(t, line);
}

/* The kind that was to be made is what is there, where it was made. */
static void check_kind(const struct target_case *c, int fd)
{
	struct stat st;

	REQUIRE(fstat(fd, &st) == 0);
	if (*c->tree || !strcmp(c->at, "/"))
		return;
	if (!!(c->how & A_DIR) != S_ISDIR(st.st_mode))
		wrong("made", c->path, c->how, "of another kind than asked for");
}

/* Where the case ends: a link to the host's name of outer/canary ends there. */
static const char *expected(const struct tree *t, const struct target_case *c)
{
	static char at[PATH_MAX * 2];

	if (!c->at || t->chrooted || !strchr(c->tree, '@') || strncmp(c->at, "/canary", 7))
		return c->at;
	snprintf(at, sizeof(at), "%s%s", t->outer, c->at);
	return at;
}

static void run_target(struct tree *t, const struct target_case *c)
{
	const char *want = expected(t, c), *at = NULL;
	int fd;

	tree_root(t);
	plant_all(t, c->tree);
	fd = root_target(t->root_fd, c->path, c->how);
	if (fd < 0 && errno != c->error)
		wrong("target", c->path, c->how, strerror(errno));
	if (fd >= 0) {
		at = tree_path(t, fd);
		if (!at || !want || strcmp(at, want))
			wrong("target", c->path, c->how, at ? at : "outside of the root");
		else
			check_kind(c, fd);
		close(fd);
	} else if (want) {
		wrong("target", c->path, c->how, "refused");
	}
	tree_check(t);
	tree_clear(t);
}

/* How many descriptors are open. */
static int files_open(const struct tree *t)
{
	DIR *fds = fdopendir(openat(t->proc_fds, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int n = 0;

	REQUIRE(fds);
	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

/* Magic links lead out of any root; procfs is where they are. */
static void run_magic(const struct tree *t)
{
	static const char *const paths[] = {"self/root",   "self/root/canary",	  "self/cwd", "self/exe", "self/fd/0",
					    "self/ns/mnt", "thread-self/root/new"};
	int proc = openat(t->proc_fds, "../..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	REQUIRE(proc >= 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		for (int how = 0; how < 16; how++) {
			int fd;

			if (strchr(paths[i], '/') && (how & ROOT_NOFOLLOW) && !strstr(paths[i], "root/"))
				continue; /* the link itself, unfollowed, is no way out */
			fd = root_target(proc, paths[i], how);
			if (fd >= 0 || errno != ELOOP)
				wrong("magic link", paths[i], how, fd >= 0 ? "followed" : strerror(errno));
			if (fd >= 0)
				close(fd);
		}
	close(proc);
}

/*
 * What is written below /proc, a profile or a label for one, goes to this process's own file of a procfs's root, or
 * nowhere: not to a folder that is made up like one, not through a link, not to another process.
 */
static void run_write_proc(struct tree *t)
{
	static struct executor x;
	static const char *const elsewhere[] = {"thread-self/comm", "self/root/canary/secret",	"self/cwd/f",
						"self/fd/1",	    "self/../../canary/secret", "/canary/secret"};
	const struct op_write_proc op = {.proc = PLAN_SLOT_PROC, .data = {0, 5}};
	int proc = openat(t->proc_fds, "../..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int self = openat(t->proc_fds, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char comm[16] = "", was[16];

	REQUIRE(proc >= 0 && self >= 0 && prctl(PR_GET_NAME, was) == 0);
	tree_root(t);
	plant_all(t, "d self\nf self/comm x\nf f x");
	memset(&x, 0, sizeof(x));
	memset(x.slots, -1, sizeof(x.slots));
	x.plan = (const unsigned char *)"label";
	x.slots[PLAN_SLOT_PROC] = t->root_fd;
	if (write_proc(&x, &op, "self/comm") == 0 || !strstr(x.detail, "should be procfs"))
		wrong("write_proc", "a folder of the image's", 0, x.detail);
	x.slots[PLAN_SLOT_PROC] = self;
	if (write_proc(&x, &op, "comm") == 0 || !strstr(x.detail, "should be procfs"))
		wrong("write_proc", "a folder of a procfs", 0, x.detail);
	x.slots[PLAN_SLOT_PROC] = proc;
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++)
		if (write_proc(&x, &op, elsewhere[i]) == 0)
			wrong("write_proc", elsewhere[i], 0, "written");
	REQUIRE(prctl(PR_GET_NAME, comm) == 0);
	if (strcmp(comm, was) != 0)
		wrong("write_proc", "comm", 0, comm);
	if (write_proc(&x, &op, "self/comm") != 0 || prctl(PR_GET_NAME, comm) != 0 || strcmp(comm, "label") != 0)
		wrong("write_proc", "self/comm", 0, x.detail);
	REQUIRE(prctl(PR_SET_NAME, was) == 0);
	close(self);
	close(proc);
	tree_check(t);
	tree_clear(t);
}

static void run_too_long(struct tree *t)
{
	char path[PATH_MAX + 16];

	tree_root(t);
	memset(path, 'a', sizeof(path));
	for (size_t i = 0; i < sizeof(path); i += 2)
		path[i] = '/';
	path[sizeof(path) - 1] = 0;
	if (root_target(t->root_fd, path, A_DIR) >= 0 || errno != ENAMETOOLONG)
		wrong("target", "of 4096 bytes", A_DIR, strerror(errno));
	if (root_target(t->root_fd, long_name, A_DIR) >= 0 || errno != ENAMETOOLONG)
		wrong("target", "a name of 260 bytes", A_DIR, strerror(errno));
	tree_check(t);
	tree_clear(t);
}

/* Operations on what an attacker put in the way. */
struct op_case {
	const char *tree;
	const char *path;
	int mkdir, symlink, fifo; /* errors expected, 0 for none */
	int opens;		  /* op_open_file finds a file */
};

static const struct op_case op_cases[] = {
	{"", "/a", 0, 0, 0, 0},
	{"", "a/b/c", 0, 0, 0, 0},
	{"f a x", "/a", 0, 0, EEXIST, 1},
	{"p a", "/a", 0, 0, 0, 0},
	{"s a", "/a", 0, 0, EEXIST, 0},
	{"d a", "/a", 0, 0, EEXIST, 0},
	{"l a @/canary/secret", "/a", 0, 0, EEXIST, 0},
	{"l a @/canary/new", "/a", 0, 0, EEXIST, 0},
	{"l a b\nf b x", "/a", 0, 0, EEXIST, 1},
	{"l a a", "/a", 0, 0, EEXIST, 0},
	{"l d @/canary", "/d/new", 0, 0, 0, 0},
	{"l d ../../canary", "/d/secret", 0, 0, 0, 0},
	{"l d d", "/d/new", ELOOP, ELOOP, ELOOP, 0},
	{"f d x", "/d/new", ENOTDIR, ENOTDIR, ENOTDIR, 0},
	{"", "/", EINVAL, EINVAL, EINVAL, 0},
	{"", "/a/..", EINVAL, EINVAL, EINVAL, 0},
	{"", "/a/.", EINVAL, EINVAL, EINVAL, 0},
};

/* One operation on a fresh tree; its strings stand in a plan of their own. */
static int run_op(struct tree *t, const struct op_case *c, int which)
{
	static struct executor x;
	char plan[256];
	uint32_t len = (uint32_t)strlen(c->path);
	struct ref_str path = {0, len}, to = {len + 1, 5};
	int r;

	memset(&x, 0, sizeof(x));
	memset(x.slots, -1, sizeof(x.slots));
	snprintf(plan, sizeof(plan), "%s%c/made", c->path, 0);
	x.plan = (const unsigned char *)plan;
	tree_root(t);
	plant_all(t, c->tree);
	x.slots[PLAN_SLOT_ROOT] = t->root_fd;
	switch (which) {
	case 0:
		r = op_mkdir(&x, &(struct op_mkdir){.root = PLAN_SLOT_ROOT, .path = path, .mode = 0755});
		break;
	case 1:
		r = op_symlink(&x, &(struct op_symlink){.root = PLAN_SLOT_ROOT, .path = path, .to = to});
		break;
	case 2:
		r = op_mknod(&x, &(struct op_mknod){.root = PLAN_SLOT_ROOT, .path = path, .mode = S_IFIFO | 0600});
		break;
	default:
		r = op_open_file(
			&x, &(struct op_open_file){.root = PLAN_SLOT_ROOT, .path = path, .into = PLAN_SLOT_PASSWD});
		REQUIRE(r == 0);
		r = x.slots[PLAN_SLOT_PASSWD] >= 0;
		REQUIRE(!r || tree_inside(t, x.slots[PLAN_SLOT_PASSWD]));
		slot_close(&x, PLAN_SLOT_PASSWD);
	}
	REQUIRE(r >= 0 || *x.detail);
	tree_check(t);
	tree_clear(t);
	return r;
}

static void run_ops(struct tree *t, const struct op_case *c)
{
	const int want[] = {-c->mkdir, -c->symlink, -c->fifo, c->opens};
	static const char *const names[] = {"mkdir", "symlink", "mknod", "open_file"};

	for (int i = 0; i < 4; i++) {
		int r = run_op(t, c, i);

		if (r != want[i])
			wrong(names[i], c->path, 0, r < 0 ? strerror(-r) : "done");
	}
}

/* Who shares the volume swaps a folder with a link out of it, at full speed. */
struct race {
	struct tree *tree;
	const char *a, *b;
	_Atomic int done;
	unsigned long swaps;
};

static void *swap(void *arg)
{
	struct race *r = arg;

	while (!r->done) {
		int n = renameat2(r->tree->root_fd, r->a, r->tree->root_fd, r->b, RENAME_EXCHANGE);

		REQUIRE(n == 0);
		r->swaps++;
	}
	return NULL;
}

/* One round: make a folder, a file, a link and a FIFO where the race goes on. */
static unsigned long race_round(struct tree *t, int i)
{
	static const int how[] = {A_DIR, A_FILE, A_DIR | ROOT_NOSYMLINK, A_FILE | ROOT_NOFOLLOW};
	char path[64];
	unsigned long made = 0;

	for (int k = 0; k < 4; k++) {
		int fd;

		snprintf(path, sizeof(path), "/a/%d-%d/b/c/d/e/f/x", i, k);
		fd = root_target(t->root_fd, path, how[k]);
		if (fd < 0)
			continue;
		made++;
		if (!tree_inside(t, fd))
			wrong("race", path, how[k], "led outside");
		close(fd);
	}
	return made;
}

static void run_race(struct tree *t, int seconds)
{
	struct race r = {.tree = t, .a = "a", .b = "b"};
	struct timespec now, end;
	unsigned long made = 0;
	pthread_t other;
	int i = 0;

	tree_root(t);
	plant_all(t, "d a\nl b @/canary/folder");
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	REQUIRE(pthread_create(&other, NULL, swap, &r) == 0);
	do {
		made += race_round(t, i++);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	r.done = 1;
	REQUIRE(pthread_join(other, NULL) == 0);
	tree_check(t);
	tree_clear(t);
	if (!r.swaps || !made)
		wrong("race", "", 0, "nothing happened");
	printf("race: %d rounds, %lu swaps, %lu made\n", i, r.swaps, made);
}

/* What was copied as name: content that is not that of the file whose mode it has is a way to privileges. */
static void check_copy(struct tree *t, const char *name)
{
	int fd = openat(t->copy_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char byte;

	if (fd < 0)
		return;
	REQUIRE(fstat(fd, &st) == 0);
	if (read(fd, &byte, 1) == 1 && (byte == 's') != !!(st.st_mode & S_ISUID))
		wrong("copy_up race", name, 0, "content of one file with the mode of another");
	close(fd);
	REQUIRE(unlinkat(t->copy_fd, name, 0) == 0);
}

/* tmpcopyup of a folder whose files, one of them setuid, are exchanged meanwhile. */
static void run_copy_race(struct tree *t, int rounds)
{
	static struct executor x;
	struct race r = {.tree = t, .a = "d/a", .b = "d/b"};
	pthread_t other;
	int n, copied = 0;

	tree_root(t);
	plant_all(t, "d d\nf d/a plain\nf d/b setuid");
	REQUIRE(fchmodat(t->root_fd, "d/b", 04755, 0) == 0);
	memset(&x, 0, sizeof(x));
	memset(x.slots, -1, sizeof(x.slots));
	x.plan = (const unsigned char *)"/d";
	x.slots[PLAN_SLOT_ROOT] = t->root_fd;
	x.slots[PLAN_SLOT_MOUNT] = t->copy_fd;
	REQUIRE(pthread_create(&other, NULL, swap, &r) == 0);
	for (int i = 0; i < rounds; i++) {
		n = op_copy_up(&x,
			       &(struct op_copy_up){.root = PLAN_SLOT_ROOT, .path = {0, 2}, .mount = PLAN_SLOT_MOUNT});
		copied += n == 0;
		REQUIRE(n == 0 || *x.detail);
		check_copy(t, "a");
		check_copy(t, "b");
	}
	r.done = 1;
	REQUIRE(pthread_join(other, NULL) == 0);
	tree_check(t);
	tree_clear(t);
	if (!r.swaps || !copied)
		wrong("copy_up race", "", 0, "nothing happened");
	printf("copy_up race: %d of %d copied, %lu swaps\n", copied, rounds, r.swaps);
}

static void *exchange_node(void *arg)
{
	struct race *r = arg;

	while (!r->done)
		if (renameat2(r->tree->root_fd, r->a, r->tree->root_fd, r->b, RENAME_EXCHANGE) == 0)
			r->swaps++;
	return NULL;
}

/* A node that is made is given to its owner, and not what somebody puts in its place at once. */
static void run_node_race(struct tree *t, int rounds)
{
	static struct executor x;
	struct race r = {.tree = t, .a = "node", .b = "bait"};
	static const char *const names[] = {"node", "bait"};
	pthread_t other;

	if (geteuid() != 0)
		return; /* nothing can be given away */
	tree_root(t);
	memset(&x, 0, sizeof(x));
	memset(x.slots, -1, sizeof(x.slots));
	x.plan = (const unsigned char *)"node";
	x.slots[PLAN_SLOT_ROOT] = t->root_fd;
	REQUIRE(pthread_create(&other, NULL, exchange_node, &r) == 0);
	for (int i = 0; i < rounds; i++) {
		struct op_mknod op = {.root = PLAN_SLOT_ROOT, .path = {0, 4}, .mode = S_IFIFO | 0600, .uid = 77};
		int n;

		plant_all(t, "f bait x");
		n = op_mknod(&x, &op);
		REQUIRE(n == 0 || *x.detail);
		for (int k = 0; k < 2; k++) {
			struct stat st;
			int fd = openat(t->root_fd, names[k], O_PATH | O_NOFOLLOW | O_CLOEXEC);

			if (fd < 0)
				continue;
			REQUIRE(fstat(fd, &st) == 0);
			if (S_ISREG(st.st_mode) && st.st_uid)
				wrong("mknod race", names[k], 0, "another file was given away");
			close(fd);
		}
		(void)!unlinkat(t->root_fd, "node", 0);
		(void)!unlinkat(t->root_fd, "bait", 0);
		(void)!unlinkat(t->root_fd, "node", 0);
	}
	r.done = 1;
	REQUIRE(pthread_join(other, NULL) == 0);
	tree_check(t);
	tree_clear(t);
	if (!r.swaps)
		wrong("mknod race", "", 0, "nothing happened");
	printf("mknod race: %d rounds, %lu swaps\n", rounds, r.swaps);
}

/* root_test [SECONDS]: how long the race lasts. */
int main(int argc, char **argv)
{
	static struct tree t;
	int before, old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t n = sizeof(target_cases) / sizeof(*target_cases), m = sizeof(op_cases) / sizeof(*op_cases);

	tree_make(&t);
	tree_enter(&t);
	umask(022);
	before = files_open(&t);
	for (size_t i = 0; i < n; i++)
		run_target(&t, &target_cases[i]);
	for (size_t i = 0; i < m; i++)
		run_ops(&t, &op_cases[i]);
	run_magic(&t);
	run_write_proc(&t);
	run_too_long(&t);
	run_race(&t, argc > 1 ? atoi(argv[1]) : 2);
	run_copy_race(&t, 3000);
	run_node_race(&t, 3000);
	if (files_open(&t) != before)
		wrong("descriptors", "", 0, "some are left open");
	REQUIRE(!t.chrooted || (fchdir(old) == 0 && chroot(".") == 0));
	tree_remove(&t);
	printf("%zu targets, %zu trees for operations, %d wrong\n", n, m, failures);
	return failures != 0;
}

/*
 * Fuzzes the walk of paths inside a rootfs, and the operations that make and
 * copy files there. The input is text: a first line of an operation's letter,
 * a digit of flags and a path, then the tree, a line for each file (tree.h).
 * After each input nothing outside of the root may have changed, what was
 * opened is inside, and no descriptor is left open.
 */
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 2048

static struct tree tree;

/*
 * The fuzzer itself needs its corpus; a thread of its own has outer for "/".
 * The two take turns.
 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static char *work; /* the input, or NULL when it is done */

static int next_descriptor(void)
{
	int fd = dup(tree.outer_fd);

	close(fd);
	return fd;
}

static void check_opened(int fd)
{
	if (fd < 0)
		return;
	REQUIRE(tree_inside(&tree, fd));
	close(fd);
}

/* Runs one operation; path is that of the first line. */
static void operate(char letter, int how, const char *path)
{
	static struct executor x;
	struct ref_str at = {0, (uint32_t)strlen(path)};
	int r = 0;

	memset(&x, 0, sizeof(x));
	memset(x.slots, -1, sizeof(x.slots));
	x.plan = (const unsigned char *)path;
	x.slots[PLAN_SLOT_ROOT] = tree.root_fd;
	x.slots[PLAN_SLOT_MOUNT] = tree.copy_fd;
	switch (letter) {
	case 'd':
		r = op_mkdir(&x, &(struct op_mkdir){.root = PLAN_SLOT_ROOT, .path = at, .mode = 0755});
		break;
	case 'l':
		r = op_symlink(&x, &(struct op_symlink){.root = PLAN_SLOT_ROOT, .path = at, .to = at});
		break;
	case 'p':
		r = op_mknod(&x, &(struct op_mknod){.root = PLAN_SLOT_ROOT, .path = at, .mode = S_IFIFO | 0600});
		break;
	case 'f':
		r = op_open_file(&x,
				 &(struct op_open_file){.root = PLAN_SLOT_ROOT, .path = at, .into = PLAN_SLOT_PASSWD});
		check_opened(x.slots[PLAN_SLOT_PASSWD]);
		break;
	case 'o':
		r = op_open_path(&x, &(struct op_open_path){.root = PLAN_SLOT_ROOT, .path = at, .into = PLAN_SLOT_PTS});
		check_opened(x.slots[PLAN_SLOT_PTS]);
		break;
	case 'c':
		r = op_copy_up(&x, &(struct op_copy_up){.root = PLAN_SLOT_ROOT, .path = at, .mount = PLAN_SLOT_MOUNT});
		break;
	default:
		check_opened(root_target(tree.root_fd, path, how));
	}
	REQUIRE(r == 0 || (r < 0 && *x.detail));
}

static void run(char *text)
{
	char *save = NULL, *first = strtok_r(text, "\n", &save);
	char *line;
	int before;

	if (!first || strlen(first) < 2)
		return;
	tree_root(&tree);
	while ((line = strtok_r(NULL, "\n", &save)))
		tree_plant(&tree, line);
	before = next_descriptor();
	operate(first[0], first[1] & 15, first + 2);
	REQUIRE(next_descriptor() == before);
	tree_check(&tree);
	tree_clear(&tree);
}

static void *worker(void *arg)
{
	(void)arg;
	REQUIRE(unshare(CLONE_FS) == 0);
	tree_enter(&tree);
	pthread_mutex_lock(&mutex);
	for (;;) {
		while (!work)
			pthread_cond_wait(&turn, &mutex);
		run(work);
		work = NULL;
		pthread_cond_broadcast(&turn);
	}
	return NULL;
}

static void clean_up(void)
{
	tree_remove(&tree);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	umask(022);
	tree_make(&tree);
	REQUIRE(atexit(clean_up) == 0);
	REQUIRE(pthread_create(&thread, NULL, worker, NULL) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[INPUT_MAX + 1];

	if (size > INPUT_MAX || memchr(data, 0, size))
		return -1; /* no text: not worth keeping */
	memcpy(text, data, size);
	text[size] = 0;
	pthread_mutex_lock(&mutex);
	work = text;
	pthread_cond_broadcast(&turn);
	while (work)
		pthread_cond_wait(&turn, &mutex);
	pthread_mutex_unlock(&mutex);
	return 0;
}

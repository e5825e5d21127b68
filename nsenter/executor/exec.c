/* The end of the plan: find the program, wait for start, become it. */
#include "executor.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * As for anything in the rootfs, no magic link is followed: through
 * /proc/self/fd it could be a folder of the host's that is made.
 */
static int make_cwd(struct executor *x, const char *path)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, r = 0;

	if (root < 0)
		return fail(x, "open /");
	fd = root_target(root, path, ROOT_CREATE_DIR);
	if (fd < 0)
		r = fail(x, "mkdir %s", path);
	else
		close(fd);
	close(root);
	return r;
}

/*
 * Whether the working folder is one that the root can reach. The system call is
 * asked, as some C libraries make up a path of their own where it finds none.
 */
static int check_cwd(struct executor *x, const char *path)
{
	char cwd[PATH_MAX];

	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0)
		return fail(x, "getcwd");
	if (cwd[0] != '/') /* "(unreachable)" stands in front */
		return fail_with(x, EPERM, "working folder %s lies outside the container", path);
	return 0;
}

int op_chdir(struct executor *x, const struct op_chdir *op)
{
	const char *path = plan_str(x, op->path);
	int r;

	if (op->again && !x->cwd_refused)
		return 0;
	if (chdir(path) < 0) {
		if (errno == EACCES && op->defer) {
			x->cwd_refused = 1; /* perhaps only the target user may enter */
			return 0;
		}
		if (errno != ENOENT || !op->create)
			return fail(x, "chdir %s", path);
		r = make_cwd(x, path);
		if (r < 0)
			return r;
		if (chdir(path) < 0)
			return fail(x, "chdir %s", path);
	}
	return check_cwd(x, path);
}

/*
 * A seccomp filter may be on already, of a profile that is older than faccessat2
 * (Linux 5.8) or forbids such questions. The older call asks for the real user,
 * who is the effective one here. Where it is refused too, execve is left to find out.
 */
static int can_access(const char *path)
{
	int r = sys_faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS);

	if (r < 0 && (errno == EPERM || errno == ENOSYS))
		r = (int)syscall(SYS_faccessat, AT_FDCWD, path, X_OK);
	return r < 0 && (errno == EPERM || errno == ENOSYS) ? 0 : r;
}

static int can_execute(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
		return -1;
	}
	return can_access(path);
}

/* As execvp(3): a candidate that may not be executed beats one that is missing. */
int op_find_exec(struct executor *x, const struct op_find_exec *op)
{
	int error = ENOENT;

	for (uint32_t i = 0; i < op->candidates.count; i++) {
		const char *path = plan_item(x, op->candidates, i);

		if (can_execute(path) == 0) {
			x->executable = path;
			return 0;
		}
		if (errno != ENOENT && (error == ENOENT || errno == EACCES))
			error = errno;
		if (op->candidates.count > 1 && error == ENOTDIR)
			error = ENOENT; /* a file where a folder of PATH should be */
	}
	return fail_with(x, error, "find %s", plan_str(x, op->name));
}

int op_wait_start(struct executor *x, const struct op_wait_start *op)
{
	int fifo = slot_fd(x, op->fifo), report = slot_fd(x, op->report);
	char byte;
	ssize_t n;

	for (uint64_t s = 1; s < PLAN_SLOT_COUNT; s++)
		if (s != op->fifo && s != op->report && s != PLAN_SLOT_SECCOMP)
			slot_close(x, s);
	if (x->socket >= 0)
		close(x->socket);
	x->socket = -1;
	x->report_fd = report;
	do
		n = read(fifo, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return fail(x, "wait for start");
	slot_close(x, op->fifo);
	return 0;
}

static const char **list_pointers(struct executor *x, struct ref_list list)
{
	const char **all = x->pointers + x->pointers_used;

	for (uint32_t i = 0; i < list.count; i++)
		all[i] = plan_item(x, list, i);
	all[list.count] = NULL;
	x->pointers_used += list.count + 1;
	return all;
}

/* Puts what an answer brought behind the last of envp. */
static void add_late(struct executor *x)
{
	const char *entry = x->late;

	for (int i = 0; i < PLAN_MAX_LATE && entry < x->late + x->late_len; i++) {
		x->pointers[x->pointers_used - 1] = entry;
		x->pointers[x->pointers_used++] = NULL;
		entry += strlen(entry) + 1;
	}
}

int op_execve(struct executor *x, const struct op_execve *op)
{
	const char **argv, **envp;

	x->pointers_used = 0; /* an execve before this one has failed */
	argv = list_pointers(x, op->argv);
	envp = list_pointers(x, op->envp);
	if (op->late)
		add_late(x);
	if (!x->executable)
		return fail_with(x, ENOENT, "execve");
	/* execve takes pointers to char that it does not write to. */
	execve(x->executable, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
	return fail(x, "execve %s", x->executable);
}

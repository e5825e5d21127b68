/* Writes below a procfs that is known to be one. */
#include "executor.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PROC_MAGIC    0x9fa0
#define PROC_ROOT_INO 1

int in_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_MAGIC;
}

static int write_all(struct executor *x, int fd, const char *path, const char *data, size_t len)
{
	ssize_t n;

	do
		n = write(fd, data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(x, "write \"%.200s\" to %s", data, path);
	if ((size_t)n != len)
		return fail_with(x, EIO, "short write to %s", path);
	return 0;
}

int op_write_slot(struct executor *x, const struct op_write_slot *op)
{
	int r = write_all(x, slot_fd(x, op->to), "descriptor", plan_str(x, op->data), op->data.len);

	slot_close(x, op->to);
	return r;
}

int op_write_proc(struct executor *x, const struct op_write_proc *op)
{
	return write_proc(x, op, plan_str(x, op->path));
}

int write_proc(struct executor *x, const struct op_write_proc *op, const char *path)
{
	int proc = slot_fd(x, op->proc);
	char self[256];
	struct statfs fs;
	struct stat st;
	int fd, r;

	if (fstatfs(proc, &fs) < 0 || fstat(proc, &st) < 0)
		return fail(x, "stat procfs");
	if (fs.f_type != PROC_MAGIC || st.st_ino != PROC_ROOT_INO)
		return fail_with(x, EPERM, "what should be procfs is none");
	if (!strncmp(path, "self/", 5)) {
		snprintf(self, sizeof(self), "%d/%s", (int)getpid(), path + 5);
		path = self;
	}
	fd = sys_openat2(proc, path, O_WRONLY | O_CLOEXEC, 0,
			 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
	if (fd < 0)
		return fail(x, "open /proc/%s", path);
	r = write_all(x, fd, path, plan_str(x, op->data), op->data.len);
	close(fd);
	return r;
}

/*
 * The executor carries out a plan that Go has compiled, inside the new
 * namespaces, and then becomes the container's process. It reads no JSON, no
 * environment and no policy, and allocates nothing after its start.
 *
 * Every operation is a function op_NAME in the file of its family; it returns
 * 0 or a negative errno, and on failure has said in x->detail which system
 * call on what it was.
 */
#ifndef BERTH_EXECUTOR_H
#define BERTH_EXECUTOR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

/* The fixed part of an operation on the wire; its fields follow. */
struct step {
	uint16_t code;
	uint16_t fields;
	uint16_t tolerated; /* entries of on_error */
	uint16_t zero;
	uint32_t or_else; /* following steps that run only on a tolerated error */
	uint16_t on_error[PLAN_MAX_ON_ERROR];
	uint32_t zero2;
};

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t size;
	uint32_t steps;
	uint32_t pointers;   /* entries that argv and envp need together */
	uint32_t socket;     /* descriptor of the report socket */
	uint32_t preserve;   /* descriptors from 3 on that belong to the container */
	uint32_t slots_from; /* first of the descriptors that start in slots */
	uint32_t slot_count;
	uint32_t slots; /* offset of their slot numbers */
	uint32_t first; /* offset of the first step */
	uint32_t zero[4];
};

_Static_assert(sizeof(struct header) == PLAN_HEADER_SIZE, "header");
_Static_assert(sizeof(struct step) == PLAN_STEP_HEADER_SIZE, "step");

struct report {
	uint32_t kind;
	uint32_t step;
	int32_t error;
	uint32_t aux;
	char detail[PLAN_REPORT_DETAIL];
};

struct reply {
	uint32_t point;
	uint32_t len;
	uint32_t fds;
	uint32_t zero;
	char data[PLAN_REPLY_DATA];
};

_Static_assert(sizeof(struct report) == PLAN_REPORT_SIZE, "report");
_Static_assert(sizeof(struct reply) == PLAN_REPLY_SIZE, "reply");

/* What kernels before 5.12 change on a mount once it is attached only. */
struct put_off {
	uint64_t slot; /* whose mount; 0 for nothing put off */
	uint64_t set, clear;
	unsigned long propagation[4];
	uint32_t propagations;
};

struct executor {
	const unsigned char *plan; /* the sealed plan, mapped read-only */
	uint32_t size;
	const struct header *header;

	int socket;    /* -1 once the parent is not needed any more */
	int report_fd; /* where failures go after that, or -1 */
	uint32_t step; /* index of the operation at work */
	uint32_t code; /* and its code */
	const struct step *at;
	int (*go_on)(void *executor); /* does the rest of the plan after this operation */
	int slots[PLAN_SLOT_COUNT];

	uint64_t *trace; /* begin and end of each operation, or NULL */

	const char **pointers; /* room for argv and envp */
	uint32_t pointers_used;
	unsigned char detached[PLAN_SLOT_COUNT]; /* the slot's mount is nowhere yet */
	struct put_off put_off;
	int mask_attached[2];		/* the mask of files, of folders is mounted */
	int cwd_refused;		/* op_chdir put it off */
	const char *executable;		/* what op_find_exec chose */
	char late[PLAN_REPLY_DATA + 1]; /* entries for the environment, each with its NUL */
	uint32_t late_len;
	char detail[PLAN_REPORT_DETAIL];
};

/* decode.c: checks every offset before the first side effect. */
int plan_check(const unsigned char *plan, size_t size, char *why, size_t whysize);
const struct step *plan_next(const struct step *s);

/* plan.c, generated tables */
int op_dispatch(struct executor *x, enum op_code code, const void *fields);

/* How many pointers any one argv and envp of a checked plan need. */
static inline size_t plan_pointers(const struct header *h)
{
	return (size_t)h->pointers + PLAN_MAX_LATE;
}

/* What a reference of a checked plan points to. */
static inline const char *plan_str(const struct executor *x, struct ref_str r)
{
	return (const char *)x->plan + r.off;
}

static inline const char *plan_item(const struct executor *x, struct ref_list l, uint32_t i)
{
	const struct ref_str *refs = (const struct ref_str *)(const void *)(x->plan + l.off);
	return plan_str(x, refs[i]);
}

/* report.c */
int fail(struct executor *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fail_with(struct executor *x, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
void send_report(struct executor *x, uint32_t kind, uint32_t step, int error, uint32_t aux, int fd);

/* slots */
int slot_fd(const struct executor *x, uint64_t slot);
void slot_put(struct executor *x, uint64_t slot, int fd);
void slot_close(struct executor *x, uint64_t slot);

/* proc.c: whether a descriptor is of a procfs; also where that cannot be told. */
int in_procfs(int fd);

/* Writes op->data to path below op->proc; op->path is not looked at. */
int write_proc(struct executor *x, const struct op_write_proc *op, const char *path);

/*
 * mount.c: remounts what link leads to, and fd is of, read-only by mount(2);
 * what it forbids already, such as devices, it goes on to forbid.
 */
int mount_readonly(struct executor *x, int fd, const char *link, const char *path);

/* Whether nothing is put off that no mount point came for. */
int mounts_done(struct executor *x);

/* root.c: paths inside the rootfs. */
#define ROOT_CREATE_DIR	 1
#define ROOT_CREATE_FILE 2
#define ROOT_NOSYMLINK	 4
#define ROOT_NOFOLLOW	 8
int root_open(int root, const char *path, uint64_t flags, uint64_t resolve);
int root_target(int root, const char *path, int how);
int root_parent(struct executor *x, int root, const char *path, const char **base);

/* sys.c: system calls that musl and older C libraries have no function for. */
int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int sys_open_tree(int dirfd, const char *path, unsigned flags);
int sys_move_mount(int from, int to);
int sys_fsopen(const char *fstype);
int sys_fsconfig(int fd, unsigned cmd, const char *key, const char *value);
int sys_fsmount(int fd, unsigned attr);
int sys_mount_setattr(int fd, int recursive, uint64_t set, uint64_t clear, uint64_t propagation, int userns);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_close_range(unsigned first, unsigned last);
int sys_faccessat2(int dirfd, const char *path, int mode, int flags);

#endif

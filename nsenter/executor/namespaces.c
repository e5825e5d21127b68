/* Namespaces that the first clone did not make, and what belongs to them. */
#include "executor.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define FORK_STACK (8u << 20)
#define FORK_GUARD (64u << 10) /* whole pages, whatever their size */

/* What a session keyring has anyway, and the right to search for its user; keyctl_setperm(3). */
#define KEYRING_PERM 0x3f1b0000u

int op_setsid(struct executor *x, const struct op_setsid *op)
{
	(void)op;
	if (setsid() < 0)
		return fail(x, "setsid");
	return 0;
}

int op_unshare(struct executor *x, const struct op_unshare *op)
{
	if (unshare((int)op->flags) < 0)
		return fail(x, "unshare");
	return 0;
}

int op_setns(struct executor *x, const struct op_setns *op)
{
	if (setns(slot_fd(x, op->from), (int)op->flags) < 0)
		return fail(x, "setns");
	slot_close(x, op->from);
	return 0;
}

/*
 * The child goes on in this memory, which is not copied, and on a stack of its
 * own: of the size that a process has by default, with a guard below it.
 */
int op_fork(struct executor *x, const struct op_fork *op)
{
	char *stack = mmap(NULL, FORK_STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	(void)op;
	if (stack == MAP_FAILED || mprotect(stack + FORK_GUARD, FORK_STACK - FORK_GUARD, PROT_READ | PROT_WRITE) < 0)
		return fail(x, "mmap of the child's stack");
	if (clone(x->go_on, stack + FORK_STACK, CLONE_VM | CLONE_PARENT | SIGCHLD, x) < 0)
		return fail(x, "clone");
	_exit(0);
}

/*
 * A time namespace takes only who has its memory to itself, which is so when
 * op_fork's parent has ended: microseconds from now, if it is not so yet.
 */
static int setns_alone(int fd, int type)
{
	const struct timespec pause = {.tv_nsec = 50000};
	int r;

	for (int tries = 0; (r = setns(fd, type)) < 0 && errno == EUSERS && tries < 20000; tries++)
		nanosleep(&pause, NULL);
	return r;
}

/* Takes what unshare made for children; setns(2) moves this process too. */
static int enter_timens(struct executor *x, int proc)
{
	char path[64];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%d/ns/time_for_children", (int)getpid());
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(x, "open /proc/%s", path);
	if (setns_alone(fd, CLONE_NEWTIME) < 0)
		r = fail(x, "setns");
	close(fd);
	return r;
}

int op_timens(struct executor *x, const struct op_timens *op)
{
	struct op_write_proc offsets = {.proc = op->proc, .data = op->offsets};
	int r;

	if (unshare(CLONE_NEWTIME) < 0)
		return fail(x, "unshare");
	if (op->offsets.len) {
		r = write_proc(x, &offsets, "self/timens_offsets");
		if (r < 0)
			return r;
	}
	return enter_timens(x, slot_fd(x, op->proc));
}

int op_sethostname(struct executor *x, const struct op_sethostname *op)
{
	if (sethostname(plan_str(x, op->name), op->name.len) < 0)
		return fail(x, "sethostname");
	return 0;
}

int op_setdomainname(struct executor *x, const struct op_setdomainname *op)
{
	if (setdomainname(plan_str(x, op->name), op->name.len) < 0)
		return fail(x, "setdomainname");
	return 0;
}

int op_loopback(struct executor *x, const struct op_loopback *op)
{
	struct ifreq req = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	(void)op;
	if (fd < 0)
		return fail(x, "socket");
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		r = fail(x, "ioctl SIOCSIFFLAGS lo");
	close(fd);
	return r;
}

int op_keyring(struct executor *x, const struct op_keyring *op)
{
	long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, plan_str(x, op->name));

	if (ring < 0)
		return fail(x, "keyctl KEYCTL_JOIN_SESSION_KEYRING");
	/* What else its user starts in the container finds it by its name. */
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, ring, KEYRING_PERM) < 0)
		return fail(x, "keyctl KEYCTL_SETPERM");
	return 0;
}

int op_set_name(struct executor *x, const struct op_set_name *op)
{
	if (prctl(PR_SET_NAME, plan_str(x, op->name), 0, 0, 0) < 0)
		return fail(x, "prctl PR_SET_NAME");
	return 0;
}

int op_undumpable(struct executor *x, const struct op_undumpable *op)
{
	(void)op;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(x, "prctl PR_SET_DUMPABLE");
	return 0;
}

/* What the executor tells its parent, and the slots' table. */
#include "executor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int vfail(struct executor *x, int error, const char *format, va_list ap)
{
	vsnprintf(x->detail, sizeof(x->detail), format, ap);
	return error > 0 ? -error : -EIO;
}

/* Says which call failed, with errno as the cause. */
int fail(struct executor *x, const char *format, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, format);
	error = vfail(x, error, format, ap);
	va_end(ap);
	return error;
}

/* The same with a cause of its own. */
int fail_with(struct executor *x, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	error = vfail(x, error, format, ap);
	va_end(ap);
	return error;
}

/*
 * Sends one report, with a descriptor when fd is not -1. Before start it goes
 * to the parent's socket, afterwards into the FIFO that `start` reads.
 */
void send_report(struct executor *x, uint32_t kind, uint32_t step, int error, uint32_t aux, int fd)
{
	static struct report r;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &r, .iov_len = sizeof(r)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	r.kind = kind;
	r.step = step;
	r.error = error;
	r.aux = aux;
	memcpy(r.detail, x->detail, sizeof(r.detail));
	if (x->socket < 0) {
		if (x->report_fd >= 0)
			n = write(x->report_fd, &r, sizeof(r));
		return;
	}
	if (fd >= 0) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	/* With a seccomp filter in force, the fewer calls are needed the better. */
	do
		n = fd < 0 ? write(x->socket, &r, sizeof(r)) : sendmsg(x->socket, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		_exit(1); /* the parent is gone: nobody waits for this container */
}

int slot_fd(const struct executor *x, uint64_t slot)
{
	return x->slots[slot];
}

void slot_close(struct executor *x, uint64_t slot)
{
	if (x->slots[slot] >= 0)
		close(x->slots[slot]);
	x->slots[slot] = -1;
}

void slot_put(struct executor *x, uint64_t slot, int fd)
{
	slot_close(x, slot);
	x->slots[slot] = fd;
}

int op_close_slot(struct executor *x, const struct op_close_slot *op)
{
	slot_close(x, op->slot);
	return 0;
}

static void take_descriptors(struct executor *x, struct msghdr *m, const struct op_sync *op, uint32_t *got)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (*got < op->fds && op->into + *got < PLAN_SLOT_COUNT)
				slot_put(x, op->into + *got, fd);
			else
				close(fd);
			(*got)++;
		}
	}
}

int op_listener(struct executor *x, const struct op_listener *op)
{
	send_report(x, PLAN_REPORT_LISTENER, x->step, 0, (uint32_t)slot_fd(x, op->from), -1);
	return 0;
}

int op_sync(struct executor *x, const struct op_sync *op)
{
	static struct reply reply;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * PLAN_SLOT_COUNT)];
	} control;
	struct iovec iov = {.iov_base = &reply, .iov_len = sizeof(reply)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	uint32_t got = 0;
	ssize_t n;

	if (!op->quiet)
		send_report(x, PLAN_REPORT_SYNC, x->step, 0, (uint32_t)op->point, slot_fd(x, op->send));
	do
		n = op->fds ? recvmsg(x->socket, &m, MSG_CMSG_CLOEXEC) : read(x->socket, &reply, sizeof(reply));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(1); /* the parent gave up or was killed */
	if (op->fds)
		take_descriptors(x, &m, op, &got);
	if (n < PLAN_REPLY_HEAD || reply.point != op->point || reply.len != (uint32_t)n - PLAN_REPLY_HEAD ||
	    got != op->fds)
		return fail_with(x, EPROTO, "answer at a meeting point");
	if (reply.len) {
		memcpy(x->late, reply.data, reply.len);
		x->late[reply.len] = 0;
		x->late_len = reply.len;
	}
	return 0;
}

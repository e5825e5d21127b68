/* Where and when the container's process runs, and where its memory lies. */
#include "executor.h"

#include <linux/ioprio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 8192 CPUs, the most that a kernel can be built for. */
#define CPU_BYTES 1024

/* struct sched_attr of sched_setattr(2), as of Linux 5.3. */
struct scheduling {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

/*
 * Whoever started the runtime may have been bound to some CPUs; the container
 * is bound by its cpuset alone. The kernel takes off what that does not have.
 */
int op_affinity(struct executor *x, const struct op_affinity *op)
{
	static unsigned char every[CPU_BYTES];
	const unsigned char *mask = x->plan + op->cpus.off;
	size_t len = op->cpus.len;

	if (!len) {
		memset(every, 0xff, sizeof(every));
		mask = every;
		len = sizeof(every);
	}
	if (syscall(SYS_sched_setaffinity, 0, len, mask) < 0)
		return fail(x, "sched_setaffinity");
	return 0;
}

int op_scheduler(struct executor *x, const struct op_scheduler *op)
{
	struct scheduling attr = {
		.size = sizeof(attr),
		.policy = (uint32_t)op->policy,
		.flags = op->flags,
		.nice = (int32_t)(uint32_t)op->nice,
		.priority = (uint32_t)op->priority,
		.runtime = op->runtime,
		.deadline = op->deadline,
		.period = op->period,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
		return fail(x, "sched_setattr");
	return 0;
}

int op_ioprio(struct executor *x, const struct op_ioprio *op)
{
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PGRP, 0, (int)op->priority) < 0)
		return fail(x, "ioprio_set");
	return 0;
}

int op_mempolicy(struct executor *x, const struct op_mempolicy *op)
{
	const unsigned char *nodes = op->nodes.len ? x->plan + op->nodes.off : NULL;
	/* The kernel counts one bit less than it is told. */
	unsigned long bits = op->nodes.len ? op->nodes.len * 8ul + 1 : 0;

	if (syscall(SYS_set_mempolicy, (int)op->mode, nodes, bits) < 0)
		return fail(x, "set_mempolicy");
	return 0;
}

int op_personality(struct executor *x, const struct op_personality *op)
{
	if (personality((unsigned long)op->persona) < 0)
		return fail(x, "personality");
	return 0;
}

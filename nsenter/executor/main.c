/* Start: map the plan, check it, carry it out. */
#include "executor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct executor executor;

/* Maps what argv[1] names; the parent has sealed it. */
static int map_plan(struct executor *x, const char *number)
{
	struct stat st;
	int fd = 0;

	for (; *number >= '0' && *number <= '9' && fd < 65536; number++)
		fd = fd * 10 + (*number - '0');
	if (*number || fstat(fd, &st) < 0 || st.st_size < PLAN_HEADER_SIZE || st.st_size > PLAN_MAX_SIZE)
		return -1;
	x->plan = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (x->plan == MAP_FAILED)
		return -1;
	x->size = (uint32_t)st.st_size;
	x->header = (const struct header *)(const void *)x->plan;
	close(fd);
	return 0;
}

/*
 * Takes over the descriptors: the socket, and those that start in slots. What
 * lies above them was open in our caller by accident and is closed.
 */
static int take_descriptors(struct executor *x)
{
	const struct header *h = x->header;
	const uint32_t *slots = (const uint32_t *)(const void *)(x->plan + h->slots);
	unsigned last = h->socket;

	if (fcntl((int)h->socket, F_SETFD, FD_CLOEXEC) < 0)
		return fail(x, "fcntl");
	for (uint32_t i = 0; i < h->slot_count; i++) {
		int fd = (int)(h->slots_from + i);

		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return fail(x, "fcntl");
		x->slots[slots[i]] = fd;
		if ((unsigned)fd > last)
			last = (unsigned)fd;
	}
	if (sys_close_range(last + 1, ~0U) < 0)
		return fail(x, "close_range");
	return 0;
}

/* A damaged plan names a socket too; what it says there can do no harm. */
static int refuse(struct executor *x)
{
	x->socket = (int)x->header->socket;
	x->report_fd = -1;
	send_report(x, PLAN_REPORT_BAD, 0, EINVAL, 0, -1);
	return 1;
}

/* A trace has room for each operation of the plan: when it began and ended. */
static int open_trace(struct executor *x)
{
	size_t size = (size_t)x->header->steps * PLAN_TRACE_ENTRY;
	struct stat st;
	int fd = slot_fd(x, PLAN_SLOT_TRACE);

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0 || (size_t)st.st_size < size)
		return fail_with(x, EINVAL, "the trace has not the size of the plan");
	x->trace = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (x->trace == MAP_FAILED)
		return fail(x, "mmap of the trace");
	slot_close(x, PLAN_SLOT_TRACE);
	return 0;
}

static void note_time(struct executor *x, int end)
{
	struct timespec now;

	if (!x->trace)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	x->trace[2 * x->step + (uint32_t)end] = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int tolerated(const struct step *s, int error)
{
	for (uint16_t i = 0; i < s->tolerated; i++)
		if (s->on_error[i] == error)
			return 1;
	return 0;
}

/* Carries out x->at and what follows, but for the next skip steps. */
static int carry_out(struct executor *x, uint32_t skip)
{
	for (; x->step < x->header->steps; x->step++, x->at = plan_next(x->at)) {
		int r;

		if (skip) {
			skip--;
			continue;
		}
		x->detail[0] = 0;
		x->code = x->at->code;
		note_time(x, 0);
		r = op_dispatch(x, (enum op_code)x->at->code, x->at + 1);
		note_time(x, 1);
		if (r == 0)
			skip = x->at->or_else;
		else if (!tolerated(x->at, -r))
			return r;
	}
	return fail_with(x, EPROTO, "the plan has no execve");
}

static int report_failure(struct executor *x, int r)
{
	send_report(x, PLAN_REPORT_FAILED, x->step, -r, x->code, -1);
	return 1;
}

/* What op_fork's child begins with; what it returns is the process's exit code. */
static int go_on(void *executor)
{
	struct executor *x = executor;
	uint32_t skip = x->at->or_else;

	note_time(x, 1);
	x->step++;
	x->at = plan_next(x->at);
	return report_failure(x, carry_out(x, skip));
}

int main(int argc, char **argv)
{
	struct executor *x = &executor;
	int r;

	if (argc != 2 || map_plan(x, argv[1]) < 0)
		return 1;
	if (plan_check(x->plan, x->size, x->detail, sizeof(x->detail)) < 0)
		return refuse(x);
	for (int i = 0; i < PLAN_SLOT_COUNT; i++)
		x->slots[i] = -1;
	x->socket = (int)x->header->socket;
	x->report_fd = -1;
	x->pointers = mmap(NULL, (plan_pointers(x->header) + 1) * sizeof(char *), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (x->pointers == MAP_FAILED)
		r = fail(x, "mmap");
	else
		r = take_descriptors(x);
	/* Modes in the plan are exact; op_umask sets the container's. */
	umask(0);
	if (r == 0)
		r = open_trace(x);
	x->at = (const struct step *)(const void *)(x->plan + x->header->first);
	x->go_on = go_on;
	if (r == 0)
		r = carry_out(x, 0);
	return report_failure(x, r);
}

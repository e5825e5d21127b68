/*
 * Runs a program and writes what it took to a descriptor, as one line of numbers: wall time in nanoseconds, user and
 * system time in microseconds, the largest resident set in KB, and the wait status of the first run that failed, or 0.
 *
 *   stopwatch FD COUNT JOBS PROGRAM [ARGUMENT...]
 *
 * The program runs COUNT times, JOBS at a time; with a COUNT above 1 each gets its number appended to its last
 * argument. Times and memory are those of the program and of all descendants that were waited for (wait4(2)); of the
 * wall time nothing is the stopwatch's own but the fork.
 *
 * It is in C because a program's largest resident set counts what it shared with its parent before execve: a child
 * of a Go program never shows less than the Go program has.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct total {
	int64_t user, system;
	long rss;
	int failed;
};

static int64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t microseconds(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

static void start(char **argv)
{
	pid_t pid = vfork();

	if (pid < 0) {
		perror("stopwatch: vfork");
		exit(2);
	}
	if (pid > 0)
		return;
	/* When a run takes too long the stopwatch is killed, and the program must go with it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(argv[0], argv);
	_exit(127);
}

static void await(struct total *t)
{
	struct rusage use;
	int status;

	while (wait4(-1, &status, 0, &use) < 0) {
		if (errno == EINTR)
			continue;
		perror("stopwatch: wait4");
		exit(2);
	}
	t->user += microseconds(use.ru_utime);
	t->system += microseconds(use.ru_stime);
	if (use.ru_maxrss > t->rss)
		t->rss = use.ru_maxrss;
	if (status && !t->failed)
		t->failed = status;
}

int main(int argc, char **argv)
{
	struct total t = {0};
	int64_t began;
	char last[256];
	int out, count, jobs, started = 0, running = 0;

	if (argc < 5) {
		fprintf(stderr, "usage: stopwatch FD COUNT JOBS PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	out = atoi(argv[1]);
	count = atoi(argv[2]);
	jobs = atoi(argv[3]);
	if (fcntl(out, F_SETFD, FD_CLOEXEC) < 0 || count < 1 || jobs < 1) {
		fprintf(stderr, "stopwatch: FD must be open, COUNT and JOBS at least 1\n");
		return 2;
	}
	began = nanoseconds();
	for (const char *prefix = argv[argc - 1]; started < count || running;) {
		if (started < count && running < jobs) {
			if (count > 1) {
				snprintf(last, sizeof(last), "%s%d", prefix, started);
				argv[argc - 1] = last;
			}
			start(argv + 4);
			started++;
			running++;
		} else {
			await(&t);
			running--;
		}
	}
	dprintf(out, "%lld %lld %lld %ld %d\n", (long long)(nanoseconds() - began), (long long)t.user,
		(long long)t.system, t.rss, t.failed);
	return 0;
}

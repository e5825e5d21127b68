/*
 * The floor of exec: what the kernel has to be asked for to run a program in a running container, and nothing else. No
 * state or config is read, nothing is checked, nobody is told.
 *
 *	floor-exec PID CAPABILITIES CGROUP PROGRAM [CGROUP FILE...]
 *
 * PID is the container's process, CAPABILITIES its set (hexadecimal, as in /proc/PID/status: all five sets get it but
 * the inheritable and the ambient one), CGROUP its folder on cgroup v2, or "-", and each FILE the tasks file of one on
 * v1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What fails ends the floor: its container is known to run. */
#define NEED(call)                                                                                                     \
	do {                                                                                                           \
		if ((call) < 0) {                                                                                      \
			fprintf(stderr, "floor-exec: %s: %s\n", #call, strerror(errno));                               \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static void enter(int pidfd, int tasks, char **files)
{
	for (int i = 0; i < tasks; i++) {
		int fd;

		NEED(fd = open(files[i], O_WRONLY | O_CLOEXEC));
		NEED(write(fd, "0", 1));
		close(fd);
	}
	NEED(setns(pidfd, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET));
}

static void become(uint64_t caps, char *program)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)caps, (uint32_t)caps, 0},
		{(uint32_t)(caps >> 32), (uint32_t)(caps >> 32), 0},
	};
	unsigned char every[1024];
	char *argv[] = {program, NULL};
	char *env[] = {"PATH=/bin", "HOME=/", NULL};

	NEED(setsid());
	NEED(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "_ses.floor"));
	NEED(chdir("/"));
	memset(every, 0xff, sizeof(every));
	NEED(syscall(SYS_sched_setaffinity, 0, sizeof(every), every));
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(caps & (1ull << cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break; /* EINVAL: the kernel knows no more */
	umask(022);
	NEED(syscall(SYS_setgroups, 0, NULL));
	NEED(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	NEED(syscall(SYS_setresgid, 0, 0, 0));
	NEED(syscall(SYS_setresuid, 0, 0, 0));
	NEED(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
	NEED(syscall(SYS_capset, &head, data));
	NEED(execve(program, argv, env));
}

/* A process enters a pid namespace only by its children: hence the second clone, whose parent is the first's. */
int main(int argc, char **argv)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	struct clone_args inner = {.flags = CLONE_PARENT};
	int pidfd, status, fd;
	pid_t pid;

	if (argc < 5)
		return 2;
	NEED(pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0));
	if (strcmp(argv[3], "-") != 0) {
		NEED(fd = open(argv[3], O_PATH | O_DIRECTORY | O_CLOEXEC));
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)fd;
	}
	NEED(pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args)));
	if (pid == 0) {
		enter(pidfd, argc - 5, argv + 5);
		NEED(pid = (pid_t)syscall(SYS_clone3, &inner, sizeof(inner)));
		if (pid == 0)
			become(strtoull(argv[2], NULL, 16), argv[4]);
		_exit(0);
	}
	for (int i = 0; i < 2; i++) {
		NEED(waitpid(-1, &status, 0));
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			return 1;
	}
	return 0;
}

/*
 * The floor of list: for each container in a state folder of berth's, what the kernel has to be asked for to say how
 * it is: its state file, its process, its freezer. No JSON is read but for the pid, nothing is sorted or lined up.
 *
 *	floor-list ROOT FOLDER FILE
 *
 * FOLDER is where the containers' cgroups with a freezer lie, FILE the one in each that tells (freezer.state or
 * cgroup.freeze). The former is not read of a process that sleeps, where the kernel shows one that is frozen otherwise.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Returns the length of what was read, below 0 where there is no such file. */
static long contents(int dir, const char *path, char *text, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	long n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n >= 0)
		text[n] = 0;
	return n;
}

/* Says whether v1's freezer has a state of its own for processes (TASK_FROZEN), which is so since Linux 6.1. */
static int has_task_frozen(void)
{
	struct utsname kernel;
	int major, minor;

	return !uname(&kernel) && sscanf(kernel.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 1));
}

int main(int argc, char **argv)
{
	static char state[65536], stat[512], frozen[32];
	char path[4096];
	int root, sleepers_run, count = 0;
	const char *pid;
	struct dirent *d;
	DIR *dir;

	if (argc != 4 || !(dir = opendir(argv[1])))
		return 2;
	root = dirfd(dir);
	sleepers_run = !strcmp(argv[3], "freezer.state") && has_task_frozen();
	while ((d = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/state.json", d->d_name);
		if (d->d_name[0] == '.' || contents(root, path, state, sizeof(state)) < 0)
			continue;
		if (!(pid = strstr(state, "\"pid\":")))
			return 1;
		snprintf(path, sizeof(path), "/proc/%d/stat", atoi(pid + 6));
		if (contents(AT_FDCWD, path, stat, sizeof(stat)) < 0)
			return 1;
		snprintf(path, sizeof(path), "%s/%s/%s", argv[2], d->d_name, argv[3]);
		if (sleepers_run && strstr(stat, ") S "))
			strcpy(frozen, "THAWED\n");
		else if (contents(AT_FDCWD, path, frozen, sizeof(frozen)) < 0)
			return 1;
		printf("%s %d %s", d->d_name, atoi(pid + 6), frozen);
		count++;
	}
	return count == 0;
}

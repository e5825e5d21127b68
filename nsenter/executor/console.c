/* The container's pseudoterminal, made in its own devpts. */
#include "executor.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#define DEVPTS_MAGIC 0x1cd1

/* Opens the master and checks that it is one: the rootfs is not trusted. */
static int open_master(struct executor *x, int pts)
{
	struct statfs fs;
	struct stat st;
	int fd;

	if (fstatfs(pts, &fs) < 0)
		return fail(x, "statfs /dev/pts");
	if (fs.f_type != DEVPTS_MAGIC)
		return fail_with(x, ENODEV, "/dev/pts is no devpts");
	fd = openat(pts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail(x, "open /dev/pts/ptmx");
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2)) {
		close(fd);
		return fail_with(x, ENODEV, "/dev/pts/ptmx is not character device 5:2");
	}
	return fd;
}

/*
 * The terminal that relays writes "\r\n" for "\n" itself; twice would be once
 * too often in what engines log.
 */
static int clear_onlcr(struct executor *x, int slave)
{
	struct termios t;

	if (ioctl(slave, TCGETS, &t) < 0)
		return fail(x, "ioctl TCGETS");
	t.c_oflag &= ~(tcflag_t)ONLCR;
	if (ioctl(slave, TCSETS, &t) < 0)
		return fail(x, "ioctl TCSETS");
	return 0;
}

int op_pty_open(struct executor *x, const struct op_pty_open *op)
{
	struct winsize size = {.ws_row = (unsigned short)op->rows, .ws_col = (unsigned short)op->cols};
	int master = open_master(x, slot_fd(x, op->pts));
	int unlock = 0, slave;

	if (master < 0)
		return master;
	slot_put(x, op->master, master);
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return fail(x, "ioctl TIOCSPTLCK");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return fail(x, "ioctl TIOCGPTPEER");
	slot_put(x, op->slave, slave);
	if ((op->rows || op->cols) && ioctl(master, TIOCSWINSZ, &size) < 0)
		return fail(x, "ioctl TIOCSWINSZ");
	if (fchown(slave, (uid_t)op->uid, (gid_t)-1) < 0)
		return fail(x, "chown of the terminal");
	return clear_onlcr(x, slave);
}

int op_pty_stdio(struct executor *x, const struct op_pty_stdio *op)
{
	int slave = slot_fd(x, op->slave);

	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return fail(x, "ioctl TIOCSCTTY");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(slave, fd) < 0)
			return fail(x, "dup2 of the terminal");
	return 0;
}

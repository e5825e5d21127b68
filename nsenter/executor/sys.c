/* System calls that musl 1.2.3 and glibc 2.36 have no function for. */
#include "executor.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

struct mount_attributes {
	uint64_t set, clear, propagation, userns;
};

int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dirfd, path, flags);
}

/* Both ends are descriptors: MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH. */
int sys_move_mount(int from, int to)
{
	return (int)syscall(SYS_move_mount, from, "", to, "", 0x4 | 0x40);
}

int sys_fsopen(const char *fstype)
{
	return (int)syscall(SYS_fsopen, fstype, 1 /* FSOPEN_CLOEXEC */);
}

int sys_fsconfig(int fd, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, 0);
}

int sys_fsmount(int fd, unsigned attr)
{
	return (int)syscall(SYS_fsmount, fd, 1 /* FSMOUNT_CLOEXEC */, attr);
}

int sys_mount_setattr(int fd, int recursive, uint64_t set, uint64_t clear, uint64_t propagation, int userns)
{
	struct mount_attributes attr = {set, clear, propagation, userns < 0 ? 0 : (uint64_t)userns};
	unsigned flags = AT_EMPTY_PATH | (recursive ? 0x8000 /* AT_RECURSIVE */ : 0);

	return (int)syscall(SYS_mount_setattr, fd, "", flags, &attr, sizeof(attr));
}

int sys_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_close_range(unsigned first, unsigned last)
{
	return (int)syscall(SYS_close_range, first, last, 0);
}

int sys_faccessat2(int dirfd, const char *path, int mode, int flags)
{
	return (int)syscall(SYS_faccessat2, dirfd, path, mode, flags);
}

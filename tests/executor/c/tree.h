/*
 * A rootfs made by an attacker, beside what no path in it may lead to:
 *
 *	outer/            "/" for the test, where it may chroot
 *	outer/canary/     must stay as it is
 *	outer/root/       the rootfs
 *	outer/copy/       where op_copy_up copies to
 *
 * The tree is described in lines: a letter for the kind, a name below root,
 * and for a link or a file what is in it. An @ at the start of a link is the
 * way to outer as the host sees it.
 *
 *	l dev/null @/canary/secret     a symbolic link
 *	d dev                          a folder
 *	f etc/passwd text              a file
 *	p pipe                         a FIFO
 *	s socket                       a socket
 */
#ifndef BERTH_TEST_TREE_H
#define BERTH_TEST_TREE_H

#include "executor.h"

#include <limits.h>

struct tree {
	char outer[PATH_MAX]; /* real path */
	int outer_fd;
	int root_fd;
	int copy_fd;
	int chrooted;	 /* "/" is outer for the thread under test */
	int proc_fds;	 /* /proc/self/fd, seen from the host */
	char before[64]; /* what outside() saw of outer/canary */
};

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			tree_fail(__FILE__, __LINE__, #condition);                                                     \
	} while (0)

void tree_fail(const char *file, int line, const char *what) __attribute__((noreturn));

void tree_make(struct tree *t);		     /* outer with its canary */
void tree_enter(struct tree *t);	     /* chroot to outer, as root; else just chdir */
void tree_root(struct tree *t);		     /* a new, empty root */
void tree_clear(struct tree *t);	     /* removes the root */
void tree_plant(struct tree *t, char *line); /* one line; what cannot be is left out */
void tree_remove(struct tree *t);

void tree_check(const struct tree *t);		     /* nothing outside the root was changed */
int tree_inside(const struct tree *t, int fd);	     /* the descriptor is of the root or below */
const char *tree_path(const struct tree *t, int fd); /* its path, seen from the root */

#endif

/* SPDX-License-Identifier: MIT */
/* File descriptors with one owner. -1 stands for "none". */
#pragma once

#include "base/macro.h"

/* Closes fd unless it is negative; keeps errno. Returns -1, for `fd = fd_close(fd)`. */
int fd_close(int fd);

static inline void fd_close_cleanup(int *fd) {
	(void)fd_close(*fd);
}

/* Takes the descriptor out of a variable marked CLEANUP(fd_close). */
#define TAKE_FD(fd)                                                                                                    \
	({                                                                                                             \
		int take_ = (fd);                                                                                      \
		(fd) = -1;                                                                                             \
		take_;                                                                                                 \
	})

/* A duplicate that is closed on exec, above the standard ones. 0 or -errno of fcntl(2). */
int fd_duplicate(int fd, int *ret);

/* Sets O_NONBLOCK on fd's open file description. Returns 0 or -errno. */
int fd_set_nonblock(int fd);

/* Opens /dev/null in place of each of the descriptors 0 to 2 that this process was started without, so that nothing else gets
 * their numbers. 0 or -errno. */
int fd_fill_standard(void);

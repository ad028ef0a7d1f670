/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int fd_close(int fd) {
	if (fd >= 0) {
		int saved = errno;

		/* Linux frees the descriptor whatever close() returns: trying again would close somebody else's. */
		(void)close(fd);
		errno = saved;
	}
	return -1;
}

int fd_duplicate(int fd, int *ret) {
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (r < 0)
		return -errno;
	*ret = r;
	return 0;
}

int fd_set_nonblock(int fd) {
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int fd_fill_standard(void) {
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest number that is free is this one, and stays open. */
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	}
	return 0;
}

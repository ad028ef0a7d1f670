/* SPDX-License-Identifier: MIT */
#include "handler/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

int input_above_stdio(int fd) {
	int above;

	if (fd < 0 || fd > 3)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, 4);
	if (above < 0)
		above = -errno;
	fd_close(fd);
	return above;
}

/* 0, or -EAGAIN if the kernel gives a pipe less room than usual: a user's pipes share a budget of pages
 * (/proc/sys/fs/pipe-user-pages-soft), beyond which they hold a page or two. */
static int open_pipe(const char *body, size_t size, int *ret_fd) {
	CLEANUP(fd_close) int reader = -1;
	CLEANUP(fd_close) int writer = -1;
	int fds[2], r;
	ssize_t n = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	reader = fds[0];
	writer = fds[1];
	/* An empty pipe takes PIPE_BUF bytes in any case, so that writing these cannot block. */
	if (size > PIPE_BUF) {
		r = fd_set_nonblock(writer);
		if (r < 0)
			return r;
	}
	if (size > 0)
		n = write(writer, body, size);
	if (n < 0)
		return -errno;
	if ((size_t)n < size)
		return -EAGAIN;
	*ret_fd = TAKE_FD(reader);
	return 0;
}

/* Through /proc, because only a new open file description has an offset and an access mode of its own. */
static int reopen_for_reading(int fd, int *ret_fd) {
	char path[32];
	int reader;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	if (reader < 0)
		return -errno;
	*ret_fd = reader;
	return 0;
}

static int open_memory_file(const char *body, size_t size, int *ret_fd) {
	CLEANUP(fd_close) int fd = memfd_create("amqp-body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < size) {
		ssize_t n = write(fd, body + done, size - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return reopen_for_reading(fd, ret_fd);
}

int input_open(const struct message *m, int *ret_fd) {
	int fd = -1, r;

	assert(m->body_state == BODY_COMPLETE);
	if (m->body_fd >= 0) {
		r = reopen_for_reading(m->body_fd, &fd);
	} else {
		r = open_pipe(m->body, m->body_size, &fd);
		if (r == -EAGAIN)
			r = open_memory_file(m->body, m->body_size, &fd);
	}
	if (r < 0)
		return r;
	fd = input_above_stdio(fd);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "config/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"

void trusted_clear(struct trusted *t) {
	if (t->data)
		explicit_bzero(t->data, t->len);
	free(t->data);
	*t = (struct trusted){0};
}

static int refuse(int error, struct strbuf *why, const char *what) {
	strbuf_append_str(why, what);
	return error;
}

/* Whether nobody else can change it. */
static int check_writers(const struct stat *st, struct strbuf *why) {
	if (st->st_mode & S_IWOTH) {
		strbuf_printf(why, "is writable by everybody (mode %04o): take that right away with chmod o-w",
			      (unsigned)(st->st_mode & 07777));
		return -EPERM;
	}
	/* The group of root or our own, as user private groups and umask 0002 have it, is as good as the owner. */
	if (st->st_mode & S_IWGRP && st->st_gid != 0 && st->st_gid != getegid()) {
		strbuf_printf(why, "is writable by group %u (mode %04o): take that right away with chmod g-w",
			      (unsigned)st->st_gid, (unsigned)(st->st_mode & 07777));
		return -EPERM;
	}
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		strbuf_printf(why, "belongs to user %u: expected root or the user this runs as (%u)",
			      (unsigned)st->st_uid, (unsigned)geteuid());
		return -EPERM;
	}
	return 0;
}

static int check(const struct stat *st, size_t limit, struct strbuf *why) {
	int r;

	if (S_ISDIR(st->st_mode))
		return refuse(-EISDIR, why, "is a directory, not a regular file");
	if (!S_ISREG(st->st_mode))
		return refuse(-EINVAL, why, "is not a regular file");
	r = check_writers(st, why);
	if (r < 0)
		return r;
	if (st->st_size < 0 || (size_t)st->st_size > limit) {
		strbuf_printf(why, "is larger than %zu bytes", limit);
		return -EFBIG;
	}
	return 0;
}

/* Reads to the end; the file may have grown or shrunk since it was looked at. */
static int read_all(int fd, size_t limit, struct trusted *t, struct strbuf *why) {
	for (;;) {
		ssize_t n = read(fd, t->data + t->len, limit + 1 - t->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			strbuf_printf(why, "cannot be read: %s", strerror((int)-n));
			return (int)n;
		}
		if (n == 0)
			break;
		t->len += (size_t)n;
		if (t->len > limit) {
			strbuf_printf(why, "is larger than %zu bytes", limit);
			return -EFBIG;
		}
	}
	t->data[t->len] = '\0';
	return 0;
}

int trusted_read(const char *path, size_t limit, struct trusted *ret, struct strbuf *why) {
	CLEANUP(trusted_clear) struct trusted t = {0};
	CLEANUP(fd_close) int fd = -1;
	struct stat st;
	int r;

	/* Without O_NONBLOCK, opening a FIFO would wait for a writer for ever. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		strbuf_printf(why, "cannot be opened: %s", strerror(-r));
		return r;
	}
	r = check(&st, limit, why);
	if (r < 0)
		return r;
	/* A page is not touched before it is used, so the limit costs nothing for a small file. */
	t.data = malloc(limit + 2);
	if (!t.data)
		return -ENOMEM;
	t.mode = st.st_mode & 07777;
	r = read_all(fd, limit, &t, why);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct trusted){0};
	return 0;
}

int trusted_open_directory(const char *path, int *ret_fd, struct strbuf *why) {
	CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		strbuf_printf(why, "cannot be opened: %s", strerror(-r));
		return r;
	}
	r = check_writers(&st, why);
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "handler/feed.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "message/metadata.h"

/* A line that a message with large headers has blown up beyond this is not kept for the next one. */
#define KEEP_MAX 65536
/* Pieces in one call. A pipe holds one of 64 KiB; more is only for a worker that reads at the same time. */
#define PIECES_MAX 16

int feed_begin(struct feed *f, const char *queue, const struct message *m, unsigned attempt) {
	if (f->head.capacity > KEEP_MAX)
		strbuf_free(&f->head);
	strbuf_reset(&f->head);
	f->message = m;
	f->written = 0;
	return metadata_append_line(queue, m, attempt, &f->head);
}

/* The next piece of the body, from this offset on. -errno. */
static int next_piece(const struct feed *f, uint64_t offset, char *buffer, size_t size, struct iovec *ret) {
	const struct message *m = f->message;
	ssize_t n;

	if (m->body_fd < 0) {
		ret->iov_base = m->body ? m->body + offset : NULL;
		ret->iov_len = m->body_size - offset;
		return 0;
	}
	do
		n = pread(m->body_fd, buffer, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* It has all of the body, and is sealed. */
	if (n == 0 && offset < m->body_size)
		return -EIO;
	*ret = (struct iovec){.iov_base = buffer, .iov_len = (size_t)n};
	return 0;
}

/* 0, FEED_MORE if fd took less than it was offered, or -errno. */
static int write_piece(struct feed *f, int fd, char *buffer, size_t size) {
	size_t head = f->written < f->head.len ? f->head.len - (size_t)f->written : 0;
	struct iovec parts[2] = {{.iov_base = f->head.data + (f->head.len - head), .iov_len = head}};
	int r = next_piece(f, head > 0 ? 0 : f->written - f->head.len, buffer, size, &parts[1]);
	ssize_t n;

	if (r < 0)
		return r;
	do
		n = writev(fd, parts, 2);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? FEED_MORE : -errno;
	f->written += (uint64_t)n;
	return (size_t)n < head + parts[1].iov_len ? FEED_MORE : 0;
}

int feed_write(struct feed *f, int fd, char *buffer, size_t size) {
	uint64_t total = f->head.len + f->message->body_size;
	int r = 0;

	for (int i = 0; r == 0 && f->written < total; i++)
		r = i < PIECES_MAX ? write_piece(f, fd, buffer, size) : FEED_MORE;
	return r;
}

void feed_clear(struct feed *f) {
	strbuf_free(&f->head);
	*f = FEED_INIT;
}

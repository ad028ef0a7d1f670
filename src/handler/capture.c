/* SPDX-License-Identifier: MIT */
#include "handler/capture.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define FIRST_ALLOCATION 1024

void capture_init(struct capture *c, uint64_t max) {
	*c = (struct capture){.max = max, .fd = -1};
}

void capture_clear(struct capture *c) {
	free(c->heap);
	c->heap = NULL;
	c->allocated = 0;
	c->fd = fd_close(c->fd);
}

static void give_up(struct capture *c, int error) {
	capture_clear(c);
	c->error = error;
}

/* 0 or a positive errno. */
static int write_all(int fd, const char *data, size_t len) {
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* From the heap to a memory file, if there is one to be had. 0 or a positive errno. */
static int move_to_file(struct capture *c, size_t kept) {
	int r = message_memory_file(&c->fd);

	if (r < 0)
		return -r;
	if (c->fd < 0)
		return 0;
	r = write_all(c->fd, c->heap, kept);
	free(c->heap);
	c->heap = NULL;
	c->allocated = 0;
	return r;
}

/* Makes room for `size` bytes and a NUL. */
static int reserve(struct capture *c, size_t size) {
	size_t wanted = c->allocated ? c->allocated : FIRST_ALLOCATION;
	char *heap;

	if (size < c->allocated)
		return 0;
	while (wanted <= size)
		wanted *= 2;
	heap = realloc(c->heap, wanted);
	if (!heap)
		return ENOMEM;
	c->heap = heap;
	c->allocated = wanted;
	return 0;
}

void capture_feed(struct capture *c, const char *data, size_t len) {
	size_t kept = (size_t)c->bytes;
	int error = 0;

	c->bytes += len;
	if (c->error || len == 0)
		return;
	if (capture_is_too_large(c)) {
		capture_clear(c);
		return;
	}
	if (c->fd < 0 && c->bytes > BODY_HEAP_MAX && kept <= BODY_HEAP_MAX)
		error = move_to_file(c, kept);
	if (!error)
		error = c->fd >= 0 ? write_all(c->fd, data, len) : reserve(c, kept + len);
	if (error)
		give_up(c, error);
	else if (c->fd < 0)
		memcpy(c->heap + kept, data, len);
}

int capture_take(struct capture *c, struct message **ret) {
	CLEANUP(message_free) struct message *m = NULL;
	int r = message_new(&m);

	assert(!c->error && !capture_is_too_large(c));
	if (r < 0)
		return r;
	m->body_size = m->body_filled = c->bytes;
	m->body_fd = TAKE_FD(c->fd);
	if (c->heap)
		c->heap[c->bytes] = '\0';
	m->body = TAKE(c->heap);
	c->allocated = 0;
	c->bytes = 0;
	r = message_finish_body(m);
	if (r < 0)
		return r;
	*ret = TAKE(m);
	return 0;
}

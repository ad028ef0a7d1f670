/* SPDX-License-Identifier: MIT */
#include "handler/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "handler/body.h"
#include "message/gojson.h"
#include "message/metadata.h"

/* A piece of a body that becomes text: a multiple of three, for base64. */
#define PIECE 49152

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

static int memory_file_write(int fd, const char *data, size_t size) {
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* Seals the memory file and opens it for reading. */
static int memory_file_end(int fd, int *ret_fd) {
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return reopen_for_reading(fd, ret_fd);
}

static int memory_file_new(int *ret_fd) {
	int fd = memfd_create("amqp-body", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* What is written here piece by piece can be read from the descriptor that it ends with: a pipe if that holds it, else a memory
 * file, so that never more than a piece and what a pipe holds is in our memory. */
struct spool {
	struct strbuf text; /* what is not in the file yet */
	int fd;		    /* the memory file; owned; -1: not needed so far */
};

static inline void spool_clear_cleanup(struct spool *s) {
	strbuf_free(&s->text);
	fd_close(s->fd);
}

/* Writes what was appended to text into the file, if it has become too much for a pipe. */
static int spool_pass(struct spool *s) {
	int r = 0;

	if (s->text.failed)
		return -ENOMEM;
	if (s->fd < 0 && s->text.len <= BODY_HEAP_MAX)
		return 0;
	if (s->fd < 0)
		r = memory_file_new(&s->fd);
	if (r == 0)
		r = memory_file_write(s->fd, s->text.data, s->text.len);
	strbuf_reset(&s->text);
	return r;
}

static int spool_end(struct spool *s, int *ret_fd) {
	int r = spool_pass(s);

	if (r < 0)
		return r;
	if (s->fd < 0) {
		r = open_pipe(s->text.data, s->text.len, ret_fd);
		if (r != -EAGAIN)
			return r;
		r = memory_file_new(&s->fd);
		if (r == 0)
			r = memory_file_write(s->fd, s->text.data, s->text.len);
	}
	return r < 0 ? r : memory_file_end(s->fd, ret_fd);
}

/* Moves a descriptor that was opened to where it is in nobody's way. */
static int hand_out(int r, int fd, int *ret_fd) {
	if (r < 0)
		return r;
	fd = input_above_stdio(fd);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* --- what is in it ----------------------------------------------------------------------------------------------- */

static int open_nothing(int *ret_fd) {
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int open_body(const struct message *m, int *ret_fd) {
	CLEANUP(fd_close) int file = -1;
	int r;

	if (m->body_fd >= 0)
		return reopen_for_reading(m->body_fd, ret_fd);
	r = open_pipe(m->body, m->body_size, ret_fd);
	if (r != -EAGAIN)
		return r;
	r = memory_file_new(&file);
	if (r == 0)
		r = memory_file_write(file, m->body, m->body_size);
	return r < 0 ? r : memory_file_end(file, ret_fd);
}

/* Control characters take six bytes each: a body that has many of them is better off in base64. */
static bool is_better_as_text(const struct body_view *body) {
	return gojson_size(body->data, body->len) <= 2 * body->len;
}

static int spool_json(struct spool *s, const char *queue, const struct message *m, unsigned attempt,
		      const struct body_view *body) {
	bool text = is_better_as_text(body);
	int r = metadata_begin_input(queue, m, attempt, text ? "utf-8" : "base64", &s->text);

	for (size_t at = 0, n; r == 0 && at < body->len; at += n) {
		n = gojson_piece(body->data + at, body->len - at, PIECE);
		if (text) {
			gojson_append_characters(&s->text, body->data + at, n);
		} else {
			n = body->len - at < PIECE ? body->len - at : PIECE;
			base64_append(&s->text, body->data + at, n);
		}
		r = spool_pass(s);
	}
	if (r == 0)
		strbuf_append_str(&s->text, "\"}\n");
	return r;
}

static int open_json(const char *queue, const struct message *m, unsigned attempt, int *ret_fd) {
	CLEANUP(spool_clear) struct spool s = {.fd = -1};
	CLEANUP(body_view_close) struct body_view body = {0};
	int r = body_view_open(m, &body);

	if (r == 0)
		r = spool_json(&s, queue, m, attempt, &body);
	return r < 0 ? r : spool_end(&s, ret_fd);
}

int input_open(const struct config_queue *queue, const struct message *m, unsigned attempt, int *ret_fd) {
	int fd = -1, r = 0;

	assert(m->body_state == BODY_COMPLETE);
	switch (queue->handler.input) {
	case CONFIG_INPUT_BODY:
		r = open_body(m, &fd);
		break;
	case CONFIG_INPUT_JSON:
		r = open_json(queue->name, m, attempt, &fd);
		break;
	case CONFIG_INPUT_NONE:
	case CONFIG_INPUT_ARGUMENT:
	case CONFIG_INPUT_ARGUMENT_JSON:
		r = open_nothing(&fd);
		break;
	}
	return hand_out(r, fd, ret_fd);
}

int input_open_metadata(const struct message *m, int *ret_fd) {
	CLEANUP(spool_clear) struct spool s = {.fd = -1};
	int fd = -1, r = metadata_append_object(m, &s.text);

	if (r == 0)
		r = spool_end(&s, &fd);
	return hand_out(r, fd, ret_fd);
}

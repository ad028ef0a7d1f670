/* SPDX-License-Identifier: MIT */
#include "message/message.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static const char *const verdict_names[] = {
	[VERDICT_NONE] = "none",
	[VERDICT_ACK] = "ack",
	[VERDICT_REQUEUE] = "requeue",
	[VERDICT_RETURN] = "return",
	[VERDICT_REJECT] = "reject",
};

const char *verdict_to_string(enum verdict v) {
	if ((size_t)v >= ARRAY_SIZE(verdict_names))
		return "unknown";
	return verdict_names[v];
}

int message_new(struct message **ret) {
	struct message *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->body_fd = -1;
	*ret = m;
	return 0;
}

static void properties_clear(struct properties *p) {
	struct text *texts[] = {
		&p->content_type, &p->content_encoding, &p->correlation_id, &p->reply_to,
		&p->expiration,   &p->message_id,       &p->type,           &p->user_id,
		&p->app_id,       &p->cluster_id,
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		text_clear(texts[i]);
	table_clear(&p->headers);
}

struct message *message_free(struct message *m) {
	if (m) {
		text_clear(&m->exchange);
		text_clear(&m->routing_key);
		text_clear(&m->consumer_tag);
		properties_clear(&m->properties);
		free(m->body);
		fd_close(m->body_fd);
		free(m);
	}
	return NULL;
}

static int memory_file_new(void) {
	int fd = memfd_create("amqp-message", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	/* Older kernels do not know the flag and refuse it. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("amqp-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* The kernel gives out the lowest number that is free. */
static bool is_in_upper_half(int fd) {
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && (rlim_t)fd >= limit.rlim_cur / 2;
}

/* A large prefetch may not use up the descriptors that handlers and connections need, and a message that could not be stored would
 * come again, and again. */
int message_memory_file(int *ret) {
	CLEANUP(fd_close) int fd = memory_file_new();

	if (fd < 0 && fd != -EMFILE && fd != -ENFILE)
		return fd;
	*ret = fd >= 0 && !is_in_upper_half(fd) ? TAKE_FD(fd) : -1;
	return 0;
}

int message_reserve_body(struct message *m, uint64_t size) {
	int r;

	if (size > BODY_HEAP_MAX) {
		r = message_memory_file(&m->body_fd);
		if (r < 0)
			return r;
	}
	if (m->body_fd < 0 && size > 0) {
		if (size >= SIZE_MAX)
			return -ENOMEM;
		m->body = malloc((size_t)size + 1);
		if (!m->body)
			return -ENOMEM;
		m->body[size] = '\0';
	}
	m->body_size = size;
	m->body_filled = 0;
	return 0;
}

static int write_all(int fd, const char *data, size_t len) {
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int message_append_body(struct message *m, const void *data, size_t len) {
	int r;

	if (len > m->body_size - m->body_filled)
		return -EMSGSIZE;
	if (len == 0)
		return 0;
	if (m->body_fd >= 0) {
		r = write_all(m->body_fd, data, len);
		if (r < 0)
			return r;
	} else {
		memcpy(m->body + m->body_filled, data, len);
	}
	m->body_filled += len;
	return 0;
}

int message_finish_body(struct message *m) {
	if (m->body_fd >= 0 &&
	    fcntl(m->body_fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return 0;
}

int message_copy_body(struct message *m, const struct message *from) {
	int r = 0;

	if (from->body_fd >= 0) {
		m->body_fd = fcntl(from->body_fd, F_DUPFD_CLOEXEC, 0);
		if (m->body_fd < 0)
			return -errno;
		m->body_size = m->body_filled = from->body_size;
		return 0;
	}
	if (from->body_size > 0) {
		r = message_reserve_body(m, from->body_size);
		if (r == 0)
			r = message_append_body(m, from->body, from->body_size);
		if (r == 0)
			r = message_finish_body(m);
	}
	return r;
}

void message_drop_body(struct message *m, enum body_state state, int error) {
	free(m->body);
	m->body = NULL;
	fd_close(m->body_fd);
	m->body_fd = -1;
	m->body_filled = 0;
	m->body_state = state;
	m->body_error = error;
}

/* The number before this attempt, from a header. Whoever publishes may write anything there. */
static bool read_count(const struct message *m, const char *header, unsigned *ret) {
	const struct field *f = table_find(&m->properties.headers, header);
	int64_t count;

	if (!f || field_get_i64(f, &count) < 0 || count < 0)
		return false;
	*ret = count < UINT_MAX ? (unsigned)count : UINT_MAX - 1;
	return true;
}

static bool is_from_other_queue(const struct message *m, const char *queue) {
	const struct field *f = table_find(&m->properties.headers, HEADER_QUEUE);

	return f && f->kind == FIELD_STRING && (f->text.len != strlen(queue) || memcmp(f->text.data, queue, f->text.len) != 0);
}

unsigned message_attempt(const struct message *m, const char *queue) {
	unsigned before;

	if (!is_from_other_queue(m, queue) && read_count(m, HEADER_ATTEMPTS, &before))
		return before + 1;
	/* What was not delivered before has this header from another queue, or from its publisher. */
	if (!m->redelivered)
		return 1;
	return read_count(m, "x-delivery-count", &before) ? before + 1 : 0;
}

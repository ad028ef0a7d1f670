/* SPDX-License-Identifier: MIT */
#include "ctl/publish_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "ctl/message_line.h"
#include "ctl/text.h"

#define PIECE 65536

struct publish_input {
	const struct publish_options *options; /* borrowed */
	size_t next;                           /* the argument that comes next */
	int fd;                                /* owned; what is being read; -1: nothing */
	bool regular;                          /* reading it never waits */
	bool at_end;
	bool skipping;           /* the rest of a line that was too long */
	const char *name;        /* borrowed: of what is being read */
	unsigned long long line; /* of it */
	struct strbuf data;      /* what was read of it, */
	size_t start;            /* of which so much was taken, */
	size_t searched;         /* and so much holds no newline */
};

int publish_input_new(const struct publish_options *o, struct publish_input **ret) {
	struct publish_input *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->options = o;
	i->fd = -1;
	*ret = i;
	return 0;
}

struct publish_input *publish_input_free(struct publish_input *i) {
	if (!i)
		return NULL;
	fd_close(i->fd);
	strbuf_free(&i->data);
	free(i);
	return NULL;
}

int publish_input_fd(const struct publish_input *i) {
	return i->fd;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static bool reads_files(const struct publish_input *i) {
	return i->options->mode != PUBLISH_ARGUMENTS;
}

/* 1: i->fd is what is to be read next; 0: there is nothing any more. */
static int open_next(struct publish_input *i, char **ret_why) {
	const struct publish_options *o = i->options;
	const char *path = i->next < o->n ? o->arguments[i->next] : "-";
	struct stat st;

	if (i->next >= (o->n > 0 ? o->n : 1))
		return 0;
	i->next++;
	if (strcmp(path, "-") == 0) {
		i->name = "standard input";
		i->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		i->name = path;
		i->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (i->fd < 0 || fstat(i->fd, &st) < 0) {
		int error = errno;

		i->fd = fd_close(i->fd);
		return text_fail(o->mode == PUBLISH_FILES ? -EINVAL : -EIO, ret_why, "%s: %s", i->name,
				 strerror(error));
	}
	i->regular = S_ISREG(st.st_mode);
	i->at_end = i->skipping = false;
	i->line = 0;
	i->start = i->searched = 0;
	strbuf_reset(&i->data);
	return 1;
}

static void close_this(struct publish_input *i) {
	i->fd = fd_close(i->fd);
	strbuf_free(&i->data);
	i->data = STRBUF_INIT;
	i->start = i->searched = 0;
}

/* Reads another piece: 1, or 0 at the end. */
static int read_piece(struct publish_input *i, char **ret_why) {
	struct pollfd p = {.fd = i->fd, .events = POLLIN};
	char buf[PIECE];
	ssize_t n;

	if (!i->regular && poll(&p, 1, 0) == 0)
		return -EAGAIN;
	n = read(i->fd, buf, sizeof(buf));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return -EAGAIN;
	if (n < 0) {
		int error = errno;

		close_this(i);
		return text_fail(i->options->mode == PUBLISH_FILES ? -EINVAL : -EIO, ret_why, "%s: %s", i->name,
				 strerror(error));
	}
	/* What was taken makes room. */
	if (i->start > 0) {
		memmove(i->data.data, i->data.data + i->start, i->data.len - i->start);
		i->data.len -= i->start;
		i->searched -= i->start;
		i->start = 0;
	}
	strbuf_append(&i->data, buf, (size_t)n);
	i->at_end = n == 0;
	return i->data.failed ? -ENOMEM : n > 0;
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static int make_message(const void *data, size_t len, struct message **ret) {
	CLEANUP(message_free) struct message *m = NULL;
	int r = message_new(&m);

	if (r == 0)
		r = message_line_set_body(m, data, len);
	if (r == 0)
		*ret = TAKE(m);
	return r;
}

/* All of the file. */
static int next_whole(struct publish_input *i, struct message **ret, char **ret_why) {
	int r = 1;

	while (!i->at_end) {
		r = read_piece(i, ret_why);
		if (r < 0)
			return r;
		if (i->data.len > MESSAGE_LINE_MAX) {
			close_this(i);
			return text_fail(-EINVAL, ret_why, "%s: larger than %zu bytes", i->name, MESSAGE_LINE_MAX);
		}
	}
	r = make_message(i->data.data, i->data.len, ret);
	close_this(i);
	return r < 0 ? r : 1;
}

/* Up to the newline, which is not part of it: 1; 0 at the end of the file. */
static int next_line(struct publish_input *i, const char **ret, size_t *ret_len, char **ret_why) {
	for (;;) {
		const char *from = i->data.data ? i->data.data + i->searched : NULL;
		const char *newline = from ? memchr(from, '\n', i->data.len - i->searched) : NULL;
		int r;

		if (newline || (i->at_end && i->start < i->data.len)) {
			const char *end = newline ? newline : i->data.data + i->data.len;

			*ret = i->data.data + i->start;
			*ret_len = (size_t)(end - *ret);
			i->start = i->searched = (size_t)(end - i->data.data) + (newline ? 1 : 0);
			if (i->skipping) {
				i->skipping = false;
				continue;
			}
			i->line++;
			/* Empty lines between those in JSON are nothing. */
			if (*ret_len == 0 && i->options->mode == PUBLISH_JSON_LINES)
				continue;
			return 1;
		}
		if (i->at_end)
			return 0;
		i->searched = i->data.len;
		if (i->skipping)
			i->start = i->data.len;
		if (i->data.len - i->start > MESSAGE_LINE_MAX) {
			i->skipping = true;
			i->line++;
			return text_fail(-EINVAL, ret_why, "%s, line %llu: longer than %zu bytes", i->name, i->line,
					 MESSAGE_LINE_MAX);
		}
		r = read_piece(i, ret_why);
		if (r < 0)
			return r;
	}
}

static int parse_line(struct publish_input *i, const char *line, size_t len, struct message **ret, char **ret_why) {
	CLEANUP(free) char *why = NULL;
	int r;

	if (i->options->mode == PUBLISH_LINES)
		return make_message(line, len, ret);
	r = message_line_parse(line, len, ret, &why);
	if (r == -EINVAL)
		return text_fail(r, ret_why, "%s, line %llu: %s", i->name, i->line, why);
	return r;
}

static int next_of_file(struct publish_input *i, struct message **ret, char **ret_why) {
	const char *line;
	size_t len;
	int r;

	if (i->options->mode == PUBLISH_FILES || i->options->mode == PUBLISH_STDIN)
		return next_whole(i, ret, ret_why);
	r = next_line(i, &line, &len, ret_why);
	if (r <= 0) {
		if (r == 0)
			close_this(i);
		return r;
	}
	r = parse_line(i, line, len, ret, ret_why);
	return r < 0 ? r : 1;
}

static int next_any(struct publish_input *i, struct message **ret, char **ret_why) {
	const struct publish_options *o = i->options;
	int r;

	if (!reads_files(i)) {
		if (i->next >= o->n)
			return 0;
		r = make_message(o->arguments[i->next], strlen(o->arguments[i->next]), ret);
		i->next++;
		return r < 0 ? r : 1;
	}
	for (;;) {
		if (i->fd < 0) {
			r = open_next(i, ret_why);
			if (r <= 0)
				return r;
		}
		r = next_of_file(i, ret, ret_why);
		if (r != 0)
			return r;
	}
}

/* What memory files may say, in words; running out of memory is said by the caller. */
static int in_words(int r, const char *name, char **ret_why) {
	if (r >= 0 || r == -ENOMEM || r == -EAGAIN || *ret_why)
		return r;
	return text_fail(-EINVAL, ret_why, "%s: %s", name ? name : "a message cannot be kept", strerror(-r));
}

int publish_input_next(struct publish_input *i, struct message **ret, char **ret_why) {
	CLEANUP(message_free) struct message *m = NULL;
	int r;

	*ret_why = NULL;
	r = in_words(next_any(i, &m, ret_why), i->name, ret_why);
	if (r <= 0)
		return r;
	r = publish_options_apply(i->options, m);
	if (r < 0)
		return r;
	*ret = TAKE(m);
	return 1;
}

long long publish_input_rest(struct publish_input *i) {
	const struct publish_options *o = i->options;
	const char *line;
	size_t len;
	long long n = 0;
	int r;

	if (!reads_files(i))
		return (long long)(o->n - i->next);
	if (o->mode == PUBLISH_FILES)
		return (long long)(o->n - i->next) + (i->fd >= 0);
	for (;;) {
		CLEANUP(free) char *why = NULL;

		if (i->fd < 0) {
			r = open_next(i, &why);
			if (r == 0)
				return n;
			if (r < 0)
				return -1;
		}
		if (!i->regular)
			return -1;
		if (o->mode == PUBLISH_STDIN)
			return 1;
		r = next_line(i, &line, &len, &why);
		if (r == 0)
			close_this(i);
		else if (r == -EIO || r == -ENOMEM)
			return -1;
		else
			n++;
	}
}

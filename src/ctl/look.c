/* SPDX-License-Identifier: MIT */
#include "ctl/look.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/look_private.h"
#include "ctl/text.h"

/* Names and ids may have 255 bytes. */
#define NAME_MAX_SHOWN 40
#define REASON_MAX_SHOWN 1024

static const struct column look_columns[] = {
	{.title = "#", .right = true},    {.title = "MESSAGE ID", .cut = true}, {.title = "AGE", .right = true},
	{.title = "SIZE", .right = true}, {.title = "TRIES", .right = true},    {.title = "FROM", .cut = true},
	{.title = "REASON", .cut = true},
};

int look_new(struct columns **ret) {
	return columns_new(look_columns, ARRAY_SIZE(look_columns), ret);
}

/* At most `max` bytes of it, and no part of a character. */
static void append_start(const struct text *t, size_t max, struct strbuf *b) {
	size_t len = t->len;

	if (len > max)
		for (len = max; len > 0 && ((unsigned char)t->data[len] & 0xc0) == 0x80;)
			len--;
	strbuf_append(b, t->data, len);
	if (len < t->len)
		strbuf_append_str(b, "...");
}

static int add_text(struct columns *c, const struct text *t) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	if (!t || !t->data)
		return columns_cell(c, "-", NULL);
	append_start(t, NAME_MAX_SHOWN, &b);
	return b.failed ? -ENOMEM : columns_cell(c, strbuf_str(&b), NULL);
}

static int add_age(struct columns *c, uint64_t since_sec, uint64_t now_sec) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	if (since_sec == 0)
		strbuf_append_str(&b, "-");
	else
		text_append_age(&b, now_sec > since_sec ? now_sec - since_sec : 0);
	return b.failed ? -ENOMEM : columns_cell(c, strbuf_str(&b), NULL);
}

static int add_size(struct columns *c, uint64_t bytes) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	text_append_size(&b, bytes);
	return b.failed ? -ENOMEM : columns_cell(c, strbuf_str(&b), NULL);
}

static int add_reason(struct columns *c, const struct letter *l) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	size_t len;
	const char *line = letter_last_line(l, &len);

	if (l->reason)
		append_start(l->reason, REASON_MAX_SHOWN, &b);
	if (len > 0) {
		const struct text text = {(char *)line, len};

		strbuf_append_str(&b, ": ");
		append_start(&text, REASON_MAX_SHOWN, &b);
	}
	return b.failed ? -ENOMEM : columns_cell(c, b.len > 0 ? strbuf_str(&b) : "-", NULL);
}

/* Each line of the body below the row. */
static int add_body(struct columns *c, const struct message *m, uint64_t body_max) {
	CLEANUP(look_body_clear) struct look_body body = {0};
	CLEANUP(strbuf_free) struct strbuf line = STRBUF_INIT;
	int r = look_body_open(m, &body);
	size_t end = body.len < body_max ? body.len : (size_t)body_max;

	for (size_t at = 0; r == 0 && at < end;) {
		const char *newline = memchr(body.data + at, '\n', end - at);
		size_t len = newline ? (size_t)(newline - body.data) - at : end - at;

		strbuf_reset(&line);
		strbuf_append_escaped(&line, body.data + at, len);
		if (!newline && end < body.len)
			strbuf_append_str(&line, "...");
		r = line.failed ? -ENOMEM : columns_note(c, strbuf_str(&line), false);
		at += len + 1;
	}
	return r;
}

int look_row(struct columns *c, uint64_t n, const struct message *m, const struct letter *l, uint64_t now_sec,
	     uint64_t body_max) {
	int r = columns_row(c);

	if (r == 0)
		r = columns_number(c, n);
	if (r == 0)
		r = add_text(c, &m->properties.message_id);
	if (r == 0)
		r = add_age(c, letter_time(l, m), now_sec);
	if (r == 0)
		r = add_size(c, m->body_size);
	if (r == 0)
		r = l->attempts > 0 ? columns_number(c, l->attempts) : columns_cell(c, "-", NULL);
	if (r == 0)
		r = add_text(c, l->queue);
	if (r == 0)
		r = add_reason(c, l);
	return r < 0 || body_max == 0 ? r : add_body(c, m, body_max);
}

void look_append(const struct columns *c, unsigned width, bool colour, struct strbuf *b) {
	const struct columns_room room = {.width = width, .what = "message"};

	columns_append(c, colour, &room, b);
}

unsigned look_terminal_width(void) {
	struct winsize size;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

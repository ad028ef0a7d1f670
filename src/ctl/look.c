/* SPDX-License-Identifier: MIT */
#include "ctl/look.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "ctl/look_private.h"
#include "ctl/text.h"

/* Names and ids may have 255 bytes. */
#define NAME_MAX_SHOWN 40
#define REASON_MAX_SHOWN 1024
#define ESCAPE '\033'

static const struct column look_columns[] = {
	{"#", true},     {"MESSAGE ID", false}, {"AGE", true},     {"SIZE", true},
	{"TRIES", true}, {"FROM", false},       {"REASON", false},
};

int look_new(struct columns **ret) {
	return columns_new(look_columns, ARRAY_SIZE(look_columns), ret);
}

void look_append_size(uint64_t bytes, struct strbuf *b) {
	static const char units[] = "KMGTPE";
	double n = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		strbuf_printf(b, "%" PRIu64, bytes);
		return;
	}
	for (; n >= 1023.95 && i + 2 < sizeof(units); i++)
		n /= 1024;
	strbuf_printf(b, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[i]);
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

	look_append_size(bytes, &b);
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
		r = line.failed ? -ENOMEM : columns_note(c, strbuf_str(&line));
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

/* The bytes of a sequence that a terminal takes for itself; 0: there is none. */
static size_t sequence(const char *s) {
	size_t n = 2;

	if (s[0] != ESCAPE || s[1] != '[')
		return 0;
	while (s[n] && (s[n] < '@' || s[n] > '~'))
		n++;
	return s[n] ? n + 1 : n;
}

/* What is too long ends one column earlier, with a sign of it. */
static void append_line(const char *s, size_t len, unsigned width, struct strbuf *b) {
	char character[5];
	size_t used = 0, cut = SIZE_MAX;

	for (size_t i = 0; i < len;) {
		size_t n = sequence(s + i), w = 0;

		if (n == 0) {
			n = utf8_sequence((const unsigned char *)s + i, len - i);
			n = n > 0 ? n : 1;
			memcpy(character, s + i, n);
			character[n] = '\0';
			w = text_width(character);
			if (used + w >= width && cut == SIZE_MAX)
				cut = b->len;
		}
		used += w;
		if (used <= width || w == 0)
			strbuf_append(b, s + i, n);
		i += n;
	}
	if (used > width && cut <= b->len) {
		CLEANUP(strbuf_free) struct strbuf rest = STRBUF_INIT;

		/* What was coloured must not stay so. */
		for (const char *p = strbuf_str(b) + cut; *p; p++)
			if (sequence(p) > 0)
				strbuf_append(&rest, p, sequence(p));
		b->len = cut;
		strbuf_append_str(b, ">");
		strbuf_append(b, strbuf_str(&rest), rest.len);
	}
}

void look_append_cut(const char *from, unsigned width, struct strbuf *b) {
	while (*from) {
		size_t len = strcspn(from, "\n");

		if (width > 0)
			append_line(from, len, width, b);
		else
			strbuf_append(b, from, len);
		from += len;
		if (*from) {
			strbuf_append_char(b, '\n');
			from++;
		}
	}
}

void look_append(const struct columns *c, unsigned width, bool colour, struct strbuf *b) {
	CLEANUP(strbuf_free) struct strbuf table = STRBUF_INIT;

	columns_append(c, colour, &table);
	look_append_cut(strbuf_str(&table), width, b);
	b->failed |= table.failed;
}

unsigned look_terminal_width(void) {
	struct winsize size;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

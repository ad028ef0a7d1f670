/* SPDX-License-Identifier: MIT */
#include "base/strbuf.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static bool strbuf_reserve(struct strbuf *b, size_t more) {
	size_t need, capacity;
	char *data;

	if (b->failed || more > SIZE_MAX / 2 - b->len - 1) {
		b->failed = true;
		return false;
	}
	need = b->len + more + 1;
	if (need <= b->capacity)
		return true;
	capacity = b->capacity ? b->capacity : 64;
	while (capacity < need)
		capacity *= 2;
	data = realloc(b->data, capacity);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->capacity = capacity;
	return true;
}

void strbuf_free(struct strbuf *b) {
	free(b->data);
	*b = STRBUF_INIT;
}

void strbuf_append(struct strbuf *b, const void *data, size_t len) {
	if (!strbuf_reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void strbuf_append_str(struct strbuf *b, const char *s) {
	strbuf_append(b, s, strlen(s));
}

void strbuf_append_char(struct strbuf *b, char c) {
	strbuf_append(b, &c, 1);
}

void strbuf_vprintf(struct strbuf *b, const char *format, va_list args) {
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0 || !strbuf_reserve(b, (size_t)n)) {
		b->failed = true;
		return;
	}
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
	b->len += (size_t)n;
}

void strbuf_printf(struct strbuf *b, const char *format, ...) {
	va_list args;

	va_start(args, format);
	strbuf_vprintf(b, format, args);
	va_end(args);
}

/* C1 controls (U+0080 to U+009F) and the line and paragraph separators act on terminals or split lines. */
static bool utf8_is_control(const unsigned char *p, size_t n) {
	return (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) ||
	       (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9));
}

static void append_escaped(struct strbuf *b, const void *data, size_t len, bool quoted) {
	const unsigned char *p = data;
	size_t i = 0;

	while (i < len) {
		size_t n = utf8_sequence(p + i, len - i);

		if (n > 1 && !utf8_is_control(p + i, n)) {
			strbuf_append(b, p + i, n);
			i += n;
			continue;
		}
		if (p[i] == '\n')
			strbuf_append_str(b, "\\n");
		else if (p[i] == '\r')
			strbuf_append_str(b, "\\r");
		else if (p[i] == '\t')
			strbuf_append_str(b, "\\t");
		else if (p[i] == '\\' || (quoted && p[i] == '"'))
			strbuf_printf(b, "\\%c", p[i]);
		else if (p[i] < 0x20 || p[i] >= 0x7f)
			strbuf_printf(b, "\\x%02x", p[i]);
		else
			strbuf_append_char(b, (char)p[i]);
		i++;
	}
}

void strbuf_append_escaped(struct strbuf *b, const void *data, size_t len) {
	append_escaped(b, data, len, false);
}

void strbuf_append_value(struct strbuf *b, const void *data, size_t len) {
	const unsigned char *p = data;
	bool bare = len > 0;

	for (size_t i = 0; bare && i < len; i++)
		bare = p[i] < 0x80 && (isalnum(p[i]) || (p[i] && strchr("-_.:/@+%~", p[i])));
	if (bare) {
		strbuf_append(b, data, len);
		return;
	}
	strbuf_append_char(b, '"');
	append_escaped(b, data, len, true);
	strbuf_append_char(b, '"');
}

void strbuf_reset(struct strbuf *b) {
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

int strbuf_take(struct strbuf *b, char **ret) {
	char *s;

	if (!b->data)
		strbuf_append(b, "", 0);
	if (b->failed) {
		strbuf_free(b);
		return -ENOMEM;
	}
	s = b->data;
	*b = STRBUF_INIT;
	*ret = s;
	return 0;
}

const char *strbuf_str(const struct strbuf *b) {
	return b->data ? b->data : "";
}

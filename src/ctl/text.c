/* SPDX-License-Identifier: MIT */
#include "ctl/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

#include "base/strbuf.h"
#include "base/utf8.h"

#define CUT_MARK "..."

/* The character of a well-formed sequence of n bytes. */
static wchar_t decode(const unsigned char *p, size_t n) {
	unsigned c = n == 1 ? p[0] : p[0] & (0x7f >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	return (wchar_t)c;
}

size_t text_step(const char *s, size_t len, size_t *ret_columns) {
	const unsigned char *p = (const unsigned char *)s;
	size_t n = utf8_sequence(p, len);
	int columns = n > 0 ? wcwidth(decode(p, n)) : 1;

	*ret_columns = columns < 0 ? 1 : (size_t)columns;
	return n > 0 ? n : 1;
}

size_t text_width(const char *s) {
	size_t len = strlen(s), width = 0, columns;

	for (size_t i = 0; i < len; width += columns)
		i += text_step(s + i, len - i, &columns);
	return width;
}

/* How many bytes of it fit. */
static size_t fitting(const char *s, size_t width) {
	size_t len = strlen(s), used = 0, columns;

	for (size_t i = 0; i < len; used += columns) {
		size_t n = text_step(s + i, len - i, &columns);

		if (used + columns > width)
			return i;
		i += n;
	}
	return len;
}

void text_append_cut(struct strbuf *b, const char *s, size_t width) {
	bool marked = width > strlen(CUT_MARK);

	if (text_width(s) <= width) {
		strbuf_append_str(b, s);
		return;
	}
	strbuf_append(b, s, fitting(s, marked ? width - strlen(CUT_MARK) : width));
	if (marked)
		strbuf_append_str(b, CUT_MARK);
}

void text_append(struct strbuf *b, const char *s) {
	strbuf_append_escaped(b, s, strlen(s));
}

void text_append_line(struct strbuf *b, const char *s) {
	for (;;) {
		size_t len = strcspn(s, "\\");

		strbuf_append_escaped(b, s, len);
		if (!s[len])
			return;
		strbuf_append_char(b, '\\');
		s += len + 1;
	}
}

int text_fail(int r, char **ret_why, const char *format, ...) {
	CLEANUP(strbuf_free) struct strbuf raw = STRBUF_INIT, line = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_vprintf(&raw, format, args);
	va_end(args);
	text_append_line(&line, strbuf_str(&raw));
	*ret_why = NULL;
	return raw.failed || strbuf_take(&line, ret_why) < 0 ? -ENOMEM : r;
}

void text_append_age(struct strbuf *b, uint64_t seconds) {
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (seconds < 60)
		strbuf_printf(b, "%" PRIu64 "s", seconds);
	else if (minutes < 60)
		strbuf_printf(b, "%" PRIu64 "min", minutes);
	else if (hours < 48)
		strbuf_printf(b, "%" PRIu64 "h %02" PRIu64 "min", hours, minutes % 60);
	else
		strbuf_printf(b, "%" PRIu64 "d %" PRIu64 "h", days, hours % 24);
}

void text_append_size(struct strbuf *b, uint64_t bytes) {
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		strbuf_printf(b, "%" PRIu64 " B", bytes);
		return;
	}
	/* What would be rounded to 1024 is 1 of the next. */
	for (; n >= 1023.95 && i + 1 < ARRAY_SIZE(units); i++)
		n /= 1024;
	strbuf_printf(b, "%.1f %s", n, units[i]);
}

void text_append_rate(struct strbuf *b, double rate) {
	int digits = rate >= 99.5 ? 0 : rate >= 9.95 ? 1 : 2;

	if (rate < TEXT_RATE_MIN)
		strbuf_append_str(b, "0/s");
	else
		strbuf_printf(b, "%.*f/s", digits, rate);
}

const char *text_plural(uint64_t n) {
	return n == 1 ? "" : "s";
}

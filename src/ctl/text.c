/* SPDX-License-Identifier: MIT */
#include "ctl/text.h"

#include <inttypes.h>
#include <string.h>
#include <wchar.h>

#include "base/strbuf.h"
#include "base/utf8.h"

/* The character of a well-formed sequence of n bytes. */
static wchar_t decode(const unsigned char *p, size_t n) {
	unsigned c = n == 1 ? p[0] : p[0] & (0x7f >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	return (wchar_t)c;
}

size_t text_width(const char *s) {
	const unsigned char *p = (const unsigned char *)s;
	size_t len = strlen(s), width = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(p + i, len - i);
		int columns = n > 0 ? wcwidth(decode(p + i, n)) : 1;

		width += columns < 0 ? 1 : (size_t)columns;
		i += n > 0 ? n : 1;
	}
	return width;
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

const char *text_plural(uint64_t n) {
	return n == 1 ? "" : "s";
}

/* SPDX-License-Identifier: MIT */
#include "service/exposition.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

void exposition_family(struct strbuf *b, const char *name, const char *type, const char *help) {
	strbuf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool is_utf8(const char *s) {
	const unsigned char *p = (const unsigned char *)s;
	size_t left = strlen(s), n;

	for (; left > 0; p += n, left -= n) {
		n = utf8_sequence(p, left);
		if (n == 0)
			return false;
	}
	return true;
}

static void append_escaped(struct strbuf *b, const char *value) {
	for (; *value; value++) {
		if (*value == '\n') {
			strbuf_append_str(b, "\\n");
			continue;
		}
		if (*value == '\\' || *value == '"')
			strbuf_append_char(b, '\\');
		strbuf_append_char(b, *value);
	}
}

void exposition_label(struct strbuf *labels, const char *name, const char *value) {
	CLEANUP(strbuf_free) struct strbuf printable = STRBUF_INIT;

	if (!is_utf8(value)) {
		strbuf_append_escaped(&printable, value, strlen(value));
		labels->failed |= printable.failed;
		value = strbuf_str(&printable);
	}
	if (labels->len > 0)
		strbuf_append_char(labels, ',');
	strbuf_append_str(labels, name);
	strbuf_append_str(labels, "=\"");
	append_escaped(labels, value);
	strbuf_append_char(labels, '"');
}

/* There are many thousand lines if there are many queues: each is put together here, and appended as a whole. */
#define LINE_SIZE 1024

/* "NAME{LABELS} "; to p, where there is room. */
static char *put_name(char *p, const char *name, const char *suffix, const char *labels, const char *label,
		      const char *value) {
	p = stpcpy(stpcpy(p, name), suffix);
	if (*labels || label) {
		*p++ = '{';
		p = stpcpy(p, labels);
		if (label) {
			p = stpcpy(stpcpy(p, *labels ? "," : ""), label);
			p = stpcpy(stpcpy(stpcpy(p, "=\""), value), "\"");
		}
		*p++ = '}';
	}
	*p++ = ' ';
	return p;
}

/* With the text of the number. */
static void append_line(struct strbuf *b, const char *name, const char *suffix, const char *labels, const char *label,
			const char *value, const char *number) {
	char line[LINE_SIZE];
	CLEANUP(free) char *large = NULL;
	/* With room for the punctuation. */
	size_t size = strlen(name) + strlen(suffix) + strlen(labels) + (label ? strlen(label) + strlen(value) : 0) +
		      strlen(number) + 16;
	char *p = line, *start;

	if (size > sizeof(line))
		p = large = malloc(size);
	if (!p) {
		b->failed = true;
		return;
	}
	start = p;
	p = stpcpy(put_name(p, name, suffix, labels, label, value), number);
	*p++ = '\n';
	strbuf_append(b, start, (size_t)(p - start));
}

static void append_sample(struct strbuf *b, const char *name, const char *suffix, const char *labels, const char *label,
			  const char *value, uint64_t n) {
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	append_line(b, name, suffix, labels, label, value, digits + at);
}

void exposition_count(struct strbuf *b, const char *name, const char *labels, const char *label, const char *value,
		      uint64_t n) {
	append_sample(b, name, "", labels, label, value, n);
}

static void append_seconds(struct strbuf *b, const char *name, const char *suffix, const char *labels, double seconds) {
	char text[32];

	/* A sum that is too long for that has no use for its fraction. */
	if (snprintf(text, sizeof(text), "%.6f", seconds) >= (int)sizeof(text))
		(void)snprintf(text, sizeof(text), "%.17g", seconds);
	append_line(b, name, suffix, labels, NULL, NULL, text);
}

void exposition_seconds(struct strbuf *b, const char *name, const char *labels, double seconds) {
	append_seconds(b, name, "", labels, seconds);
}

/* "0.005", "2.5", "1800" */
static void format_bound(uint64_t usec, char *buf, size_t size) {
	(void)snprintf(buf, size, "%.6g", (double)usec / (double)USEC_PER_SEC);
}

void exposition_histogram(struct strbuf *b, const char *name, const char *labels, const struct histogram_bounds *bounds,
			  const struct histogram *h) {
	uint64_t n = 0;
	char bound[24];

	for (size_t i = 0; i < bounds->n; i++) {
		n += h->counts[i];
		format_bound(bounds->usec[i], bound, sizeof(bound));
		append_sample(b, name, "_bucket", labels, "le", bound, n);
	}
	n += h->counts[bounds->n];
	append_sample(b, name, "_bucket", labels, "le", "+Inf", n);
	append_seconds(b, name, "_sum", labels, h->sum);
	append_sample(b, name, "_count", labels, NULL, NULL, n);
}

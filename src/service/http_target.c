/* SPDX-License-Identifier: MIT */
#include "service/http_target.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int decode(const char *text, size_t len, bool query, char **ret) {
	CLEANUP(free) char *decoded = malloc(len + 1);
	size_t n = 0;

	if (!decoded)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(text[i + 1]) : -1,
			    low = i + 2 < len ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return -EINVAL;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		decoded[n++] = c;
	}
	decoded[n] = '\0';
	*ret = TAKE(decoded);
	return 0;
}

/* `text` begins with the slash and ends before the query. */
static int parse_path(const char *text, size_t len, struct http_target *t) {
	size_t at = 1;

	for (;;) {
		const char *slash = memchr(text + at, '/', len - at);
		size_t end = slash ? (size_t)(slash - text) : len;
		int r;

		if (t->n_segments == HTTP_SEGMENTS_MAX)
			return -E2BIG;
		r = decode(text + at, end - at, false, &t->segments[t->n_segments]);
		if (r < 0)
			return r;
		t->n_segments++;
		if (!slash)
			return 0;
		at = end + 1;
	}
}

static int parse_parameter(const char *text, size_t len, struct http_target *t) {
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : len;
	struct http_parameter *p = &t->parameters[t->n_parameters];
	int r;

	if (len == 0)
		return 0;
	if (t->n_parameters == HTTP_PARAMETERS_MAX)
		return -E2BIG;
	/* Counted at once, so that what was decoded of it is freed with the others. */
	t->n_parameters++;
	r = decode(text, name_len, true, &p->name);
	if (r < 0)
		return r;
	return equals ? decode(equals + 1, len - name_len - 1, true, &p->value) : decode("", 0, true, &p->value);
}

static int parse_query(const char *text, struct http_target *t) {
	for (;;) {
		size_t len = strcspn(text, "&");
		int r = parse_parameter(text, len, t);

		if (r < 0 || !text[len])
			return r;
		text += len + 1;
	}
}

int http_target_parse(const char *text, struct http_target *ret) {
	CLEANUP(http_target_clear) struct http_target t = HTTP_TARGET_INIT;
	size_t path_len = strcspn(text, "?");
	int r;

	if (text[0] != '/')
		return -EINVAL;
	r = parse_path(text, path_len, &t);
	if (r >= 0 && text[path_len])
		r = parse_query(text + path_len + 1, &t);
	if (r < 0)
		return r;
	*ret = t;
	t = HTTP_TARGET_INIT;
	return 0;
}

void http_target_clear(struct http_target *t) {
	for (size_t i = 0; i < t->n_segments; i++)
		free(t->segments[i]);
	for (size_t i = 0; i < t->n_parameters; i++) {
		free(t->parameters[i].name);
		free(t->parameters[i].value);
	}
	*t = HTTP_TARGET_INIT;
}

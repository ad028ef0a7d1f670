/* SPDX-License-Identifier: MIT */
/* What a request asks for, taken apart: "/v1/queues/a%2Fb/pause?broker=main". Pure. */
#pragma once

#include "base/macro.h"
#include <stddef.h>

#define HTTP_SEGMENTS_MAX 16
#define HTTP_PARAMETERS_MAX 16

struct http_parameter {
	char *name;
	char *value;
};

/* All strings owned, percent-decoded, without NUL. */
struct http_target {
	char *segments[HTTP_SEGMENTS_MAX]; /* n_segments of them; "/" has one that is empty */
	size_t n_segments;
	struct http_parameter parameters[HTTP_PARAMETERS_MAX]; /* n_parameters of them */
	size_t n_parameters;
};

#define HTTP_TARGET_INIT ((struct http_target){0})

/* Splits first and decodes afterwards, once, so that an encoded separator is none. A plus sign in the query is a space.
 * -EINVAL: not a path and query, a percent sign that is not followed by two hexadecimal digits, a NUL. -E2BIG: more
 * parts than there is room for. -ENOMEM. *ret is written only on success. */
int http_target_parse(const char *text, struct http_target *ret);

void http_target_clear(struct http_target *t);

static inline void http_target_clear_cleanup(struct http_target *t) {
	http_target_clear(t);
}

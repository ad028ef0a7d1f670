/* SPDX-License-Identifier: MIT */
/* The last lines that a handler has written to stderr. */
#pragma once

#include <stddef.h>

/* So many bytes are kept, newlines included; of a line that alone is longer, the beginning. */
#define TAIL_MAX 2048

struct tail {
	char *data; /* owned; whole lines with a newline each; NULL: none yet */
	size_t len;
};

/* Adds a line without its newline; empty ones are left out. For it the oldest lines go, whole. Without memory the line is missing. */
void tail_add(struct tail *t, const char *line, size_t len);

/* The last line, without its newline; NULL and 0 if there is none. Borrowed until the tail changes. */
const char *tail_last(const struct tail *t, size_t *ret_len);

void tail_clear(struct tail *t);

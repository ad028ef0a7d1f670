/* SPDX-License-Identifier: MIT */
/* A growing string. An allocation that fails is remembered and makes the whole result fail, so that a row of
 * appends needs one check at the end. */
#pragma once

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include "base/macro.h"

struct strbuf {
	char *data;	 /* NUL-terminated once something was appended; owned */
	size_t len;	 /* without the NUL */
	size_t capacity; /* bytes allocated */
	bool failed;	 /* an allocation failed: the content is not to be trusted */
};

#define STRBUF_INIT ((struct strbuf){0})

void strbuf_free(struct strbuf *b);

static inline void strbuf_free_cleanup(struct strbuf *b) {
	strbuf_free(b);
}

void strbuf_append(struct strbuf *b, const void *data, size_t len);
void strbuf_append_str(struct strbuf *b, const char *s);
void strbuf_append_char(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void strbuf_vprintf(struct strbuf *b, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* Appends len bytes that came from outside so that a line stays one line and a terminal stays as it is: valid UTF-8
 * without control characters is kept, a backslash doubled, everything else written as \n, \r, \t or \xHH. */
void strbuf_append_escaped(struct strbuf *b, const void *data, size_t len);

/* The same as a value in a key=value line: bare if it is made of letters, digits and - _ . : / @ + % ~, else in
 * double quotes, with the quotes inside escaped. */
void strbuf_append_value(struct strbuf *b, const void *data, size_t len);

/* Empties the buffer and keeps its memory. */
void strbuf_reset(struct strbuf *b);

/* Hands the string over to the caller, who frees it; "" if nothing was appended. -ENOMEM if an append failed. */
int strbuf_take(struct strbuf *b, char **ret);

/* The string for reading; never NULL. */
const char *strbuf_str(const struct strbuf *b);

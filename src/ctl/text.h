/* SPDX-License-Identifier: MIT */
/* Text for people at a terminal. */
#pragma once

#include "base/macro.h"
#include <stddef.h>
#include <stdint.h>

struct strbuf;

/* How many columns of a terminal the text takes. What is not UTF-8, or has no known width, counts as one for each byte
 * or character. */
size_t text_width(const char *s);

/* The same for the first character of `len` bytes, at least one. Returns how many bytes it has. */
size_t text_step(const char *s, size_t len, size_t *ret_columns);

/* Appends printable text, of which no more than so many columns; where something is left out it ends with "...". */
void text_append_cut(struct strbuf *b, const char *s, size_t width);

/* Appends text that came from outside, so that it stays one line and does nothing to the terminal. */
void text_append(struct strbuf *b, const char *s);

/* The same for a line that the daemon has escaped already: backslashes are left alone. */
void text_append_line(struct strbuf *b, const char *s);

/* Sets *ret_why, which is the caller's then, to these words on one printable line, and returns r; NULL and -ENOMEM. */
int text_fail(int r, char **ret_why, const char *format, ...) PRINTF_LIKE(3, 4);

/* Appends a span of time as people say it: "35s", "12min", "3h 05min", "12d 4h". */
void text_append_age(struct strbuf *b, uint64_t seconds);

/* Appends a number of bytes: "812 B", "1.5 KiB". */
void text_append_size(struct strbuf *b, uint64_t bytes);

/* Less than that is shown as 0. */
#define TEXT_RATE_MIN 0.005

/* Appends so many a second: "0.25/s", "12.5/s". */
void text_append_rate(struct strbuf *b, double rate);

/* The plural's ending: "" for 1, else "s". */
const char *text_plural(uint64_t n);

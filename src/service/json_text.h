/* SPDX-License-Identifier: MIT */
/* Strings of ours in JSON, whatever bytes they have. Pure. */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct strbuf;

/* A string; what is not UTF-8 in it is escaped as in the log. null for NULL. A new reference; NULL: no memory. */
json_t *json_text_new(const char *s);

/* A time of the wall clock in microseconds: "2026-01-31T12:00:00Z"; null for 0. */
json_t *json_text_time(uint64_t usec);

/* Appends the value and a newline, and drops the reference. NULL, which stands for a lack of memory, makes the buffer
 * fail. */
void json_text_append(struct strbuf *b, json_t *value);

/* Appends {"error": "..."} and a newline. */
void json_text_append_error(struct strbuf *b, const char *text);

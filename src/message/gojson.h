/* SPDX-License-Identifier: MIT */
/* JSON text in the form of Go's encoding/json, byte for byte: what handlers that were written for rabbitmq-cli-consumer read.
 * (message/json.h is the form of environment variables.) */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/strbuf.h"
#include "message/field.h"

/* Appends a string with its quotes: <, >, &, U+2028, U+2029 and control characters escaped, each byte that does not belong to
 * well-formed UTF-8 as \ufffd. */
void gojson_append_string(struct strbuf *b, const void *data, size_t len);

/* The same without quotes: a piece of a string, which must not end within a sequence (gojson_piece). */
void gojson_append_characters(struct strbuf *b, const void *data, size_t len);

/* How many bytes gojson_append_characters makes of these, if they are well-formed UTF-8; SIZE_MAX if they are not. */
size_t gojson_size(const void *data, size_t len);

/* How many of the len bytes, at most max (4 or more), can be one piece of a string: so that no well-formed sequence is cut. */
size_t gojson_piece(const void *data, size_t len, size_t max);

/* Appends a time in seconds since 1970 with its quotes (RFC 3339, in UTC); `otherwise` as it stands if it is later than the
 * year 9999, which that form does not have. */
void gojson_append_time(struct strbuf *b, uint64_t seconds, const char *otherwise);

/* Appends the value of a field: bytes in base64, timestamps as gojson_append_time, decimals as {"Scale":..,"Value":..},
 * tables sorted by name (of several fields of one name the last counts), void as null; as null, too, what JSON does not have:
 * floats that are no number, later times, and what is nested deeper than FIELD_DEPTH_MAX. -ENOMEM. */
int gojson_append_field(struct strbuf *b, const struct field *f);

/* Appends a table as an object: the same. -ENOMEM. */
int gojson_append_table(struct strbuf *b, const struct table *t);

/* SPDX-License-Identifier: MIT */
/* Sets of exit statuses: from their text, and back. Pure. */
#pragma once

#include <stdbool.h>

struct config_statuses;
struct strbuf;

#define STATUS_MAX 255

/* Adds what the text says: a status ("75") or a range ("64-78"). -EINVAL: neither; -ERANGE: above 255; -EDOM: the range
 * is reversed. Nothing is added then. */
int statuses_parse(const char *text, struct config_statuses *s);

/* Adds the statuses from first to last, which must be 0 to 255 and in order. */
void statuses_add(struct config_statuses *s, unsigned first, unsigned last);

/* Finds the first range of at least one status at or after `from`. False if there is none. */
bool statuses_next(const struct config_statuses *s, unsigned from, unsigned *ret_first, unsigned *ret_last);

/* Puts the statuses that both sets have into *ret. False if there are none. */
bool statuses_common(const struct config_statuses *a, const struct config_statuses *b, struct config_statuses *ret);

/* Appends "0, 64-78"; nothing for the empty set. */
void statuses_format(const struct config_statuses *s, struct strbuf *b);

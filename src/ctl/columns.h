/* SPDX-License-Identifier: MIT */
/* Rows of text in columns that are as wide as they must be. */
#pragma once

#include "base/macro.h"
#include <stdbool.h>
#include <stddef.h>

#define COLUMNS_MAX 12

struct strbuf;

struct column {
	const char *title;
	bool right; /* numbers end at the same place */
};

struct columns;

/* An empty table; at most COLUMNS_MAX columns, borrowed. -ENOMEM. */
int columns_new(const struct column *columns, size_t n, struct columns **ret);
struct columns *columns_free(struct columns *c);
DEFINE_CLEANUP(struct columns *, columns_free);

/* Begins a row. Its cells are escaped; the notes below it are taken as escaped lines. -ENOMEM. */
int columns_row(struct columns *c);

/* The next cell of the last row. `colour`: a sequence of a terminal before it, static; NULL: none. -ENOMEM. */
int columns_cell(struct columns *c, const char *text, const char *colour);

/* A number as the next cell. -ENOMEM. */
int columns_number(struct columns *c, unsigned long long n);

/* A line of its own below the last row. -ENOMEM. */
int columns_note(struct columns *c, const char *text);

/* Appends the titles, and the rows. Without `colour` nothing is in it but text. */
void columns_append(const struct columns *c, bool colour, struct strbuf *b);

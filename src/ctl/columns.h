/* SPDX-License-Identifier: MIT */
/* Rows of text in columns that are as wide as they must be, and as there is room for. */
#pragma once

#include "base/macro.h"
#include <stdbool.h>
#include <stddef.h>

#define COLUMNS_MAX 16

struct strbuf;

struct column {
	const char *title;
	bool right;    /* numbers end at the same place */
	bool cut;      /* its text may be cut where the table is too wide */
	unsigned rank; /* those of the highest rank are left out before that; 0: never */
};

/* How much of a table there is room for. */
struct columns_room {
	size_t width;     /* in columns of the terminal; 0: for any */
	size_t lines;     /* of rows that do not fit there is a line that tells how many they are; 0: for any */
	const char *what; /* what a row is about: "queue" */
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

/* A line of its own below the last row. `cut`: it may be, where there is no room for it; else the terminal wraps it.
 * -ENOMEM. */
int columns_note(struct columns *c, const char *text, bool cut);

/* Appends the titles, and the rows. Without `colour` nothing is in it but text. `room` NULL: there is room for
 * everything. */
void columns_append(const struct columns *c, bool colour, const struct columns_room *room, struct strbuf *b);

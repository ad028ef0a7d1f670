/* SPDX-License-Identifier: MIT */
#include "ctl/columns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/text.h"

#define GAP 2
#define NOTE_INDENT 4
/* What is cut keeps so much. */
#define CUT_MIN 12
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

struct cell {
	char *text; /* owned, escaped; NULL: empty */
	const char *colour;
};

struct note {
	char *text; /* owned, escaped */
	bool cut;
};

struct row {
	struct cell cells[COLUMNS_MAX];
	size_t n;
	struct note *notes; /* owned, n_notes of them */
	size_t n_notes;
};

struct columns {
	const struct column *columns; /* borrowed */
	size_t n;
	struct row *rows; /* owned, n_rows of them */
	size_t n_rows;
};

/* How wide the columns are. */
struct layout {
	size_t widths[COLUMNS_MAX];
	bool hidden[COLUMNS_MAX];
	size_t last; /* that is shown */
	size_t total;
};

int columns_new(const struct column *columns, size_t n, struct columns **ret) {
	struct columns *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->columns = columns;
	c->n = n;
	*ret = c;
	return 0;
}

struct columns *columns_free(struct columns *c) {
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n_rows; i++) {
		for (size_t k = 0; k < c->rows[i].n; k++)
			free(c->rows[i].cells[k].text);
		for (size_t k = 0; k < c->rows[i].n_notes; k++)
			free(c->rows[i].notes[k].text);
		free(c->rows[i].notes);
	}
	free(c->rows);
	free(c);
	return NULL;
}

int columns_row(struct columns *c) {
	struct row *rows = reallocarray(c->rows, c->n_rows + 1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	c->rows = rows;
	rows[c->n_rows++] = (struct row){0};
	return 0;
}

int columns_cell(struct columns *c, const char *text, const char *colour) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct row *row = &c->rows[c->n_rows - 1];

	text_append(&b, text);
	row->cells[row->n].colour = colour;
	if (strbuf_take(&b, &row->cells[row->n].text) < 0)
		return -ENOMEM;
	row->n++;
	return 0;
}

int columns_number(struct columns *c, unsigned long long n) {
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", n);
	return columns_cell(c, text, NULL);
}

int columns_note(struct columns *c, const char *text, bool cut) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct row *row = &c->rows[c->n_rows - 1];
	struct note *notes = reallocarray(row->notes, row->n_notes + 1, sizeof(*notes));

	if (!notes)
		return -ENOMEM;
	row->notes = notes;
	strbuf_printf(&b, "%*s", NOTE_INDENT, "");
	text_append_line(&b, text);
	notes[row->n_notes].cut = cut;
	if (strbuf_take(&b, &notes[row->n_notes].text) < 0)
		return -ENOMEM;
	row->n_notes++;
	return 0;
}

/* --- the layout --------------------------------------------------------------------------------------------------- */

static size_t column_width(const struct columns *c, size_t column) {
	size_t width = text_width(c->columns[column].title);

	for (size_t i = 0; i < c->n_rows; i++) {
		size_t w = column < c->rows[i].n ? text_width(c->rows[i].cells[column].text) : 0;

		if (w > width)
			width = w;
	}
	return width;
}

static void add_up(const struct columns *c, struct layout *l) {
	l->total = 0;
	for (size_t k = 0; k < c->n; k++) {
		if (l->hidden[k])
			continue;
		l->total += l->widths[k] + (l->total > 0 ? GAP : 0);
		l->last = k;
	}
}

/* Leaves out the columns that matter least. False: all that are left matter. */
static bool hide(const struct columns *c, struct layout *l) {
	unsigned rank = 0;

	for (size_t k = 0; k < c->n; k++)
		if (!l->hidden[k] && c->columns[k].rank > rank)
			rank = c->columns[k].rank;
	for (size_t k = 0; k < c->n; k++)
		l->hidden[k] |= rank > 0 && c->columns[k].rank == rank;
	add_up(c, l);
	return rank > 0;
}

/* Takes one from the widest column that may be cut. False: all of them are narrow. */
static bool shrink(const struct columns *c, struct layout *l) {
	size_t widest = c->n;

	for (size_t k = 0; k < c->n; k++)
		if (!l->hidden[k] && c->columns[k].cut && l->widths[k] > CUT_MIN &&
		    (widest == c->n || l->widths[k] > l->widths[widest]))
			widest = k;
	if (widest == c->n)
		return false;
	l->widths[widest]--;
	l->total--;
	return true;
}

static void lay_out(const struct columns *c, size_t width, struct layout *l) {
	for (size_t k = 0; k < c->n; k++)
		l->widths[k] = column_width(c, k);
	add_up(c, l);
	while (width > 0 && l->total > width && hide(c, l))
		;
	while (width > 0 && l->total > width && shrink(c, l))
		;
}

/* How many of the rows there is room for, below the titles. */
static size_t count_fitting(const struct columns *c, size_t lines) {
	size_t used = 1, fitting = 0;

	if (lines == 0)
		return c->n_rows;
	for (size_t i = 0; i < c->n_rows; i++) {
		used += 1 + c->rows[i].n_notes;
		/* The line that tells of the others needs room, too, while there are any. */
		if (used + 1 <= lines)
			fitting = i + 1;
	}
	return used <= lines ? c->n_rows : fitting;
}

/* --- what it looks like ------------------------------------------------------------------------------------------- */

/* Nothing follows the text of the last column, so that lines do not end with blanks. */
static void append_cell(struct strbuf *b, const char *text, const char *colour, size_t width, bool right, bool last) {
	size_t w = text_width(text);
	int blanks = w < width ? (int)(width - w) : 0;

	if (right)
		strbuf_printf(b, "%*s", blanks, "");
	strbuf_append_str(b, colour ? colour : "");
	text_append_cut(b, text, width);
	strbuf_append_str(b, colour ? PLAIN : "");
	if (!last)
		strbuf_printf(b, "%*s", (right ? 0 : blanks) + GAP, "");
}

static void append_notes(const struct row *row, size_t width, struct strbuf *b) {
	for (size_t i = 0; i < row->n_notes; i++) {
		const struct note *note = &row->notes[i];

		if (note->cut && width > 0)
			text_append_cut(b, note->text, width);
		else
			strbuf_append_str(b, note->text);
		strbuf_append_char(b, '\n');
	}
}

void columns_append(const struct columns *c, bool colour, const struct columns_room *room, struct strbuf *b) {
	static const struct columns_room any = {0};
	struct layout l = {0};
	size_t fitting;

	room = room ? room : &any;
	fitting = count_fitting(c, room->lines);
	lay_out(c, room->width, &l);
	for (size_t k = 0; k < c->n; k++)
		if (!l.hidden[k])
			append_cell(b, c->columns[k].title, colour ? BOLD : NULL, l.widths[k], c->columns[k].right,
				    k == l.last);
	strbuf_append_char(b, '\n');
	for (size_t i = 0; i < fitting; i++) {
		const struct row *row = &c->rows[i];

		for (size_t k = 0; k < row->n; k++)
			if (!l.hidden[k])
				append_cell(b, row->cells[k].text, colour ? row->cells[k].colour : NULL, l.widths[k],
					    c->columns[k].right, k == l.last || k + 1 == row->n);
		strbuf_append_char(b, '\n');
		append_notes(row, room->width, b);
	}
	if (fitting < c->n_rows)
		strbuf_printf(b, "... %zu more %s%s\n", c->n_rows - fitting, room->what,
			      text_plural(c->n_rows - fitting));
}

/* SPDX-License-Identifier: MIT */
#include "ctl/columns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/text.h"

#define GAP 2
#define NOTE_INDENT 4
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

struct cell {
	char *text; /* owned, escaped; NULL: empty */
	const char *colour;
};

struct row {
	struct cell cells[COLUMNS_MAX];
	size_t n;
	struct strbuf notes; /* lines, each with its newline */
};

struct columns {
	const struct column *columns; /* borrowed */
	size_t n;
	struct row *rows; /* owned, n_rows of them */
	size_t n_rows;
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
		strbuf_free(&c->rows[i].notes);
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
	rows[c->n_rows++] = (struct row){.notes = STRBUF_INIT};
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

int columns_note(struct columns *c, const char *text) {
	struct strbuf *b = &c->rows[c->n_rows - 1].notes;

	strbuf_printf(b, "%*s", NOTE_INDENT, "");
	text_append_line(b, text);
	strbuf_append_char(b, '\n');
	return b->failed ? -ENOMEM : 0;
}

static size_t column_width(const struct columns *c, size_t column) {
	size_t width = text_width(c->columns[column].title);

	for (size_t i = 0; i < c->n_rows; i++) {
		size_t w = column < c->rows[i].n ? text_width(c->rows[i].cells[column].text) : 0;

		if (w > width)
			width = w;
	}
	return width;
}

/* Nothing follows the text of the last column, so that lines do not end with blanks. */
static void append_cell(struct strbuf *b, const char *text, const char *colour, size_t width, bool right, bool last) {
	int blanks = (int)(width - text_width(text));

	if (right)
		strbuf_printf(b, "%*s", blanks, "");
	strbuf_printf(b, "%s%s%s", colour ? colour : "", text, colour ? PLAIN : "");
	if (!last)
		strbuf_printf(b, "%*s", (right ? 0 : blanks) + GAP, "");
}

void columns_append(const struct columns *c, bool colour, struct strbuf *b) {
	size_t widths[COLUMNS_MAX];

	for (size_t k = 0; k < c->n; k++)
		widths[k] = column_width(c, k);
	for (size_t k = 0; k < c->n; k++)
		append_cell(b, c->columns[k].title, colour ? BOLD : NULL, widths[k], c->columns[k].right,
			    k + 1 == c->n);
	strbuf_append_char(b, '\n');
	for (size_t i = 0; i < c->n_rows; i++) {
		const struct row *row = &c->rows[i];

		for (size_t k = 0; k < row->n; k++)
			append_cell(b, row->cells[k].text, colour ? row->cells[k].colour : NULL, widths[k],
				    c->columns[k].right, k + 1 == row->n);
		strbuf_append_char(b, '\n');
		strbuf_append(b, strbuf_str(&row->notes), row->notes.len);
	}
	for (size_t i = 0; i < c->n_rows; i++)
		b->failed |= c->rows[i].notes.failed;
}

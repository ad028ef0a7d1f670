/* SPDX-License-Identifier: MIT */
#include "config/problem.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/strbuf.h"

/* Names longer than this are not compared: no key comes near, and the table of distances stays on the stack. */
#define CLOSEST_NAME_MAX 64

static void problem_clear(struct config_problem *p) {
	free(p->file);
	free(p->key);
	free(p->text);
}

int problems_add(struct config_problems *p, bool warning, const struct place *place, const char *key,
		 const char *format, ...) {
	struct config_problem problem = {.line = place->line, .position = place->position, .warning = warning};
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	struct config_problem *items;
	va_list args;
	int r;

	va_start(args, format);
	strbuf_vprintf(&text, format, args);
	va_end(args);
	r = strbuf_take(&text, &problem.text);
	if (r < 0)
		return r;
	problem.file = strdup(place->file);
	problem.key = key ? strdup(key) : NULL;
	items = reallocarray(p->items, p->n + 1, sizeof(*items));
	if (items)
		p->items = items;
	if (!problem.file || (key && !problem.key) || !items) {
		problem_clear(&problem);
		return -ENOMEM;
	}
	items[p->n++] = problem;
	if (!warning)
		p->n_errors++;
	return 0;
}

void problems_sort(struct config_problems *p) {
	/* By insertion: stable, needs no memory, and the list is short and almost in order. */
	for (size_t i = 1; i < p->n; i++) {
		struct config_problem moving = p->items[i];
		size_t j = i;

		for (; j > 0 && p->items[j - 1].position > moving.position; j--)
			p->items[j] = p->items[j - 1];
		p->items[j] = moving;
	}
}

void config_problems_clear(struct config_problems *p) {
	for (size_t i = 0; i < p->n; i++)
		problem_clear(&p->items[i]);
	free(p->items);
	*p = (struct config_problems){0};
}

int config_problem_format(const struct config_problem *p, char **ret) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_append_escaped(&b, p->file, strlen(p->file));
	if (p->line > 0)
		strbuf_printf(&b, ":%u", p->line);
	strbuf_append_str(&b, ": ");
	if (p->key) {
		strbuf_append_escaped(&b, p->key, strlen(p->key));
		strbuf_append_str(&b, ": ");
	}
	if (p->warning)
		strbuf_append_str(&b, "warning: ");
	strbuf_append_str(&b, p->text);
	return strbuf_take(&b, ret);
}

static size_t min3(size_t a, size_t b, size_t c) {
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

static int lower(char c) {
	return tolower((unsigned char)c);
}

/* How many letters to insert, delete, replace or swap with their neighbour to get from one name to the other. */
static size_t edit_distance(const char *a, const char *b) {
	uint8_t rows[3][CLOSEST_NAME_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > CLOSEST_NAME_MAX || m > CLOSEST_NAME_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= n; i++) {
		uint8_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = (uint8_t)i;
		for (size_t j = 1; j <= m; j++) {
			bool same = lower(a[i - 1]) == lower(b[j - 1]);
			size_t least = min3(row[j - 1] + 1U, above[j] + 1U, above[j - 1] + (same ? 0U : 1U));

			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]) && above2[j - 2] + 1U < least)
				least = above2[j - 2] + 1U;
			row[j] = (uint8_t)least;
		}
	}
	return rows[n % 3][m];
}

void closest_init(struct closest *c, const char *name) {
	size_t len = strlen(name);

	/* Up to a third of the name may differ, at most three letters, at least one. */
	*c = (struct closest){.name = name, .distance = len < 6 ? 1 : len < 9 ? 2 : 3};
}

void closest_consider(struct closest *c, const char *candidate) {
	size_t distance = edit_distance(c->name, candidate);
	size_t len = strlen(c->name);

	/* "user" for "username" is as close as a misspelt letter. */
	if (distance > 1 && len >= 3 && strncasecmp(c->name, candidate, len) == 0)
		distance = 1;
	if (distance < c->distance || (!c->best && distance == c->distance)) {
		c->best = candidate;
		c->distance = distance;
	}
}

/* SPDX-License-Identifier: MIT */
#include "delivery/tail.h"

#include <stdlib.h>
#include <string.h>

/* Makes room for `need` bytes behind what is kept. */
static void drop_lines(struct tail *t, size_t need) {
	size_t drop = 0;

	while (t->len - drop + need > TAIL_MAX)
		drop += (size_t)((const char *)memchr(t->data + drop, '\n', t->len - drop) - (t->data + drop)) + 1;
	memmove(t->data, t->data + drop, t->len - drop);
	t->len -= drop;
}

void tail_add(struct tail *t, const char *line, size_t len) {
	if (len == 0)
		return;
	if (!t->data)
		t->data = malloc(TAIL_MAX);
	if (!t->data)
		return;
	if (len > TAIL_MAX - 1)
		len = TAIL_MAX - 1;
	drop_lines(t, len + 1);
	/* A line cannot contain a newline, or it would be two. */
	memcpy(t->data + t->len, line, len);
	t->data[t->len + len] = '\n';
	t->len += len + 1;
}

const char *tail_last(const struct tail *t, size_t *ret_len) {
	const char *before;

	*ret_len = 0;
	if (t->len == 0)
		return NULL;
	before = memrchr(t->data, '\n', t->len - 1);
	before = before ? before + 1 : t->data;
	*ret_len = (size_t)(t->data + t->len - 1 - before);
	return before;
}

void tail_clear(struct tail *t) {
	free(t->data);
	*t = (struct tail){0};
}

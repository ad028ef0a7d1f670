/* SPDX-License-Identifier: MIT */
#include "config/brackets.h"

#include <string.h>

static const char opening[] = "{[(";
static const char closing[] = "}])";

char bracket_closing(char open) {
	const char *at = open ? strchr(opening, open) : NULL;

	return at ? closing[at - opening] : '\0';
}

const char *brackets_next(struct brackets *b, char c, size_t file, unsigned line, unsigned position,
			  const struct bracket **ret_open) {
	const struct bracket *last = b->n > 0 ? &b->open[b->n - 1] : NULL;

	*ret_open = NULL;
	if (b->given_up || !c)
		return NULL;
	if (strchr(opening, c)) {
		if (b->n == BRACKETS_MAX) {
			b->given_up = true;
			return "groups, lists and arrays are nested too deeply";
		}
		b->open[b->n++] = (struct bracket){.open = c, .file = file, .line = line, .position = position};
	} else if (strchr(closing, c)) {
		if (last && bracket_closing(last->open) == c) {
			b->n--;
			return NULL;
		}
		b->given_up = true;
		*ret_open = last;
		return last ? "does not close" : "closes nothing";
	}
	return NULL;
}

const struct bracket *brackets_unclosed(const struct brackets *b) {
	return b->n > 0 && !b->given_up ? &b->open[b->n - 1] : NULL;
}

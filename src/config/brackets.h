/* SPDX-License-Identifier: MIT */
/* Which brackets are open while the text of a configuration is scanned. libconfig only knows "syntax error", and says
 * it at the end of the file when one is missing at its start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

#define BRACKETS_MAX 64 /* open at a time; nothing that a configuration means comes near */

struct bracket {
	char open;
	size_t file; /* index of the file it is in */
	unsigned line;
	unsigned position; /* see struct config_problem */
};

/* All zero to begin with. */
struct brackets {
	struct bracket open[BRACKETS_MAX];
	size_t n;
	bool given_up; /* a problem was found: what follows would be found wrong only because of it */
};

/* The next character of the text outside of strings and comments; what is no bracket is ignored. NULL, or what is wrong
 * with it; then *ret_open is the bracket that this one should have closed, or NULL. Only the first problem is told. */
const char *brackets_next(struct brackets *b, char c, size_t file, unsigned line, unsigned position,
			  const struct bracket **ret_open);

/* At the end of the text: the innermost bracket that was never closed, or NULL. */
const struct bracket *brackets_unclosed(const struct brackets *b);

/* The bracket that closes this one. */
char bracket_closing(char open);

/* SPDX-License-Identifier: MIT */
/* The search for a name that a group has twice. libconfig says no more of one than its line. */
#pragma once

#include "base/macro.h"
#include <stddef.h>

struct duplicate {
	const char *name; /* the second one, in the text; not terminated */
	size_t len;
	unsigned line;       /* of the second one, from 1 */
	unsigned first_line; /* of the first one */
};

/* Finds the first duplicate in text of the configuration language, which must be right up to there. 0; -ENOENT: there
 * is none; -ENOMEM. */
int duplicate_find(const char *text, struct duplicate *ret);

/* SPDX-License-Identifier: MIT */
/* The list of what is wrong with a configuration, and the search for what a misspelt name was meant to be. */
#pragma once

#include "base/macro.h"
#include "config/config.h"
#include <stdbool.h>
#include <stddef.h>

/* Where in the configuration a problem is. */
struct place {
	const char *file;
	unsigned line;     /* 0: the file as a whole */
	unsigned position; /* see struct config_problem */
};

/* Adds a problem. key may be NULL. -ENOMEM. */
int problems_add(struct config_problems *p, bool warning, const struct place *place, const char *key,
		 const char *format, ...) PRINTF_LIKE(5, 6);

/* Puts the problems into the order of the text; of one line, in the order in which they were added. */
void problems_sort(struct config_problems *p);

/* A search among known names for the one closest to `name`. */
struct closest {
	const char *name;
	const char *best; /* the closest so far that is close enough to be meant; NULL: none. Borrowed */
	size_t distance;  /* of best; of the least close that would do, if there is none */
};

void closest_init(struct closest *c, const char *name);
void closest_consider(struct closest *c, const char *candidate);

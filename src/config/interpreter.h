/* SPDX-License-Identifier: MIT */
/* Nothing that a message says may choose what is executed: templates where an interpreter would take them for a script,
 * for the name of a script or for an option. The interpreters are known, and what runs a program that is named in its
 * arguments; that is as far as anybody can see from here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* An argument of a command. */
struct word {
	const char *text; /* as the file has it */
	bool constant;    /* nothing in it comes from a message */
};

enum danger {
	DANGER_NONE,
	DANGER_SCRIPT, /* it would be executed, or choose what is */
	DANGER_OPTION, /* it would be an option, or could be taken for one, and there are options that execute something
			*/
};

struct danger_place {
	size_t at;           /* the word */
	const char *program; /* the path or name of what would execute it; one of the words */
	const char *instead; /* how a script of that interpreter names its first argument; NULL: it cannot */
};

/* Looks at a command of n words, at least one, the first of which is the program. *ret is set unless there is no
 * danger. */
enum danger interpreter_danger(const struct word *words, size_t n, struct danger_place *ret);

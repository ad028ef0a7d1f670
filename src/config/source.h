/* SPDX-License-Identifier: MIT */
/* The text of a configuration file with its included files put in, and where each line of it came from.
 *
 * The files are read here and not by libconfig, so that each is opened once and judged by what was opened, an included
 * file is named relative to the file that includes it, a missing one is reported as what it is, and every version of
 * libconfig reads the same text. What libconfig would misread in silence is repaired or refused on the way: integers
 * beyond 32 bits without the suffix L (1.5 cuts them) or with leading zeros (octal from 1.6 on), a comment that ends the
 * file without a newline, NULs in strings, strings, comments and brackets that are never closed. */
#pragma once

#include "base/macro.h"
#include "base/strbuf.h"
#include "config/brackets.h"
#include "config/problem.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SOURCE_SIZE_MAX (4U * 1024 * 1024) /* bytes, of all files together */
#define SOURCE_DEPTH_MAX 10                /* files included by included files */

struct source_file {
	char *path; /* owned */
	mode_t mode;
};

/* From this position on, lines come from this file, beginning with line file_line. */
struct source_segment {
	unsigned position;
	size_t file;
	unsigned file_line;
};

struct source {
	struct strbuf text;
	bool may_be_gone;          /* no file is no problem */
	unsigned base;             /* the lines of all texts before this one: positions count through them */
	unsigned position;         /* of the line that is being written: the first one is base + 1 */
	struct source_file *files; /* in the order of reading; [0] is the main file */
	size_t n_files;
	struct source_segment *segments;
	size_t n_segments;
	struct brackets brackets; /* that are open where the text ends */
};

/* Reads the file and all that it includes. `base`: where the last text before this one ended, else 0. 0, or -EINVAL: at
 * least one problem was added. -ENOENT: the file has gone, and may be. -ENOMEM. The result is cleared by the caller in
 * any case. */
int source_read(struct source *s, const char *path, unsigned base, bool may_be_gone, struct config_problems *problems);

/* Frees everything; wipes the text, as it may hold passwords. */
void source_clear(struct source *s);

static inline void source_clear_cleanup(struct source *s) {
	source_clear(s);
}

/* How many lines the text has. */
unsigned source_lines(const struct source *s);

/* Where a line of the text (from 1) came from. The name of the file is borrowed. */
struct place source_place(const struct source *s, unsigned line);
const struct source_file *source_file_at(const struct source *s, unsigned line);

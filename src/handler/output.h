/* SPDX-License-Identifier: MIT */
/* Cuts what a handler writes to stdout and stderr into lines, within limits. Pure: fed by hand, no descriptors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handler/run.h"

/* A line, as struct run_callbacks describes it. */
typedef void output_line(int stream, const char *text, size_t len, bool cut, void *userdata);

struct output_stream {
	size_t passed;              /* passed on, newlines included: at most RUN_OUTPUT_MAX */
	bool finished;              /* the limit was reached and said: nothing is passed on any more */
	size_t len;                 /* bytes in partial */
	bool skipping;              /* the rest of a line that was cut is being thrown away */
	char partial[RUN_LINE_MAX]; /* the beginning of a line whose end was not seen yet */
};

/* What one run has written so far. All zero to begin with; holds no memory of its own. */
struct output {
	uint64_t bytes;                  /* fed */
	uint64_t dropped;                /* of these, never to be passed on */
	struct output_stream streams[2]; /* stdout, stderr */
};

/* Takes the next len bytes of stream 1 or 2 and calls `line` for each line that they complete or cut. */
void output_feed(struct output *o, int stream, const char *data, size_t len, output_line *line, void *userdata);

/* The limits of RUN_OUTPUT_MAX and the counts begin anew; what was begun of a line stays. */
void output_renew(struct output *o);

/* The stream has ended: a last line without newline is passed on. */
void output_end(struct output *o, int stream, output_line *line, void *userdata);

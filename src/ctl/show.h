/* SPDX-License-Identifier: MIT */
/* What the daemon answers, in the form in which people read it. Parts that are missing, as an older or newer daemon may
 * leave them out, are left out. Pure: a lack of memory makes the buffer fail. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct strbuf;

/* For whom it is. */
struct show_options {
	time_t now; /* to tell how long ago things were */
	bool colour;
	size_t width; /* columns of the terminal; 0: any */
	size_t lines; /* no more lines than that, if it can be; 0: any */
};

/* The answer to GET /v1/status: the daemon, its brokers, a table of its queues. Lines other than those of the table may
 * be wider than the terminal. */
void show_status(json_t *status, const struct show_options *o, struct strbuf *b);

/* The answer to GET /v1/handlers: a table. */
void show_handlers(json_t *answer, const struct show_options *o, struct strbuf *b);

/* The answer to POST /v1/handlers/PID/kill: a line. */
void show_killed(json_t *answer, struct strbuf *b);

/* The answer to an order: a line for each queue. */
void show_queues(json_t *answer, struct strbuf *b);

/* What a reload has changed. */
void show_reload(json_t *answer, struct strbuf *b);

/* A list of problems, errors or warnings: "FILE:LINE: KEY: TEXT", a line each. */
void show_problems(json_t *problems, bool warnings, struct strbuf *b);

/* Members of an object: NULL (or otherwise), 0 and false where there is none of that kind. */
const char *show_text(json_t *object, const char *name);
const char *show_text_or(json_t *object, const char *name, const char *otherwise);
unsigned long long show_number(json_t *object, const char *name);
bool show_flag(json_t *object, const char *name);

/* SPDX-License-Identifier: MIT */
/* What the daemon answers, in the form in which people read it. Parts that are missing, as an older or newer daemon may
 * leave them out, are left out. Pure: a lack of memory makes the buffer fail. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

struct strbuf;

/* The answer to GET /v1/status: the daemon, its brokers, a table of its queues. `now`: to tell how long ago things
 * were. */
void show_status(json_t *status, time_t now, bool colour, struct strbuf *b);

/* The answer to an order: a line for each queue. */
void show_queues(json_t *answer, struct strbuf *b);

/* What a reload has changed. */
void show_reload(json_t *answer, struct strbuf *b);

/* A list of problems, errors or warnings: "FILE:LINE: KEY: TEXT", a line each. */
void show_problems(json_t *problems, bool warnings, struct strbuf *b);

/* Members of an object: NULL, 0 and false where there is none of that kind. */
const char *show_text(json_t *object, const char *name);
unsigned long long show_number(json_t *object, const char *name);
bool show_flag(json_t *object, const char *name);

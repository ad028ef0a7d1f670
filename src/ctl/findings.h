/* SPDX-License-Identifier: MIT */
/* What "amqp-execctl check" has found: a list of what is well, doubtful or wrong, each with what it is about. Pure: a
 * lack of memory is remembered. */
#pragma once

#include "base/macro.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf;

enum finding_level {
	FINDING_OK,
	FINDING_WARNING, /* doubtful, or not to be told from here */
	FINDING_ERROR,   /* it will not work */
};

/* What findings are about; borrowed. */
struct finding_place {
	const char *broker; /* its name; NULL: the configuration, the daemon or the system */
	const char *queue;  /* its name; NULL: the broker as a whole */
};

struct findings {
	json_t *list;                /* owned: an array of objects as they are printed; NULL: none yet */
	size_t n[FINDING_ERROR + 1]; /* by level */
	bool unreachable;            /* a broker cannot be reached at all */
	bool refused;                /* a broker refuses the login, or the virtual host */
	bool failed;                 /* memory has run out: some are missing */
};

#define FINDINGS_INIT ((struct findings){0})

/* Adds one. what: one word on what was looked at. hint: what to do about it; NULL: nothing. The text is one line; what
 * came from outside in it is escaped already. */
void findings_add(struct findings *f, enum finding_level level, const struct finding_place *place, const char *what,
		  const char *hint, const char *format, ...) PRINTF_LIKE(6, 7);

/* Takes over a list of another process: the member of the same name in what findings_to_json gives. False: it is none.
 */
bool findings_take(struct findings *f, json_t *list);

/* {"ok": ..., "findings": [...]}; quiet: without those that are FINDING_OK. The caller's; NULL: no memory. */
json_t *findings_to_json(const struct findings *f, bool quiet);

/* The same for people, grouped by broker and queue; in colour or not. */
void findings_append(const struct findings *f, bool quiet, bool colour, struct strbuf *b);

/* The exit status that goes with them. */
int findings_status(const struct findings *f);

void findings_clear(struct findings *f);

static inline void findings_clear_cleanup(struct findings *f) {
	findings_clear(f);
}

/* "ok", "warning", "error" */
const char *finding_level_to_string(enum finding_level level);

/* SPDX-License-Identifier: MIT */
/* What "publish" tells: each message that is missing, by its number, and the sums. */
#pragma once

#include "ctl/session.h"
#include <stdbool.h>

/* What else can become of a message, besides enum session_result: it was not sent. */
#define PUBLISH_NOT_SENT (SESSION_UNKNOWN + 1)
#define PUBLISH_KINDS (PUBLISH_NOT_SENT + 1)

struct publish_report {
	unsigned long long counts[PUBLISH_KINDS];
	bool terminal;                  /* somebody looks on */
	bool shown;                     /* a line of progress is on it */
	bool open_end;                  /* how many were not sent is not known */
	unsigned kind;                  /* of a row of messages that is not told yet: */
	unsigned long long first, last; /* 0: there is none */
	char *reason;                   /* owned */
};

/* `id`: the message's, owned by the caller; absent: it has none. */
void publish_report_add(struct publish_report *r, unsigned long long number, const struct text *id, unsigned kind,
			const char *reason);

/* The messages from `first` on were not sent: n of them, or nobody knows how many (-1). */
void publish_report_rest(struct publish_report *r, unsigned long long first, long long n);

/* Tells what is not told yet; a line of progress is removed. */
void publish_report_flush(struct publish_report *r);

/* A line for somebody who looks on. `blocked`: why the broker takes nothing, or NULL. */
void publish_report_progress(struct publish_report *r, size_t in_flight, const char *blocked);

/* All that are not confirmed. */
unsigned long long publish_report_missing(const struct publish_report *r);

/* The last line: to stderr if something is missing; else to stdout, if not quiet. Returns the exit status. */
int publish_report_end(struct publish_report *r, bool quiet);

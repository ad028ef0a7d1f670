/* SPDX-License-Identifier: MIT */
/* What a queue counts of its handlers, beside what becomes of its messages (struct queue_counters), and its last
 * failure. Pure but for memory. */
#pragma once

#include "base/decay.h"
#include "base/histogram.h"
#include "handler/run.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the handling of a message has ended, as far as the handler is concerned. */
enum handler_end {
	HANDLER_END_SUCCESS,  /* exit status 0, or a worker's ack */
	HANDLER_END_FAILURE,  /* another exit status, or another answer of a worker */
	HANDLER_END_SYSEXITS, /* an exit status of sysexits.h, 64 to 78 */
	HANDLER_END_SIGNAL,   /* killed by a signal that was not ours */
	HANDLER_END_TIMEOUT,
	HANDLER_END_STOPPED,  /* by us, for another reason than its time */
	HANDLER_END_PROTOCOL, /* a worker did what the protocol does not allow, or has left with 0 and without an answer
			       */
	HANDLER_ENDS,
};

/* Why a queue is paused, or probes. */
enum pause_cause {
	PAUSE_HANDLER,  /* its handler cannot be executed: over as soon as one was */
	PAUSE_BREAKER,  /* its handler fails again and again: over as soon as one succeeds */
	PAUSE_OPERATOR, /* somebody wants it so: over when it is told to go on; it never probes */
	PAUSE_CAUSES,
};

/* The last message that was not acknowledged, though it, or its handler, was tried. Owned by its queue. */
struct failure {
	uint64_t time_usec;   /* of the wall clock; 0: there was none, and the others are NULL */
	char *how;            /* owned: "exit 65", "signal 9", "timeout", "cannot start: ..."; NULL: no memory */
	char *message_id;     /* owned; printable; NULL: it has none */
	const char *decision; /* static: "requeue", ... */
	char *text; /* owned; one printable line of at most about FAILURE_TEXT_MAX bytes: why, or what its handler wrote
		       to stderr last; NULL: nothing */
};

#define FAILURE_TEXT_MAX 256

/* Since the start of the daemon; all zero at first. */
struct statistics {
	uint64_t ends[HANDLER_ENDS];
	uint64_t start_failures;       /* a handler or worker could not be executed */
	uint64_t pauses[PAUSE_CAUSES]; /* begun */
	struct histogram duration;     /* from the start of a message's handling to its end */
	struct histogram age;          /* of messages that have a timestamp, when their handling starts */
	struct decay rate;             /* of messages whose handling has ended */
	struct decay failure_rate;     /* of those among them that were not to be acknowledged */
};

/* Of the two histograms. The property `timestamp` knows whole seconds. */
extern const struct histogram_bounds statistics_duration_bounds;
extern const struct histogram_bounds statistics_age_bounds;

/* What was counted there was counted here as well. */
void statistics_add(struct statistics *to, const struct statistics *from);

/* False: nobody has seen the message, and nothing has ended. */
bool statistics_classify(const struct run_result *result, enum handler_end *ret);

/* How old a message with this timestamp (seconds since 1970) is at this time of the wall clock; 0 if that is in the
 * future. */
uint64_t statistics_age_usec(uint64_t timestamp, uint64_t realtime_usec);

/* "exit 65", "signal 9", "timeout", "stopped", "answer reject", or what a worker did wrong. */
void statistics_format_end(const struct run_result *result, char *buf, size_t size);

const char *handler_end_to_string(enum handler_end e);
/* "handler", "breaker", "operator" */
const char *pause_cause_to_string(enum pause_cause c);

/* Takes the place of `to` if it is the later one, as a copy. What there is no memory for is missing. */
void failure_inherit(struct failure *to, const struct failure *from);
void failure_clear(struct failure *f);

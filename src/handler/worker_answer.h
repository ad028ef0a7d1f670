/* SPDX-License-Identifier: MIT */
/* The line with which a worker answers a message. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* The longest line that is an answer, without its newline. */
#define WORKER_ANSWER_MAX 4096
/* How much of a reason is kept. */
#define WORKER_REASON_MAX 1024

struct worker_answer {
	enum outcome outcome;
	bool has_delay;	     /* RETRY: the worker says when */
	uint64_t delay_usec; /* at least so long; at most USEC_INFINITY - 1 */
	const char *reason;  /* REJECT: why, raw, reason_len bytes of it, at most WORKER_REASON_MAX; NULL: none was given; borrowed */
	size_t reason_len;
};

/* Reads a line without its newline: "ack", "requeue", "retry" or "retry SECONDS" (digits, perhaps a point and more digits), "reject"
 * or "reject REASON". A carriage return at its end counts as part of the newline. The reason points into `line`. -EINVAL: it is
 * none of these. */
int worker_answer_parse(const char *line, size_t len, struct worker_answer *ret);

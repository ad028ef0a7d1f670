/* SPDX-License-Identifier: MIT */
/* What metrics tell of queues: one for each set of labels. A queue of an earlier configuration that leaves is part of
 * its successor of the same name. Private to metrics.c. */
#pragma once

#include "base/strbuf.h"
#include "delivery/statistics.h"
#include "service/snapshot.h"
#include <stdbool.h>

enum settlement {
	SETTLEMENT_ACK,
	SETTLEMENT_REQUEUE,
	SETTLEMENT_RETRY,
	SETTLEMENT_REJECT,
	SETTLEMENT_RETURN, /* untried */
	SETTLEMENTS,
};

#define QUEUE_STATES (QUEUE_STOPPED + 1)

struct metrics_queue {
	const struct snapshot_queue *queue; /* borrowed; of several the one that does not leave, if there is one */
	size_t at;                          /* its labels in metrics_queues.labels, ended by a NUL */
	/* Sums over all of them: */
	uint64_t deliveries;
	uint64_t settlements[SETTLEMENTS];
	uint64_t stale;
	uint64_t ends[HANDLER_ENDS];
	uint64_t start_failures;
	uint64_t copies_failed;
	uint64_t replies;
	uint64_t unroutable;
	uint64_t forwarded;
	uint64_t reused;
	uint64_t pauses[PAUSE_CAUSES];
	struct histogram duration;
	struct histogram age;
	uint64_t running;
	uint64_t waiting;
	uint64_t held;
	uint64_t publishing;
	uint64_t unacknowledged;
	uint64_t oldest_usec; /* not a sum, but the largest */
	/* Of `queue`: */
	uint64_t max;
	uint64_t prefetch;
	uint64_t states[QUEUE_STATES];
	uint64_t paused[PAUSE_CAUSES];
	uint64_t failures;
};

struct metrics_queues {
	struct metrics_queue *items; /* owned; n of them, by labels */
	size_t n;
	struct strbuf labels; /* broker="...",queue="..." of each */
};

/* -ENOMEM. */
int metrics_queues_make(const struct snapshot *s, struct metrics_queues *ret);
void metrics_queues_clear(struct metrics_queues *q);
static inline void metrics_queues_clear_cleanup(struct metrics_queues *q) {
	metrics_queues_clear(q);
}

const char *metrics_queue_labels(const struct metrics_queues *q, size_t i);

/* "ack", ... */
const char *settlement_to_string(enum settlement s);

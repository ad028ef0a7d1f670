/* SPDX-License-Identifier: MIT */
/* Asks the broker how deep queues are, on a channel of its own: one question at a time, in bursts that are spread over
 * the interval. A question that the broker refuses closes the channel, which is opened anew for the next one, and hurts
 * no consumer. Nothing that goes wrong here drops the connection, unless the connection itself has failed. In the
 * broker's thread; results as of struct channel. Private to this room. */
#pragma once

#include "base/list.h"
#include "broker/connection.h"
#include "broker/outbox.h"
#include "broker/seat.h"
#include <stdbool.h>
#include <stdint.h>

enum inspector_state {
	INSPECTOR_CLOSED, /* no channel: not connected, not needed yet, none is left, or the broker has closed it */
	/* A request was sent, its answer is awaited until deadline_usec: */
	INSPECTOR_OPENING, /* channel.open, for `current` */
	INSPECTOR_ASKING,  /* queue.declare, passive, for `current` */
	INSPECTOR_CLOSING, /* channel.close, for as long as it takes; whatever comes before the answer is void */
	INSPECTOR_OPEN,    /* nothing is awaited */
};

/* One queue. Owned by its channel. */
struct question {
	struct list node;        /* the inspector's */
	struct seat *seat;       /* borrowed */
	struct queue_depth told; /* what the main thread was told last */
	unsigned refusals;       /* in a row */
	unsigned skip;           /* it is left out so many times: the broker logs each refusal as an error */
};

/* Owned by the thread. */
struct inspector {
	struct connection *connection; /* borrowed */
	struct outbox *outbox;         /* borrowed */
	unsigned number;               /* of the channel */
	enum inspector_state state;
	struct list questions; /* each owned by its channel; the one that is asked next comes first */
	unsigned n_questions;
	struct question *current; /* borrowed from `questions`; while OPENING or ASKING; NULL: it was removed */
	uint64_t interval_usec;   /* between two questions about the same queue; 0: none are asked */
	unsigned burst;           /* so many are left of the burst that is under way */
	uint64_t burst_usec;    /* when the next one begins; without an interval: when to tell that nothing is known */
	uint64_t deadline_usec; /* of the awaited answer; USEC_INFINITY if none */
	/* The broker has closed the connection because of the channel: no other is opened before the interval changes.
	 */
	bool barred;
	bool told_none; /* EVENT_NO_DEPTHS was posted, since there was a channel */
};

void question_init(struct question *q, struct seat *seat);

void inspector_init(struct inspector *i, struct connection *connection, struct outbox *outbox);

/* The connection is up; it is gone, and nothing is known of any queue. */
void inspector_up(struct inspector *i, uint64_t now_usec);
void inspector_down(struct inspector *i);

/* From now on. 0: what was known becomes unknown. */
void inspector_set_interval(struct inspector *i, uint64_t usec, uint64_t now_usec);

void inspector_add(struct inspector *i, struct question *q, uint64_t now_usec);
/* Harmless if it was not added. */
void inspector_remove(struct inspector *i, struct question *q);
/* Something has changed for the queue: it is asked soon, and before the others. */
void inspector_hurry(struct inspector *i, struct question *q, uint64_t now_usec);

/* Whether its channel has this number, and nobody else can have it. */
bool inspector_has(const struct inspector *i, unsigned number);
/* Somebody else is to have the number: closes the channel. */
int inspector_yield(struct inspector *i, uint64_t now_usec);

int inspector_frame(struct inspector *i, const amqp_frame_t *frame, uint64_t now_usec);

/* Whether inspector_work would open a channel now. */
bool inspector_wants_channel(const struct inspector *i, uint64_t now_usec);
/* spare: a number that the channel may have; 0: there is none. Looked at only if one is wanted. */
int inspector_work(struct inspector *i, unsigned spare, uint64_t now_usec);
/* When inspector_work has something to do; USEC_INFINITY: never. */
uint64_t inspector_next_usec(const struct inspector *i);
/* As channel_postpone. */
void inspector_postpone(struct inspector *i, uint64_t usec);

const char *inspector_state_to_string(enum inspector_state s);

/* SPDX-License-Identifier: MIT */
/* Declares delay queues, one at a time, on a channel of its own: a declaration that the broker refuses closes the channel,
 * and must hurt nothing that is being published. In the broker's thread; results as of struct channel. Private to this room.
 * */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/backoff.h"
#include "base/list.h"
#include "broker/connection.h"
#include "broker/job.h"

enum declarer_state {
	DECLARER_CLOSED, /* no channel: not connected, not needed yet, or waiting for retry_usec */
	/* A request was sent, its answer is awaited until deadline_usec: */
	DECLARER_OPENING,   /* channel.open */
	DECLARER_DECLARING, /* queue.declare for `current` */
	DECLARER_CLOSING,   /* channel.close; whatever comes before the answer is void */
	DECLARER_OPEN,	    /* nothing is awaited */
};

struct delay_queue;

/* Owned by the thread. */
struct declarer {
	struct connection *connection; /* borrowed */
	unsigned number;	       /* of the channel */
	enum declarer_state state;
	struct list queues;	     /* owned: every delay queue that is wanted or known, in the order in which they came */
	size_t n_queues;
	struct delay_queue *current; /* borrowed from `queues`; while DECLARING */
	uint64_t deadline_usec;	     /* of the awaited answer; USEC_INFINITY if none */
	uint64_t retry_usec;	     /* CLOSED: not before */
	struct backoff backoff;
};

void declarer_init(struct declarer *d, struct connection *connection, unsigned number);
void declarer_clear(struct declarer *d);

/* The connection is gone: forgets everything. */
void declarer_down(struct declarer *d);

/* Asks for the job's delay queue to be there. 1: it is; 0: not yet, ask again after the next work; -ECANCELED: the broker
 * has just refused it, *ret_reason, borrowed until the next call of anything here, says why; -ENOMEM. */
int declarer_require(struct declarer *d, const struct job *j, uint64_t now_usec, const char **ret_reason);

/* Every queue that is known is declared again: what was sent a long time ago may be taken by the broker only now, and a queue that
 * expires must not do so with that in it. */
void declarer_renew(struct declarer *d);

/* The queue of this name is gone. */
void declarer_forget(struct declarer *d, const char *name);

int declarer_frame(struct declarer *d, const amqp_frame_t *frame, uint64_t now_usec);
int declarer_work(struct declarer *d, uint64_t now_usec);
/* When declarer_work has something to do; USEC_INFINITY: never. */
uint64_t declarer_next_usec(const struct declarer *d);

const char *declarer_state_to_string(enum declarer_state s);

/* SPDX-License-Identifier: MIT */
/* One consumer's channel, in the broker's thread: a state machine that each frame of the channel, each command and each deadline
 * moves on; it never waits. A negative result means that the connection is to be dropped (its `reason` says why), after
 * which channel_down is called. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/backoff.h"
#include "base/list.h"
#include "broker/assembler.h"
#include "broker/connection.h"
#include "broker/inspector.h"
#include "broker/outbox.h"
#include "broker/seat.h"
#include "broker/settler.h"

enum channel_state {
	CHANNEL_CLOSED, /* no channel: not connected, not wanted, or waiting for retry_usec */
	/* A request was sent, its answer is awaited until deadline_usec: */
	CHANNEL_OPENING,    /* channel.open */
	CHANNEL_EXCHANGE,   /* exchange.declare for bindings[binding] */
	CHANNEL_QUEUE,	    /* queue.declare */
	CHANNEL_BIND,	    /* queue.bind for bindings[binding], routing key `key` */
	CHANNEL_QOS,	    /* basic.qos */
	CHANNEL_CONSUME,    /* basic.consume */
	CHANNEL_CONSUMING,  /* consuming; nothing is awaited */
	CHANNEL_CANCELLING, /* basic.cancel; messages may still come */
	CHANNEL_OPEN,	    /* open, not consuming: cancelled, or waiting for retry_usec; messages can be settled */
	CHANNEL_CLOSING,    /* channel.close; whatever comes before the answer is void */
};

/* Owned by the thread, from COMMAND_ADD on. */
struct channel {
	struct list node;   /* its owner's */
	struct command add; /* hands it over */
	struct connection *connection; /* borrowed; this and the outbox from channel_join on */
	struct outbox *outbox;	       /* borrowed */
	struct seat *seat;		  /* a reference */
	const struct config_queue *queue; /* the seat's */
	uint32_t consumer;
	unsigned number; /* on the connection, from 1 */

	bool removed; /* the consumer is gone: the channel is to be closed, for good */
	bool wanted; /* consumer_consume was the last wish */
	unsigned prefetch;
	unsigned cancels_owed; /* the main thread waits for so many EVENT_CANCELLED */

	enum channel_state state;
	bool topology_done; /* on this opening of the channel */
	size_t binding;
	size_t key;
	uint64_t epoch;
	bool lost_owed; /* messages of this epoch may have come: its end must be told */
	uint64_t deadline_usec; /* of the awaited answer; USEC_INFINITY if none */
	uint64_t retry_usec;	/* when to try again after a failure; USEC_INFINITY if not */
	struct backoff backoff;
	uint64_t consuming_since_usec; /* 0: has not been since the last failure */
	char consumer_tag[256];
	struct assembler assembler;
	struct settler settler;
	struct question question; /* its inspector's: how deep is the queue? */
};

/* The main thread: a channel for the seat, of which it takes a reference of its own. -ENOMEM. */
int channel_new(struct seat *seat, struct channel **ret);
/* NULL-safe, returns NULL. */
struct channel *channel_free(struct channel *c);
DEFINE_CLEANUP(struct channel *, channel_free);

/* The thread: before anything else. It waits for channel_consume then. */
void channel_join(struct channel *c, struct connection *connection, struct outbox *outbox);

/* The connection is up: opens the channel if messages are wanted. */
int channel_up(struct channel *c, uint64_t now_usec);
/* The connection is gone. */
void channel_down(struct channel *c, const char *reason);

/* The main thread's wishes. */
int channel_consume(struct channel *c, unsigned prefetch, uint64_t now_usec);
int channel_cancel(struct channel *c, uint64_t now_usec);
/* Takes the message, settles it if its epoch is current, gives it back as ITEM_UNSETTLED if not. Acks wait for
 * channel_flush, which is to be called before anything else here. */
int channel_settle(struct channel *c, struct message *m);
int channel_flush(struct channel *c);

/* The consumer is gone: closes the channel, after what was settled before. What the channel still tells is for nobody. */
int channel_remove(struct channel *c, uint64_t now_usec);
/* It was removed, and nothing of it can come any more: free it. */
bool channel_is_over(const struct channel *c);

int channel_frame(struct channel *c, const amqp_frame_t *frame, uint64_t now_usec);

/* When channel_tick has something to do; USEC_INFINITY: never. */
uint64_t channel_next_usec(const struct channel *c);
/* The time in which nothing was read does not count: an answer may have come that nobody could look at. */
void channel_postpone(struct channel *c, uint64_t usec);
int channel_tick(struct channel *c, uint64_t now_usec);

const char *channel_state_to_string(enum channel_state s);

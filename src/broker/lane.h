/* SPDX-License-Identifier: MIT */
/* A channel in confirm mode that publishes jobs in order, in the broker's thread: a state machine that each frame of the
 * channel and each turn of the thread moves on; it never waits. Results as of struct channel. Its times are those of a clock
 * that stands still while the connection is blocked: see publishing.c. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/backoff.h"
#include "base/list.h"
#include "broker/connection.h"
#include "broker/declarer.h"
#include "broker/job.h"
#include "broker/outbox.h"

enum lane_state {
	LANE_CLOSED, /* no channel: not connected, nothing to publish yet, or waiting for retry_usec */
	/* A request was sent, its answer is awaited until deadline_usec: */
	LANE_OPENING, /* channel.open */
	LANE_CONFIRM, /* confirm.select */
	LANE_CLOSING, /* channel.close; whatever comes before the answer is void */
	LANE_READY,   /* publishing; nothing is awaited but confirms */
};

/* A returned message, of which the broker sends everything back. */
enum returned_state {
	RETURNED_NONE,
	RETURNED_HEADER, /* after basic.return */
	RETURNED_BODY,	 /* after its header: `left` bytes are to come */
};

struct returned {
	enum returned_state state;
	char exchange[256];
	char routing_key[256];
	char reason[REASON_MAX];
	uint64_t left;
};

/* Owned by the thread. */
struct lane {
	struct list node; /* the thread's */
	struct connection *connection; /* borrowed */
	struct outbox *outbox;	       /* borrowed */
	struct declarer *declarer;     /* borrowed */
	uint64_t timeout_usec;	       /* confirm_timeout */
	unsigned number;	       /* of the channel */

	enum lane_state state;
	struct list waiting; /* owned: jobs of which nothing was sent, in order; the first falls due first */
	struct job *sending; /* owned: the body of which a part was sent; or NULL */
	struct list sent;    /* owned: jobs that wait for their confirms, in order of tags; the first falls due first */
	uint64_t tag;	     /* of the last job that was sent completely, on this opening of the channel */
	unsigned given_up;   /* jobs of this opening whose confirm did not come in time */
	bool held;	     /* channel.flow: nothing may be sent */
	bool refused;	     /* something was, on this opening: nothing more is begun, and a new channel is opened when it is quiet */
	bool wants_write;    /* there is something to be sent, and no room in the socket */
	uint64_t deadline_usec; /* of the awaited answer; USEC_INFINITY if none */
	uint64_t retry_usec;	/* CLOSED: not before */
	struct backoff backoff;
	struct returned returned;
	char reason[REASON_MAX]; /* why the channel was closed last; "": it was not */
};

void lane_init(struct lane *l, struct connection *connection, struct outbox *outbox, struct declarer *declarer,
	       unsigned number, uint64_t timeout_usec);
void lane_clear(struct lane *l);

/* Takes ownership. */
void lane_publish(struct lane *l, struct job *j, uint64_t now_usec);

/* What waits to be sent fails: the daemon stops. */
void lane_stop(struct lane *l);
/* Nothing waits to be sent, or for an answer. */
bool lane_is_quiet(const struct lane *l);

/* The connection is gone. */
void lane_down(struct lane *l, const char *reason);

int lane_frame(struct lane *l, const amqp_frame_t *frame, uint64_t now_usec);

/* Sends a bounded part of what there is. 1: there is more. */
int lane_work(struct lane *l, uint64_t now_usec);
/* What has waited for too long. Without a connection: all there is to be done. */
int lane_expire(struct lane *l, uint64_t now_usec);
/* When lane_work, or without a connection lane_expire, has something to do; USEC_INFINITY: never. */
uint64_t lane_next_usec(const struct lane *l);

const char *lane_state_to_string(enum lane_state s);

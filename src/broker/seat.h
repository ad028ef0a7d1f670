/* SPDX-License-Identifier: MIT */
/* What the main thread and a broker's thread share of one consumer: what it is, and what is wanted of it. Counted: the last of
 * the two that lets go frees it, and the configuration with it. Private to this room. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include "base/macro.h"
#include "broker/link.h"

/* What the thread tells of the queue's depth: in the mailbox at most once, and needs no memory. What it holds is the main thread's while it
 * is posted, and the thread's while it is not. */
struct depth_post {
	struct mailbox_item item; /* ITEM_DEPTH; has a reference to the seat */
	atomic_bool posted;
	struct queue_depth depth;
};

struct seat {
	atomic_uint refs;
	uint32_t consumer;                /* its id */
	struct config *config;            /* a reference */
	const struct config_queue *queue; /* a part of it */
	struct wish wish;
	struct depth_post depth;
	struct command remove; /* the main thread's to post, once; with a reference to this */
};

/* With one reference. -ENOMEM. */
int seat_new(struct config *config, const struct config_queue *queue, uint32_t consumer, struct seat **ret);
struct seat *seat_ref(struct seat *s);
/* NULL-safe, returns NULL. */
struct seat *seat_unref(struct seat *s);
DEFINE_CLEANUP(struct seat *, seat_unref);

/* SPDX-License-Identifier: MIT */
/* The life of a broker's thread: connect, serve, wait, again, until it is told to stop. What it does with a connection, to
 * consume or to publish, is its role. Private to this room. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "broker/connection.h"
#include "broker/link.h"
#include "broker/outbox.h"

/* What a role is made of. Functions that return an int return 0, or a negative number when the connection is to be dropped (its
 * `reason` says why), after which `down` is called. Those marked optional may be NULL. */
struct role {
	bool publisher; /* as for connection_init */
	/* The role's own state; what it is handed is borrowed. -ENOMEM. */
	int (*new)(struct connection *connection, struct outbox *outbox, const struct config_broker *broker, void **ret);
	void (*free)(void *self);

	/* The connection is up; it is gone. */
	int (*up)(void *self, uint64_t now_usec);
	void (*down)(void *self, const char *reason, uint64_t now_usec);

	/* A frame of any channel but 0. */
	int (*frame)(void *self, const amqp_frame_t *frame, uint64_t now_usec);
	/* Before the items that were posted, and after them: what is handed over in another way. Optional. */
	int (*wishes)(void *self, uint64_t now_usec);
	/* Something that was posted, other than COMMAND_STOP. Takes ownership. Also called while there is no connection. */
	int (*item)(void *self, struct mailbox_item *item, uint64_t now_usec);
	/* The mailbox is empty: what was put together from several items is sent now. Optional. */
	int (*items_done)(void *self);
	/* Whatever is due, in a bounded piece. 1: there is more of it to be done at once. */
	int (*work)(void *self, uint64_t now_usec);
	/* The same while there is no connection. Optional. */
	void (*idle)(void *self, uint64_t now_usec);

	/* When `work` or `idle` has something to do; USEC_INFINITY: never. */
	uint64_t (*next_usec)(const void *self);
	/* Whether `work` waits until the socket can be written to. Optional. */
	bool (*wants_write)(const void *self);
	/* For so long nothing was read: an answer may have come that nobody could look at. */
	void (*postpone)(void *self, uint64_t usec);
	/* connection.blocked and connection.unblocked, the latter also when the connection is gone. Optional. */
	void (*blocked)(void *self, bool blocked, uint64_t now_usec);

	/* The daemon stops: what was posted before is brought to an end, as far as it can be. May be called twice. Optional. */
	void (*stop)(void *self);
	/* After `stop`: whether there is something left to be done, or an answer that the broker may still give. Optional: it does not. */
	bool (*unfinished)(const void *self);
};

/* Starts the thread, with all signals blocked. It takes its own references to the link and to the configuration. -ENOMEM,
 * -EAGAIN. */
int thread_start(struct link *link, struct config *config, const struct config_broker *broker, const struct role *role,
		 pthread_t *ret);

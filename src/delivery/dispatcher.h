/* SPDX-License-Identifier: MIT */
/* Who gets the next handler slot: limits.max_handlers slots are shared by all queues, in turn. Knows nothing of queues
 * beyond the entry that each embeds. */
#pragma once

#include <stdbool.h>
#include "base/list.h"

/* One that may want slots; embedded in a queue. */
struct dispatcher_entry {
	struct list node; /* on the dispatcher's list while it wants a slot */
	/* Starts one handler. False: there is nothing to start now (nothing waits, the queue's own limit is reached, the
	 * handler cannot be executed); the entry is offered again by dispatcher_offer. Must not call the dispatcher. */
	bool (*start)(struct dispatcher_entry *entry);
};

struct dispatcher {
	struct list wanting; /* entries, the one that was served longest ago first */
	unsigned max;	     /* slots */
	unsigned running;    /* slots taken */
};

void dispatcher_init(struct dispatcher *d, unsigned max);

/* Another number of slots, from now on: what runs beyond it may end. dispatcher_run uses new ones. */
void dispatcher_set_max(struct dispatcher *d, unsigned max);

static inline void dispatcher_entry_init(struct dispatcher_entry *e, bool (*start)(struct dispatcher_entry *)) {
	list_init(&e->node);
	e->start = start;
}

/* The entry wants a slot: it is put at the end of those that do, unless it is among them already. */
void dispatcher_offer(struct dispatcher *d, struct dispatcher_entry *e);

/* The entry wants no more slots (before it is freed, or when its queue stops). */
void dispatcher_withdraw(struct dispatcher_entry *e);

/* A handler has ended: its slot is free. */
void dispatcher_release(struct dispatcher *d);

/* Starts handlers, one entry after the other, until the slots or the wishes are used up. */
void dispatcher_run(struct dispatcher *d);

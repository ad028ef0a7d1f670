/* SPDX-License-Identifier: MIT */
/* The thread's way to the main thread: a mailbox, and behind it a list for what does not fit. Nothing is ever dropped;
 * while the list is not empty, the thread reads nothing more from the broker, which bounds it. Private to this room. */
#pragma once

#include <stdbool.h>
#include "broker/link.h"

struct outbox {
	struct link *link; /* borrowed */
	struct mailbox_item *first;
	struct mailbox_item **last;
};

void outbox_init(struct outbox *o, struct link *link);
/* Frees what was not posted. */
void outbox_clear(struct outbox *o);

/* True if everything has been posted. */
static inline bool outbox_is_empty(const struct outbox *o) {
	return !o->first;
}

/* Posts what is in the list, as far as there is room; true if all. */
bool outbox_flush(struct outbox *o);

/* Takes ownership. */
void outbox_post_message(struct outbox *o, struct message *m, enum item_kind kind);

struct job;
/* Takes ownership; as ITEM_DONE. */
void outbox_post_job(struct outbox *o, struct job *j);

/* Posts a copy of *e. There is no way on without it, for the main thread waits for some events for ever: while there is no
 * memory, this waits too, until there is or the link is told to stop (the watchdog sees that). */
void outbox_post_event(struct outbox *o, const struct event *e);

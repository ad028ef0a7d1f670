/* SPDX-License-Identifier: MIT */
#include "broker/outbox.h"

#include <stdlib.h>
#include <time.h>

#include "broker/job.h"

#define MEMORY_RETRY_NSEC 10000000L

void outbox_init(struct outbox *o, struct link *link) {
	*o = (struct outbox){.link = link};
	o->last = &o->first;
}

void outbox_clear(struct outbox *o) {
	while (o->first) {
		struct mailbox_item *item = o->first;

		o->first = item->next;
		link_item_free(item);
	}
	o->last = &o->first;
}

bool outbox_flush(struct outbox *o) {
	while (o->first) {
		struct mailbox_item *item = o->first;
		struct mailbox_item *next = item->next;

		if (mailbox_post(o->link->to_main, item) < 0)
			return false;
		o->first = next;
	}
	o->last = &o->first;
	return true;
}

static void outbox_post(struct outbox *o, struct mailbox_item *item) {
	/* Behind what waits already: order counts. */
	if (outbox_flush(o) && mailbox_post(o->link->to_main, item) == 0)
		return;
	item->next = NULL;
	*o->last = item;
	o->last = &item->next;
}

void outbox_post_message(struct outbox *o, struct message *m, enum item_kind kind) {
	m->item.kind = (int)kind;
	outbox_post(o, &m->item);
}

void outbox_post_job(struct outbox *o, struct job *j) {
	j->item.kind = ITEM_DONE;
	outbox_post(o, &j->item);
}

void outbox_post_event(struct outbox *o, const struct event *e) {
	struct event *copy;

	while (!(copy = malloc(sizeof(*copy)))) {
		if (atomic_load(&o->link->stop_now))
			return;
		(void)nanosleep(&(struct timespec){.tv_nsec = MEMORY_RETRY_NSEC}, NULL);
	}
	*copy = *e;
	copy->item.kind = ITEM_EVENT;
	outbox_post(o, &copy->item);
}

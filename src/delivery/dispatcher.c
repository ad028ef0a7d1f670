/* SPDX-License-Identifier: MIT */
#include "delivery/dispatcher.h"

#include <assert.h>

void dispatcher_init(struct dispatcher *d, unsigned max) {
	list_init(&d->wanting);
	d->max = max;
	d->running = 0;
}

void dispatcher_set_max(struct dispatcher *d, unsigned max) {
	d->max = max;
}

void dispatcher_offer(struct dispatcher *d, struct dispatcher_entry *e) {
	if (!list_is_linked(&e->node))
		list_append(&d->wanting, &e->node);
}

void dispatcher_withdraw(struct dispatcher_entry *e) {
	list_remove(&e->node);
}

void dispatcher_release(struct dispatcher *d) {
	assert(d->running > 0);
	d->running--;
}

void dispatcher_run(struct dispatcher *d) {
	while (d->running < d->max && !list_is_empty(&d->wanting)) {
		struct dispatcher_entry *e = LIST_FIRST(&d->wanting, struct dispatcher_entry, node);

		list_remove(&e->node);
		if (e->start(e)) {
			d->running++;
			list_append(&d->wanting, &e->node);
		}
	}
}

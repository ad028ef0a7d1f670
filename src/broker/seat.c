/* SPDX-License-Identifier: MIT */
#include "broker/seat.h"

#include <errno.h>
#include <stdlib.h>

int seat_new(struct config *config, const struct config_queue *queue, uint32_t consumer, struct seat **ret) {
	struct seat *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	s->consumer = consumer;
	s->config = config_ref(config);
	s->queue = queue;
	s->depth.item.kind = ITEM_DEPTH;
	s->remove.item.kind = ITEM_COMMAND;
	s->remove.type = COMMAND_REMOVE;
	*ret = s;
	return 0;
}

struct seat *seat_ref(struct seat *s) {
	atomic_fetch_add(&s->refs, 1);
	return s;
}

struct seat *seat_unref(struct seat *s) {
	if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		config_unref(s->config);
		free(s);
	}
	return NULL;
}

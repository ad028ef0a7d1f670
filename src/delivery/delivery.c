/* SPDX-License-Identifier: MIT */
#include "delivery/delivery.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const delivery_state_names[] = {
	[DELIVERY_WAITING] = "waiting",
	[DELIVERY_RUNNING] = "running",
	[DELIVERY_HELD] = "held",
	[DELIVERY_DONE] = "done",
};

int delivery_new(struct queue *queue, struct message *message, struct delivery **ret) {
	struct delivery *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	list_init(&d->node);
	d->queue = queue;
	d->message = message;
	d->attempt = message_attempt(message);
	*ret = d;
	return 0;
}

struct delivery *delivery_free(struct delivery *d) {
	if (d) {
		list_remove(&d->node);
		d->run = run_free(d->run);
		message_free(d->message);
		free(d->complaint);
		free(d);
	}
	return NULL;
}

void delivery_set_complaint(struct delivery *d, const char *text, size_t len) {
	char *copy;

	if (len == 0)
		return;
	copy = strndup(text, len < DELIVERY_COMPLAINT_MAX ? len : DELIVERY_COMPLAINT_MAX);
	if (!copy)
		return;
	free(d->complaint);
	d->complaint = copy;
}

static bool step_is_legal(enum delivery_state from, enum delivery_state to) {
	switch (from) {
	case DELIVERY_WAITING: /* HELD: too large to be tried */
		return to != DELIVERY_WAITING || to == from;
	case DELIVERY_RUNNING:
		return to == DELIVERY_HELD || to == DELIVERY_DONE;
	case DELIVERY_HELD:
		return to == DELIVERY_DONE;
	case DELIVERY_DONE:
		return false;
	}
	return false;
}

void delivery_set_state(struct delivery *d, enum delivery_state state, struct list *list) {
	assert(step_is_legal(d->state, state));
	d->state = state;
	list_remove(&d->node);
	if (list)
		list_append(list, &d->node);
}

const char *delivery_state_to_string(enum delivery_state s) {
	return delivery_state_names[s];
}

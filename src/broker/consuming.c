/* SPDX-License-Identifier: MIT */
#include "broker/consuming.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/channel.h"

/* Owned by the thread. */
struct consuming {
	struct connection *connection; /* borrowed */
	struct outbox *outbox;         /* borrowed */
	uint64_t max_message_size;
	struct channel *channels; /* owned; max_channels of them, the first n_channels in use, by consumer */
	uint32_t n_channels;
	uint32_t max_channels;
};

static void consuming_free(void *self) {
	struct consuming *s = self;

	for (uint32_t i = 0; i < s->n_channels; i++)
		channel_clear(&s->channels[i]);
	free(s->channels);
	free(s);
}

static int consuming_new(struct connection *connection, struct outbox *outbox, struct config *config,
			 const struct config_broker *broker, uint32_t max_slots, void **ret) {
	struct consuming *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->connection = connection;
	s->outbox = outbox;
	s->max_message_size = config->max_message_size;
	s->max_channels = max_slots;
	s->channels = calloc(max_slots ? max_slots : 1, sizeof(*s->channels));
	if (!s->channels) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

static int consuming_up(void *self, uint64_t now) {
	struct consuming *s = self;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->n_channels; i++)
		r = channel_up(&s->channels[i], now);
	return r;
}

static void consuming_down(void *self, const char *reason, uint64_t now) {
	struct consuming *s = self;

	for (uint32_t i = 0; i < s->n_channels; i++)
		channel_down(&s->channels[i], reason);
}

static int consuming_frame(void *self, const amqp_frame_t *frame, uint64_t now) {
	struct consuming *s = self;

	/* Nobody opened it: nothing that arrives on it concerns anybody. */
	if (frame->channel > s->n_channels)
		return 0;
	return channel_frame(&s->channels[frame->channel - 1], frame, now);
}

/* Carries out one command, and frees it. */
static void run_command(struct consuming *s, struct command *command) {
	if (command->type == COMMAND_ADD) {
		channel_init(&s->channels[command->consumer], s->connection, s->outbox, command->consumer,
			     command->queue, s->max_message_size);
		s->n_channels = command->consumer + 1;
	} else if (command->type == COMMAND_WISH) {
		link_wish_received(s->connection->link);
	}
	link_item_free(&command->item);
}

static int consuming_item(void *self, struct mailbox_item *item, uint64_t now) {
	struct consuming *s = self;

	if (item->kind == ITEM_SETTLE) {
		struct message *m = CONTAINER_OF(item, struct message, item);

		return channel_settle(&s->channels[m->consumer], m);
	}
	run_command(s, CONTAINER_OF(item, struct command, item));
	return 0;
}

static int consuming_items_done(void *self) {
	struct consuming *s = self;
	int result = 0;

	for (uint32_t i = 0; i < s->n_channels; i++) {
		int r = channel_flush(&s->channels[i]);

		result = result < 0 ? result : r;
	}
	return result;
}

/* Fulfils what was wished; a consume before the last cancel is past. The first failure is returned, after all. Before
 * what was posted, because a cancel is ahead of every message that was settled after it; and after it, for the
 * consumers that were only then added, and for what was wished since COMMAND_WISH was taken out. */
static int consuming_wishes(void *self, uint64_t now) {
	struct consuming *s = self;
	int result = 0;

	for (uint32_t i = 0; i < s->n_channels; i++) {
		struct wish w;

		if (!link_take_wish(s->connection->link, i, &w))
			continue;
		for (; w.cancels > 0; w.cancels--) {
			int r = channel_cancel(&s->channels[i], now);

			result = result < 0 ? result : r;
		}
		if (w.consume) {
			int r = channel_consume(&s->channels[i], w.prefetch, now);

			result = result < 0 ? result : r;
		}
	}
	return result;
}

static int consuming_work(void *self, uint64_t now) {
	struct consuming *s = self;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->n_channels; i++)
		r = channel_tick(&s->channels[i], now);
	return r;
}

static uint64_t consuming_next_usec(const void *self) {
	const struct consuming *s = self;
	uint64_t next = USEC_INFINITY;

	for (uint32_t i = 0; i < s->n_channels; i++) {
		uint64_t usec = channel_next_usec(&s->channels[i]);

		if (usec < next)
			next = usec;
	}
	return next;
}

static void consuming_postpone(void *self, uint64_t usec) {
	struct consuming *s = self;

	for (uint32_t i = 0; i < s->n_channels; i++)
		channel_postpone(&s->channels[i], usec);
}

const struct role consuming_role = {
	.publisher = false,
	.new = consuming_new,
	.free = consuming_free,
	.up = consuming_up,
	.down = consuming_down,
	.frame = consuming_frame,
	.wishes = consuming_wishes,
	.item = consuming_item,
	.items_done = consuming_items_done,
	.work = consuming_work,
	.next_usec = consuming_next_usec,
	.postpone = consuming_postpone,
};

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
	struct list channels;          /* owned */
	struct channel *by_consumer[BROKER_CONSUMERS_MAX]; /* the same; NULL: none */
};

static void drop_channel(struct consuming *s, struct channel *c) {
	list_remove(&c->node);
	s->by_consumer[c->consumer] = NULL;
	channel_free(c);
}

static void consuming_free(void *self) {
	struct consuming *s = self;

	LIST_FOREACH(c, &s->channels, struct channel, node)
		drop_channel(s, c);
	free(s);
}

static int consuming_new(struct connection *connection, struct outbox *outbox, const struct config_broker *broker,
			 void **ret) {
	struct consuming *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->connection = connection;
	s->outbox = outbox;
	list_init(&s->channels);
	*ret = s;
	return 0;
}

/* Lets go of a channel that is over, which leaves its number to another. */
static void check_over(struct consuming *s, struct channel *c) {
	const struct event e = {.type = EVENT_REMOVED, .consumer = c->consumer};

	if (!channel_is_over(c))
		return;
	drop_channel(s, c);
	outbox_post_event(s->outbox, &e);
}

static int consuming_up(void *self, uint64_t now) {
	struct consuming *s = self;

	LIST_FOREACH(c, &s->channels, struct channel, node) {
		int r = channel_up(c, now);

		if (r < 0)
			return r;
	}
	return 0;
}

static void consuming_down(void *self, const char *reason, uint64_t now) {
	struct consuming *s = self;

	LIST_FOREACH(c, &s->channels, struct channel, node) {
		channel_down(c, reason);
		check_over(s, c);
	}
}

static int consuming_frame(void *self, const amqp_frame_t *frame, uint64_t now) {
	struct consuming *s = self;
	struct channel *c = frame->channel <= BROKER_CONSUMERS_MAX ? s->by_consumer[frame->channel - 1] : NULL;
	int r;

	/* Nobody opened it: nothing that arrives on it concerns anybody. */
	if (!c)
		return 0;
	r = channel_frame(c, frame, now);
	check_over(s, c);
	return r;
}

static void add(struct consuming *s, struct channel *c) {
	channel_join(c, s->connection, s->outbox);
	list_append(&s->channels, &c->node);
	s->by_consumer[c->consumer] = c;
}

static int remove_consumer(struct consuming *s, struct seat *seat, uint64_t now) {
	struct channel *c = s->by_consumer[seat->consumer];
	int r = channel_remove(c, now);

	seat_unref(seat);
	check_over(s, c);
	return r;
}

static int run_command(struct consuming *s, struct command *command, uint64_t now) {
	switch (command->type) {
	case COMMAND_ADD:
		add(s, CONTAINER_OF(command, struct channel, add));
		break;
	case COMMAND_REMOVE:
		return remove_consumer(s, CONTAINER_OF(command, struct seat, remove), now);
	case COMMAND_WISH:
		link_wish_received(s->connection->link);
		break;
	case COMMAND_STOP:
		break; /* the thread's */
	}
	return 0;
}

static int consuming_item(void *self, struct mailbox_item *item, uint64_t now) {
	struct consuming *s = self;

	if (item->kind == ITEM_SETTLE) {
		struct message *m = CONTAINER_OF(item, struct message, item);

		return channel_settle(s->by_consumer[m->consumer], m);
	}
	return run_command(s, CONTAINER_OF(item, struct command, item), now);
}

static int consuming_items_done(void *self) {
	struct consuming *s = self;
	int result = 0;

	LIST_FOREACH(c, &s->channels, struct channel, node) {
		int r = channel_flush(c);

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

	LIST_FOREACH(c, &s->channels, struct channel, node) {
		struct wish w;

		if (!link_take_wish(s->connection->link, &c->seat->wish, &w))
			continue;
		for (; w.cancels > 0; w.cancels--) {
			int r = channel_cancel(c, now);

			result = result < 0 ? result : r;
		}
		if (w.consume) {
			int r = channel_consume(c, w.prefetch, now);

			result = result < 0 ? result : r;
		}
	}
	return result;
}

static int consuming_work(void *self, uint64_t now) {
	struct consuming *s = self;

	LIST_FOREACH(c, &s->channels, struct channel, node) {
		int r = channel_tick(c, now);

		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t consuming_next_usec(const void *self) {
	const struct consuming *s = self;
	uint64_t next = USEC_INFINITY;

	LIST_FOREACH(c, &s->channels, const struct channel, node) {
		uint64_t usec = channel_next_usec(c);

		if (usec < next)
			next = usec;
	}
	return next;
}

static void consuming_postpone(void *self, uint64_t usec) {
	struct consuming *s = self;

	LIST_FOREACH(c, &s->channels, struct channel, node)
		channel_postpone(c, usec);
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

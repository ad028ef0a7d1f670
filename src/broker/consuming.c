/* SPDX-License-Identifier: MIT */
#include "broker/consuming.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/channel.h"
#include "broker/inspector.h"

/* Owned by the thread. */
struct consuming {
	struct connection *connection; /* borrowed */
	struct outbox *outbox;         /* borrowed */
	struct list channels;          /* owned */
	struct channel *by_consumer[BROKER_CONSUMERS_MAX]; /* the same; NULL: none */
	struct inspector inspector;
};

static void drop_channel(struct consuming *s, struct channel *c) {
	inspector_remove(&s->inspector, &c->question);
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
	inspector_init(&s->inspector, connection, outbox);
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

	inspector_up(&s->inspector, now);
	LIST_FOREACH(c, &s->channels, struct channel, node) {
		int r = channel_up(c, now);

		if (r < 0)
			return r;
	}
	return 0;
}

static void consuming_down(void *self, const char *reason, uint64_t now) {
	struct consuming *s = self;

	inspector_down(&s->inspector);
	LIST_FOREACH(c, &s->channels, struct channel, node) {
		channel_down(c, reason);
		check_over(s, c);
	}
}

static int consuming_frame(void *self, const amqp_frame_t *frame, uint64_t now) {
	struct consuming *s = self;
	struct channel *c = frame->channel <= BROKER_CONSUMERS_MAX ? s->by_consumer[frame->channel - 1] : NULL;
	bool was_consuming = c && c->state == CHANNEL_CONSUMING;
	int r;

	if (inspector_has(&s->inspector, frame->channel))
		return inspector_frame(&s->inspector, frame, now);
	/* Nobody opened it: nothing that arrives on it concerns anybody. */
	if (!c)
		return 0;
	r = channel_frame(c, frame, now);
	/* It may have been asked before it was declared. */
	if (!was_consuming && c->state == CHANNEL_CONSUMING)
		inspector_hurry(&s->inspector, &c->question, now);
	check_over(s, c);
	return r;
}

static int add(struct consuming *s, struct channel *c, uint64_t now) {
	channel_join(c, s->connection, s->outbox);
	list_append(&s->channels, &c->node);
	s->by_consumer[c->consumer] = c;
	inspector_add(&s->inspector, &c->question, now);
	/* Who consumes comes before who asks. */
	return inspector_has(&s->inspector, c->number) ? inspector_yield(&s->inspector, now) : 0;
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
		return add(s, CONTAINER_OF(command, struct channel, add), now);
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

	inspector_set_interval(&s->inspector, link_queue_interval(s->connection->link), now);
	LIST_FOREACH(c, &s->channels, struct channel, node) {
		struct wish w;

		/* Until the broker has confirmed that it is closed, the channel of that number is not this one. */
		if (inspector_has(&s->inspector, c->number))
			continue;
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

/* The highest number of a channel that no consumer has; 0: none. New consumers take the lowest ones. */
static unsigned spare_number(const struct consuming *s) {
	unsigned number = s->connection->channel_max;

	if (number > BROKER_CONSUMERS_MAX)
		return BROKER_CONSUMERS_MAX + 1;
	while (number > 0 && s->by_consumer[number - 1])
		number--;
	return number;
}

static int consuming_work(void *self, uint64_t now) {
	struct consuming *s = self;

	LIST_FOREACH(c, &s->channels, struct channel, node) {
		int r = channel_tick(c, now);

		if (r < 0)
			return r;
	}
	/* After the consumers, which have precedence. */
	return inspector_work(&s->inspector, inspector_wants_channel(&s->inspector, now) ? spare_number(s) : 0, now);
}

static uint64_t consuming_next_usec(const void *self) {
	const struct consuming *s = self;
	uint64_t next = inspector_next_usec(&s->inspector);

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
	inspector_postpone(&s->inspector, usec);
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

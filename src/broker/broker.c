/* SPDX-License-Identifier: MIT */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/channel.h"
#include "broker/consuming.h"
#include "broker/endpoint.h"
#include "broker/seat.h"

/* Room in the mailboxes for what has to do with no consumer. */
#define MAILBOX_MIN 64

/* Owned by its broker, until consumer_free. */
struct consumer {
	struct broker *broker; /* borrowed */
	struct seat *seat;     /* a reference */
	struct consumer_callbacks callbacks;
	void *userdata;
	bool depth_known; /* by what `depth` was told last */
};

/* What an id stands for. */
struct place {
	struct consumer *consumer; /* owned; NULL: none, or it was freed */
	size_t room; /* in the mailboxes, for this id; 0: nobody has it, and the thread has let go of who had it */
};

/* Owned by whoever called broker_new. */
struct broker {
	const struct config_broker *broker; /* borrowed from the configuration */
	struct broker_callbacks callbacks;
	void *userdata;
	struct endpoint *endpoint; /* owned */
	size_t mailbox_limit;
	struct place places[BROKER_CONSUMERS_MAX]; /* by id */
};

static const char *const broker_state_names[] = {
	[BROKER_CONNECTING] = "connecting",
	[BROKER_UP] = "up",
	[BROKER_WAITING] = "waiting",
	[BROKER_STOPPED] = "stopped",
};

static const char *const consumer_state_names[] = {
	[CONSUMER_IDLE] = "idle",
	[CONSUMER_CONSUMING] = "consuming",
	[CONSUMER_FAILED] = "failed",
};

static const char *const broker_failure_names[] = {
	[BROKER_FAILURE_UNREACHABLE] = "unreachable",
	[BROKER_FAILURE_TLS] = "tls",
	[BROKER_FAILURE_LOGIN] = "login",
	[BROKER_FAILURE_CLOSED] = "closed",
	[BROKER_FAILURE_HEARTBEAT] = "heartbeat",
	[BROKER_FAILURE_LOST] = "lost",
	[BROKER_FAILURE_STUCK] = "stuck",
	[BROKER_FAILURE_OTHER] = "other",
};

const char *broker_state_to_string(enum broker_state s) {
	return (size_t)s < ARRAY_SIZE(broker_state_names) ? broker_state_names[s] : "unknown";
}

const char *consumer_state_to_string(enum consumer_state s) {
	return (size_t)s < ARRAY_SIZE(consumer_state_names) ? consumer_state_names[s] : "unknown";
}

const char *broker_failure_to_string(enum broker_failure f) {
	return (size_t)f < ARRAY_SIZE(broker_failure_names) ? broker_failure_names[f] : "unknown";
}

static void tell_depth(struct consumer *c, const struct queue_depth *depth) {
	c->depth_known = depth->known;
	if (c->callbacks.depth)
		c->callbacks.depth(depth, c->userdata);
}

static void forget_depths(struct broker *b) {
	for (uint32_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		struct consumer *c = b->places[i].consumer;

		if (c && c->depth_known)
			tell_depth(c, &(struct queue_depth){0});
	}
}

static void on_state(enum broker_state state, const struct broker_report *report, void *userdata) {
	struct broker *b = userdata;

	if (state != BROKER_UP)
		forget_depths(b);
	b->callbacks.state(b, state, report, b->userdata);
}

static void on_blocked(bool blocked, const char *reason, void *userdata) {
	struct broker *b = userdata;

	if (b->callbacks.blocked)
		b->callbacks.blocked(b, blocked, reason, b->userdata);
}

/* What the mailboxes may hold of a consumer. Messages under way are at most as many as the prefetch allows, those of an
 * ended epoch once again; the rest are events and wishes, a handful, and the depth of its queue. */
static size_t room_for(const struct config_queue *queue) {
	return 9 + 2 * (size_t)queue->prefetch;
}

static void set_mailbox_limit(struct broker *b, size_t limit) {
	b->mailbox_limit = limit;
	link_set_limit(endpoint_link(b->endpoint), limit);
}

/* The thread has let go of a consumer that was freed: its id may be somebody else's. */
static void handle_removed(struct broker *b, struct place *p) {
	assert(!p->consumer && p->room > 0);
	set_mailbox_limit(b, b->mailbox_limit - p->room);
	p->room = 0;
}

static void handle_event(struct consumer *c, const struct event *e) {
	const struct broker_report report = {
		.reason = e->reason[0] ? e->reason : NULL, .retry_usec = e->retry_usec, .no_number = e->no_number};

	switch (e->type) {
	case EVENT_CONSUMER_STATE:
		c->callbacks.state(e->consumer_state, &report, c->userdata);
		break;
	case EVENT_LOST:
		c->callbacks.lost(e->epoch, c->userdata);
		break;
	case EVENT_CANCELLED:
		c->callbacks.cancelled(c->userdata);
		break;
	case EVENT_BROKER_STATE:
	case EVENT_BLOCKED:
	case EVENT_REMOVED:
	case EVENT_NO_DEPTHS:
		break; /* the endpoint's, and no consumer's */
	}
}

/* The thread has let go of what is told; it may tell more as soon as that is said. */
static void handle_depth(struct broker *b, struct seat *seat) {
	struct consumer *c = b->places[seat->consumer].consumer;
	const struct queue_depth depth = seat->depth.depth;

	atomic_store(&seat->depth.posted, false);
	if (c && c->seat == seat)
		tell_depth(c, &depth);
	seat_unref(seat);
}

static void on_item(struct mailbox_item *item, void *userdata) {
	struct broker *b = userdata;

	if (item->kind == ITEM_DEPTH) {
		handle_depth(b, CONTAINER_OF(item, struct seat, depth.item));
	} else if (item->kind == ITEM_EVENT) {
		struct event *e = CONTAINER_OF(item, struct event, item);
		struct place *p = &b->places[e->consumer];

		if (e->type == EVENT_REMOVED)
			handle_removed(b, p);
		else if (e->type == EVENT_NO_DEPTHS && b->callbacks.no_depths)
			b->callbacks.no_depths(b, e->reason, b->userdata);
		else if (p->consumer)
			handle_event(p->consumer, e);
		free(e);
	} else {
		struct message *m = CONTAINER_OF(item, struct message, item);
		struct consumer *c = b->places[m->consumer].consumer;

		if (!c)
			message_free(m);
		else if (item->kind == ITEM_MESSAGE)
			c->callbacks.message(m, c->userdata);
		else
			c->callbacks.unsettled(m, c->userdata);
	}
}

static struct consumer *consumer_release(struct consumer *c) {
	if (c) {
		seat_unref(c->seat);
		free(c);
	}
	return NULL;
}

static void broker_release(void *userdata) {
	struct broker *b = userdata;

	for (uint32_t i = 0; i < BROKER_CONSUMERS_MAX; i++)
		consumer_release(b->places[i].consumer);
	free(b);
}

static const struct endpoint_callbacks endpoint_callbacks = {
	.state = on_state,
	.blocked = on_blocked,
	.item = on_item,
	.released = broker_release,
};

int broker_new(sd_event *event, struct config *config, const struct config_broker *broker,
	       const struct broker_callbacks *callbacks, void *userdata, struct broker **ret) {
	struct broker *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->broker = broker;
	b->callbacks = *callbacks;
	b->userdata = userdata;
	b->mailbox_limit = MAILBOX_MIN;
	r = endpoint_new(event, config, broker, &consuming_role, b->mailbox_limit, &endpoint_callbacks, b,
			 &b->endpoint);
	if (r < 0) {
		broker_release(b);
		return r;
	}
	broker_set_queue_interval(b, config->monitor.queue_interval_usec);
	*ret = b;
	return 0;
}

struct broker *broker_free(struct broker *b) {
	if (b)
		endpoint_free(b->endpoint);
	return NULL;
}

const struct config_broker *broker_config(const struct broker *b) {
	return b->broker;
}

void broker_set_queue_interval(struct broker *b, uint64_t usec) {
	link_set_queue_interval(endpoint_link(b->endpoint), usec);
}

static struct place *find_place(struct broker *b, uint32_t *ret_id) {
	for (uint32_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		if (b->places[i].room > 0)
			continue;
		*ret_id = i;
		return &b->places[i];
	}
	return NULL;
}

int broker_add_consumer(struct broker *b, struct config *config, const struct config_queue *queue,
			const struct consumer_callbacks *callbacks, void *userdata, struct consumer **ret) {
	CLEANUP(seat_unref) struct seat *seat = NULL;
	CLEANUP(channel_free) struct channel *channel = NULL;
	struct consumer *c;
	uint32_t id;
	struct place *p = find_place(b, &id);
	int r;

	if (endpoint_is_stopped(b->endpoint))
		return -ENOTCONN;
	if (!p)
		return -ENOBUFS;
	r = seat_new(config, queue, id, &seat);
	if (r == 0)
		r = channel_new(seat, &channel);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct consumer){.broker = b, .seat = TAKE(seat), .callbacks = *callbacks, .userdata = userdata};
	*p = (struct place){.consumer = c, .room = room_for(queue)};
	set_mailbox_limit(b, b->mailbox_limit + p->room);
	(void)endpoint_post_anyway(b->endpoint, &TAKE(channel)->add.item);
	*ret = c;
	return 0;
}

struct consumer *consumer_free(struct consumer *c) {
	struct broker *b;
	struct seat *seat;

	if (!c)
		return NULL;
	b = c->broker;
	seat = c->seat;
	b->places[seat->consumer].consumer = NULL;
	/* A cancel goes on ahead of what was settled after it. */
	link_withdraw_consume(endpoint_link(b->endpoint), &seat->wish);
	if (endpoint_post_anyway(b->endpoint, &seat->remove.item) == 0)
		c->seat = NULL; /* its reference goes with the command */
	return consumer_release(c);
}

static int make_wish(struct consumer *c, unsigned prefetch) {
	if (endpoint_is_stopped(c->broker->endpoint))
		return -ENOTCONN;
	link_wish(endpoint_link(c->broker->endpoint), &c->seat->wish, prefetch);
	return 0;
}

int consumer_consume(struct consumer *c, unsigned prefetch) {
	assert(prefetch >= 1 && prefetch <= UINT16_MAX);
	return make_wish(c, prefetch);
}

int consumer_cancel(struct consumer *c) {
	return make_wish(c, 0);
}

int consumer_settle(struct consumer *c, struct message *m, enum verdict verdict) {
	int r;

	assert(verdict != VERDICT_NONE && m->consumer == c->seat->consumer);
	m->verdict = verdict;
	m->item.kind = ITEM_SETTLE;
	r = endpoint_post(c->broker->endpoint, &m->item);
	if (r < 0)
		message_free(m);
	if (r == -ENOBUFS)
		link_unstick(endpoint_link(c->broker->endpoint));
	return r;
}

int broker_stop(struct broker *b, uint64_t timeout_usec) {
	return endpoint_stop(b->endpoint, timeout_usec);
}

uint64_t broker_overdue_usec(struct broker *b, uint64_t now_usec) {
	return endpoint_overdue_usec(b->endpoint, now_usec);
}

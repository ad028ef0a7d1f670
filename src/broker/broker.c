/* SPDX-License-Identifier: MIT */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/consuming.h"
#include "broker/endpoint.h"

/* Owned by its broker. */
struct consumer {
	struct broker *broker; /* borrowed */
	uint32_t id;
	struct consumer_callbacks callbacks;
	void *userdata;
};

/* Owned by whoever called broker_new. */
struct broker {
	const struct config_broker *broker; /* borrowed from the configuration */
	struct broker_callbacks callbacks;
	void *userdata;
	struct endpoint *endpoint;   /* owned */
	struct consumer **consumers; /* owned, as they themselves; max_consumers pointers, n_consumers in use, by id */
	uint32_t n_consumers;
	uint32_t max_consumers;
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

const char *broker_state_to_string(enum broker_state s) {
	return (size_t)s < ARRAY_SIZE(broker_state_names) ? broker_state_names[s] : "unknown";
}

const char *consumer_state_to_string(enum consumer_state s) {
	return (size_t)s < ARRAY_SIZE(consumer_state_names) ? consumer_state_names[s] : "unknown";
}

static void on_state(enum broker_state state, const struct broker_report *report, void *userdata) {
	struct broker *b = userdata;

	b->callbacks.state(b, state, report, b->userdata);
}

static void on_blocked(bool blocked, const char *reason, void *userdata) {
	struct broker *b = userdata;

	if (b->callbacks.blocked)
		b->callbacks.blocked(b, blocked, reason, b->userdata);
}

static void handle_event(struct consumer *c, const struct event *e) {
	const struct broker_report report = {.reason = e->reason[0] ? e->reason : NULL, .retry_usec = e->retry_usec};

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
		break; /* the endpoint's */
	}
}

static void on_item(struct mailbox_item *item, void *userdata) {
	struct broker *b = userdata;

	if (item->kind == ITEM_EVENT) {
		struct event *e = CONTAINER_OF(item, struct event, item);

		handle_event(b->consumers[e->consumer], e);
		free(e);
	} else {
		struct message *m = CONTAINER_OF(item, struct message, item);
		struct consumer *c = b->consumers[m->consumer];

		if (item->kind == ITEM_MESSAGE)
			c->callbacks.message(m, c->userdata);
		else
			c->callbacks.unsettled(m, c->userdata);
	}
}

static void broker_release(void *userdata) {
	struct broker *b = userdata;

	for (uint32_t i = 0; i < b->n_consumers; i++)
		free(b->consumers[i]);
	free(b->consumers);
	free(b);
}

static const struct endpoint_callbacks endpoint_callbacks = {
	.state = on_state,
	.blocked = on_blocked,
	.item = on_item,
	.released = broker_release,
};

/* The mailboxes' limit. Messages under way are at most as many as the prefetch allows, those of an ended epoch once
 * again; the rest are events and wishes, a handful for each consumer. */
static size_t mailbox_limit(const struct config *config, const struct config_broker *broker, uint32_t *ret_queues) {
	size_t limit = 64;
	uint32_t queues = 0;

	for (size_t i = 0; i < config->n_queues; i++) {
		if (config->queues[i].broker != broker)
			continue;
		queues++;
		limit += 8 + 2 * (size_t)config->queues[i].prefetch;
	}
	*ret_queues = queues;
	return limit;
}

int broker_new(sd_event *event, struct config *config, const struct config_broker *broker,
	       const struct broker_callbacks *callbacks, void *userdata, struct broker **ret) {
	struct broker *b = calloc(1, sizeof(*b));
	size_t limit;
	int r;

	if (!b)
		return -ENOMEM;
	b->broker = broker;
	b->callbacks = *callbacks;
	b->userdata = userdata;
	limit = mailbox_limit(config, broker, &b->max_consumers);
	b->consumers = calloc(b->max_consumers ? b->max_consumers : 1, sizeof(*b->consumers));
	r = b->consumers ? 0 : -ENOMEM;
	if (r == 0)
		r = endpoint_new(event, config, broker, &consuming_role, b->max_consumers, limit, &endpoint_callbacks,
				 b, &b->endpoint);
	if (r < 0) {
		broker_release(b);
		return r;
	}
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

static int post_command(struct broker *b, const struct command *command) {
	struct command *copy;
	int r;

	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *command;
	copy->item.kind = ITEM_COMMAND;
	r = endpoint_post(b->endpoint, &copy->item);
	if (r < 0)
		free(copy);
	return r;
}

int broker_add_consumer(struct broker *b, const struct config_queue *queue, const struct consumer_callbacks *callbacks,
			void *userdata, struct consumer **ret) {
	struct consumer *c;
	int r;

	if (b->n_consumers >= b->max_consumers)
		return -ENOBUFS;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct consumer){.broker = b, .id = b->n_consumers, .callbacks = *callbacks, .userdata = userdata};
	r = post_command(b, &(struct command){.type = COMMAND_ADD, .consumer = c->id, .queue = queue});
	if (r < 0) {
		free(c);
		return r;
	}
	b->consumers[b->n_consumers++] = c;
	*ret = c;
	return 0;
}

static int make_wish(struct consumer *c, unsigned prefetch) {
	if (endpoint_is_stopped(c->broker->endpoint))
		return -ENOTCONN;
	link_wish(endpoint_link(c->broker->endpoint), c->id, prefetch);
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

	assert(verdict != VERDICT_NONE && m->consumer == c->id);
	m->verdict = verdict;
	m->item.kind = ITEM_SETTLE;
	r = endpoint_post(c->broker->endpoint, &m->item);
	if (r < 0)
		message_free(m);
	if (r == -ENOBUFS)
		link_shutdown(endpoint_link(c->broker->endpoint), false);
	return r;
}

int broker_stop(struct broker *b, uint64_t timeout_usec) {
	return endpoint_stop(b->endpoint, timeout_usec);
}

uint64_t broker_overdue_usec(struct broker *b, uint64_t now_usec) {
	return endpoint_overdue_usec(b->endpoint, now_usec);
}

/* SPDX-License-Identifier: MIT */
#include "broker/request.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "broker/table.h"

#define SHORT_STRING_MAX 255
/* RabbitMQ's arguments that have keys of their own in the configuration. */
#define ARGUMENT_QUEUE_TYPE "x-queue-type"
#define ARGUMENT_PRIORITY "x-priority"
/* How long a classic delay queue outlives its last declaration, besides twice its delay; RabbitMQ takes at most 2^32 - 1
 * milliseconds. */
#define EXPIRES_MORE_MSEC (UINT64_C(60) * 60 * 1000)
#define EXPIRES_MAX_MSEC UINT64_C(4294967295)

int request_channel_open(struct connection *c, uint16_t channel) {
	amqp_channel_open_t m = {.out_of_band = amqp_empty_bytes};

	return connection_send(c, channel, AMQP_CHANNEL_OPEN_METHOD, &m);
}

int request_channel_close(struct connection *c, uint16_t channel) {
	amqp_channel_close_t m = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_empty_bytes};

	return connection_send(c, channel, AMQP_CHANNEL_CLOSE_METHOD, &m);
}

int request_channel_close_ok(struct connection *c, uint16_t channel) {
	amqp_channel_close_ok_t m = {0};

	return connection_send(c, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &m);
}

int request_channel_flow_ok(struct connection *c, uint16_t channel, bool active) {
	amqp_channel_flow_ok_t m = {.active = active};

	return connection_send(c, channel, AMQP_CHANNEL_FLOW_OK_METHOD, &m);
}

/* Arguments, and one more if `name` is not NULL. */
static int arguments_to_amqp(struct connection *c, const struct table *arguments, const char *name,
			     const amqp_field_value_t *value, amqp_table_t *ret) {
	amqp_table_entry_t *entries;
	amqp_table_t t;
	int r = table_to_amqp(arguments, &c->pool, &t);

	if (r == -ENOMEM)
		return connection_fail(c, "out of memory");
	if (r < 0) {
		(void)snprintf(c->reason, sizeof(c->reason), "the configured arguments cannot be sent in AMQP");
		return -EMSGSIZE;
	}
	if (name && !table_find(arguments, name)) {
		entries = amqp_pool_alloc(&c->pool, ((size_t)t.num_entries + 1) * sizeof(*entries));
		if (!entries)
			return connection_fail(c, "out of memory");
		if (t.num_entries)
			memcpy(entries, t.entries, (size_t)t.num_entries * sizeof(*entries));
		entries[t.num_entries++] = (amqp_table_entry_t){.key = amqp_cstring_bytes(name), .value = *value};
		t.entries = entries;
	}
	*ret = t;
	return 0;
}

int request_exchange(struct connection *c, uint16_t channel, const struct config_binding *b) {
	amqp_exchange_declare_t m = {
		.exchange = amqp_cstring_bytes(b->exchange),
		.type = amqp_cstring_bytes(b->exchange_type ? b->exchange_type : "direct"),
		.passive = !b->exchange_type,
		.durable = 1,
		.arguments = amqp_empty_table,
	};

	return connection_send(c, channel, AMQP_EXCHANGE_DECLARE_METHOD, &m);
}

int request_queue(struct connection *c, uint16_t channel, const struct config_queue *q) {
	const struct config_declare *d = &q->declare;
	amqp_queue_declare_t m = {.queue = amqp_cstring_bytes(q->name), .arguments = amqp_empty_table};
	int r;

	if (!d->present) {
		m.passive = 1;
	} else {
		const amqp_field_value_t type = {.kind = AMQP_FIELD_KIND_UTF8,
						 .value.bytes = amqp_cstring_bytes(d->type ? d->type : "")};

		m.durable = d->durable;
		m.auto_delete = d->auto_delete;
		r = arguments_to_amqp(c, &d->arguments, d->type ? ARGUMENT_QUEUE_TYPE : NULL, &type, &m.arguments);
		if (r < 0)
			return r;
	}
	return connection_send(c, channel, AMQP_QUEUE_DECLARE_METHOD, &m);
}

int request_depth(struct connection *c, uint16_t channel, const char *queue) {
	amqp_queue_declare_t m = {.queue = amqp_cstring_bytes(queue), .passive = 1, .arguments = amqp_empty_table};

	if (strlen(queue) > SHORT_STRING_MAX) {
		(void)snprintf(c->reason, sizeof(c->reason), "the name of the queue is longer than 255 bytes");
		return -EMSGSIZE;
	}
	return connection_send(c, channel, AMQP_QUEUE_DECLARE_METHOD, &m);
}

int request_bind(struct connection *c, uint16_t channel, const struct config_queue *q, const struct config_binding *b,
		 const char *routing_key) {
	amqp_queue_bind_t m = {
		.queue = amqp_cstring_bytes(q->name),
		.exchange = amqp_cstring_bytes(b->exchange),
		.routing_key = amqp_cstring_bytes(routing_key),
	};
	int r = arguments_to_amqp(c, &b->arguments, NULL, NULL, &m.arguments);

	return r < 0 ? r : connection_send(c, channel, AMQP_QUEUE_BIND_METHOD, &m);
}

int request_qos(struct connection *c, uint16_t channel, unsigned prefetch) {
	amqp_basic_qos_t m = {.prefetch_count = (uint16_t)prefetch};

	return connection_send(c, channel, AMQP_BASIC_QOS_METHOD, &m);
}

int request_consume(struct connection *c, uint16_t channel, const struct config_queue *q) {
	const amqp_field_value_t priority = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = q->priority};
	amqp_basic_consume_t m = {
		.queue = amqp_cstring_bytes(q->name),
		.consumer_tag = amqp_cstring_bytes(q->consumer_tag ? q->consumer_tag : ""),
		.exclusive = q->exclusive,
	};
	int r = arguments_to_amqp(c, &q->arguments, q->has_priority ? ARGUMENT_PRIORITY : NULL, &priority,
				  &m.arguments);

	return r < 0 ? r : connection_send(c, channel, AMQP_BASIC_CONSUME_METHOD, &m);
}

int request_cancel(struct connection *c, uint16_t channel, const char *consumer_tag) {
	amqp_basic_cancel_t m = {.consumer_tag = amqp_cstring_bytes(consumer_tag)};

	return connection_send(c, channel, AMQP_BASIC_CANCEL_METHOD, &m);
}

int request_ack(struct connection *c, uint16_t channel, uint64_t delivery_tag, bool multiple) {
	amqp_basic_ack_t m = {.delivery_tag = delivery_tag, .multiple = multiple};

	return connection_send(c, channel, AMQP_BASIC_ACK_METHOD, &m);
}

int request_settle(struct connection *c, uint16_t channel, uint64_t delivery_tag, enum verdict verdict) {
	amqp_basic_reject_t reject = {.delivery_tag = delivery_tag, .requeue = 1};
	amqp_basic_reject_t discard = {.delivery_tag = delivery_tag};
	amqp_basic_nack_t nack = {.delivery_tag = delivery_tag, .requeue = 1};

	switch (verdict) {
	case VERDICT_REQUEUE:
		return connection_send(c, channel, AMQP_BASIC_REJECT_METHOD, &reject);
	case VERDICT_REJECT:
		return connection_send(c, channel, AMQP_BASIC_REJECT_METHOD, &discard);
	case VERDICT_NONE:
	case VERDICT_ACK:
	case VERDICT_RETURN:
		break;
	}
	assert(verdict == VERDICT_RETURN);
	return connection_send(c, channel, AMQP_BASIC_NACK_METHOD, &nack);
}

int request_confirm(struct connection *c, uint16_t channel) {
	amqp_confirm_select_t m = {0};

	return connection_send(c, channel, AMQP_CONFIRM_SELECT_METHOD, &m);
}

int request_publish(struct connection *c, uint16_t channel, const char *exchange, const char *routing_key) {
	amqp_basic_publish_t m = {
		.exchange = amqp_cstring_bytes(exchange),
		.routing_key = amqp_cstring_bytes(routing_key),
		.mandatory = 1,
	};

	return connection_send(c, channel, AMQP_BASIC_PUBLISH_METHOD, &m);
}

static amqp_table_entry_t text_argument(const char *name, const char *value) {
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t number_argument(const char *name, uint64_t value) {
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = (int64_t)value}};
}

int request_delay_queue(struct connection *c, uint16_t channel, const char *name, uint64_t delay_usec,
			enum config_queue_type type, const char *target) {
	uint64_t ttl = delay_usec / USEC_PER_MSEC;
	uint64_t expires = 2 * ttl + EXPIRES_MORE_MSEC;
	bool quorum = type == CONFIG_QUEUE_QUORUM;
	amqp_table_entry_t arguments[7] = {
		number_argument("x-message-ttl", ttl),
		text_argument("x-dead-letter-exchange", ""),
		text_argument("x-dead-letter-routing-key", target),
		/* Said in any case: a virtual host may have another type as its default. */
		text_argument(ARGUMENT_QUEUE_TYPE, quorum ? "quorum" : "classic"),
	};
	amqp_queue_declare_t m = {
		.queue = amqp_cstring_bytes(name),
		.durable = 1,
		.arguments = {.num_entries = 4, .entries = arguments},
	};
	amqp_table_t *t = &m.arguments;

	/* A quorum queue must not expire: to declare it again does not put that off, and the messages in it would go too. */
	if (quorum) {
		t->entries[t->num_entries++] = text_argument("x-dead-letter-strategy", "at-least-once");
		t->entries[t->num_entries++] = text_argument("x-overflow", "reject-publish");
		/* Not where we are connected, which is where the work queue is led that we have declared: RabbitMQ 3.10 may hand on
		 * nothing any more when the leaders of both die together. */
		t->entries[t->num_entries++] = text_argument("x-queue-leader-locator", "balanced");
	} else {
		t->entries[t->num_entries++] =
			number_argument("x-expires", expires < EXPIRES_MAX_MSEC ? expires : EXPIRES_MAX_MSEC);
	}
	return connection_send(c, channel, AMQP_QUEUE_DECLARE_METHOD, &m);
}

static bool too_long(const char *s) {
	return s && strlen(s) > SHORT_STRING_MAX;
}

const char *request_too_long(const struct config_queue *q) {
	if (too_long(q->name))
		return "the name of the queue";
	if (too_long(q->consumer_tag))
		return "the consumer tag";
	for (size_t i = 0; i < q->n_bindings; i++) {
		const struct config_binding *b = &q->bindings[i];

		if (too_long(b->exchange))
			return "the name of an exchange";
		if (too_long(b->exchange_type))
			return "the type of an exchange";
		for (char **key = b->routing_keys; *key; key++)
			if (too_long(*key))
				return "a routing key";
	}
	return NULL;
}

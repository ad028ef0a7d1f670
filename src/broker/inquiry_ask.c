/* SPDX-License-Identifier: MIT */
/* The questions of inquiry.h as requests. */
#include <errno.h>
#include <string.h>

#include "broker/error.h"
#include "broker/inquiry_private.h"
#include "broker/request.h"
#include "broker/table.h"

/* An argument that no broker takes, as it is no number. RabbitMQ looks at permissions first, then at the type of a
 * queue, and then at this one, the first of all. */
#define QUEUE_TRAP "x-expires"
/* Of an exchange: the name of another one, which this is not. */
#define EXCHANGE_TRAP "alternate-exchange"
#define CONSUME_TRAP "x-priority"
#define QUEUE_TYPE "x-queue-type"
#define DEAD_LETTER_EXCHANGE "x-dead-letter-exchange"
/* Makes it a binding that nobody has. */
#define BINDING_MARK "x-amqp-execctl-check"
#define NOTHING "asked by amqp-execctl check"

int inquiry_queue(struct inquiry *i, const char *queue, struct inquiry_answer *ret) {
	amqp_queue_declare_t m = {.queue = amqp_cstring_bytes(queue), .passive = 1, .arguments = amqp_empty_table};
	int r = inquiry_begin(i, false, ret);

	if (r < 0)
		return r;
	r = connection_send(inquiry_connection(i), INQUIRY_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &m);
	return inquiry_finish(i, r, AMQP_QUEUE_DECLARE_OK_METHOD, ret);
}

int inquiry_exchange(struct inquiry *i, const char *exchange, struct inquiry_answer *ret) {
	const struct config_binding b = {.exchange = (char *)exchange};
	int r = inquiry_begin(i, false, ret);

	if (r < 0)
		return r;
	r = request_exchange(inquiry_connection(i), INQUIRY_CHANNEL, &b);
	return inquiry_finish(i, r, AMQP_EXCHANGE_DECLARE_OK_METHOD, ret);
}

int inquiry_same_queue(struct inquiry *i, const struct config_queue *q, struct inquiry_answer *ret) {
	int r = inquiry_begin(i, false, ret);

	if (r < 0)
		return r;
	r = request_queue(inquiry_connection(i), INQUIRY_CHANNEL, q);
	return inquiry_finish(i, r, AMQP_QUEUE_DECLARE_OK_METHOD, ret);
}

int inquiry_same_exchange(struct inquiry *i, const struct config_binding *b, struct inquiry_answer *ret) {
	int r = inquiry_begin(i, false, ret);

	if (r < 0)
		return r;
	r = request_exchange(inquiry_connection(i), INQUIRY_CHANNEL, b);
	return inquiry_finish(i, r, AMQP_EXCHANGE_DECLARE_OK_METHOD, ret);
}

int inquiry_same_delay(struct inquiry *i, const struct inquiry_delay *d, struct inquiry_answer *ret) {
	int r = inquiry_begin(i, false, ret);

	if (r < 0)
		return r;
	r = request_delay_queue(inquiry_connection(i), INQUIRY_CHANNEL, d->name, d->delay_usec, d->type, d->target);
	return inquiry_finish(i, r, AMQP_QUEUE_DECLARE_OK_METHOD, ret);
}

static int set_text(struct table *t, const char *name, const char *value) {
	return table_set_string(t, name, value, strlen(value));
}

/* A declaration that is refused for QUEUE_TRAP, if for nothing else. Takes the table's fields. */
static int declare_in_vain(struct inquiry *i, const struct config_queue *like, const struct table *arguments,
			   struct inquiry_answer *ret) {
	struct config_queue q = *like;
	int r = inquiry_begin(i, true, ret);

	if (r < 0)
		return r;
	q.declare.present = true;
	q.declare.arguments = *arguments;
	r = request_queue(inquiry_connection(i), INQUIRY_CHANNEL, &q);
	return inquiry_finish_refused(i, r, AMQP_QUEUE_DECLARE_OK_METHOD, "'" QUEUE_TRAP "'", ret);
}

int inquiry_may_declare_queue(struct inquiry *i, const struct config_queue *q, struct inquiry_answer *ret) {
	CLEANUP(table_clear) struct table t = {0};
	int r = table_copy(&q->declare.arguments, &t);

	*ret = (struct inquiry_answer){0};
	if (r == 0)
		r = set_text(&t, QUEUE_TRAP, NOTHING);
	return r < 0 ? r : declare_in_vain(i, q, &t, ret);
}

int inquiry_may_declare_delay(struct inquiry *i, const struct inquiry_delay *d, struct inquiry_answer *ret) {
	const struct config_queue q = {.name = (char *)d->name, .declare = {.durable = true}};
	CLEANUP(table_clear) struct table t = {0};
	int r = set_text(&t, DEAD_LETTER_EXCHANGE, "");

	*ret = (struct inquiry_answer){0};
	if (r == 0)
		r = set_text(&t, QUEUE_TYPE, d->type == CONFIG_QUEUE_QUORUM ? "quorum" : "classic");
	if (r == 0)
		r = set_text(&t, QUEUE_TRAP, NOTHING);
	return r < 0 ? r : declare_in_vain(i, &q, &t, ret);
}

int inquiry_may_declare_exchange(struct inquiry *i, const struct config_binding *b, struct inquiry_answer *ret) {
	amqp_table_entry_t trap = {.key = amqp_cstring_bytes(EXCHANGE_TRAP),
				   .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = 1}};
	amqp_exchange_declare_t m = {
		.exchange = amqp_cstring_bytes(b->exchange),
		.type = amqp_cstring_bytes(b->exchange_type),
		.durable = 1,
		.arguments = {.num_entries = 1, .entries = &trap},
	};
	int r = inquiry_begin(i, true, ret);

	if (r < 0)
		return r;
	r = connection_send(inquiry_connection(i), INQUIRY_CHANNEL, AMQP_EXCHANGE_DECLARE_METHOD, &m);
	return inquiry_finish_refused(i, r, AMQP_EXCHANGE_DECLARE_OK_METHOD, "'" EXCHANGE_TRAP "'", ret);
}

int inquiry_may_consume(struct inquiry *i, const char *queue, struct inquiry_answer *ret) {
	amqp_table_entry_t trap = {.key = amqp_cstring_bytes(CONSUME_TRAP),
				   .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(NOTHING)}};
	amqp_basic_consume_t m = {
		.queue = amqp_cstring_bytes(queue),
		.arguments = {.num_entries = 1, .entries = &trap},
	};
	int r = inquiry_begin(i, true, ret);

	if (r < 0)
		return r;
	r = connection_send(inquiry_connection(i), INQUIRY_CHANNEL, AMQP_BASIC_CONSUME_METHOD, &m);
	return inquiry_finish_refused(i, r, AMQP_BASIC_CONSUME_OK_METHOD, "'" CONSUME_TRAP "'", ret);
}

/* To unbind needs what to bind needs, and there is nothing to unbind, which is no error. */
int inquiry_may_bind(struct inquiry *i, const char *queue, const struct config_binding *b, const char *routing_key,
		     struct inquiry_answer *ret) {
	CLEANUP(table_clear) struct table t = {0};
	amqp_queue_unbind_t m = {
		.queue = amqp_cstring_bytes(queue),
		.exchange = amqp_cstring_bytes(b->exchange),
		.routing_key = amqp_cstring_bytes(routing_key),
	};
	struct connection *c = inquiry_connection(i);
	int r = table_copy(&b->arguments, &t);

	*ret = (struct inquiry_answer){0};
	if (r == 0)
		r = set_text(&t, BINDING_MARK, NOTHING);
	if (r == 0)
		r = inquiry_begin(i, true, ret);
	if (r == 0)
		r = table_to_amqp(&t, &c->pool, &m.arguments);
	if (r < 0)
		return r;
	r = connection_send(c, INQUIRY_CHANNEL, AMQP_QUEUE_UNBIND_METHOD, &m);
	return inquiry_finish(i, r, AMQP_QUEUE_UNBIND_OK_METHOD, ret);
}

static int send_empty_message(struct connection *c, const char *exchange, const char *routing_key) {
	amqp_basic_properties_t properties = {0};
	amqp_frame_t header = {
		.frame_type = AMQP_FRAME_HEADER,
		.channel = INQUIRY_CHANNEL,
		.payload.properties = {.class_id = AMQP_BASIC_CLASS, .body_size = 0, .decoded = &properties},
	};
	int r = request_publish(c, INQUIRY_CHANNEL, exchange, routing_key);
	int status = r < 0 ? AMQP_STATUS_OK : amqp_send_frame(c->state, &header);

	return status < 0 ? connection_fail(c, "%s", error_from_status(status)) : r;
}

/* In a transaction that is rolled back: the broker looks at permissions at once, and at the message never. */
int inquiry_may_publish(struct inquiry *i, const char *exchange, const char *routing_key, struct inquiry_answer *ret) {
	struct connection *c = inquiry_connection(i);
	amqp_tx_select_t select = {0};
	amqp_tx_rollback_t rollback = {0};
	int r = inquiry_begin(i, true, ret);

	if (r < 0)
		return r;
	r = connection_send(c, INQUIRY_CHANNEL, AMQP_TX_SELECT_METHOD, &select);
	r = inquiry_finish(i, r, AMQP_TX_SELECT_OK_METHOD, ret);
	if (r < 0 || ret->code)
		return r;
	r = send_empty_message(c, exchange, routing_key);
	if (r == 0)
		r = connection_send(c, INQUIRY_CHANNEL, AMQP_TX_ROLLBACK_METHOD, &rollback);
	return inquiry_finish(i, r, AMQP_TX_ROLLBACK_OK_METHOD, ret);
}

/* SPDX-License-Identifier: MIT */
#include "broker/assembler.h"

#include <assert.h>
#include <errno.h>

#include "broker/table.h"

/* The only steps there are; from everywhere back to idle when the message is complete or dropped. */
static void assembler_set_state(struct assembler *a, enum assembler_state state) {
	assert(state == ASSEMBLER_IDLE || (state == ASSEMBLER_HEADER && a->state == ASSEMBLER_IDLE) ||
	       (state == ASSEMBLER_BODY && a->state == ASSEMBLER_HEADER));
	a->state = state;
}

void assembler_reset(struct assembler *a) {
	a->message = message_free(a->message);
	a->remaining = 0;
	assembler_set_state(a, ASSEMBLER_IDLE);
}

static int text_from_amqp(const amqp_bytes_t *from, struct text *to) {
	return text_set(to, from->bytes, from->len);
}

static int feed_deliver(struct assembler *a, const amqp_basic_deliver_t *d) {
	CLEANUP(message_free) struct message *m = NULL;
	int r = message_new(&m);

	if (r < 0)
		return r;
	r = text_from_amqp(&d->exchange, &m->exchange);
	if (r == 0)
		r = text_from_amqp(&d->routing_key, &m->routing_key);
	if (r == 0)
		r = text_from_amqp(&d->consumer_tag, &m->consumer_tag);
	if (r < 0)
		message_drop_body(m, BODY_UNSTORABLE, -r);
	m->delivery_tag = d->delivery_tag;
	m->redelivered = d->redelivered;
	a->message = TAKE(m);
	assembler_set_state(a, ASSEMBLER_HEADER);
	return 0;
}

static int copy_properties(const amqp_basic_properties_t *from, struct properties *to) {
	const struct {
		amqp_flags_t flag;
		const amqp_bytes_t *from;
		struct text *to;
	} texts[] = {
		{AMQP_BASIC_CONTENT_TYPE_FLAG, &from->content_type, &to->content_type},
		{AMQP_BASIC_CONTENT_ENCODING_FLAG, &from->content_encoding, &to->content_encoding},
		{AMQP_BASIC_CORRELATION_ID_FLAG, &from->correlation_id, &to->correlation_id},
		{AMQP_BASIC_REPLY_TO_FLAG, &from->reply_to, &to->reply_to},
		{AMQP_BASIC_EXPIRATION_FLAG, &from->expiration, &to->expiration},
		{AMQP_BASIC_MESSAGE_ID_FLAG, &from->message_id, &to->message_id},
		{AMQP_BASIC_TYPE_FLAG, &from->type, &to->type},
		{AMQP_BASIC_USER_ID_FLAG, &from->user_id, &to->user_id},
		{AMQP_BASIC_APP_ID_FLAG, &from->app_id, &to->app_id},
		{AMQP_BASIC_CLUSTER_ID_FLAG, &from->cluster_id, &to->cluster_id},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		if (from->_flags & texts[i].flag)
			r = text_from_amqp(texts[i].from, texts[i].to);
	if (r == 0 && from->_flags & AMQP_BASIC_HEADERS_FLAG) {
		to->has_headers = true;
		r = table_from_amqp(&from->headers, &to->headers);
	}
	if (r < 0)
		return r;
	to->has_timestamp = from->_flags & AMQP_BASIC_TIMESTAMP_FLAG;
	to->timestamp = to->has_timestamp ? from->timestamp : 0;
	to->has_delivery_mode = from->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG;
	to->delivery_mode = to->has_delivery_mode ? from->delivery_mode : 0;
	to->has_priority = from->_flags & AMQP_BASIC_PRIORITY_FLAG;
	to->priority = to->has_priority ? from->priority : 0;
	return 0;
}

static void feed_header(struct assembler *a, const amqp_frame_t *frame) {
	struct message *m = a->message;
	uint64_t size = frame->payload.properties.body_size;
	int r = copy_properties(frame->payload.properties.decoded, &m->properties);

	if (r < 0)
		message_drop_body(m, BODY_UNSTORABLE, -r);
	if (size > a->max_message_size)
		message_drop_body(m, BODY_TOO_LARGE, 0);
	if (m->body_state == BODY_COMPLETE) {
		r = message_reserve_body(m, size);
		if (r < 0)
			message_drop_body(m, BODY_UNSTORABLE, -r);
	}
	m->body_size = size;
	a->remaining = size;
	assembler_set_state(a, ASSEMBLER_BODY);
}

static void feed_body(struct assembler *a, const amqp_bytes_t *piece) {
	struct message *m = a->message;
	int r;

	if (m->body_state == BODY_COMPLETE) {
		r = message_append_body(m, piece->bytes, piece->len);
		if (r < 0)
			message_drop_body(m, BODY_UNSTORABLE, -r);
	}
	a->remaining -= piece->len;
}

static struct message *complete(struct assembler *a, uint64_t now_usec) {
	struct message *m = TAKE(a->message);
	int r;

	if (m->body_state == BODY_COMPLETE) {
		r = message_finish_body(m);
		if (r < 0)
			message_drop_body(m, BODY_UNSTORABLE, -r);
	}
	m->received_usec = now_usec;
	assembler_set_state(a, ASSEMBLER_IDLE);
	return m;
}

/* Why the frame cannot come now, or NULL. */
static const char *frame_misplaced(const struct assembler *a, const amqp_frame_t *frame) {
	switch (frame->frame_type) {
	case AMQP_FRAME_METHOD:
		if (a->state != ASSEMBLER_IDLE)
			return "the broker sent a method inside a message";
		if (frame->payload.method.id != AMQP_BASIC_DELIVER_METHOD)
			return "the broker sent a method that does not start a message";
		return NULL;
	case AMQP_FRAME_HEADER:
		if (a->state != ASSEMBLER_HEADER)
			return "the broker sent a header where none belongs";
		if (frame->payload.properties.class_id != AMQP_BASIC_CLASS)
			return "the broker sent a header of another class than basic";
		return NULL;
	case AMQP_FRAME_BODY:
		if (a->state != ASSEMBLER_BODY)
			return "the broker sent a body without a header";
		if (frame->payload.body_fragment.len > a->remaining)
			return "the broker sent more of a body than its header announced";
		return NULL;
	default:
		return "the broker sent a frame of an unknown type";
	}
}

int assembler_feed(struct assembler *a, const amqp_frame_t *frame, uint64_t now_usec, struct message **ret,
		   const char **ret_reason) {
	const char *reason = frame_misplaced(a, frame);
	int r = 0;

	if (reason) {
		*ret_reason = reason;
		return -EPROTO;
	}
	if (frame->frame_type == AMQP_FRAME_METHOD)
		r = feed_deliver(a, frame->payload.method.decoded);
	else if (frame->frame_type == AMQP_FRAME_HEADER)
		feed_header(a, frame);
	else
		feed_body(a, &frame->payload.body_fragment);
	if (r < 0) {
		*ret_reason = "a message cannot be stored";
		return r;
	}
	*ret = a->state == ASSEMBLER_BODY && a->remaining == 0 ? complete(a, now_usec) : NULL;
	return 0;
}

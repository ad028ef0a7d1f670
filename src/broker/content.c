/* SPDX-License-Identifier: MIT */
#include "broker/content.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/error.h"
#include "broker/request.h"
#include "broker/table.h"

#define SHORT_STRING_MAX 255
/* Of a frame: type, channel, size and end; of a header frame besides the properties: class, weight, body size. */
#define FRAME_OVERHEAD 8U
#define HEADER_OVERHEAD 12U
/* Most messages' properties are smaller, and no frame may be: AMQP's least frame_max is 4096. */
#define MOST_HEADERS 2048

static amqp_bytes_t text_to_amqp(const struct text *t) {
	return (amqp_bytes_t){.len = t->len, .bytes = t->data};
}

/* The library's form; its arrays are in `pool`, its texts point into `from`. As table_to_amqp; -EMSGSIZE: a text is too
 * long. */
static int properties_to_amqp(const struct properties *from, amqp_pool_t *pool, amqp_basic_properties_t *ret) {
	amqp_basic_properties_t to = {0};
	const struct {
		amqp_flags_t flag;
		const struct text *from;
		amqp_bytes_t *to;
	} texts[] = {
		{AMQP_BASIC_CONTENT_TYPE_FLAG, &from->content_type, &to.content_type},
		{AMQP_BASIC_CONTENT_ENCODING_FLAG, &from->content_encoding, &to.content_encoding},
		{AMQP_BASIC_CORRELATION_ID_FLAG, &from->correlation_id, &to.correlation_id},
		{AMQP_BASIC_REPLY_TO_FLAG, &from->reply_to, &to.reply_to},
		{AMQP_BASIC_EXPIRATION_FLAG, &from->expiration, &to.expiration},
		{AMQP_BASIC_MESSAGE_ID_FLAG, &from->message_id, &to.message_id},
		{AMQP_BASIC_TYPE_FLAG, &from->type, &to.type},
		{AMQP_BASIC_USER_ID_FLAG, &from->user_id, &to.user_id},
		{AMQP_BASIC_APP_ID_FLAG, &from->app_id, &to.app_id},
		{AMQP_BASIC_CLUSTER_ID_FLAG, &from->cluster_id, &to.cluster_id},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (!texts[i].from->data)
			continue;
		if (texts[i].from->len > SHORT_STRING_MAX)
			return -EMSGSIZE;
		to._flags |= texts[i].flag;
		*texts[i].to = text_to_amqp(texts[i].from);
	}
	to._flags |= from->has_headers ? AMQP_BASIC_HEADERS_FLAG : 0;
	to._flags |= from->has_timestamp ? AMQP_BASIC_TIMESTAMP_FLAG : 0;
	to._flags |= from->has_delivery_mode ? AMQP_BASIC_DELIVERY_MODE_FLAG : 0;
	to._flags |= from->has_priority ? AMQP_BASIC_PRIORITY_FLAG : 0;
	to.timestamp = from->timestamp;
	to.delivery_mode = from->delivery_mode;
	to.priority = from->priority;
	*ret = to;
	return from->has_headers ? table_to_amqp(&from->headers, pool, &ret->headers) : 0;
}

static bool too_long(const char *s) {
	return s && strlen(s) > SHORT_STRING_MAX;
}

static const char *name_too_long(const struct job *j) {
	if (too_long(j->exchange))
		return "the name of the exchange";
	if (too_long(j->routing_key))
		return "the routing key";
	if (too_long(j->delay_target))
		return "the name of the queue";
	return NULL;
}

/* The size of the header frame, by encoding it once. -EMSGSIZE: larger than may be sent. */
static int check_header(struct connection *c, amqp_basic_properties_t *properties) {
	char most[MOST_HEADERS];
	amqp_bytes_t buffer = {.len = sizeof(most), .bytes = most};

	if (amqp_encode_properties(AMQP_BASIC_CLASS, properties, buffer) >= 0)
		return 0;
	buffer.len = c->frame_max - FRAME_OVERHEAD - HEADER_OVERHEAD;
	buffer.bytes = amqp_pool_alloc(&c->pool, buffer.len);
	if (!buffer.bytes)
		return -ENOMEM;
	return amqp_encode_properties(AMQP_BASIC_CLASS, properties, buffer) < 0 ? -EMSGSIZE : 0;
}

int content_check(struct connection *c, const struct job *j, char *reason, size_t reason_size) {
	const char *name = name_too_long(j);
	amqp_basic_properties_t properties;
	int r;

	if (name) {
		(void)snprintf(reason, reason_size, "%s is longer than 255 bytes", name);
		return -EMSGSIZE;
	}
	if (j->message->body_state != BODY_COMPLETE) {
		(void)snprintf(reason, reason_size, "its body is not complete");
		return -EMSGSIZE;
	}
	r = properties_to_amqp(&j->message->properties, &c->pool, &properties);
	if (r == -EMSGSIZE || r == -EINVAL) {
		(void)snprintf(reason, reason_size, "%s is longer than 255 bytes",
			       r == -EINVAL ? "the name of a header" : "a property");
	} else if (r == 0) {
		r = check_header(c, &properties);
		(void)snprintf(reason, reason_size,
			       "its properties and headers are larger than a frame may be (%u bytes)", c->frame_max);
	} else if (r == -ELOOP) {
		(void)snprintf(reason, reason_size, "its headers are nested too deeply");
	}
	if (r == -ENOMEM)
		(void)snprintf(reason, reason_size, "out of memory");
	recycle_amqp_pool(&c->pool);
	return r < 0 ? -EMSGSIZE : 0;
}

static int send_frame(struct connection *c, const amqp_frame_t *frame) {
	int status;

	if (!c->up)
		return -ECONNABORTED;
	link_busy_connected(c->link, c->heartbeat);
	status = amqp_send_frame(c->state, frame);
	return status < 0 ? connection_fail(c, "%s", error_from_status(status)) : 0;
}

int content_begin(struct connection *c, uint16_t channel, struct job *j) {
	amqp_basic_properties_t properties;
	amqp_frame_t frame = {
		.frame_type = AMQP_FRAME_HEADER,
		.channel = channel,
		.payload.properties = {.class_id = AMQP_BASIC_CLASS,
				       .body_size = j->message->body_size,
				       .decoded = &properties},
	};
	int r = request_publish(c, channel, j->exchange, j->routing_key);

	if (r == 0)
		r = properties_to_amqp(&j->message->properties, &c->pool, &properties);
	if (r == 0)
		r = send_frame(c, &frame);
	recycle_amqp_pool(&c->pool);
	/* In the middle of a message there is no way back. */
	return r < 0 && c->up ? connection_fail(c, "a message cannot be sent: %s", strerror(-r)) : r;
}

/* The next piece of the body, in buf or where it is. */
static int read_piece(const struct job *j, char *buf, size_t len, void **ret) {
	const struct message *m = j->message;
	size_t done = 0;

	if (m->body_fd < 0) {
		*ret = m->body + j->offset;
		return 0;
	}
	while (done < len) {
		ssize_t n = pread(m->body_fd, buf + done, len - done, (off_t)(j->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	*ret = buf;
	return 0;
}

int content_continue(struct connection *c, uint16_t channel, struct job *j) {
	uint64_t left = content_left(j);
	size_t len = left < CONTENT_PIECE ? (size_t)left : CONTENT_PIECE;
	amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY, .channel = channel};
	char buf[CONTENT_PIECE];
	int r;

	if (len > c->frame_max - FRAME_OVERHEAD)
		len = c->frame_max - FRAME_OVERHEAD;
	r = read_piece(j, buf, len, &frame.payload.body_fragment.bytes);
	if (r < 0)
		return connection_fail(c, "a message cannot be read: %s", strerror(-r));
	frame.payload.body_fragment.len = len;
	/* Even if this fails the broker may have it: what was handed over cannot be taken back. */
	j->offset += len;
	return send_frame(c, &frame);
}

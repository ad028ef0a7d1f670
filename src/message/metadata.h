/* SPDX-License-Identifier: MIT */
/* What a handler is told about its message in JSON. All of it begins with the two objects that rabbitmq-cli-consumer gave its
 * handlers, in its exact form:
 *
 *     {"properties":{"application_headers":null,"content_type":"",...},"delivery_info":{"message_count":0,...}
 *
 * with every key always present, in this order: application_headers (null when absent), content_type, content_encoding ("" when
 * absent), delivery_mode, priority (0 when absent), correlation_id, reply_to, expiration, message_id, timestamp
 * ("0001-01-01T00:00:00Z" when absent, or later than the year 9999), type, user_id, app_id; message_count (0), consumer_tag,
 * delivery_tag, redelivered, exchange, routing_key. Values of headers: message/gojson.h. Each function appends to b, and gives
 * -ENOMEM, with b's content not to be trusted. */
#pragma once

#include "base/strbuf.h"
#include "message/message.h"

/* The two objects, and the end: {"properties":{...},"delivery_info":{...}}. No newline. */
int metadata_append_object(const struct message *m, struct strbuf *b);

/* The line that a worker reads before the body: {"properties":{...},"delivery_info":{...},"queue":"..","attempt":N,"body_size":N},
 * with null for an unknown attempt (0), and a newline, the only one. */
int metadata_append_line(const char *queue, const struct message *m, unsigned attempt, struct strbuf *b);

/* The beginning of an object whose last value is the body: everything up to the quote that opens it. `"}` ends it. */
int metadata_begin_argument(const struct message *m, struct strbuf *b); /* ...,"body":" */
/* ...,"queue":"..","attempt":N,"body_size":N,"body_encoding":"..","body":" */
int metadata_begin_input(const char *queue, const struct message *m, unsigned attempt, const char *body_encoding,
			 struct strbuf *b);

/* SPDX-License-Identifier: MIT */
#include "ctl/message_line.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/base64.h"
#include "base/strbuf.h"
#include "ctl/text.h"
#include "message/headers.h"

#define SHORT_STRING_MAX 255

static json_t *member(json_t *object, const char *name) {
	json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

/* A short string of AMQP. */
static int read_text(json_t *value, const char *name, bool as_name, struct text *ret, char **ret_why) {
	if (!json_is_string(value))
		return text_fail(-EINVAL, ret_why, "%s is not a string", name);
	if (json_string_length(value) > SHORT_STRING_MAX)
		return text_fail(-EINVAL, ret_why, "%s is longer than 255 bytes", name);
	if (as_name && strlen(json_string_value(value)) != json_string_length(value))
		return text_fail(-EINVAL, ret_why, "%s holds a NUL", name);
	return text_set(ret, json_string_value(value), json_string_length(value));
}

static int read_number(json_t *value, const char *name, uint64_t max, uint64_t *ret, char **ret_why) {
	if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
		return text_fail(-EINVAL, ret_why, "%s is not a number from 0 to %ju", name, (uintmax_t)max);
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int read_numeric(json_t *value, const char *name, struct properties *p, char **ret_why) {
	uint64_t n = 0;
	int r;

	if (strcmp(name, "timestamp") == 0) {
		r = read_number(value, name, INT64_MAX, &p->timestamp, ret_why);
		p->has_timestamp = true;
		return r;
	}
	r = read_number(value, name, UINT8_MAX, &n, ret_why);
	if (r < 0)
		return r;
	if (strcmp(name, "priority") == 0) {
		p->priority = (uint8_t)n;
		p->has_priority = true;
	} else {
		if (n != 1 && n != 2)
			return text_fail(-EINVAL, ret_why, "delivery_mode is neither 1 (transient) nor 2 (persistent)");
		p->delivery_mode = (uint8_t)n;
		p->has_delivery_mode = true;
	}
	return 0;
}

static int read_property(const char *name, json_t *value, struct properties *p, char **ret_why) {
	const struct {
		const char *name;
		struct text *to;
	} texts[] = {
		{"content_type", &p->content_type},
		{"content_encoding", &p->content_encoding},
		{"correlation_id", &p->correlation_id},
		{"reply_to", &p->reply_to},
		{"expiration", &p->expiration},
		{"message_id", &p->message_id},
		{"type", &p->type},
		{"user_id", &p->user_id},
		{"app_id", &p->app_id},
		{"cluster_id", &p->cluster_id},
	};

	if (json_is_null(value))
		return 0;
	/* The broker would close the channel, on which others are. */
	if (strcmp(name, "expiration") == 0 && json_is_string(value) &&
	    (json_string_length(value) == 0 || json_string_length(value) > 10 ||
	     strspn(json_string_value(value), "0123456789") != json_string_length(value)))
		return text_fail(-EINVAL, ret_why, "expiration is not a string of digits: milliseconds");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i].name, name) == 0)
			return read_text(value, name, false, texts[i].to, ret_why);
	if (strcmp(name, "timestamp") == 0 || strcmp(name, "priority") == 0 || strcmp(name, "delivery_mode") == 0)
		return read_numeric(value, name, p, ret_why);
	return text_fail(-EINVAL, ret_why, "there is no property \"%s\"", name);
}

static int read_properties(json_t *object, struct properties *p, char **ret_why) {
	json_t *properties = member(object, "properties"), *headers = member(object, "headers");
	const char *why = NULL;
	int r = 0;

	if (properties && !json_is_object(properties))
		return text_fail(-EINVAL, ret_why, "properties are not an object");
	for (void *i = json_object_iter(properties); r == 0 && i; i = json_object_iter_next(properties, i))
		r = read_property(json_object_iter_key(i), json_object_iter_value(i), p, ret_why);
	if (r < 0 || !headers)
		return r;
	p->has_headers = true;
	r = headers_from_json(headers, &p->headers, &why);
	return r == -EINVAL ? text_fail(-EINVAL, ret_why, "%s", why) : r;
}

int message_line_set_body(struct message *m, const void *data, size_t len) {
	int r = message_reserve_body(m, len);

	if (r == 0 && len > 0)
		r = message_append_body(m, data, len);
	return r < 0 ? r : message_finish_body(m);
}

static int read_body(json_t *object, struct message *m, char **ret_why) {
	json_t *text = member(object, "body"), *base64 = member(object, "body_base64");
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	int r;

	if (text && base64)
		return text_fail(-EINVAL, ret_why, "it has both a body and a body_base64");
	if (!text && !base64)
		return text_fail(-EINVAL, ret_why, "it has neither a body nor a body_base64");
	if (!json_is_string(text ? text : base64))
		return text_fail(-EINVAL, ret_why, "the body is not a string");
	if (text)
		return message_line_set_body(m, json_string_value(text), json_string_length(text));
	r = base64_decode(&b, json_string_value(base64), json_string_length(base64));
	if (r == -EINVAL)
		return text_fail(-EINVAL, ret_why, "body_base64 is not base64");
	return r < 0 ? r : message_line_set_body(m, b.data, b.len);
}

static int read_object(json_t *object, struct message *m, char **ret_why) {
	json_t *exchange = member(object, "exchange"), *key = member(object, "routing_key");
	int r = 0;

	if (!json_is_object(object))
		return text_fail(-EINVAL, ret_why, "it is not an object");
	if (exchange)
		r = read_text(exchange, "exchange", true, &m->exchange, ret_why);
	if (r == 0 && key)
		r = read_text(key, "routing_key", true, &m->routing_key, ret_why);
	if (r == 0)
		r = read_properties(object, &m->properties, ret_why);
	return r < 0 ? r : read_body(object, m, ret_why);
}

int message_line_parse(const char *line, size_t len, struct message **ret, char **ret_why) {
	CLEANUP(message_free) struct message *m = NULL;
	json_error_t error;
	json_t *object;
	int r = message_new(&m);

	if (r < 0)
		return r;
	object = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!object)
		return json_error_code(&error) == json_error_out_of_memory
			       ? -ENOMEM
			       : text_fail(-EINVAL, ret_why, "no JSON: %s (at byte %d)", error.text, error.position);
	r = read_object(object, m, ret_why);
	json_decref(object);
	if (r == 0)
		*ret = TAKE(m);
	return r;
}

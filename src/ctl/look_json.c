/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/base64.h"
#include "base/strbuf.h"
#include "ctl/look_private.h"
#include "message/headers.h"

/* A character of UTF-8 has at most this many bytes after its first one. */
#define REST_MAX 3

int look_body_open(const struct message *m, struct look_body *ret) {
	void *map;

	if (m->body_fd < 0) {
		*ret = (struct look_body){.data = m->body ? m->body : "", .len = m->body ? (size_t)m->body_size : 0};
		return 0;
	}
	map = mmap(NULL, (size_t)m->body_size, PROT_READ, MAP_PRIVATE, m->body_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = (struct look_body){.data = map, .len = (size_t)m->body_size, .map = map};
	return 0;
}

void look_body_clear(struct look_body *b) {
	if (b->map)
		(void)munmap(b->map, b->len);
	*b = (struct look_body){0};
}

/* Each function below takes what it adds; NULL, for a lack of memory, stays one: the object is given up by the caller.
 */
static int put(json_t *object, const char *name, json_t *value) {
	return value && json_object_set_new(object, name, value) == 0 ? 0 : -ENOMEM;
}

/* Text that should be UTF-8. What is not is escaped as in the log. */
static json_t *new_text(const struct text *t) {
	CLEANUP(strbuf_free) struct strbuf escaped = STRBUF_INIT;
	json_t *value;

	if (!t || !t->data)
		return json_null();
	value = json_stringn(t->data, t->len);
	if (value)
		return value;
	strbuf_append_escaped(&escaped, t->data, t->len);
	return escaped.failed ? NULL : json_stringn(strbuf_str(&escaped), escaped.len);
}

static int put_property(json_t *object, const char *name, const struct text *t) {
	return t->data ? put(object, name, new_text(t)) : 0;
}

static int put_time(json_t *object, const char *name, uint64_t seconds) {
	char text[64] = "";
	time_t t = (time_t)seconds;
	struct tm tm;

	/* A year of more than four digits was never meant. */
	if (seconds > 0 && seconds < UINT64_C(253402300800) && gmtime_r(&t, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return put(object, name, *text ? json_string(text) : json_null());
}

static json_t *new_properties(const struct properties *p) {
	const struct {
		const char *name;
		const struct text *text;
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
	};
	json_t *o = json_object();
	int r = o ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = put_property(o, texts[i].name, texts[i].text);
	if (r == 0 && p->has_delivery_mode)
		r = put(o, "delivery_mode", json_integer(p->delivery_mode));
	if (r == 0 && p->has_priority)
		r = put(o, "priority", json_integer(p->priority));
	if (r == 0 && p->has_timestamp)
		r = put(o, "timestamp", json_integer((json_int_t)p->timestamp));
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

static int put_exit_status(json_t *o, const struct letter *l) {
	int64_t status;

	return put(o, "exit_status",
		   l->exit_status && field_get_i64(l->exit_status, &status) == 0 ? json_integer(status) : json_null());
}

static json_t *new_death(const struct letter *l) {
	json_t *o;
	int r;

	if (l->by == LETTER_NOBODY)
		return json_null();
	o = json_object();
	r = o ? put(o, "by", json_string(letter_by_to_string(l->by))) : -ENOMEM;
	if (r == 0)
		r = put(o, "queue", new_text(l->queue));
	if (r == 0)
		r = put(o, "exchange", new_text(l->exchange));
	if (r == 0)
		r = put(o, "routing_key", new_text(l->routing_key));
	if (r == 0)
		r = put(o, "reason", new_text(l->reason));
	if (r == 0)
		r = put(o, "attempts", l->attempts > 0 ? json_integer((json_int_t)l->attempts) : json_null());
	if (r == 0)
		r = put_exit_status(o, l);
	if (r == 0)
		r = put(o, "signal", new_text(l->signal));
	if (r == 0)
		r = put(o, "stderr", new_text(l->error));
	if (r == 0)
		r = put(o, "host", new_text(l->host));
	if (r == 0)
		r = put_time(o, "first", l->first_sec);
	if (r == 0)
		r = put_time(o, "last", l->last_sec);
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

/* Text if it is some, without a NUL, which not every program can take. Where it was cut it may have been cut in the
 * middle of a character. */
static json_t *new_body_text(const struct look_body *body, size_t len) {
	json_t *value = NULL;

	if (memchr(body->data, '\0', len))
		return NULL;
	for (size_t cut = 0; !value && cut <= len && cut <= (len < body->len ? REST_MAX : 0); cut++)
		value = json_stringn(body->data, len - cut);
	return value;
}

static int put_body(json_t *o, const struct message *m, uint64_t body_max) {
	CLEANUP(look_body_clear) struct look_body body = {0};
	CLEANUP(strbuf_free) struct strbuf encoded = STRBUF_INIT;
	json_t *text;
	size_t len;
	int r = look_body_open(m, &body);

	if (r < 0)
		return r;
	len = body.len < body_max ? body.len : (size_t)body_max;
	r = put(o, "body_size", json_integer((json_int_t)m->body_size));
	if (r == 0 && len < m->body_size)
		r = put(o, "body_truncated", json_true());
	if (r < 0)
		return r;
	text = new_body_text(&body, len);
	if (text)
		return put(o, "body", text);
	base64_append(&encoded, body.data, len);
	return encoded.failed ? -ENOMEM
			      : put(o, "body_base64", json_stringn_nocheck(strbuf_str(&encoded), encoded.len));
}

static int append_to_buffer(const char *data, size_t len, void *b) {
	strbuf_append(b, data, len);
	return 0;
}

int look_json(const struct message *m, const struct letter *l, uint64_t body_max, struct strbuf *b) {
	json_t *o = json_object(), *headers = NULL;
	int r = o ? put(o, "exchange", new_text(&m->exchange)) : -ENOMEM;

	if (r == 0)
		r = put(o, "routing_key", new_text(&m->routing_key));
	if (r == 0)
		r = put(o, "properties", new_properties(&m->properties));
	if (r == 0)
		r = headers_to_json(&m->properties.headers, &headers);
	if (r == 0)
		r = put(o, "headers", headers);
	if (r == 0)
		r = put(o, "redelivered", json_boolean(m->redelivered));
	if (r == 0)
		r = put(o, "death", new_death(l));
	if (r == 0)
		r = put_body(o, m, body_max);
	if (r == 0 && json_dump_callback(o, append_to_buffer, b, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
		r = -ENOMEM;
	strbuf_append_char(b, '\n');
	json_decref(o);
	return r == 0 && b->failed ? -ENOMEM : r;
}

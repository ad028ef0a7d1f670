/* SPDX-License-Identifier: MIT */
#include "delivery/answer.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "message/json.h"

#define APP_ID "amqp-execd"
#define PERSISTENT 2

static int set_string(struct text *t, const char *s) {
	return s ? text_set(t, s, strlen(s)) : 0;
}

static int copy_text(struct text *to, const struct text *from) {
	return from->data ? text_set(to, from->data, from->len) : 0;
}

/* What every answer has. */
static int set_properties(struct message *m, const struct message *origin, const char *content_type, uint64_t now_sec) {
	struct properties *p = &m->properties;
	int r = copy_text(&p->correlation_id, &origin->properties.correlation_id);

	p->has_timestamp = true;
	p->timestamp = now_sec;
	if (r == 0)
		r = set_string(&p->content_type, content_type);
	return r < 0 ? r : set_string(&p->app_id, APP_ID);
}

int answer_reply(struct message *m, const struct message *request, const char *content_type, uint64_t now_sec) {
	m->properties.has_delivery_mode = request->properties.has_delivery_mode;
	m->properties.delivery_mode = request->properties.delivery_mode;
	return set_properties(m, request, content_type, now_sec);
}

int answer_forward(struct message *m, const struct message *origin, const char *content_type, uint64_t now_sec) {
	int r = copy_text(&m->properties.message_id, &origin->properties.message_id);

	m->properties.has_delivery_mode = true;
	m->properties.delivery_mode = PERSISTENT;
	return r < 0 ? r : set_properties(m, origin, content_type, now_sec);
}

static bool is_utf8(const char *text, size_t len) {
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_sequence(p + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

/* JSON has no bytes, only text. */
static void append_as_text(struct strbuf *b, const struct tail *tail) {
	const char *line = tail->data, *end;

	if (is_utf8(tail->data, tail->len)) {
		strbuf_append(b, line, tail->len);
		return;
	}
	end = line + tail->len;
	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		strbuf_append_escaped(b, line, (size_t)(newline - line));
		strbuf_append_char(b, '\n');
		line = newline + 1;
	}
}

/* A field that is another one's value, or null if there is none. */
static int set_from_header(struct table *t, const char *name, const struct table *headers, const char *header) {
	const struct field *from = table_find(headers, header);
	struct field *to;
	int r;

	if (from && from->kind == FIELD_STRING)
		return table_set_string(t, name, from->text.data, from->text.len);
	r = table_set(t, name, &to);
	if (r == 0 && from) {
		to->kind = from->kind;
		to->i = from->i;
	}
	return r;
}

static int format_body(const struct table *headers, const struct copy_reason *why, struct strbuf *b) {
	CLEANUP(strbuf_free) struct strbuf lines = STRBUF_INIT;
	struct field object = {.kind = FIELD_TABLE};
	struct table *t = &object.table;
	int r = set_from_header(t, "error", headers, HEADER_REASON);

	append_as_text(&lines, why->tail);
	if (r == 0)
		r = set_from_header(t, "exit_status", headers, HEADER_EXIT_STATUS);
	if (r == 0)
		r = set_from_header(t, "signal", headers, HEADER_SIGNAL);
	if (r == 0)
		r = table_set_i32(t, "attempts", why->attempts < INT32_MAX ? (int32_t)why->attempts : INT32_MAX);
	if (r == 0)
		r = table_set_string(t, "stderr", strbuf_str(&lines), lines.len);
	if (r == 0)
		r = json_append_field(&object, b);
	table_clear(t);
	return lines.failed ? -ENOMEM : r;
}

int answer_error(const struct message *request, const struct copy_reason *why, struct message **ret) {
	CLEANUP(message_free) struct message *m = NULL;
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	int r = message_new(&m);

	if (r < 0)
		return r;
	m->properties.has_headers = true;
	r = copy_set_result(&m->properties.headers, why);
	if (r == 0)
		r = set_string(&m->properties.type, "error");
	if (r == 0)
		r = answer_reply(m, request, "application/json", why->now_sec);
	if (r == 0)
		r = format_body(&m->properties.headers, why, &body);
	if (r == 0)
		r = message_reserve_body(m, body.len);
	if (r == 0)
		r = message_append_body(m, strbuf_str(&body), body.len);
	if (r == 0)
		r = message_finish_body(m);
	if (r < 0)
		return r;
	*ret = TAKE(m);
	return 0;
}

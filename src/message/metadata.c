/* SPDX-License-Identifier: MIT */
#include "message/metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "message/gojson.h"

/* Go's zero time. */
#define NO_TIME "\"0001-01-01T00:00:00Z\""

static void append_text(const char *key, const struct text *value, struct strbuf *b) {
	strbuf_printf(b, ",\"%s\":", key);
	gojson_append_string(b, value->data, value->len);
}

static int append_properties(const struct properties *p, struct strbuf *b) {
	int r = 0;

	strbuf_append_str(b, "{\"properties\":{\"application_headers\":");
	if (p->has_headers)
		r = gojson_append_table(b, &p->headers);
	else
		strbuf_append_str(b, "null");
	append_text("content_type", &p->content_type, b);
	append_text("content_encoding", &p->content_encoding, b);
	strbuf_printf(b, ",\"delivery_mode\":%u,\"priority\":%u", p->has_delivery_mode ? p->delivery_mode : 0,
		      p->has_priority ? p->priority : 0);
	append_text("correlation_id", &p->correlation_id, b);
	append_text("reply_to", &p->reply_to, b);
	append_text("expiration", &p->expiration, b);
	append_text("message_id", &p->message_id, b);
	strbuf_append_str(b, ",\"timestamp\":");
	if (p->has_timestamp)
		gojson_append_time(b, p->timestamp, NO_TIME);
	else
		strbuf_append_str(b, NO_TIME);
	append_text("type", &p->type, b);
	append_text("user_id", &p->user_id, b);
	append_text("app_id", &p->app_id, b);
	strbuf_append_char(b, '}');
	return r;
}

static void append_delivery(const struct message *m, struct strbuf *b) {
	strbuf_append_str(b, ",\"delivery_info\":{\"message_count\":0");
	append_text("consumer_tag", &m->consumer_tag, b);
	strbuf_printf(b, ",\"delivery_tag\":%" PRIu64 ",\"redelivered\":%s", m->delivery_tag,
		      m->redelivered ? "true" : "false");
	append_text("exchange", &m->exchange, b);
	append_text("routing_key", &m->routing_key, b);
	strbuf_append_char(b, '}');
}

static int begin(const struct message *m, struct strbuf *b) {
	int r = append_properties(&m->properties, b);

	if (r == 0)
		append_delivery(m, b);
	return r;
}

/* What the other program did not tell. */
static int begin_ours(const char *queue, const struct message *m, unsigned attempt, struct strbuf *b) {
	int r = begin(m, b);

	if (r < 0)
		return r;
	strbuf_append_str(b, ",\"queue\":");
	gojson_append_string(b, queue, strlen(queue));
	strbuf_append_str(b, ",\"attempt\":");
	if (attempt > 0)
		strbuf_printf(b, "%u", attempt);
	else
		strbuf_append_str(b, "null");
	strbuf_printf(b, ",\"body_size\":%" PRIu64, m->body_size);
	return 0;
}

/* The last piece. */
static int end(int r, const char *text, struct strbuf *b) {
	if (r < 0)
		return r;
	strbuf_append_str(b, text);
	return b->failed ? -ENOMEM : 0;
}

int metadata_append_object(const struct message *m, struct strbuf *b) {
	return end(begin(m, b), "}", b);
}

int metadata_append_line(const char *queue, const struct message *m, unsigned attempt, struct strbuf *b) {
	return end(begin_ours(queue, m, attempt, b), "}\n", b);
}

int metadata_begin_argument(const struct message *m, struct strbuf *b) {
	return end(begin(m, b), ",\"body\":\"", b);
}

int metadata_begin_input(const char *queue, const struct message *m, unsigned attempt, const char *body_encoding,
			 struct strbuf *b) {
	int r = begin_ours(queue, m, attempt, b);

	if (r == 0)
		strbuf_printf(b, ",\"body_encoding\":\"%s\"", body_encoding);
	return end(r, ",\"body\":\"", b);
}

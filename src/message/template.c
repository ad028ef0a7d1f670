/* SPDX-License-Identifier: MIT */
#include "message/template.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "header:"

enum name {
	NAME_QUEUE,
	NAME_EXCHANGE,
	NAME_ROUTING_KEY,
	NAME_CONSUMER_TAG,
	NAME_DELIVERY_TAG,
	NAME_REDELIVERED,
	NAME_ATTEMPT,
	NAME_BODY_SIZE,
	NAME_CONTENT_TYPE,
	NAME_CONTENT_ENCODING,
	NAME_DELIVERY_MODE,
	NAME_PRIORITY,
	NAME_CORRELATION_ID,
	NAME_REPLY_TO,
	NAME_EXPIRATION,
	NAME_MESSAGE_ID,
	NAME_TIMESTAMP,
	NAME_TYPE,
	NAME_USER_ID,
	NAME_APP_ID,
	NAME_END,
	NAME_LITERAL, /* no name: the part is text as it stands */
	NAME_HEADER,
};

const char *const template_names[] = {
	[NAME_QUEUE] = "queue",
	[NAME_EXCHANGE] = "exchange",
	[NAME_ROUTING_KEY] = "routing_key",
	[NAME_CONSUMER_TAG] = "consumer_tag",
	[NAME_DELIVERY_TAG] = "delivery_tag",
	[NAME_REDELIVERED] = "redelivered",
	[NAME_ATTEMPT] = "attempt",
	[NAME_BODY_SIZE] = "body_size",
	[NAME_CONTENT_TYPE] = "content_type",
	[NAME_CONTENT_ENCODING] = "content_encoding",
	[NAME_DELIVERY_MODE] = "delivery_mode",
	[NAME_PRIORITY] = "priority",
	[NAME_CORRELATION_ID] = "correlation_id",
	[NAME_REPLY_TO] = "reply_to",
	[NAME_EXPIRATION] = "expiration",
	[NAME_MESSAGE_ID] = "message_id",
	[NAME_TIMESTAMP] = "timestamp",
	[NAME_TYPE] = "type",
	[NAME_USER_ID] = "user_id",
	[NAME_APP_ID] = "app_id",
	[NAME_END] = NULL,
};

/* --- parsing ----------------------------------------------------------------------------------------------------- */

void template_clear(struct template *t) {
	for (size_t i = 0; i < t->n; i++)
		text_clear(&t->parts[i].text);
	free(t->parts);
	*t = (struct template){0};
}

static int add_part(struct template *t, enum name name, const char *text, size_t len) {
	struct template_part *parts = reallocarray(t->parts, t->n + 1, sizeof(*parts));
	struct template_part part = {.name = (int)name};

	if (!parts)
		return -ENOMEM;
	t->parts = parts;
	if (text && text_set(&part.text, text, len) < 0)
		return -ENOMEM;
	parts[t->n++] = part;
	return 0;
}

/* Turns the text that was gathered between two names into a part. */
static int end_literal(struct template *t, struct strbuf *literal) {
	int r;

	if (literal->failed)
		return -ENOMEM;
	if (literal->len == 0)
		return 0;
	r = add_part(t, NAME_LITERAL, literal->data, literal->len);
	strbuf_reset(literal);
	return r;
}

static int fail(struct template_error *error, size_t offset, const char *text) {
	error->offset = offset;
	error->name[0] = '\0';
	(void)snprintf(error->text, sizeof(error->text), "%s", text);
	return -EINVAL;
}

static int fail_unknown(struct template_error *error, size_t offset, const char *name, size_t len) {
	error->offset = offset;
	(void)snprintf(error->name, sizeof(error->name), "%.*s", (int)(len < sizeof(error->name) ? len : sizeof(error->name)),
		       name);
	(void)snprintf(error->text, sizeof(error->text), "there is no value \"%s\"", error->name);
	return -EINVAL;
}

static enum name find_name(const char *name, size_t len) {
	int i = 0;

	while (template_names[i] && (strlen(template_names[i]) != len || memcmp(template_names[i], name, len) != 0))
		i++;
	return (enum name)i;
}

/* The name of len bytes in "%{NAME}" at `offset`. */
static int parse_name(struct template *t, const char *name, size_t len, size_t offset, struct template_error *error) {
	size_t prefix = strlen(HEADER);
	enum name found;

	if (len == 0)
		return fail(error, offset, "%{} names no value");
	if (len >= prefix && memcmp(name, HEADER, prefix) == 0) {
		if (len == prefix)
			return fail(error, offset, "%{header:} names no header");
		return add_part(t, NAME_HEADER, name + prefix, len - prefix);
	}
	found = find_name(name, len);
	return found == NAME_END ? fail_unknown(error, offset, name, len) : add_part(t, found, NULL, 0);
}

int template_parse(const char *text, struct template *ret, struct template_error *error) {
	CLEANUP(template_clear) struct template t = {0};
	CLEANUP(strbuf_free) struct strbuf literal = STRBUF_INIT;
	struct template_error ignored;
	const char *p = text, *end;
	int r;

	if (!error)
		error = &ignored;
	while (*p) {
		size_t n = strcspn(p, "%");

		strbuf_append(&literal, p, n);
		p += n;
		if (*p == '\0')
			break;
		if (p[1] == '%') {
			strbuf_append_char(&literal, '%');
			p += 2;
			continue;
		}
		if (p[1] != '{')
			return fail(error, (size_t)(p - text), "% must be followed by {NAME}, or by % for a percent sign");
		end = strchr(p, '}');
		if (!end)
			return fail(error, (size_t)(p - text), "%{ is not closed by }");
		r = end_literal(&t, &literal);
		if (r == 0)
			r = parse_name(&t, p + 2, (size_t)(end - p) - 2, (size_t)(p - text), error);
		if (r < 0)
			return r;
		p = end + 1;
	}
	r = end_literal(&t, &literal);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct template){0};
	return 0;
}

bool template_is_constant(const struct template *t) {
	return t->n == 0 || (t->n == 1 && t->parts[0].name == NAME_LITERAL);
}

/* --- expanding --------------------------------------------------------------------------------------------------- */

static void append_text(const struct text *t, struct strbuf *b) {
	strbuf_append(b, t->data, t->len);
}

static void append_number(bool present, uint64_t value, struct strbuf *b) {
	if (present)
		strbuf_printf(b, "%" PRIu64, value);
}

/* What the delivery says; false if `name` is not about it. */
static bool append_delivery(enum name name, const struct template_input *in, struct strbuf *b) {
	const struct message *m = in->message;

	switch (name) {
	case NAME_QUEUE:
		strbuf_append_str(b, in->queue);
		return true;
	case NAME_EXCHANGE:
		append_text(&m->exchange, b);
		return true;
	case NAME_ROUTING_KEY:
		append_text(&m->routing_key, b);
		return true;
	case NAME_CONSUMER_TAG:
		append_text(&m->consumer_tag, b);
		return true;
	case NAME_DELIVERY_TAG:
		append_number(true, m->delivery_tag, b);
		return true;
	case NAME_REDELIVERED:
		strbuf_append_str(b, m->redelivered ? "true" : "false");
		return true;
	case NAME_ATTEMPT:
		append_number(in->attempt > 0, in->attempt, b);
		return true;
	case NAME_BODY_SIZE:
		append_number(true, m->body_size, b);
		return true;
	default:
		return false;
	}
}

static void append_property(enum name name, const struct properties *p, struct strbuf *b) {
	const struct text *const texts[NAME_END] = {
		[NAME_CONTENT_TYPE] = &p->content_type,
		[NAME_CONTENT_ENCODING] = &p->content_encoding,
		[NAME_CORRELATION_ID] = &p->correlation_id,
		[NAME_REPLY_TO] = &p->reply_to,
		[NAME_EXPIRATION] = &p->expiration,
		[NAME_MESSAGE_ID] = &p->message_id,
		[NAME_TYPE] = &p->type,
		[NAME_USER_ID] = &p->user_id,
		[NAME_APP_ID] = &p->app_id,
	};

	if (name == NAME_DELIVERY_MODE)
		append_number(p->has_delivery_mode, p->delivery_mode, b);
	else if (name == NAME_PRIORITY)
		append_number(p->has_priority, p->priority, b);
	else if (name == NAME_TIMESTAMP)
		append_number(p->has_timestamp, p->timestamp, b);
	else if (texts[name])
		append_text(texts[name], b);
}

static int append_part(const struct template_part *part, const struct template_input *in, struct strbuf *b) {
	enum name name = (enum name)part->name;
	const struct properties *p = &in->message->properties;
	const struct field *header;

	if (name == NAME_LITERAL) {
		append_text(&part->text, b);
	} else if (name == NAME_HEADER) {
		header = p->has_headers ? table_find(&p->headers, part->text.data) : NULL;
		if (header)
			return field_format(header, b);
	} else if (!append_delivery(name, in, b)) {
		append_property(name, p, b);
	}
	return b->failed ? -ENOMEM : 0;
}

int template_expand(const struct template *t, const struct template_input *in, size_t max, struct strbuf *b) {
	size_t before = b->len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		size_t start = b->len;

		r = append_part(t->parts + i, in, b);
		if (r == 0 && b->len > start && memchr(b->data + start, '\0', b->len - start))
			r = -EILSEQ;
		else if (r == 0 && b->len - before > max)
			r = -E2BIG;
	}
	if (r < 0 && b->data) {
		b->len = before;
		b->data[before] = '\0';
	}
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "ctl/letter.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "message/marks.h"

#define SHORT_STRING_MAX 255

static const struct text *get_text(const struct table *t, const char *name) {
	const struct field *f = table_find(t, name);

	return f && f->kind == FIELD_STRING ? &f->text : NULL;
}

/* What can be the name of a queue or an exchange, or a routing key. */
static const struct text *get_name(const struct table *t, const char *name) {
	const struct text *text = get_text(t, name);

	return text && text->len <= SHORT_STRING_MAX ? text : NULL;
}

static uint64_t get_number(const struct table *t, const char *name) {
	const struct field *f = table_find(t, name);
	int64_t n;

	return f && field_get_i64(f, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

static uint64_t get_time(const struct table *t, const char *name) {
	const struct field *f = table_find(t, name);

	return f && f->kind == FIELD_TIMESTAMP ? f->u : 0;
}

static bool same(const struct text *a, const struct text *b) {
	return a && b && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool is(const struct text *t, const char *s) {
	return t && t->len == strlen(s) && memcmp(t->data, s, t->len) == 0;
}

static void read_ours(const struct table *h, struct letter *l) {
	l->by = LETTER_DAEMON;
	l->queue = get_name(h, HEADER_QUEUE);
	l->exchange = get_name(h, HEADER_EXCHANGE);
	l->routing_key = get_name(h, HEADER_ROUTING_KEY);
	l->reason = get_text(h, HEADER_REASON);
	l->host = get_text(h, HEADER_HOST);
	l->signal = get_text(h, HEADER_SIGNAL);
	l->error = get_text(h, HEADER_STDERR);
	l->exit_status = table_find(h, HEADER_EXIT_STATUS);
	l->attempts = get_number(h, HEADER_ATTEMPTS);
	l->first_sec = get_time(h, HEADER_FIRST_FAILURE);
	l->last_sec = get_time(h, HEADER_LAST_FAILURE);
}

/* The last death that the broker has noted. */
static const struct table *last_death(const struct table *h) {
	const struct field *f = table_find(h, HEADER_DEATH);

	if (!f || f->kind != FIELD_ARRAY || f->table.n == 0 || f->table.fields[0].kind != FIELD_TABLE)
		return NULL;
	return &f->table.fields[0].table;
}

/* Where the message came into the queue by its name, as from a delay queue or from a replay, the daemon's headers may
 * say how it was published first (as copy_restore of delivery/copy.c has it). */
static void read_first_way(const struct table *h, struct letter *l) {
	const struct text *exchange = get_name(h, HEADER_EXCHANGE), *routing_key = get_name(h, HEADER_ROUTING_KEY);

	if (!is(l->exchange, "") || !same(l->routing_key, l->queue))
		return;
	if (exchange && routing_key && table_find(h, HEADER_ATTEMPTS)) {
		l->exchange = exchange;
		l->routing_key = routing_key;
	}
}

static void read_death(const struct table *h, const struct table *death, struct letter *l) {
	const struct field *keys = table_find(death, "routing-keys");

	/* Of the same queue the headers of its copies tell more. */
	if (l->by != LETTER_DAEMON || !same(get_name(death, "queue"), l->queue))
		*l = (struct letter){.attempts = get_number(death, "count")};
	l->by = LETTER_BROKER;
	l->queue = get_name(death, "queue");
	l->exchange = get_name(death, "exchange");
	l->routing_key = NULL;
	if (keys && keys->kind == FIELD_ARRAY && keys->table.n > 0 && keys->table.fields[0].kind == FIELD_STRING &&
	    keys->table.fields[0].text.len <= SHORT_STRING_MAX)
		l->routing_key = &keys->table.fields[0].text;
	read_first_way(h, l);
	l->reason = get_text(death, "reason");
	l->last_sec = get_time(death, "time");
	if (l->first_sec == 0)
		l->first_sec = l->last_sec;
}

void letter_read(const struct message *m, struct letter *ret) {
	const struct table *h = &m->properties.headers, *death = last_death(h);
	const struct text *reason = death ? get_text(death, "reason") : NULL;

	*ret = (struct letter){0};
	if (get_name(h, HEADER_QUEUE) && table_find(h, HEADER_ATTEMPTS))
		read_ours(h, ret);
	/* Where a consumer has had it, and gave it up. Without that, copies of the daemon that have only waited
	 * somewhere since (a delay queue, a queue whose messages expire) came from where their own headers say. */
	if (death && (ret->by == LETTER_NOBODY || is(reason, "rejected") || is(reason, "delivery_limit")))
		read_death(h, death, ret);
	ret->count = get_number(h, HEADER_DELIVERY_COUNT);
	ret->counted = table_find(h, HEADER_DELIVERY_COUNT);
}

uint64_t letter_time(const struct letter *l, const struct message *m) {
	if (l->last_sec > 0)
		return l->last_sec;
	return m->properties.has_timestamp ? m->properties.timestamp : 0;
}

const char *letter_last_line(const struct letter *l, size_t *ret_len) {
	size_t end = l->error ? l->error->len : 0, begin;

	while (end > 0 && strchr(" \t\r\n", l->error->data[end - 1]))
		end--;
	for (begin = end; begin > 0 && l->error->data[begin - 1] != '\n';)
		begin--;
	*ret_len = end - begin;
	return end > begin ? l->error->data + begin : "";
}

static bool is_dropped(const struct field *f) {
	return marks_is_local(f) || marks_is_history(f);
}

/* How it was published first, for the daemon (delivery/copy.c). */
static int tell_origin(struct table *h, const char *queue, const struct text *exchange,
		       const struct text *routing_key) {
	int r;

	if (!exchange->data || !routing_key->data || (exchange->len == 0 && is(routing_key, queue)))
		return 0;
	r = table_set_i32(h, HEADER_ATTEMPTS, 0);
	if (r == 0)
		r = table_set_string(h, HEADER_EXCHANGE, exchange->data, exchange->len);
	return r < 0 ? r : table_set_string(h, HEADER_ROUTING_KEY, routing_key->data, routing_key->len);
}

int letter_renew(struct message *m, const char *queue, const char *user) {
	CLEANUP(text_clear) struct text exchange = {0}, routing_key = {0};
	struct properties *p = &m->properties;
	size_t before = p->headers.n;
	struct letter l;
	int r = 0;

	letter_read(m, &l);
	/* Of a message that died somewhere else this says nothing. */
	if (queue && is(l.queue, queue)) {
		if (l.exchange)
			r = text_set(&exchange, l.exchange->data, l.exchange->len);
		if (r == 0 && l.routing_key)
			r = text_set(&routing_key, l.routing_key->data, l.routing_key->len);
	}
	table_remove_if(&p->headers, is_dropped);
	if (r == 0 && queue)
		r = tell_origin(&p->headers, queue, &exchange, &routing_key);
	if (r == 0 && p->user_id.data && !is(&p->user_id, user)) {
		r = table_set_string(&p->headers, HEADER_USER_ID, p->user_id.data, p->user_id.len);
		text_clear(&p->user_id);
	}
	/* Where all headers were the broker's and ours, there were none at first. */
	if (p->headers.n > 0 || before > 0)
		p->has_headers = p->headers.n > 0;
	return r;
}

const char *letter_by_to_string(enum letter_by by) {
	static const char *const names[] = {
		[LETTER_NOBODY] = "nobody",
		[LETTER_DAEMON] = "amqp-execd",
		[LETTER_BROKER] = "broker",
	};

	return names[by];
}

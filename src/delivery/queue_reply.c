/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "delivery/answer.h"

/* What a name in AMQP can have. */
#define NAME_MAX_BYTES 255

int queue_reply_init(struct queue *q) {
	const struct config_forward *f = &q->config->forward;
	int r;

	if (!f->present)
		return 0;
	r = template_parse(f->exchange, &q->forward_exchange, NULL);
	return r < 0 ? r : template_parse(f->routing_key, &q->forward_routing_key, NULL);
}

void queue_reply_clear(struct queue *q) {
	template_clear(&q->forward_exchange);
	template_clear(&q->forward_routing_key);
}

static bool reply_is_wanted(const struct queue *q, const struct delivery *d) {
	return q->config->reply.present && d->message->properties.reply_to.len > 0;
}

/* The names go to the broker as strings, which a NUL ends. */
static bool has_nul(const struct text *t) {
	return memchr(t->data, '\0', t->len) != NULL;
}

bool queue_reply_wanted(const struct queue *q, const struct delivery *d) {
	return q->config->forward.present || reply_is_wanted(q, d);
}

/* What the handler wrote, for one of those who get it; the last one gets the original. -errno. */
static int take_output(struct delivery *d, bool last, struct message **ret) {
	CLEANUP(message_free) struct message *m = NULL;
	int r;

	if (last) {
		*ret = TAKE(d->output);
		return 0;
	}
	r = message_new(&m);
	if (r == 0)
		r = message_copy_body(m, d->output);
	if (r < 0)
		return r;
	*ret = TAKE(m);
	return 0;
}

/* NULL: no memory. */
static struct publication *make_reply(const struct queue *q, const struct delivery *d, struct message *m) {
	struct publication *p;

	if (publication_new(&p) < 0) {
		message_free(m);
		return NULL;
	}
	p->lane = q->reply_lane;
	p->exchange = strdup("");
	p->routing_key = strdup(d->message->properties.reply_to.data);
	p->message = m;
	return p;
}

static struct publication *make_forward(const struct queue *q, struct message *m, struct strbuf *exchange, struct strbuf *routing_key) {
	struct publication *p;

	if (publication_new(&p) < 0) {
		message_free(m);
		return NULL;
	}
	p->lane = q->forward_lane;
	(void)strbuf_take(exchange, &p->exchange);
	(void)strbuf_take(routing_key, &p->routing_key);
	p->message = m;
	return p;
}

/* A name that the message makes impossible is like output that is too large: not the broker's fault, and the same each time. */
static int expand(const struct queue *q, struct delivery *d, const struct template *t, const char *key, struct strbuf *b) {
	const struct template_input in = {.queue = q->config->name, .message = d->message, .attempt = d->attempt};
	int r = template_expand(t, &in, NAME_MAX_BYTES, b);

	if (r == -E2BIG)
		delivery_note(d, "forward.%s is longer than %d bytes", key, NAME_MAX_BYTES);
	else if (r == -EILSEQ)
		delivery_note(d, "forward.%s has a NUL byte", key);
	else if (r < 0)
		delivery_note(d, "forward.%s cannot be expanded: %s", key, strerror(-r));
	return r;
}

/* Whether all names can be published to. If not, d->outcome is what comes of that. */
static bool make_names(const struct queue *q, struct delivery *d, struct strbuf *exchange, struct strbuf *routing_key) {
	int r = 0;

	if (q->config->forward.present) {
		r = expand(q, d, &q->forward_exchange, "exchange", exchange);
		if (r == 0)
			r = expand(q, d, &q->forward_routing_key, "routing_key", routing_key);
	}
	if (r == 0 && reply_is_wanted(q, d) && has_nul(&d->message->properties.reply_to)) {
		delivery_note(d, "reply_to has a NUL byte");
		r = -EILSEQ;
	}
	if (r < 0)
		d->outcome = r == -ENOMEM ? OUTCOME_REQUEUE : q->config->outcomes.on_large_output;
	return r == 0;
}

bool queue_reply_publish(struct queue *q, struct delivery *d) {
	CLEANUP(strbuf_free) struct strbuf exchange = STRBUF_INIT;
	CLEANUP(strbuf_free) struct strbuf routing_key = STRBUF_INIT;
	bool forward = q->config->forward.present, reply = reply_is_wanted(q, d);
	uint64_t now_sec = (uint64_t)time(NULL);
	struct message *m = NULL;
	int r;

	if ((!reply && !forward) || !make_names(q, d, &exchange, &routing_key))
		return false;
	queue_publish_begin(q, d);
	if (reply) {
		r = take_output(d, !forward, &m);
		if (r == 0)
			r = answer_reply(m, d->message, q->config->reply.content_type, now_sec);
		queue_publish_add(q, d, ERRAND_REPLY, make_reply(q, d, TAKE(m)), r);
	}
	if (forward) {
		r = take_output(d, true, &m);
		if (r == 0)
			r = answer_forward(m, d->message, q->config->forward.content_type, now_sec);
		queue_publish_add(q, d, ERRAND_FORWARD, make_forward(q, TAKE(m), &exchange, &routing_key), r);
	}
	queue_publish_wait(q, d);
	return true;
}

bool queue_reply_error(struct queue *q, struct delivery *d) {
	struct copy_reason why = queue_copy_explain(q, d);
	struct message *m = NULL;
	int r;

	if (!q->config->reply.errors || !reply_is_wanted(q, d) || has_nul(&d->message->properties.reply_to))
		return false;
	queue_publish_begin(q, d);
	r = answer_error(d->message, &why, &m);
	queue_publish_add(q, d, ERRAND_ERROR, make_reply(q, d, m), r);
	queue_publish_wait(q, d);
	return true;
}

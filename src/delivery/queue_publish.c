/* SPDX-License-Identifier: MIT */
/* Errands: what is published on behalf of a delivery, and what follows when all of it is done. */
#include "delivery/queue_private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "delivery/report.h"

#define DIRECT_REPLY_PREFIX "amq.rabbitmq.reply-to."

static void set_trouble(struct queue *q, const char *trouble) {
	free(q->copy_trouble);
	q->copy_trouble = trouble ? strdup(trouble) : NULL;
}

static const char *errand_kind_to_string(enum errand_kind kind) {
	static const char *const names[] = {
		[ERRAND_COPY] = "the copy",
		[ERRAND_REPLY] = "the reply",
		[ERRAND_FORWARD] = "the forwarded output",
		[ERRAND_ERROR] = "the error reply",
	};

	return names[kind];
}

static const char *describe_failure(enum publish_result result) {
	switch (result) {
	case PUBLISH_RETURNED:
		return "was returned";
	case PUBLISH_REFUSED:
		return "was refused";
	case PUBLISH_UNCONFIRMED:
		return "was not confirmed";
	case PUBLISH_CONFIRMED:
	case PUBLISH_FAILED:
		break;
	}
	return "could not be published";
}

/* The original goes back: what was published instead or because of it is not at the broker, or nobody knows whether it is. */
static void failed(struct queue *q, struct delivery *d, const struct errand *e) {
	struct record_input in = queue_work_describe(q, d, "requeue");
	char reason[768], trouble[1024];

	snprintf(reason, sizeof(reason), "%s %s%s%s", errand_kind_to_string(e->kind), describe_failure(e->result),
		 e->reason ? ": " : "", e->reason ? e->reason : "");
	snprintf(trouble, sizeof(trouble), "%s: %s", e->target ? e->target : "?", reason);
	set_trouble(q, trouble);
	q->counters.copies_failed++;
	if (q->copy_failures < UINT_MAX)
		q->copy_failures++;
	if (d->lost) {
		queue_lost_end(q, d, LOST_FAILED);
		return;
	}
	in.event = LOG_EVENT_PUBLICATION_FAILED;
	in.result = delivery_result(d);
	in.delay_usec = queue_work_hold_usec(q, d);
	in.reason = reason;
	in.tail = &d->tail;
	queue_report_failure(q, &in);
	queue_work_hold(q, d, in.delay_usec);
}

/* The copy takes the place of the original. */
static void copied(struct queue *q, struct delivery *d) {
	struct record_input in = queue_work_describe(q, d, outcome_to_string(d->outcome));

	if (d->outcome == OUTCOME_RETRY)
		q->counters.retried++;
	else
		q->counters.rejected++;
	if (d->lost) {
		queue_lost_end(q, d, LOST_HANDLED);
		return;
	}
	in.result = delivery_result(d);
	in.delay_usec = d->delay_usec;
	in.reason = d->note;
	in.tail = &d->tail;
	queue_report_failure(q, &in);
	queue_work_settle(q, d, VERDICT_ACK);
}

/* Whoever wanted to know does, or is not there: it is the message's turn. */
static void answered(struct queue *q, struct delivery *d) {
	d->answered = true;
	for (unsigned i = 0; i < d->n_errands; i++) {
		const struct errand *e = &d->errands[i];
		bool gone = e->result == PUBLISH_RETURNED;

		q->counters.forwarded += e->kind == ERRAND_FORWARD;
		q->counters.replied += e->kind != ERRAND_FORWARD && !gone;
		q->counters.replies_unroutable += gone;
		if (gone && e->kind == ERRAND_REPLY) {
			d->outcome = q->config->reply.unroutable;
			delivery_note(d, "nobody is there to get the reply");
		}
	}
	if (d->lost)
		queue_lost_end(q, d, d->outcome == OUTCOME_ACK ? LOST_HANDLED : LOST_OPEN);
	else
		queue_work_decide(q, d);
}

/* Nobody who would get a reply is no failure: that is what reply.unroutable is about. */
static bool has_failed(const struct errand *e) {
	bool reply = e->kind == ERRAND_REPLY || e->kind == ERRAND_ERROR;

	return e->result != PUBLISH_CONFIRMED && !(reply && e->result == PUBLISH_RETURNED);
}

static bool is_answering(const struct delivery *d) {
	return d->errands[0].kind != ERRAND_COPY;
}

static void done(struct queue *q, struct delivery *d) {
	assert(d->n_errands > 0 && d->n_under_way == 0);
	q->n_answering -= is_answering(d);
	for (unsigned i = 0; i < d->n_errands; i++) {
		if (has_failed(&d->errands[i])) {
			failed(q, d, &d->errands[i]);
			return;
		}
	}
	set_trouble(q, NULL);
	q->copy_failures = 0;
	if (is_answering(d))
		answered(q, d);
	else
		copied(q, d);
}

static void on_done(struct publication *p, void *userdata) {
	struct errand *e = userdata;
	struct delivery *d = e->delivery;
	struct queue *q = d->queue;

	e->result = p->result == PUBLISH_RETURNED && e->blind ? PUBLISH_CONFIRMED : p->result;
	e->reason = TAKE(p->reason);
	if (e->kind == ERRAND_COPY) {
		d->message = TAKE(p->message);
		/* A thread that is stuck keeps it: nothing is left that could be settled. */
		if (!d->message)
			queue_lost_mark(q, d);
	}
	publication_free(p);
	if (--d->n_under_way > 0)
		return;
	done(q, d);
	queue_work_start(q);
	queue_check_stopped(q);
	queue_changed(q);
}

/* "QUEUE" for the default exchange, "EXCHANGE/ROUTING_KEY" for another. */
static char *describe_target(const struct publication *p) {
	char *text = NULL;

	if (asprintf(&text, "%s%s%s", p->exchange, p->exchange[0] ? "/" : "", p->routing_key) < 0)
		return NULL;
	return text;
}

/* RabbitMQ's direct reply-to: no queue, but a consumer somewhere. It hands the message on, and returns it all the same, because no queue
 * has got it. */
static bool is_direct(const char *routing_key) {
	return strncmp(routing_key, DIRECT_REPLY_PREFIX, strlen(DIRECT_REPLY_PREFIX)) == 0;
}

void queue_publish_begin(struct queue *q, struct delivery *d) {
	assert(q->publisher && d->n_under_way == 0);
	delivery_clear_errands(d);
	queue_work_move(q, d, DELIVERY_PUBLISHING);
}

static bool is_ready(const struct publication *p) {
	return p && p->exchange && p->routing_key && p->message && (p->delay_usec == 0 || p->delay_target);
}

void queue_publish_add(struct queue *q, struct delivery *d, enum errand_kind kind, struct publication *p, int error) {
	struct errand *e = &d->errands[d->n_errands];
	int r = error < 0 ? error : -ENOMEM;

	assert(d->n_errands < ERRANDS_MAX);
	d->n_errands++;
	*e = (struct errand){.delivery = d, .kind = kind, .result = PUBLISH_FAILED};
	if (error == 0 && is_ready(p)) {
		e->target = describe_target(p);
		e->blind = kind != ERRAND_COPY && kind != ERRAND_FORWARD && is_direct(p->routing_key);
		p->done = on_done;
		p->userdata = e;
		r = publisher_publish(q->publisher, p);
		if (r == 0) {
			d->n_under_way++;
			return;
		}
	}
	if (p && p->message && kind == ERRAND_COPY)
		d->message = TAKE(p->message);
	publication_free(p);
	e->reason = strdup(r == -ENOTCONN ? "the daemon stops" : strerror(-r));
}

void queue_publish_wait(struct queue *q, struct delivery *d) {
	q->n_answering += is_answering(d);
	if (d->n_under_way == 0)
		done(q, d);
}

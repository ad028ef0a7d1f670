/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "delivery/copy.h"
#include "delivery/report.h"
#include "delivery/retry.h"

static void set_trouble(struct queue *q, const char *trouble) {
	free(q->copy_trouble);
	q->copy_trouble = trouble ? strdup(trouble) : NULL;
}

/* The original goes back: the copy is not at the broker, or nobody knows whether it is. */
static void failed(struct queue *q, struct delivery *d, enum publish_result result, const char *why) {
	struct record_input in = queue_work_describe(q, d, "requeue");
	char reason[768];

	snprintf(reason, sizeof(reason), "the copy was %s%s%s", publish_result_to_string(result), why ? ": " : "", why ? why : "");
	set_trouble(q, reason);
	q->counters.copies_failed++;
	if (q->copy_failures < UINT_MAX)
		q->copy_failures++;
	if (d->lost) {
		queue_lost_end(q, d, false);
		return;
	}
	in.result = &d->result;
	in.delay_usec = queue_work_hold_usec(q, d);
	in.copy = d->copy;
	in.reason = reason;
	in.tail = &d->tail;
	report_message(&in);
	queue_work_hold(q, d, in.delay_usec);
}

static void confirmed(struct queue *q, struct delivery *d) {
	struct record_input in = queue_work_describe(q, d, outcome_to_string(d->outcome));

	set_trouble(q, NULL);
	q->copy_failures = 0;
	if (d->outcome == OUTCOME_RETRY)
		q->counters.retried++;
	else
		q->counters.rejected++;
	if (d->lost) {
		queue_lost_end(q, d, true);
		return;
	}
	in.result = &d->result;
	in.delay_usec = d->delay_usec;
	in.copy = d->copy;
	in.reason = d->note;
	in.tail = &d->tail;
	report_message(&in);
	queue_work_settle(q, d, VERDICT_ACK);
}

static void on_done(struct publication *p, void *userdata) {
	struct delivery *d = userdata;
	struct queue *q = d->queue;

	d->message = TAKE(p->message);
	/* A thread that is stuck keeps it: nothing is left that could be settled. */
	if (!d->message)
		queue_lost_mark(q, d);
	if (p->result == PUBLISH_CONFIRMED)
		confirmed(q, d);
	else
		failed(q, d, p->result, p->reason);
	publication_free(p);
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

/* Turns the message into its copy. */
static int prepare(struct queue *q, struct delivery *d) {
	struct copy_reason why = {.queue = q->config->name,
				  .attempt = d->attempt,
				  .now_sec = (uint64_t)time(NULL),
				  .result = &d->result,
				  .tail = &d->tail};
	char host[256];

	if (gethostname(host, sizeof(host)) < 0)
		snprintf(host, sizeof(host), "unknown");
	host[sizeof(host) - 1] = '\0';
	why.host = host;
	/* Before it changes, and before it is away: it may be lost meanwhile. */
	if (!d->has_fingerprint)
		d->has_fingerprint = results_identify(&q->results, d->message, &d->fingerprint);
	return copy_prepare(d->message, &why);
}

/* Publishes what is ready but for the message. Takes ownership of p, which may be NULL: no memory. */
static void publish(struct queue *q, struct delivery *d, struct publication *p, enum outcome outcome) {
	int r = -ENOMEM;

	assert(q->publisher);
	d->outcome = outcome;
	queue_work_move(q, d, DELIVERY_PUBLISHING);
	if (p && p->exchange && p->routing_key && (p->delay_usec == 0 || p->delay_target)) {
		d->copy = describe_target(p);
		r = prepare(q, d);
	}
	if (r == 0) {
		p->message = TAKE(d->message);
		p->done = on_done;
		p->userdata = d;
		r = publisher_publish(q->publisher, p);
		if (r == 0)
			return;
		d->message = TAKE(p->message);
	}
	publication_free(p);
	failed(q, d, PUBLISH_FAILED, r == -ENOTCONN ? "the daemon stops" : strerror(-r));
}

void queue_copy_retry(struct queue *q, struct delivery *d, uint64_t delay_usec) {
	const struct config_retry *policy = &q->config->retry;
	struct publication *p = NULL;
	char name[RETRY_NAME_MAX];

	retry_queue_name(q->config->name, policy->queue_type, delay_usec, name);
	d->delay_usec = delay_usec;
	if (publication_new(&p) == 0) {
		p->lane = q->retry_lane;
		p->exchange = strdup("");
		p->routing_key = strdup(name);
		p->delay_usec = delay_usec;
		p->delay_type = policy->queue_type;
		p->delay_target = strdup(q->config->name);
	}
	publish(q, d, p, OUTCOME_RETRY);
}

void queue_copy_dead_letter(struct queue *q, struct delivery *d) {
	const struct config_dead_letter *to = &q->config->dead_letter;
	struct publication *p = NULL;

	if (publication_new(&p) == 0) {
		p->lane = q->dead_letter_lane;
		p->exchange = strdup(to->exchange);
		/* A routing key is a short string, but one from outside: a NUL ends it here. */
		p->routing_key = strdup(to->routing_key ? to->routing_key : d->message->routing_key.data);
	}
	publish(q, d, p, OUTCOME_REJECT);
}

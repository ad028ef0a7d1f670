/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "delivery/copy.h"
#include "delivery/retry.h"

/* With this one, unless it does not count. An unknown number counts as none before. */
static unsigned attempts_so_far(const struct delivery *d) {
	unsigned attempt = d->attempt > 0 ? d->attempt : 1;

	return d->uncounted || d->refused ? attempt - 1 : attempt;
}

struct copy_reason queue_copy_explain(const struct queue *q, const struct delivery *d) {
	return (struct copy_reason){.queue = q->config->name,
				    .attempts = attempts_so_far(d),
				    .now_sec = (uint64_t)time(NULL),
				    .result = delivery_result(d),
				    .note = d->note,
				    .tail = &d->tail};
}

/* Turns the message into its copy. */
static int prepare(struct queue *q, struct delivery *d) {
	struct copy_reason why = queue_copy_explain(q, d);
	char host[256];

	if (gethostname(host, sizeof(host)) < 0)
		(void)snprintf(host, sizeof(host), "unknown");
	host[sizeof(host) - 1] = '\0';
	why.host = host;
	/* Before it changes, and before it is away: it may be lost meanwhile. */
	if (!d->has_fingerprint)
		d->has_fingerprint = results_identify(&q->results, d->message, &d->fingerprint);
	return copy_prepare(d->message, &why);
}

/* Publishes what is ready but for the message. Takes ownership of p, which may be NULL: no memory. */
static void publish(struct queue *q, struct delivery *d, struct publication *p) {
	int r = 0;

	queue_publish_begin(q, d);
	if (p)
		r = prepare(q, d);
	if (p && r == 0)
		p->message = TAKE(d->message);
	queue_publish_add(q, d, ERRAND_COPY, p, r);
	queue_publish_wait(q, d);
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
	publish(q, d, p);
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
	publish(q, d, p);
}

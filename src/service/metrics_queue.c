/* SPDX-License-Identifier: MIT */
#include "service/metrics_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/exposition.h"

static const char *const settlement_names[] = {
	[SETTLEMENT_ACK] = "ack",       [SETTLEMENT_REQUEUE] = "requeue", [SETTLEMENT_RETRY] = "retry",
	[SETTLEMENT_REJECT] = "reject", [SETTLEMENT_RETURN] = "return",
};

const char *settlement_to_string(enum settlement s) {
	return settlement_names[s];
}

static void add_statistics(struct metrics_queue *m, const struct statistics *s) {
	for (size_t i = 0; i < HANDLER_ENDS; i++)
		m->ends[i] += s->ends[i];
	for (size_t i = 0; i < PAUSE_CAUSES; i++)
		m->pauses[i] += s->pauses[i];
	m->start_failures += s->start_failures;
	histogram_add(&m->duration, &s->duration);
	histogram_add(&m->age, &s->age);
}

static void add(struct metrics_queue *m, const struct snapshot_queue *q) {
	const struct queue_view *v = &q->view;
	const struct queue_counters *c = &v->counters;

	m->deliveries += c->delivered;
	m->settlements[SETTLEMENT_ACK] += c->acked;
	m->settlements[SETTLEMENT_REQUEUE] += c->requeued;
	m->settlements[SETTLEMENT_RETRY] += c->retried;
	m->settlements[SETTLEMENT_REJECT] += c->rejected;
	m->settlements[SETTLEMENT_RETURN] += c->returned;
	m->stale += c->lost;
	m->copies_failed += c->copies_failed;
	m->replies += c->replied;
	m->unroutable += c->replies_unroutable;
	m->forwarded += c->forwarded;
	m->reused += c->reused;
	if (v->statistics)
		add_statistics(m, v->statistics);
	m->running += v->running;
	m->waiting += v->waiting;
	m->held += v->held;
	m->publishing += v->publishing;
	m->unacknowledged += v->unacknowledged;
	if (q->oldest_usec > m->oldest_usec)
		m->oldest_usec = q->oldest_usec;
}

static void begin(struct metrics_queue *m, const struct snapshot_queue *q, size_t at) {
	*m = (struct metrics_queue){
		.queue = q, .at = at, .max = q->concurrency, .prefetch = q->prefetch, .failures = q->view.failures};
	m->states[q->view.state] = 1;
	if (q->view.state == QUEUE_PAUSED)
		m->paused[q->view.cause] = 1;
}

/* A queue of the snapshot. */
struct place {
	const char *labels;                 /* borrowed */
	const struct snapshot_queue *queue; /* borrowed */
};

/* By labels, those that leave last. */
static int compare(const void *a, const void *b) {
	const struct place *x = a, *y = b;
	int order = strcmp(x->labels, y->labels);

	return order ? order : (int)x->queue->leaving - (int)y->queue->leaving;
}

/* The labels of each queue, one after the other, each with a NUL. */
static void make_labels(const struct snapshot *s, size_t *starts, struct strbuf *all) {
	CLEANUP(strbuf_free) struct strbuf one = STRBUF_INIT;

	for (size_t i = 0; i < s->n_queues; i++) {
		strbuf_reset(&one);
		exposition_label(&one, "broker", s->queues[i].broker);
		exposition_label(&one, "queue", s->queues[i].name);
		all->failed |= one.failed;
		starts[i] = all->len;
		strbuf_append(all, strbuf_str(&one), one.len + 1);
	}
}

static void make_items(struct metrics_queues *q, const struct place *places, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || strcmp(places[i].labels, places[i - 1].labels) != 0)
			begin(&q->items[q->n++], places[i].queue, (size_t)(places[i].labels - q->labels.data));
		add(&q->items[q->n - 1], places[i].queue);
	}
}

int metrics_queues_make(const struct snapshot *s, struct metrics_queues *ret) {
	CLEANUP(metrics_queues_clear) struct metrics_queues q = {0};
	CLEANUP(free) struct place *places = calloc(s->n_queues + 1, sizeof(*places));
	CLEANUP(free) size_t *starts = calloc(s->n_queues + 1, sizeof(*starts));

	q.items = calloc(s->n_queues + 1, sizeof(*q.items));
	if (!places || !starts || !q.items)
		return -ENOMEM;
	make_labels(s, starts, &q.labels);
	if (q.labels.failed)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_queues; i++)
		places[i] = (struct place){q.labels.data + starts[i], &s->queues[i]};
	qsort(places, s->n_queues, sizeof(*places), compare);
	make_items(&q, places, s->n_queues);
	*ret = q;
	q = (struct metrics_queues){0};
	return 0;
}

void metrics_queues_clear(struct metrics_queues *q) {
	free(q->items);
	strbuf_free(&q->labels);
	*q = (struct metrics_queues){0};
}

const char *metrics_queue_labels(const struct metrics_queues *q, size_t i) {
	return q->labels.data + q->items[i].at;
}

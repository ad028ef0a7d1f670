/* SPDX-License-Identifier: MIT */
/* What queues have counted that are gone. One of the same name at a broker of the same name goes on from there, should
 * it be configured again: what counters tell never goes down while the daemon runs. */
#include "manager_private.h"

#include <stdlib.h>
#include <string.h>

/* For so many queues; of those before only the sums are kept. */
#define PAST_MAX 2048

/* A queue that is gone. Owned by the manager. */
struct past_queue {
	struct list node;
	char *broker; /* owned */
	char *name;   /* owned */
	struct queue_counters counters;
	struct statistics statistics;
	struct failure last_failure; /* owned */
};

static struct past_queue *past_queue_free(struct past_queue *p) {
	if (!p)
		return NULL;
	list_remove(&p->node);
	failure_clear(&p->last_failure);
	free(p->broker);
	free(p->name);
	free(p);
	return NULL;
}
DEFINE_CLEANUP(struct past_queue *, past_queue_free);

static struct past_queue *past_find(struct past *past, const struct config_queue *queue) {
	LIST_FOREACH (p, &past->queues, struct past_queue, node) {
		if (strcmp(p->name, queue->name) == 0 && strcmp(p->broker, queue->broker->name) == 0)
			return p;
	}
	return NULL;
}

static struct past_queue *past_add(struct past *past, const struct config_queue *queue) {
	CLEANUP(past_queue_free) struct past_queue *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->node);
	p->broker = strdup(queue->broker->name);
	p->name = strdup(queue->name);
	if (!p->broker || !p->name)
		return NULL;
	list_append(&past->queues, &p->node);
	past->n++;
	return TAKE(p);
}

static void past_forget(struct past *past, struct past_queue *p) {
	queue_counters_add(&past->others, &p->counters);
	past_queue_free(p);
	past->n--;
}

void past_init(struct past *past) {
	list_init(&past->queues);
}

void past_clear(struct past *past) {
	LIST_FOREACH (p, &past->queues, struct past_queue, node)
		past_queue_free(p);
}

void past_keep(struct past *past, const struct config_queue *queue, const struct queue_view *view) {
	struct past_queue *p = past_find(past, queue);

	if (!p)
		p = past_add(past, queue);
	/* No memory: the sums are right all the same. */
	if (!p) {
		queue_counters_add(&past->others, &view->counters);
		return;
	}
	queue_counters_add(&p->counters, &view->counters);
	statistics_add(&p->statistics, view->statistics);
	if (view->last_failure)
		failure_inherit(&p->last_failure, view->last_failure);
	if (past->n > PAST_MAX)
		past_forget(past, LIST_FIRST(&past->queues, struct past_queue, node));
}

void past_give(struct past *past, struct queue *q) {
	struct past_queue *p = past_find(past, queue_config(q));

	if (!p)
		return;
	queue_inherit(q, &(struct queue_view){.counters = p->counters,
					      .statistics = &p->statistics,
					      .last_failure = p->last_failure.time_usec ? &p->last_failure : NULL});
	past_queue_free(p);
	past->n--;
}

void past_sum(const struct past *past, struct queue_counters *ret) {
	*ret = past->others;
	for (const struct list *node = past->queues.next; node != &past->queues; node = node->next)
		queue_counters_add(ret, &LIST_ENTRY(node, const struct past_queue, node)->counters);
}

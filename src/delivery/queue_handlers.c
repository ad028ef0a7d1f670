/* SPDX-License-Identifier: MIT */
#include "delivery/queue_handlers.h"

#include <errno.h>

#include "delivery/queue_private.h"

static struct queue_handler describe(const struct queue *q, const struct delivery *d) {
	return (struct queue_handler){.queue = q->config->name,
				      .broker = q->config->broker->name,
				      .message = d->message,
				      .pid = task_pid(d->task),
				      .attempt = d->attempt,
				      .started_usec = task_started_usec(d->task),
				      .worker = task_is_worker(d->task),
				      .stopping = task_is_stopping(d->task)};
}

size_t queue_count_handlers(const struct queue *q) {
	return q->n[DELIVERY_RUNNING];
}

size_t queue_list_handlers(const struct queue *q, struct queue_handler *ret) {
	size_t n = 0;

	LIST_FOREACH (d, &q->deliveries[DELIVERY_RUNNING], struct delivery, node)
		ret[n++] = describe(q, d);
	return n;
}

int queue_time_out_handler(struct queue *q, pid_t pid, uint64_t delivery_tag, struct queue_handler *ret) {
	LIST_FOREACH (d, &q->deliveries[DELIVERY_RUNNING], struct delivery, node) {
		if (task_pid(d->task) != pid)
			continue;
		*ret = describe(q, d);
		if (delivery_tag != 0 && delivery_tag != d->message->delivery_tag)
			return -ESTALE;
		task_time_out(d->task);
		return 0;
	}
	return -ESRCH;
}

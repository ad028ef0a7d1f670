/* SPDX-License-Identifier: MIT */
/* The handlers of all queues, those of earlier configurations among them, as operators see them and stop them. */
#include "manager_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/queue_handlers.h"

static int compare_age(const void *a, const void *b) {
	const struct queue_handler *x = a, *y = b;

	if (x->started_usec != y->started_usec)
		return x->started_usec < y->started_usec ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int manager_list_handlers(void *userdata, const struct queue_handler **ret, size_t *ret_n) {
	struct manager *m = userdata;
	struct queue_handler *handlers;
	size_t n = 0;

	LIST_FOREACH (s, &m->members, struct member, node)
		n += queue_count_handlers(s->queue);
	handlers = reallocarray(m->view.handlers, n + 1, sizeof(*handlers));
	if (!handlers)
		return -ENOMEM;
	m->view.handlers = handlers;
	n = 0;
	LIST_FOREACH (s, &m->members, struct member, node)
		n += queue_list_handlers(s->queue, handlers + n);
	qsort(handlers, n, sizeof(*handlers), compare_age);
	*ret = handlers;
	*ret_n = n;
	return 0;
}

/* Also while the daemon stops: it waits for them. */
int manager_kill_handler(void *userdata, const struct control_target *target, struct queue_handler *ret) {
	struct manager *m = userdata;

	LIST_FOREACH (s, &m->members, struct member, node) {
		const struct config_queue *config = queue_config(s->queue);
		int r;

		if (target->queue && strcmp(target->queue, config->name) != 0)
			continue;
		if (target->broker && strcmp(target->broker, config->broker->name) != 0)
			continue;
		r = queue_time_out_handler(s->queue, target->pid, target->delivery_tag, ret);
		if (r != -ESRCH)
			return r;
	}
	return -ESRCH;
}

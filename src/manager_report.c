/* SPDX-License-Identifier: MIT */
/* What the manager tells of itself: the snapshot, from which everybody makes what they show. */
#include "autoconf.h"
#include "manager_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/status.h"

/* --- the snapshot ------------------------------------------------------------------------------------------------- */

static void look_at_uplink(const struct uplink *l, struct snapshot_broker *ret) {
	const struct config_broker *config = broker_config(l->broker);
	const struct config_address *a = l->consuming.address ? l->consuming.address : &config->addresses[0];

	*ret = (struct snapshot_broker){.name = config->name,
					.host = a->host,
					.port = a->port,
					.state = broker_state_to_string(l->consuming.state),
					.reason = l->consuming.reason,
					.consuming = l->consuming.counts,
					.has_publisher = l->publisher != NULL,
					.publishing_state = broker_state_to_string(l->publishing.state),
					.publishing_reason = l->publishing.reason,
					.publishing = l->publishing.counts,
					.blocked = l->blocked};
}

static void look_at_member(const struct member *s, struct snapshot_queue *ret) {
	const struct config_queue *config = queue_config(s->queue);
	uint64_t now = clock_now_usec();

	*ret = (struct snapshot_queue){.name = config->name,
				       .broker = config->broker->name,
				       .leaving = s->leaving,
				       .prefetch = config->prefetch,
				       .concurrency = config->concurrency};
	queue_look(s->queue, &ret->view);
	ret->rate = decay_rate(&ret->view.statistics->rate, now);
	ret->failure_rate = decay_rate(&ret->view.statistics->failure_rate, now);
	ret->oldest_usec = ret->view.oldest_usec && ret->view.oldest_usec < now ? now - ret->view.oldest_usec : 0;
	ret->depth_known = ret->view.depth.known;
	ret->messages_ready = ret->view.depth.messages_ready;
	ret->consumers = ret->view.depth.consumers;
	ret->paused_by_operator = ret->view.by_operator;
}

/* Room for all of them; it stays. */
static int make_room(struct manager *m) {
	size_t n_brokers = 0, n_queues = 0;
	struct snapshot_broker *brokers;
	struct snapshot_queue *queues;

	LIST_FOREACH(l, &m->uplinks, struct uplink, node)
		n_brokers += l != NULL;
	LIST_FOREACH(s, &m->members, struct member, node)
		n_queues += s != NULL;
	brokers = reallocarray(m->view.brokers, n_brokers + 1, sizeof(*brokers));
	if (!brokers)
		return -ENOMEM;
	m->view.brokers = brokers;
	queues = reallocarray(m->view.queues, n_queues + 1, sizeof(*queues));
	if (!queues)
		return -ENOMEM;
	m->view.queues = queues;
	return 0;
}

static void add_members(struct manager *m, bool leaving, struct snapshot *s) {
	LIST_FOREACH(member, &m->members, struct member, node) {
		if (member->leaving != leaving)
			continue;
		look_at_member(member, &m->view.queues[s->n_queues]);
		s->running += m->view.queues[s->n_queues++].view.running;
	}
}

static const char *describe_state(const struct manager *m) {
	if (m->state != MANAGER_RUNNING)
		return "stopping";
	return m->ready ? "running" : "starting";
}

int manager_look(void *userdata, struct snapshot *ret) {
	struct manager *m = userdata;
	struct snapshot s = {.version = PACKAGE_VERSION,
			     .pid = getpid(),
			     .state = describe_state(m),
			     .ready = m->ready,
			     .started_usec = m->started_usec,
			     .config_path = m->config->path,
			     .config_loaded_usec = m->config_usec,
			     .last_reload_usec = m->reload.done_usec,
			     .last_reload_ok = !m->reload.refused,
			     .last_reload_reason = m->reload.refusal,
			     .reloads_taken = m->reload.n_taken,
			     .reloads_failed = m->reload.n_failed,
			     .log_lines_dropped = log_dropped_total(),
			     .max_handlers = m->config->max_handlers};
	int r = make_room(m);

	if (r < 0)
		return r;
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		if (!l->retired)
			look_at_uplink(l, &m->view.brokers[s.n_brokers++]);
	}
	add_members(m, false, &s);
	add_members(m, true, &s);
	s.brokers = m->view.brokers;
	s.queues = m->view.queues;
	*ret = s;
	return 0;
}

void manager_view_clear(struct manager *m) {
	free(m->view.brokers);
	free(m->view.queues);
	free(m->view.handlers);
}

/* --- STATUS= ------------------------------------------------------------------------------------------------------ */

static bool is_in_trouble(const struct queue_view *view) {
	return view->state == QUEUE_DEGRADED || view->state == QUEUE_PAUSED || view->state == QUEUE_PROBING;
}

static void count_queue(const struct snapshot_queue *q, struct status_input *in, struct queue_counters *sum,
			struct status_trouble *troubles) {
	const struct queue_view *view = &q->view;

	in->queues += !q->leaving;
	in->leaving += q->leaving;
	in->consuming += !q->leaving && view->state == QUEUE_CONSUMING;
	in->running += view->running;
	in->held += view->held;
	in->publishing += view->publishing;
	queue_counters_add(sum, &view->counters);
	if (is_in_trouble(view))
		troubles[in->n_troubles++] = (struct status_trouble){q->name, queue_state_to_string(view->state), view->reason};
	if (view->copy_trouble)
		troubles[in->n_troubles++] = (struct status_trouble){q->name, "cannot publish", view->copy_trouble};
	if (view->worker_trouble)
		troubles[in->n_troubles++] = (struct status_trouble){q->name, "waits for workers", view->worker_trouble};
}

static void count_broker(const struct snapshot_broker *b, struct status_input *in, struct status_trouble *troubles) {
	if (b->has_publisher && b->blocked)
		troubles[in->n_troubles++] = (struct status_trouble){b->name, "has blocked publishing", NULL};
	else if (b->has_publisher && b->publishing_reason)
		troubles[in->n_troubles++] =
			(struct status_trouble){b->name, "publishing connection down", b->publishing_reason};
}

int manager_format_status(void *userdata, char **ret) {
	struct manager *m = userdata;
	CLEANUP(free) struct status_trouble *troubles = NULL;
	struct queue_counters sum;
	uint64_t now = clock_now_usec();
	struct status_input in = {.stopping = m->state != MANAGER_RUNNING,
				  .drain_left_usec = m->drain_until_usec > now ? m->drain_until_usec - now : 0};
	struct snapshot s;
	int r = manager_look(m, &s);

	if (r < 0)
		return r;
	past_sum(&m->past, &sum);
	/* At most one for the last reload, one for each queue, one for its copies and one for its workers; one for each publishing
	 * connection. */
	troubles = calloc(1 + 3 * s.n_queues + s.n_brokers, sizeof(*troubles));
	if (!troubles)
		return -ENOMEM;
	in.troubles = troubles;
	if (m->drain_until_usec == USEC_INFINITY)
		in.drain_left_usec = USEC_INFINITY;
	if (s.last_reload_reason)
		troubles[in.n_troubles++] = (struct status_trouble){"the last reload", "was refused", s.last_reload_reason};
	for (size_t i = 0; i < s.n_queues; i++)
		count_queue(&s.queues[i], &in, &sum, troubles);
	for (size_t i = 0; i < s.n_brokers; i++)
		count_broker(&s.brokers[i], &in, troubles);
	in.acked = sum.acked;
	in.requeued = sum.requeued;
	in.retried = sum.retried;
	in.rejected = sum.rejected;
	return status_format(&in, ret);
}

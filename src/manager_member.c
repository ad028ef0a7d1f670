/* SPDX-License-Identifier: MIT */
/* The manager's queues, as they come with a configuration and go with another one. A queue that another configuration has changed is
 * two for a while: the one of before, which ends what it has begun, and the one that takes its place. */
#include "manager_private.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

static void on_queue_changed(struct queue *q, void *userdata) {
	struct manager *m = userdata;

	manager_check_ready(m);
	manager_check_stopped(m);
	manager_tidy_soon(m);
	systemd_status_changed(m->systemd, false);
}

static const struct queue_callbacks queue_callbacks = {.changed = on_queue_changed};

int member_new(struct manager *m, struct uplink *l, struct config *config, const struct config_queue *queue, struct member **ret) {
	CLEANUP(member_free) struct member *s = calloc(1, sizeof(*s));
	bool publishes = config_queue_publishes(queue);
	int r;

	if (!s) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_QUEUE", queue->name)),
			  "queue=%s cannot be set up: no memory", queue->name);
		return -ENOMEM;
	}
	list_init(&s->node);
	s->uplink = l;
	s->config = config_ref(config);
	r = publishes ? uplink_publish(l) : 0;
	if (r < 0)
		return r;
	r = queue_new(m->event, config, queue, l->broker, publishes ? l->publisher : NULL, m->executor, &m->dispatcher, &queue_callbacks,
		      m, &s->queue);
	if (r < 0) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR,
			  LOG_FIELDS(log_string("AMQP_QUEUE", queue->name), log_string("AMQP_REASON", strerror(-r))),
			  "queue=%s cannot be set up: %s", queue->name, strerror(-r));
		return r;
	}
	*ret = TAKE(s);
	return 0;
}

struct member *member_free(struct member *s) {
	if (!s)
		return NULL;
	list_remove(&s->node);
	queue_free(s->queue);
	config_unref(s->config);
	free(s);
	return NULL;
}

bool member_is_named(const struct member *s, const struct config_queue *queue) {
	const struct config_queue *own = queue_config(s->queue);

	return strcmp(own->name, queue->name) == 0 && strcmp(own->broker->name, queue->broker->name) == 0;
}

/* --- one after the other ------------------------------------------------------------------------------------------ */

/* The broker would delete the queue with its messages when its last consumer goes: it stays until its successor is there, unless the
 * queue allows one only. */
static bool member_lingers(const struct member *s) {
	const struct config_queue *c = queue_config(s->queue);

	return c->declare.present && c->declare.auto_delete && !c->exclusive;
}

static struct member *member_successor(struct manager *m, const struct member *s) {
	LIST_FOREACH(other, &m->members, struct member, node) {
		if (!other->leaving && member_is_named(other, queue_config(s->queue)))
			return other;
	}
	return NULL;
}

/* What its predecessors mean for a queue of the current configuration: their handlers take its slots, and while they consume it waits. */
static void member_follow(struct manager *m, struct member *s) {
	unsigned occupied = 0;
	bool wait = false;

	LIST_FOREACH(other, &m->members, struct member, node) {
		struct queue_view view;

		if (!other->leaving || !member_is_named(other, queue_config(s->queue)))
			continue;
		queue_look(other->queue, &view);
		occupied += view.running;
		wait = wait || (!view.cancelled && !member_lingers(other));
	}
	queue_occupy(s->queue, occupied);
	if (s->started || wait)
		return;
	s->started = true;
	/* Fails only for a broker that is being closed, and one of a queue of the current configuration is not. */
	(void)queue_start(s->queue);
	uplink_introduce(s->uplink, s->queue);
}

/* Tells a queue that is not of the current configuration to stop, once that is possible. */
static void member_leave(struct manager *m, struct member *s) {
	struct member *successor = member_successor(m, s);
	struct queue_view view;

	if (successor && member_lingers(s)) {
		queue_look(successor->queue, &view);
		if (view.state != QUEUE_CONSUMING && !view.by_operator)
			return;
	}
	queue_stop(s->queue, successor ? "the configuration of the queue has changed" : "the queue is not configured any more");
}

/* It has ended all that it had begun. What it has counted goes on being counted. */
static void member_end(struct manager *m, struct member *s) {
	struct member *successor = member_successor(m, s);
	struct queue_view view;

	queue_look(s->queue, &view);
	if (successor)
		queue_inherit(successor->queue, &view.counters);
	else
		queue_counters_add(&m->past, &view.counters);
	queue_release_lanes(s->queue);
	member_free(s);
}

static bool uplink_is_used(const struct manager *m, const struct uplink *l) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->uplink == l)
			return true;
	}
	return false;
}

static void manager_tidy_uplinks(struct manager *m) {
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		if (!l->retired || uplink_is_used(m, l))
			continue;
		if (!l->closing)
			uplink_close(l, CLOSE_TIMEOUT_USEC);
		else if (uplink_is_closed(l))
			uplink_free(l);
	}
}

static bool manager_is_tidy(const struct manager *m) {
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		if (l->retired)
			return false;
	}
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->leaving || !s->started)
			return false;
	}
	return true;
}

void manager_tidy(struct manager *m) {
	if (m->state != MANAGER_RUNNING)
		return;
	LIST_FOREACH(s, &m->members, struct member, node) {
		struct queue_view view;

		if (!s->leaving)
			continue;
		member_leave(m, s);
		queue_look(s->queue, &view);
		if (view.state == QUEUE_STOPPED)
			member_end(m, s);
	}
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (!s->leaving)
			member_follow(m, s);
	}
	manager_tidy_uplinks(m);
	m->untidy = !manager_is_tidy(m);
}

void manager_tidy_soon(struct manager *m) {
	if (m->state == MANAGER_RUNNING && m->untidy)
		sd_event_source_set_enabled(m->tidy_source, SD_EVENT_ONESHOT);
}

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

static bool is_same_place(const struct config_broker *a, const struct config_broker *b) {
	const struct config_address *x = &a->addresses[0], *y = &b->addresses[0];

	return strcmp(a->name, b->name) == 0 ||
	       (strcmp(x->host, y->host) == 0 && x->port == y->port && strcmp(x->vhost, y->vhost) == 0);
}

bool member_is_named(const struct member *s, const struct config_queue *queue) {
	const struct config_queue *own = queue_config(s->queue);

	return strcmp(own->name, queue->name) == 0 && is_same_place(own->broker, queue->broker);
}

struct member *manager_find_member(struct manager *m, const struct config_queue *queue) {
	struct member *found = NULL;

	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->leaving || !member_is_named(s, queue))
			continue;
		if (strcmp(queue_config(s->queue)->broker->name, queue->broker->name) == 0)
			return s;
		found = s;
	}
	return found;
}

/* --- one after the other ------------------------------------------------------------------------------------------ */

/* The broker would delete the queue with its messages when its last consumer goes: so the one of before stays until its successor is
 * there, unless there may be one only. */
static bool member_lingers(const struct member *s, const struct member *successor) {
	const struct config_queue *c = queue_config(s->queue);

	return c->declare.present && c->declare.auto_delete && !c->exclusive && successor && !queue_config(successor->queue)->exclusive;
}

/* Tells a queue that is not of the current configuration to stop, once that is possible. Whether it still consumes, and
 * its successor has to wait for the end of that. */
static bool member_leave(struct member *s, struct member *successor) {
	struct queue_view view;

	if (member_lingers(s, successor)) {
		queue_look(successor->queue, &view);
		if (view.state != QUEUE_CONSUMING)
			return false;
	}
	queue_stop(s->queue, successor ? "the configuration of the queue has changed" : "the queue is not configured any more");
	queue_look(s->queue, &view);
	/* One that is not connected has nothing to confirm, maybe for long. */
	return !view.cancelled && s->uplink->consuming.state == BROKER_UP;
}

/* A queue of the current configuration begins when those of before consume no more. */
static void member_begin(struct member *s) {
	if (s->started || s->waits)
		return;
	s->started = true;
	/* Fails only for a broker that is being closed, and one of a queue of the current configuration is not. */
	(void)queue_start(s->queue);
	uplink_introduce(s->uplink, s->queue);
}

/* Another one of the same name at a broker of the same name: of the current configuration, or else one that leaves, too. */
static struct member *find_namesake(struct manager *m, const struct member *s) {
	const struct config_queue *own = queue_config(s->queue);
	struct member *found = NULL;

	LIST_FOREACH(other, &m->members, struct member, node) {
		const struct config_queue *c = queue_config(other->queue);

		if (other == s || strcmp(c->name, own->name) != 0 || strcmp(c->broker->name, own->broker->name) != 0)
			continue;
		found = other;
		if (!other->leaving)
			break;
	}
	return found;
}

/* It has ended all that it had begun. What it has counted goes on being counted under its name and its broker's: a counter that jumps
 * by what another one had counted would look like as many messages at once. */
static void member_end(struct manager *m, struct member *s) {
	struct member *heir = find_namesake(m, s);
	struct queue_view view;

	queue_look(s->queue, &view);
	if (heir)
		queue_inherit(heir->queue, &view);
	else
		past_keep(&m->past, queue_config(s->queue), &view);
	member_free(s);
}

/* Those of before: their handlers take slots of their successors. */
static void manager_tidy_leaving(struct manager *m) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		struct member *successor;
		struct queue_view view;

		if (!s->leaving)
			continue;
		successor = manager_find_member(m, queue_config(s->queue));
		if (member_leave(s, successor) && successor)
			successor->waits = true;
		queue_look(s->queue, &view);
		if (view.state == QUEUE_STOPPED) {
			queue_release_lanes(s->queue);
			member_end(m, s);
		} else if (successor) {
			successor->occupied += view.running;
		}
	}
}

/* Whether a connection that is no part of the configuration is needed still: by a queue, unless that has nothing in hand and only waits for
 * a connection that may not come up for long. */
static bool uplink_is_used(const struct manager *m, const struct uplink *l) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		struct queue_view v;

		if (s->uplink != l)
			continue;
		queue_look(s->queue, &v);
		if (l->consuming.state == BROKER_UP || v.waiting + v.running + v.publishing + v.held > 0)
			return true;
	}
	return false;
}

/* Nothing comes from it any more, also no answer to what its queues wait for. */
static void uplink_end(struct manager *m, struct uplink *l) {
	uplink_free_publisher(l);
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->uplink == l)
			member_end(m, s);
	}
	uplink_free(l);
}

static void manager_tidy_uplinks(struct manager *m) {
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		if (!l->retired)
			continue;
		if (l->closing && uplink_is_closed(l))
			uplink_end(m, l);
		else if (!l->closing && !uplink_is_used(m, l))
			uplink_close(l, CLOSE_TIMEOUT_USEC);
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
		s->waits = false;
		s->occupied = 0;
	}
	manager_tidy_leaving(m);
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->leaving)
			continue;
		queue_occupy(s->queue, s->occupied);
		member_begin(s);
	}
	manager_tidy_uplinks(m);
	m->untidy = !manager_is_tidy(m);
}

void manager_tidy_soon(struct manager *m) {
	if (m->state == MANAGER_RUNNING && m->untidy)
		sd_event_source_set_enabled(m->tidy_source, SD_EVENT_ONESHOT);
}

/* SPDX-License-Identifier: MIT */
/* The manager takes a configuration, the first one as any later one: what is the same goes on undisturbed. */
#include "manager_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* --- what a configuration needs ----------------------------------------------------------------------------------- */

/* Who is to serve each broker and queue of a configuration: those that do already, and new ones, which are on no list yet. */
struct plan {
	struct manager *manager; /* borrowed */
	struct config *config; /* borrowed */
	struct uplink **uplinks; /* owned array; by broker; NULL: no queue uses it */
	struct member **members; /* owned array; by queue */
};

/* It was never started, so it stops at once; its publisher may be one that stays. */
static void discard(struct member *s) {
	if (s->queue) {
		queue_stop(s->queue, "the configuration is not taken");
		queue_release_lanes(s->queue);
	}
	member_free(s);
}

static void plan_clear(struct plan *p) {
	for (size_t i = 0; p->members && i < p->config->n_queues; i++) {
		if (p->members[i] && !list_is_linked(&p->members[i]->node))
			discard(p->members[i]);
	}
	/* Closed like any other that nobody uses: its thread may be stuck in name resolution. */
	for (size_t i = 0; p->uplinks && i < p->config->n_brokers; i++) {
		if (!p->uplinks[i] || list_is_linked(&p->uplinks[i]->node))
			continue;
		p->uplinks[i]->retired = true;
		list_append(&p->manager->uplinks, &p->uplinks[i]->node);
		p->manager->untidy = true;
		manager_tidy_soon(p->manager);
	}
	free(p->members);
	free(p->uplinks);
}

static void plan_clear_cleanup(struct plan *p) {
	plan_clear(p);
}

static struct uplink *find_uplink(struct manager *m, const struct config_broker *broker) {
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		if (!l->retired && strcmp(uplink_name(l), broker->name) == 0)
			return l;
	}
	return NULL;
}

/* max_message_size is not the queue's, but what its consumer goes by. */
static bool member_is_same(const struct member *s, const struct uplink *l, const struct config *config, const struct config_queue *queue) {
	return s->uplink == l && s->config->max_message_size == config->max_message_size &&
	       config_queue_is_same(queue_config(s->queue), queue);
}

static bool config_uses(const struct config *config, const struct config_broker *broker) {
	for (size_t i = 0; i < config->n_queues; i++) {
		if (config->queues[i].broker == broker)
			return true;
	}
	return false;
}

static int plan_make(struct manager *m, struct config *config, struct plan *p) {
	int r = 0;

	p->manager = m;
	p->config = config;
	p->uplinks = calloc(config->n_brokers + 1, sizeof(struct uplink *));
	p->members = calloc(config->n_queues + 1, sizeof(struct member *));
	if (!p->uplinks || !p->members) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, NULL, 0, "no memory for the configuration");
		return -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < config->n_brokers; i++) {
		struct uplink *l = find_uplink(m, &config->brokers[i]);

		if (!config_uses(config, &config->brokers[i]))
			continue;
		if (l && config_broker_is_same(broker_config(l->broker), &config->brokers[i]))
			p->uplinks[i] = l;
		else
			r = uplink_new(m, config, &config->brokers[i], &p->uplinks[i]);
	}
	for (size_t i = 0; r == 0 && i < config->n_queues; i++) {
		const struct config_queue *queue = &config->queues[i];
		struct uplink *l = p->uplinks[queue->broker - config->brokers];
		struct member *s = manager_find_member(m, queue);

		if (s && member_is_same(s, l, config, queue))
			p->members[i] = s;
		else
			r = member_new(m, l, config, queue, &p->members[i]);
	}
	return r;
}

/* --- what it changes ---------------------------------------------------------------------------------------------- */

void changes_clear(struct changes *c) {
	free(c->added);
	free(c->removed);
	free(c->changed);
	*c = (struct changes){0};
}

static int changes_init(struct changes *c, size_t before, size_t after) {
	*c = (struct changes){.added = calloc(after + 1, sizeof(char *)),
			      .removed = calloc(before + 1, sizeof(char *)),
			      .changed = calloc(after + 1, sizeof(char *))};
	if (c->added && c->removed && c->changed)
		return 0;
	changes_clear(c);
	log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, NULL, 0, "no memory for the configuration");
	return -ENOMEM;
}

static bool plan_has(const struct plan *p, const struct member *s) {
	for (size_t i = 0; i < p->config->n_queues; i++) {
		if (p->members[i] == s)
			return true;
	}
	return false;
}

static bool config_names(const struct config *config, const struct member *s) {
	for (size_t i = 0; i < config->n_queues; i++) {
		if (member_is_named(s, &config->queues[i]))
			return true;
	}
	return false;
}

/* What is new in the plan: a queue that takes the place of another one stays paused if an operator has paused that. */
static void compare(struct manager *m, const struct plan *p, struct changes *c) {
	for (size_t i = 0; i < p->config->n_queues; i++) {
		const char *name = p->config->queues[i].name;
		struct member *s = p->members[i], *before;
		struct queue_view view;

		if (list_is_linked(&s->node)) {
			c->n_unchanged++;
			continue;
		}
		past_give(&m->past, s->queue);
		before = manager_find_member(m, &p->config->queues[i]);
		if (!before) {
			c->added[c->n_added++] = name;
			continue;
		}
		c->changed[c->n_changed++] = name;
		queue_look(before->queue, &view);
		if (view.by_operator)
			queue_order_pause(s->queue);
	}
}

/* What is in use and not in the plan has to leave. */
static void retire(struct manager *m, const struct plan *p, struct changes *c) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->leaving || plan_has(p, s))
			continue;
		s->leaving = true;
		if (!config_names(p->config, s))
			c->removed[c->n_removed++] = queue_config(s->queue)->name;
	}
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		bool kept = false;

		if (l->retired)
			continue;
		for (size_t i = 0; i < p->config->n_brokers; i++) {
			kept = kept || p->uplinks[i] == l;
			if (p->uplinks[i] && p->uplinks[i] != l && strcmp(uplink_name(p->uplinks[i]), uplink_name(l)) == 0)
				uplink_inherit(p->uplinks[i], l);
		}
		l->retired = !kept;
	}
}

/* What is in the plan, in its order; what leaves stays before it. */
static void arrange(struct manager *m, const struct plan *p) {
	for (size_t i = 0; i < p->config->n_brokers; i++) {
		if (!p->uplinks[i])
			continue;
		list_remove(&p->uplinks[i]->node);
		list_append(&m->uplinks, &p->uplinks[i]->node);
		broker_set_queue_interval(p->uplinks[i]->broker, p->config->monitor.queue_interval_usec);
	}
	for (size_t i = 0; i < p->config->n_queues; i++) {
		list_remove(&p->members[i]->node);
		list_append(&m->members, &p->members[i]->node);
	}
}

static int protect_secrets(struct manager *m, const struct config *config) {
	int r = 0;

	for (size_t i = 0; r >= 0 && i < config->n_secret_files; i++)
		r = executor_protect(m->executor, config->secret_files[i]);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, NULL, 0, "no memory for the configuration");
	return r;
}

static size_t count_members(const struct manager *m) {
	size_t n = 0;

	LIST_FOREACH(s, &m->members, struct member, node)
		n += s != NULL;
	return n;
}

int manager_take(struct manager *m, struct config *config, struct changes *ret) {
	CLEANUP(plan_clear) struct plan plan = {0};
	struct changes changes;
	int r;

	/* Before the first handler is looked at, which says if they cannot be kept. */
	r = protect_secrets(m, config);
	if (r == 0)
		r = plan_make(m, config, &plan);
	if (r == 0)
		r = changes_init(&changes, count_members(m), config->n_queues);
	if (r < 0)
		return r;
	compare(m, &plan, &changes);
	retire(m, &plan, &changes);
	arrange(m, &plan);
	config_ref(config);
	config_unref(m->config);
	m->config = config;
	m->config_usec = clock_realtime_usec();
	m->untidy = true;
	dispatcher_set_max(&m->dispatcher, config->max_handlers);
	*ret = changes;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "manager.h"
#include "manager_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/status.h"

/* --- what systemd is told ---------------------------------------------------------------------------------------- */

static bool is_in_trouble(const struct queue_view *view) {
	return view->state == QUEUE_DEGRADED || view->state == QUEUE_PAUSED || view->state == QUEUE_PROBING;
}

static int on_status(void *userdata, char **ret) {
	struct manager *m = userdata;
	struct status_trouble *troubles = calloc(m->config->n_queues, sizeof(*troubles));
	uint64_t now = clock_now_usec();
	struct status_input in = {.stopping = m->state != MANAGER_RUNNING,
				  .queues = m->config->n_queues,
				  .drain_left_usec = m->drain_until_usec > now ? m->drain_until_usec - now : 0,
				  .troubles = troubles};
	int r;

	if (!troubles)
		return -ENOMEM;
	if (m->drain_until_usec == USEC_INFINITY)
		in.drain_left_usec = USEC_INFINITY;
	for (size_t i = 0; i < m->config->n_queues; i++) {
		struct queue_view view;

		queue_look(m->queues[i], &view);
		in.consuming += view.state == QUEUE_CONSUMING;
		in.running += view.running;
		in.held += view.held;
		in.acked += view.counters.acked;
		in.requeued += view.counters.requeued;
		if (is_in_trouble(&view))
			troubles[in.n_troubles++] = (struct status_trouble){
				m->config->queues[i].name, queue_state_to_string(view.state), view.reason};
	}
	r = status_format(&in, ret);
	free(troubles);
	return r;
}

/* A thread that does not move is freed by broker_overdue_usec once; if that does not help either, a restart does. */
static bool on_is_alive(void *userdata) {
	struct manager *m = userdata;
	uint64_t now = clock_now_usec();
	bool alive = true;

	for (size_t i = 0; i < m->config->n_brokers; i++) {
		struct uplink *l = &m->uplinks[i];
		uint64_t overdue = broker_overdue_usec(l->broker, now);

		if (overdue > 0 && !l->overdue)
			log_error("broker=%s its thread makes no progress; closing its connection", m->config->brokers[i].name);
		else if (overdue > 0)
			alive = false;
		l->overdue = overdue > 0;
	}
	if (!alive)
		log_error("a broker thread is stuck: no watchdog message is sent");
	return alive;
}

static const struct systemd_callbacks systemd_callbacks = {.is_alive = on_is_alive, .status = on_status};

static bool manager_is_ready(const struct manager *m) {
	for (size_t i = 0; i < m->config->n_queues; i++) {
		struct queue_view view;

		queue_look(m->queues[i], &view);
		if (m->config->ready == CONFIG_READY_ATTEMPTED && !view.attempted)
			return false;
		if (m->config->ready == CONFIG_READY_CONSUMING && !view.consumed)
			return false;
	}
	return true;
}

static void manager_check_ready(struct manager *m) {
	if (m->ready || m->state != MANAGER_RUNNING || !manager_is_ready(m))
		return;
	m->ready = true;
	log_info("ready");
	systemd_ready(m->systemd);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
	manager_stop(userdata);
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
	log_warning("SIGHUP ignored: the configuration is read at the start only; restart to change it");
	return 0;
}

static void on_queue_changed(struct queue *q, void *userdata) {
	struct manager *m = userdata;

	manager_check_ready(m);
	manager_check_stopped(m);
	systemd_status_changed(m->systemd, false);
}

static const struct queue_callbacks queue_callbacks = {.changed = on_queue_changed};

static void uplink_set_reason(struct uplink *l, const char *reason) {
	free(l->reason);
	l->reason = reason ? strdup(reason) : NULL;
}

static void manager_broker_down(struct manager *m, struct uplink *l, const struct broker_report *report) {
	const struct config_broker *config = broker_config(l->broker);
	const char *reason = report->reason ? report->reason : "connection lost";
	char text[640];

	/* Each attempt gets a line, so that the last one in the log is never older than the delay; only news is a warning. */
	if (m->state != MANAGER_CLOSING)
		log_write(!l->reason || strcmp(l->reason, reason) != 0 ? LOG_WARNING : LOG_INFO, NULL, 0,
			  "broker=%s host=%s port=%u not connected: %s; trying again in %" PRIu64 ".%" PRIu64 " s",
			  config->name, config->addresses[0].host, config->addresses[0].port, reason, report->retry_usec / USEC_PER_SEC,
			  report->retry_usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
	uplink_set_reason(l, reason);
	snprintf(text, sizeof(text), "broker %s: %s", config->name, reason);
	for (size_t i = 0; i < m->config->n_queues; i++)
		if (m->config->queues[i].broker == config)
			queue_broker_down(m->queues[i], text);
}

static void on_broker_state(struct broker *b, enum broker_state state, const struct broker_report *report, void *userdata) {
	struct uplink *l = userdata;
	struct manager *m = l->manager;
	const struct config_broker *config = broker_config(b);

	l->state = state;
	switch (state) {
	case BROKER_CONNECTING:
		log_debug("broker=%s connecting to %s port %u", config->name, config->addresses[0].host, config->addresses[0].port);
		break;
	case BROKER_UP:
		log_info("broker=%s host=%s port=%u connected", config->name, config->addresses[0].host, config->addresses[0].port);
		uplink_set_reason(l, NULL);
		break;
	case BROKER_WAITING:
		manager_broker_down(m, l, report);
		break;
	case BROKER_STOPPED:
		if (report->reason)
			log_warning("broker=%s stopped: %s", config->name, report->reason);
		manager_check_closed(m);
		break;
	}
	systemd_status_changed(m->systemd, false);
}

static void on_broker_blocked(struct broker *b, bool blocked, const char *reason, void *userdata) {
	const char *name = broker_config(b)->name;

	if (blocked)
		log_warning("broker=%s has blocked publishing: %s; consuming goes on", name, reason ? reason : "no reason given");
	else
		log_info("broker=%s has unblocked publishing", name);
}

static const struct broker_callbacks broker_callbacks = {.state = on_broker_state, .blocked = on_broker_blocked};

/* --- life ---------------------------------------------------------------------------------------------------------- */

static int manager_start_brokers(struct manager *m) {
	for (size_t i = 0; i < m->config->n_brokers; i++) {
		struct uplink *l = &m->uplinks[i];
		int r;

		l->manager = m;
		r = broker_new(m->event, m->config, &m->config->brokers[i], &broker_callbacks, l, &l->broker);
		if (r < 0) {
			log_error("broker=%s cannot be set up: %s", m->config->brokers[i].name, strerror(-r));
			return r;
		}
	}
	return 0;
}

static struct broker *manager_find_broker(struct manager *m, const struct config_broker *config) {
	for (size_t i = 0; i < m->config->n_brokers; i++)
		if (&m->config->brokers[i] == config)
			return m->uplinks[i].broker;
	assert(!"a queue without a broker passed the configuration check");
	return NULL;
}

static int manager_start_queues(struct manager *m) {
	for (size_t i = 0; i < m->config->n_queues; i++) {
		const struct config_queue *config = &m->config->queues[i];
		int r = queue_new(m->event, config, manager_find_broker(m, config->broker), m->executor, &m->dispatcher,
				  &queue_callbacks, m, &m->queues[i]);

		if (r < 0) {
			log_error("queue=%s cannot be set up: %s", config->name, strerror(-r));
			return r;
		}
	}
	/* All exist before the first one tells that it has changed. */
	for (size_t i = 0; i < m->config->n_queues; i++) {
		int r = queue_start(m->queues[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int manager_setup(struct manager *m) {
	int r = sd_event_default(&m->event);

	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGTERM, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGINT, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGHUP, on_hangup, m);
	if (r >= 0)
		r = systemd_new(m->event, &systemd_callbacks, m, &m->systemd);
	if (r >= 0)
		r = executor_new(m->event, &m->executor);
	if (r < 0) {
		log_error("cannot set up the event loop: %s", strerror(-r));
		return r;
	}
	dispatcher_init(&m->dispatcher, m->config->max_handlers);
	m->uplinks = calloc(m->config->n_brokers, sizeof(*m->uplinks));
	m->queues = calloc(m->config->n_queues, sizeof(struct queue *));
	if (!m->uplinks || !m->queues) {
		log_error("no memory");
		return -ENOMEM;
	}
	r = manager_start_brokers(m);
	if (r < 0)
		return r;
	return manager_start_queues(m);
}

/* In the order of who borrows from whom. */
static void manager_clear(struct manager *m) {
	for (size_t i = 0; m->queues && i < m->config->n_queues; i++)
		queue_free(m->queues[i]);
	for (size_t i = 0; m->uplinks && i < m->config->n_brokers; i++) {
		broker_free(m->uplinks[i].broker);
		free(m->uplinks[i].reason);
	}
	free(m->queues);
	free(m->uplinks);
	executor_free(m->executor);
	sd_event_source_disable_unref(m->drain_timer);
	sd_event_source_disable_unref(m->extend_timer);
	sd_event_source_disable_unref(m->close_timer);
	systemd_free(m->systemd);
	sd_event_unref(m->event);
	config_unref(m->config);
}

int manager_run(struct config *config) {
	struct manager m = {.config = config_ref(config), .drain_until_usec = USEC_INFINITY};
	int r = manager_setup(&m);

	if (r >= 0) {
		manager_check_ready(&m);
		r = sd_event_loop(m.event);
		if (r < 0)
			log_error("the event loop failed: %s", strerror(-r));
		else
			log_info("stopped");
	}
	manager_clear(&m);
	return r;
}

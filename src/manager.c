/* SPDX-License-Identifier: MIT */
#include "manager.h"
#include "manager_private.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/status.h"

/* --- what systemd is told ---------------------------------------------------------------------------------------- */

static bool is_in_trouble(const struct queue_view *view) {
	return view->state == QUEUE_DEGRADED || view->state == QUEUE_PAUSED || view->state == QUEUE_PROBING;
}

static int on_status(void *userdata, char **ret) {
	struct manager *m = userdata;
	/* At most one for each queue, one for its copies and one for its workers; one for each publishing connection. */
	struct status_trouble *troubles = calloc(3 * m->config->n_queues + m->config->n_brokers, sizeof(*troubles));
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
		in.publishing += view.publishing;
		in.acked += view.counters.acked;
		in.requeued += view.counters.requeued;
		in.retried += view.counters.retried;
		in.rejected += view.counters.rejected;
		if (is_in_trouble(&view))
			troubles[in.n_troubles++] = (struct status_trouble){
				m->config->queues[i].name, queue_state_to_string(view.state), view.reason};
		if (view.copy_trouble)
			troubles[in.n_troubles++] = (struct status_trouble){m->config->queues[i].name, "cannot publish",
									    view.copy_trouble};
		if (view.worker_trouble)
			troubles[in.n_troubles++] =
				(struct status_trouble){m->config->queues[i].name, "waits for workers", view.worker_trouble};
	}
	for (size_t i = 0; i < m->config->n_brokers; i++) {
		const struct uplink *l = &m->uplinks[i];

		if (l->publisher && l->blocked)
			troubles[in.n_troubles++] = (struct status_trouble){m->config->brokers[i].name, "has blocked publishing", NULL};
		else if (l->publisher && l->publishing.reason)
			troubles[in.n_troubles++] = (struct status_trouble){m->config->brokers[i].name,
									    "publishing connection down", l->publishing.reason};
	}
	r = status_format(&in, ret);
	free(troubles);
	return r;
}

static bool on_is_alive(void *userdata) {
	bool alive = manager_check_threads(userdata);

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

static int on_leave(sd_event_source *source, void *userdata) {
	struct manager *m = userdata;

	return sd_event_exit(m->event, -EPIPE);
}

/* Nobody would clean up after us any more, should we be killed. */
static int on_guard_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	struct manager *m = userdata;
	int r;

	log_error("the process that guards the daemon is gone: every handler is killed, and the daemon leaves");
	sd_event_source_set_enabled(m->guard_source, SD_EVENT_OFF);
	for (size_t i = 0; i < m->config->n_queues; i++)
		queue_stop_handlers(m->queues[i], true);
	/* After the signals, which are sent in the next turn of the loop. */
	r = sd_event_add_defer(m->event, &m->leave_source, on_leave, m);
	if (r >= 0)
		r = sd_event_source_set_priority(m->leave_source, SD_EVENT_PRIORITY_IDLE);
	return r < 0 ? sd_event_exit(m->event, -EPIPE) : 0;
}

static void on_queue_changed(struct queue *q, void *userdata) {
	struct manager *m = userdata;

	manager_check_ready(m);
	manager_check_stopped(m);
	systemd_status_changed(m->systemd, false);
}

static const struct queue_callbacks queue_callbacks = {.changed = on_queue_changed};

/* --- life ---------------------------------------------------------------------------------------------------------- */

static int manager_start_queues(struct manager *m) {
	for (size_t i = 0; i < m->config->n_queues; i++) {
		const struct config_queue *config = &m->config->queues[i];
		const struct uplink *l = &m->uplinks[config->broker - m->config->brokers];
		int r = queue_new(m->event, m->config, config, l->broker, config_queue_publishes(config) ? l->publisher : NULL,
				  m->executor, &m->dispatcher, &queue_callbacks, m, &m->queues[i]);

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

/* What the daemon's passwords and keys are in, also those that the service manager has handed to it, is no handler's business. */
static int manager_protect_secrets(struct manager *m) {
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	int r = credentials && *credentials == '/' ? executor_protect(m->executor, credentials) : 0;

	for (size_t i = 0; r >= 0 && i < m->config->n_secret_files; i++)
		r = executor_protect(m->executor, m->config->secret_files[i]);
	return r;
}

static int manager_setup(struct manager *m, int guard_fd) {
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
	if (r >= 0)
		r = manager_protect_secrets(m);
	if (r >= 0 && guard_fd >= 0)
		r = sd_event_add_io(m->event, &m->guard_source, guard_fd, EPOLLIN, on_guard_gone, m);
	if (r < 0) {
		log_error("cannot set up the event loop: %s", strerror(-r));
		return r;
	}
	r = manager_watch_threads(m);
	if (r < 0)
		return r;
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
	manager_free_publishers(m);
	for (size_t i = 0; m->queues && i < m->config->n_queues; i++)
		queue_free(m->queues[i]);
	manager_free_brokers(m);
	free(m->queues);
	free(m->uplinks);
	executor_free(m->executor);
	sd_event_source_disable_unref(m->drain_timer);
	sd_event_source_disable_unref(m->extend_timer);
	sd_event_source_disable_unref(m->close_timer);
	sd_event_source_disable_unref(m->watch_timer);
	sd_event_source_disable_unref(m->guard_source);
	sd_event_source_disable_unref(m->leave_source);
	systemd_free(m->systemd);
	sd_event_unref(m->event);
	config_unref(m->config);
}

int manager_run(struct config *config, int guard_fd) {
	struct manager m = {.config = config_ref(config), .drain_until_usec = USEC_INFINITY};
	int r = manager_setup(&m, guard_fd);

	if (r >= 0) {
		manager_check_ready(&m);
		r = sd_event_loop(m.event);
		if (r < 0 && !m.leave_source)
			log_error("the event loop failed: %s", strerror(-r));
		else if (r >= 0)
			log_info("stopped");
	}
	manager_clear(&m);
	return r;
}

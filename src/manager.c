/* SPDX-License-Identifier: MIT */
#include "manager.h"
#include "manager_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"

/* --- what systemd is told ---------------------------------------------------------------------------------------- */

static bool on_is_alive(void *userdata) {
	bool alive = manager_check_threads(userdata);

	if (!alive)
		log_event(LOG_EVENT_BROKER_THREAD_STUCK, LOG_ERR, NULL, 0,
			  "a broker thread is stuck: no watchdog message is sent");
	return alive;
}

static const struct systemd_callbacks systemd_callbacks = {.is_alive = on_is_alive, .status = manager_format_status};

static bool manager_is_ready(const struct manager *m) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		struct queue_view view;

		if (s->leaving)
			continue;
		queue_look(s->queue, &view);
		if (m->config->ready == CONFIG_READY_ATTEMPTED && !view.attempted)
			return false;
		if (m->config->ready == CONFIG_READY_CONSUMING && !view.consumed)
			return false;
	}
	return true;
}

void manager_check_ready(struct manager *m) {
	if (m->ready || m->state != MANAGER_RUNNING || !manager_is_ready(m))
		return;
	m->ready = true;
	log_event(LOG_EVENT_READY, LOG_INFO, NULL, 0, "ready");
	systemd_ready(m->systemd);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
	manager_stop(userdata);
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
	(void)manager_reload(userdata);
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

	log_event(LOG_EVENT_GUARD_GONE, LOG_ERR, NULL, 0,
		  "the process that guards the daemon is gone: every handler is killed, and the daemon leaves");
	sd_event_source_set_enabled(m->guard_source, SD_EVENT_OFF);
	LIST_FOREACH(s, &m->members, struct member, node)
		queue_stop_handlers(s->queue, true);
	/* After the signals, which are sent in the next turn of the loop. */
	r = sd_event_add_defer(m->event, &m->leave_source, on_leave, m);
	if (r >= 0)
		r = sd_event_source_set_priority(m->leave_source, SD_EVENT_PRIORITY_IDLE);
	return r < 0 ? sd_event_exit(m->event, -EPIPE) : 0;
}

static int on_tidy(sd_event_source *source, void *userdata) {
	manager_tidy(userdata);
	return 0;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

/* What the service manager has handed to the daemon is no handler's business. */
static int manager_protect_credentials(struct manager *m) {
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	return credentials && *credentials == '/' ? executor_protect(m->executor, credentials) : 0;
}

static int manager_add_sources(struct manager *m, int guard_fd) {
	int r = sd_event_default(&m->event);

	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGTERM, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGINT, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGHUP, on_hangup, m);
	if (r >= 0)
		r = sd_event_add_defer(m->event, &m->tidy_source, on_tidy, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->tidy_source, SD_EVENT_OFF);
	if (r >= 0)
		r = systemd_new(m->event, &systemd_callbacks, m, &m->systemd);
	if (r >= 0)
		r = executor_new(m->event, &m->executor);
	if (r >= 0)
		r = manager_protect_credentials(m);
	if (r >= 0 && guard_fd >= 0)
		r = sd_event_add_io(m->event, &m->guard_source, guard_fd, EPOLLIN, on_guard_gone, m);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-r))),
			  "cannot set up the event loop: %s", strerror(-r));
	return r < 0 ? r : 0;
}

/* The first configuration. */
static int manager_begin(struct manager *m, struct config *config) {
	CLEANUP(listen_plan_clear) struct listen_plan plan = {0};
	CLEANUP(free) char *why = NULL;
	struct changes changes;
	int r = manager_listen_prepare(m, config, &plan, &why);

	if (r < 0) {
		log_event(LOG_EVENT_CONFIGURATION_REFUSED, LOG_ERR, NULL, 0, "%s", why ? why : strerror(-r));
		return manager_listen_may_work(r) ? r : -ENOTSUP;
	}
	r = manager_take(m, config, &changes);
	if (r < 0)
		return r;
	changes_clear(&changes);
	manager_listen_commit(m, &plan);
	r = manager_watch_threads(m);
	if (r < 0)
		return r;
	manager_tidy(m);
	manager_check_ready(m);
	return 0;
}

static int manager_setup(struct manager *m, struct config *config, int guard_fd) {
	int r;

	list_init(&m->uplinks);
	list_init(&m->members);
	past_init(&m->past);
	m->started_usec = clock_realtime_usec();
	dispatcher_init(&m->dispatcher, config->max_handlers);
	r = manager_add_sources(m, guard_fd);
	if (r == 0)
		r = manager_listen_init(m);
	return r < 0 ? r : manager_begin(m, config);
}

/* In the order of who borrows from whom. */
static void manager_clear(struct manager *m) {
	manager_clear_reload(m);
	manager_listen_clear(m);
	LIST_FOREACH(l, &m->uplinks, struct uplink, node)
		uplink_free_publisher(l);
	LIST_FOREACH(s, &m->members, struct member, node)
		member_free(s);
	LIST_FOREACH(l, &m->uplinks, struct uplink, node)
		uplink_free(l);
	executor_free(m->executor);
	manager_view_clear(m);
	past_clear(&m->past);
	sd_event_source_disable_unref(m->drain_timer);
	sd_event_source_disable_unref(m->extend_timer);
	sd_event_source_disable_unref(m->close_timer);
	sd_event_source_disable_unref(m->watch_timer);
	sd_event_source_disable_unref(m->tidy_source);
	sd_event_source_disable_unref(m->guard_source);
	sd_event_source_disable_unref(m->leave_source);
	systemd_free(m->systemd);
	sd_event_unref(m->event);
	config_unref(m->config);
}

int manager_run(struct config *config, int guard_fd) {
	struct manager m = {.drain_until_usec = USEC_INFINITY};
	int r = manager_setup(&m, config, guard_fd);

	if (r >= 0) {
		r = sd_event_loop(m.event);
		if (r < 0 && !m.leave_source)
			log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-r))),
				  "the event loop failed: %s", strerror(-r));
		else if (r >= 0)
			log_event(LOG_EVENT_STOPPED, LOG_INFO, NULL, 0, "stopped");
	}
	manager_clear(&m);
	return r;
}

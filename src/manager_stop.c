/* SPDX-License-Identifier: MIT */
#include "manager_private.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* How often more time is asked for while stopping, and for how long. */
#define EXTEND_INTERVAL_USEC (5 * USEC_PER_SEC)
#define EXTEND_BY_USEC (20 * USEC_PER_SEC)

static const char *const manager_state_names[] = {
	[MANAGER_RUNNING] = "running",
	[MANAGER_DRAINING] = "draining",
	[MANAGER_KILLING] = "stopping handlers",
	[MANAGER_CLOSING] = "closing",
};

static void manager_set_state(struct manager *m, enum manager_state state) {
	assert(state > m->state);
	log_debug("%s -> %s", manager_state_names[m->state], manager_state_names[state]);
	m->state = state;
}

static size_t manager_running(const struct manager *m) {
	size_t n = 0;

	LIST_FOREACH(s, &m->members, struct member, node) {
		struct queue_view view;

		queue_look(s->queue, &view);
		n += view.running;
	}
	return n;
}

/* Makes or moves a one-shot timer. Without it a stop would have no end, so a failure ends the loop. */
static void manager_set_timer(struct manager *m, sd_event_source **source, uint64_t usec, sd_event_time_handler_t callback) {
	int r;

	if (*source) {
		sd_event_source_set_time(*source, usec);
		r = sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
	} else {
		r = sd_event_add_time(m->event, source, CLOCK_MONOTONIC, usec, USEC_PER_MSEC * 10, callback, m);
	}
	if (r < 0) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-r))),
			  "cannot set a timer: %s", strerror(-r));
		sd_event_exit(m->event, r);
	}
}

static int on_close_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void manager_close(struct manager *m, uint64_t timeout_usec) {
	manager_set_state(m, MANAGER_CLOSING);
	LIST_FOREACH(l, &m->uplinks, struct uplink, node)
		uplink_close(l, timeout_usec);
	/* The threads keep their own time; this is for one that cannot. */
	manager_set_timer(m, &m->close_timer, clock_add_usec(clock_now_usec(), 2 * timeout_usec), on_close_timer);
	/* Those that were closed before, by a reload, tell nothing any more. */
	manager_check_closed(m);
}

static int on_close_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct manager *m = userdata;

	if (m->state != MANAGER_CLOSING) {
		log_event(LOG_EVENT_BROKER_NOT_CLOSED, LOG_WARNING, NULL, 0,
			  "a broker did not confirm in time that its queues are cancelled; closing its connection");
		manager_close(m, HASTY_CLOSE_TIMEOUT_USEC);
		return 0;
	}
	log_event(LOG_EVENT_BROKER_NOT_CLOSED, LOG_WARNING, NULL, 0, "a broker thread did not stop in time and is left behind");
	return sd_event_exit(m->event, 0);
}

/* Whether a broker has something to confirm for the queue. One that is not connected has not: its thread may be stuck in name
 * resolution or a login for long, and whatever it was told by us would be void. */
static bool member_awaits(const struct member *s) {
	struct queue_view view;

	queue_look(s->queue, &view);
	return view.state != QUEUE_STOPPED && (view.publishing > 0 || s->uplink->consuming.state == BROKER_UP);
}

/* Whether a reply is about to be confirmed after which a copy has to be published. That a broker which takes nothing now will is not
 * waited for. */
static bool manager_may_publish_more(const struct manager *m) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		const struct uplink *l = s->uplink;
		struct queue_view view;

		queue_look(s->queue, &view);
		if (view.answering > 0 && l->publishing.state == BROKER_UP && !l->blocked)
			return true;
	}
	return false;
}

/* No handler runs that could ask for more: copies for which there is no connection fail now, the others get a last chance. */
static void manager_stop_publishers(struct manager *m) {
	if (m->publishers_stopped)
		return;
	m->publishers_stopped = true;
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		int r = l->publisher ? publisher_stop(l->publisher, CLOSE_TIMEOUT_USEC) : 0;

		if (r < 0)
			log_event(LOG_EVENT_BROKER_NOT_CLOSED, LOG_ERR,
				  LOG_FIELDS(log_string("AMQP_BROKER", uplink_name(l)), log_string("AMQP_REASON", strerror(-r))),
				  "broker=%s its publishing connection cannot be closed in order: %s", uplink_name(l), strerror(-r));
	}
}

void manager_check_stopped(struct manager *m) {
	bool stopped = true;

	if (m->stopping_queues || m->state == MANAGER_RUNNING || m->state == MANAGER_CLOSING || manager_running(m) > 0 ||
	    manager_may_publish_more(m))
		return;
	manager_stop_publishers(m);
	LIST_FOREACH(s, &m->members, struct member, node)
		stopped = stopped && !member_awaits(s);
	if (stopped)
		manager_close(m, CLOSE_TIMEOUT_USEC);
	else if (!m->close_timer)
		manager_set_timer(m, &m->close_timer, clock_add_usec(clock_now_usec(), CLOSE_TIMEOUT_USEC), on_close_timer);
}

static void manager_stop_handlers(struct manager *m, const char *why) {
	size_t running = manager_running(m);

	if (running == 0) {
		/* What a stop still waits for is a broker. */
		log_event(LOG_EVENT_BROKER_NOT_CLOSED, LOG_WARNING, LOG_FIELDS(log_string("AMQP_REASON", why)),
			  "%s: no handler runs; closing the connections", why);
		manager_close(m, HASTY_CLOSE_TIMEOUT_USEC);
		return;
	}
	manager_set_state(m, MANAGER_KILLING);
	log_event(LOG_EVENT_HANDLERS_STOPPED, LOG_WARNING, LOG_FIELDS(log_string("AMQP_REASON", why)),
		  "%s: stopping %zu running handler%s; their messages are requeued", why, running, PLURAL(running));
	LIST_FOREACH(s, &m->members, struct member, node)
		queue_stop_handlers(s->queue, false);
	manager_check_stopped(m);
}

static int on_drain_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct manager *m = userdata;

	if (m->state == MANAGER_DRAINING)
		manager_stop_handlers(m, "drain_timeout is over");
	return 0;
}

static int on_extend_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct manager *m = userdata;

	systemd_extend_timeout(m->systemd, EXTEND_BY_USEC);
	systemd_status_changed(m->systemd, true);
	manager_set_timer(m, &m->extend_timer, clock_add_usec(clock_now_usec(), EXTEND_INTERVAL_USEC), on_extend_timer);
	return 0;
}

static void manager_drain(struct manager *m) {
	uint64_t now = clock_now_usec();
	size_t running = manager_running(m);

	manager_set_state(m, MANAGER_DRAINING);
	manager_cancel_reload(m);
	m->drain_until_usec = clock_add_usec(now, m->config->drain_timeout_usec);
	log_event(LOG_EVENT_STOPPING, LOG_INFO, NULL, 0, "stopping: waiting for %zu running handler%s", running,
		  PLURAL(running));
	systemd_stopping(m->systemd);
	systemd_extend_timeout(m->systemd, EXTEND_BY_USEC);
	manager_set_timer(m, &m->extend_timer, clock_add_usec(now, EXTEND_INTERVAL_USEC), on_extend_timer);
	if (m->drain_until_usec != USEC_INFINITY)
		manager_set_timer(m, &m->drain_timer, m->drain_until_usec, on_drain_timer);
	m->stopping_queues = true;
	LIST_FOREACH(s, &m->members, struct member, node)
		queue_stop(s->queue, "the daemon stops");
	m->stopping_queues = false;
	manager_check_stopped(m);
}

void manager_check_closed(struct manager *m) {
	if (m->state != MANAGER_CLOSING)
		return;
	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		if (!uplink_is_closed(l))
			return;
	}
	sd_event_exit(m->event, 0);
}

void manager_stop(struct manager *m) {
	switch (m->state) {
	case MANAGER_RUNNING:
		manager_drain(m);
		break;
	case MANAGER_DRAINING:
		manager_stop_handlers(m, "told to stop again");
		break;
	case MANAGER_KILLING:
		log_event(LOG_EVENT_HANDLERS_STOPPED, LOG_WARNING, LOG_FIELDS(log_string("AMQP_REASON", "told to stop once more")),
			  "told to stop once more: killing the handlers that are left");
		LIST_FOREACH(s, &m->members, struct member, node)
			queue_stop_handlers(s->queue, true);
		break;
	case MANAGER_CLOSING:
		break;
	}
}

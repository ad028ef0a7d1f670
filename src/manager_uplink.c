/* SPDX-License-Identifier: MIT */
/* The manager's connections: what their states mean for the queues and for the log, and whether their threads make progress. */
#include "manager_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* How often at least it is looked whether threads make progress. */
#define WATCH_INTERVAL_MAX_USEC (30 * USEC_PER_SEC)

/* --- threads that are stuck -------------------------------------------------------------------------------------- */

/* Notes whether a thread makes progress. A thread that does not is freed by broker_overdue_usec, which shuts its socket down, once; if
 * that does not help either, only a restart does: false. */
static bool line_check(struct line *l, const char *broker, const char *what, uint64_t overdue_usec) {
	bool was_overdue = l->overdue;

	l->overdue = overdue_usec > 0;
	if (l->overdue && !was_overdue)
		log_event(LOG_EVENT_BROKER_THREAD_STUCK, LOG_ERR, LOG_FIELDS(log_string("AMQP_BROKER", broker)),
			  "broker=%s the thread of its %s connection makes no progress; closing the connection", broker, what);
	return !l->overdue || !was_overdue;
}

bool manager_check_threads(struct manager *m) {
	uint64_t now = clock_now_usec();
	bool alive = true;

	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		const char *name = uplink_name(l);

		alive &= line_check(&l->consuming, name, "consuming", broker_overdue_usec(l->broker, now));
		if (l->publisher)
			alive &= line_check(&l->publishing, name, "publishing", publisher_overdue_usec(l->publisher, now));
	}
	return alive;
}

/* The watchdog looks more often, but need not be there. */
static int on_watch_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct manager *m = userdata;

	(void)manager_check_threads(m);
	(void)sd_event_source_set_time(source, clock_add_usec(clock_now_usec(), m->watch_interval_usec));
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

/* A thread is overdue after two heartbeats; looked at once per heartbeat, and not at an exact time. */
int manager_watch_threads(struct manager *m) {
	uint64_t interval = WATCH_INTERVAL_MAX_USEC;
	int r;

	LIST_FOREACH(l, &m->uplinks, struct uplink, node) {
		uint64_t heartbeat = broker_config(l->broker)->heartbeat * USEC_PER_SEC;

		if (heartbeat > 0 && heartbeat < interval)
			interval = heartbeat;
	}
	if (m->watch_timer && interval == m->watch_interval_usec)
		return 0;
	m->watch_interval_usec = interval;
	m->watch_timer = sd_event_source_disable_unref(m->watch_timer);
	r = sd_event_add_time_relative(m->event, &m->watch_timer, CLOCK_MONOTONIC, interval, interval / 4, on_watch_timer, m);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-r))),
			  "cannot set a timer: %s", strerror(-r));
	return r;
}

/* --- what the connections tell ------------------------------------------------------------------------------------ */

static void replace_text(char **text, const char *by) {
	free(*text);
	*text = by ? strdup(by) : NULL;
}

static void line_clear_reasons(struct line *l, const struct config_broker *config) {
	for (size_t i = 0; l->reasons && i < config->n_addresses; i++)
		replace_text(&l->reasons[i], NULL);
	replace_text(&l->reason, NULL);
}

static void line_free(struct line *l, const struct config_broker *config) {
	line_clear_reasons(l, config);
	free(l->reasons);
}

/* Remembers why it is not up. True if that is news of this address. */
static bool line_set_reason(struct line *l, const struct config_broker *config, const struct config_address *a, const char *reason) {
	char **last;
	bool news;

	replace_text(&l->reason, reason);
	if (!l->reasons)
		l->reasons = calloc(config->n_addresses, sizeof(*l->reasons));
	if (!l->reasons)
		return true;
	last = &l->reasons[a - config->addresses];
	news = !*last || strcmp(*last, reason) != 0;
	replace_text(last, reason);
	return news;
}

/* "the next address", "again in 1.2 s" */
static const char *format_next(uint64_t retry_usec, char *buf, size_t size) {
	if (retry_usec == 0)
		return "the next address";
	snprintf(buf, size, "again in %" PRIu64 ".%" PRIu64 " s", retry_usec / USEC_PER_SEC,
		 retry_usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
	return buf;
}

static enum log_event why_waiting(bool was_up, const struct broker_report *report) {
	if (was_up)
		return LOG_EVENT_BROKER_LOST;
	return report->refused ? LOG_EVENT_BROKER_REFUSED_LOGIN : LOG_EVENT_BROKER_UNREACHABLE;
}

/* Notes a connection's new state, and gives it a line in the log, with fields. `what`: "" or " publishing connection". */
static void line_set_state(struct manager *m, struct line *l, const struct config_broker *config, const char *what,
			   enum broker_state state, const struct broker_report *report) {
	const struct config_address *a = report->address ? report->address : &config->addresses[0];
	const char *reason = report->reason ? report->reason : "connection lost";
	bool was_up = l->state == BROKER_UP;
	char next[48], port[8];
	int n = snprintf(port, sizeof(port), "%u", a->port);
	const struct log_field fields[] = {log_string("AMQP_BROKER", config->name), log_string("AMQP_HOST", a->host),
					   {"AMQP_PORT", port, (size_t)n},
					   log_string("AMQP_REASON", state == BROKER_WAITING ? reason : report->reason)};

	l->state = state;
	l->address = a;
	switch (state) {
	case BROKER_CONNECTING:
		log_debug("broker=%s%s connecting to %s port %u", config->name, what, a->host, a->port);
		break;
	case BROKER_UP:
		l->counts.connects++;
		log_event(LOG_EVENT_BROKER_CONNECTED, LOG_INFO, fields, ARRAY_SIZE(fields),
			  "broker=%s host=%s port=%u%s connected%s", config->name, a->host, a->port, what, a->tls ? " with TLS" : "");
		line_clear_reasons(l, config);
		break;
	case BROKER_WAITING: {
		/* Each attempt gets a line, so that the last one in the log is never older than the delay; only news is a warning. */
		int priority = line_set_reason(l, config, a, reason) ? LOG_WARNING : LOG_INFO;

		l->counts.failures[report->failure]++;
		if (m->state != MANAGER_CLOSING)
			log_event(why_waiting(was_up, report), priority, fields, ARRAY_SIZE(fields),
				  "broker=%s host=%s port=%u%s%s: %s; trying %s", config->name, a->host, a->port,
				  was_up && !what[0] ? " connection" : what, was_up ? " lost" : " not connected", reason,
				  format_next(report->retry_usec, next, sizeof(next)));
		break;
	}
	case BROKER_STOPPED:
		if (report->reason)
			log_event(LOG_EVENT_BROKER_NOT_CLOSED, LOG_WARNING, fields, ARRAY_SIZE(fields), "broker=%s%s stopped: %s",
				  config->name, what, report->reason);
		break;
	}
}

static void uplink_tell_down(const struct uplink *l, struct queue *q) {
	char text[640];

	snprintf(text, sizeof(text), "broker %s: %s", uplink_name(l), l->consuming.reason ? l->consuming.reason : "not connected");
	queue_broker_down(q, text);
}

void uplink_introduce(const struct uplink *l, struct queue *q) {
	/* Of a first attempt that is under way it will hear. */
	if (l->consuming.state != BROKER_UP && l->consuming.reason)
		uplink_tell_down(l, q);
}

static void manager_broker_down(struct manager *m, const struct uplink *l) {
	LIST_FOREACH(s, &m->members, struct member, node) {
		if (s->uplink == l)
			uplink_tell_down(l, s->queue);
	}
}

/* A connection has been closed. */
static void uplink_closed(struct uplink *l) {
	if (l->retired)
		manager_tidy_soon(l->manager);
	manager_check_closed(l->manager);
}

static void on_broker_state(struct broker *b, enum broker_state state, const struct broker_report *report, void *userdata) {
	struct uplink *l = userdata;
	struct manager *m = l->manager;
	bool was_up = l->consuming.state == BROKER_UP;

	line_set_state(m, &l->consuming, broker_config(b), "", state, report);
	/* An attempt has failed when all addresses have been tried. */
	if (state == BROKER_WAITING && (was_up || report->retry_usec > 0))
		manager_broker_down(m, l);
	if (state == BROKER_STOPPED)
		uplink_closed(l);
	systemd_status_changed(m->systemd, false);
}

static void on_publisher_state(struct publisher *p, enum broker_state state, const struct broker_report *report, void *userdata) {
	struct uplink *l = userdata;
	struct manager *m = l->manager;

	line_set_state(m, &l->publishing, broker_config(l->broker), " publishing connection", state, report);
	if (state == BROKER_STOPPED)
		uplink_closed(l);
	else
		manager_check_stopped(m);
	systemd_status_changed(m->systemd, false);
}

static void uplink_log_blocked(const struct uplink *l, bool blocked, const char *reason) {
	const char *name = broker_config(l->broker)->name;

	if (blocked && !reason)
		reason = "no reason given";
	if (blocked)
		log_event(LOG_EVENT_BROKER_BLOCKED, LOG_WARNING,
			  LOG_FIELDS(log_string("AMQP_BROKER", name), log_string("AMQP_REASON", reason)),
			  "broker=%s has blocked publishing: %s; what is to be published waits, consuming goes on", name, reason);
	else
		log_event(LOG_EVENT_BROKER_UNBLOCKED, LOG_INFO, LOG_FIELDS(log_string("AMQP_BROKER", name)),
			  "broker=%s has unblocked publishing", name);
}

/* RabbitMQ blocks connections that publish; if it blocks this one too, it is the same alarm. */
static void on_broker_blocked(struct broker *b, bool blocked, const char *reason, void *userdata) {
	struct uplink *l = userdata;

	if (!l->publisher)
		uplink_log_blocked(l, blocked, reason);
}

static void on_no_depths(struct broker *b, const char *reason, void *userdata) {
	const char *name = broker_config(b)->name;

	log_write(LOG_INFO, LOG_FIELDS(log_string("AMQP_BROKER", name), log_string("AMQP_REASON", reason)),
		  "broker=%s cannot be asked how deep its queues are: %s", name, reason);
}

static void on_publisher_blocked(struct publisher *p, bool blocked, const char *reason, void *userdata) {
	struct uplink *l = userdata;

	l->blocked = blocked;
	uplink_log_blocked(l, blocked, reason);
	manager_check_stopped(l->manager);
	systemd_status_changed(l->manager->systemd, false);
}

static const struct broker_callbacks broker_callbacks = {
	.state = on_broker_state, .blocked = on_broker_blocked, .no_depths = on_no_depths};
static const struct publisher_callbacks publisher_callbacks = {.state = on_publisher_state, .blocked = on_publisher_blocked};

/* --- life ---------------------------------------------------------------------------------------------------------- */

const char *uplink_name(const struct uplink *l) {
	return broker_config(l->broker)->name;
}

int uplink_new(struct manager *m, struct config *config, const struct config_broker *broker, struct uplink **ret) {
	struct uplink *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_BROKER", broker->name)),
			  "broker=%s cannot be set up: no memory", broker->name);
		return -ENOMEM;
	}
	list_init(&l->node);
	l->manager = m;
	r = broker_new(m->event, config, broker, &broker_callbacks, l, &l->broker);
	if (r < 0) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR,
			  LOG_FIELDS(log_string("AMQP_BROKER", broker->name), log_string("AMQP_REASON", strerror(-r))),
			  "broker=%s cannot be set up: %s", broker->name, strerror(-r));
		free(l);
		return r;
	}
	l->config = config_ref(config);
	*ret = l;
	return 0;
}

static void counts_add(struct snapshot_connection *to, const struct snapshot_connection *from) {
	to->connects += from->connects;
	for (size_t i = 0; i < BROKER_FAILURES; i++)
		to->failures[i] += from->failures[i];
}

void uplink_inherit(struct uplink *l, const struct uplink *from) {
	counts_add(&l->consuming.counts, &from->consuming.counts);
	counts_add(&l->publishing.counts, &from->publishing.counts);
}

int uplink_publish(struct uplink *l) {
	int r;

	if (l->publisher)
		return 0;
	r = publisher_new(l->manager->event, l->config, broker_config(l->broker), &publisher_callbacks, l, &l->publisher);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR,
			  LOG_FIELDS(log_string("AMQP_BROKER", uplink_name(l)), log_string("AMQP_REASON", strerror(-r))),
			  "broker=%s its publishing connection cannot be set up: %s", uplink_name(l), strerror(-r));
	return r;
}

void uplink_free_publisher(struct uplink *l) {
	l->publisher = publisher_free(l->publisher);
}

struct uplink *uplink_free(struct uplink *l) {
	const struct config_broker *config;

	if (!l)
		return NULL;
	config = broker_config(l->broker);
	list_remove(&l->node);
	uplink_free_publisher(l);
	broker_free(l->broker);
	line_free(&l->consuming, config);
	line_free(&l->publishing, config);
	config_unref(l->config);
	free(l);
	return NULL;
}

void uplink_close(struct uplink *l, uint64_t timeout_usec) {
	/* One that is not connected has nothing to say goodbye to: at worst its thread is stuck in name resolution. */
	int r = broker_stop(l->broker, l->consuming.state == BROKER_UP ? timeout_usec : HASTY_CLOSE_TIMEOUT_USEC);

	l->closing = true;
	if (r >= 0 && l->publisher)
		r = publisher_stop(l->publisher, HASTY_CLOSE_TIMEOUT_USEC);
	if (r < 0)
		log_event(LOG_EVENT_BROKER_NOT_CLOSED, LOG_ERR,
			  LOG_FIELDS(log_string("AMQP_BROKER", uplink_name(l)), log_string("AMQP_REASON", strerror(-r))),
			  "broker=%s cannot be closed in order: %s", uplink_name(l), strerror(-r));
}

bool uplink_is_closed(const struct uplink *l) {
	return l->consuming.state == BROKER_STOPPED && (!l->publisher || l->publishing.state == BROKER_STOPPED);
}

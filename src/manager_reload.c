/* SPDX-License-Identifier: MIT */
/* The manager's reload: another configuration is read, and taken if nothing is wrong with it. */
#include "manager_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "log_problems.h"

/* What cannot be read within that time, because a file system or a directory service does not answer, is refused. */
#define LOAD_TIMEOUT_USEC USEC_PER_MINUTE
#define LOAD_ACCURACY_USEC (100 * USEC_PER_MSEC)

static void log_names(enum log_event event, const char *what, const char *const *names, size_t n) {
	for (size_t i = 0; i < n; i++)
		log_event(event, LOG_INFO, LOG_FIELDS(log_string("AMQP_QUEUE", names[i])), "queue=%s %s", names[i], what);
}

static void log_changes(const struct changes *c) {
	log_names(LOG_EVENT_QUEUE_ADDED, "added", c->added, c->n_added);
	log_names(LOG_EVENT_QUEUE_CHANGED, "changed", c->changed, c->n_changed);
	log_names(LOG_EVENT_QUEUE_REMOVED, "removed; what it has begun is finished", c->removed, c->n_removed);
	log_event(LOG_EVENT_RELOADED, LOG_NOTICE, NULL, 0, "reloaded: %zu queue%s added, %zu changed, %zu removed, %zu unchanged",
		  c->n_added, PLURAL(c->n_added), c->n_changed, c->n_removed, c->n_unchanged);
}

/* The first error, as the reason of the refusal; with how many there are. */
static void set_refusal(struct reload *reload, const struct config_problems *problems, const char *failure) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	for (size_t i = 0; !failure && i < problems->n; i++) {
		CLEANUP(free) char *text = NULL;

		if (problems->items[i].warning || config_problem_format(&problems->items[i], &text) < 0)
			continue;
		strbuf_append_str(&b, text);
		if (problems->n_errors > 1)
			strbuf_printf(&b, " (and %zu more)", problems->n_errors - 1);
		break;
	}
	if (failure)
		strbuf_append_str(&b, failure);
	free(reload->refusal);
	reload->refusal = NULL;
	reload->refused = true;
	(void)strbuf_take(&b, &reload->refusal);
}

static int manager_begin_reload(struct manager *m);

/* Counts it, and tells it in the log if it was refused. */
static void manager_note_reload(struct manager *m) {
	const char *why = m->reload.refusal ? m->reload.refusal : "no memory";

	m->reload.done_usec = clock_realtime_usec();
	if (!m->reload.refused) {
		m->reload.n_taken++;
		return;
	}
	m->reload.n_failed++;
	log_event(LOG_EVENT_RELOAD_REFUSED, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", why)),
		  "reload refused, the configuration of before stays in force: %s", why);
}

/* What came of it, for whoever has asked. */
static void manager_end_reload(struct manager *m, const struct control_reload_result *result) {
	static const struct config_problems none;
	int r = 0;

	m->reload.loader = loader_free(m->reload.loader);
	m->reload.timer = sd_event_source_disable_unref(m->reload.timer);
	manager_note_reload(m);
	systemd_reloaded(m->systemd);
	control_reload_done(m->listening.control, result);
	if (m->reload.again)
		r = manager_begin_reload(m);
	m->reload.again = false;
	/* Those who have asked for another one meanwhile hear that it could not even begin. */
	if (r < 0)
		control_reload_done(m->listening.control,
				    &(struct control_reload_result){.failure = strerror(-r), .problems = &none});
}

static void manager_fail_reload(struct manager *m, const char *failure) {
	static const struct config_problems none;

	set_refusal(&m->reload, &none, failure);
	manager_end_reload(m, &(struct control_reload_result){.failure = failure, .problems = &none});
}

/* It is in force: from now on its queues are due. */
static void manager_go_on(struct manager *m, const struct config_problems *problems, struct listen_plan *plan, struct changes *changes) {
	struct control_reload_result result = {.problems = problems,
					       .added = changes->added,
					       .n_added = changes->n_added,
					       .removed = changes->removed,
					       .n_removed = changes->n_removed,
					       .changed = changes->changed,
					       .n_changed = changes->n_changed,
					       .unchanged = changes->n_unchanged};

	free(m->reload.refusal);
	m->reload.refusal = NULL;
	m->reload.refused = false;
	log_changes(changes);
	manager_listen_commit(m, plan);
	(void)manager_watch_threads(m);
	manager_end_reload(m, &result);
	changes_clear(changes);
	/* The names above may be gone with this. */
	manager_tidy(m);
	dispatcher_run(&m->dispatcher);
	manager_check_ready(m);
}

static void on_loaded(int r, const struct config_problems *problems, struct config *config, void *userdata) {
	struct manager *m = userdata;
	CLEANUP(listen_plan_clear) struct listen_plan plan = {0};
	CLEANUP(free) char *why = NULL;
	struct changes changes;

	log_problems(problems);
	if (r < 0 && problems->n_errors > 0) {
		set_refusal(&m->reload, problems, NULL);
		manager_end_reload(m, &(struct control_reload_result){.problems = problems});
		return;
	}
	if (r == 0)
		r = manager_listen_prepare(m, config, &plan, &why);
	if (r == 0)
		r = manager_take(m, config, &changes);
	if (r < 0)
		manager_fail_reload(m, why ? why : strerror(-r));
	else
		manager_go_on(m, problems, &plan, &changes);
}

static int on_load_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
	manager_fail_reload(userdata, "reading the configuration has taken more than a minute");
	return 0;
}

static int manager_begin_reload(struct manager *m) {
	static const struct config_problems none;
	int r = sd_event_add_time_relative(m->event, &m->reload.timer, CLOCK_MONOTONIC, LOAD_TIMEOUT_USEC, LOAD_ACCURACY_USEC,
					   on_load_timeout, m);

	if (r >= 0)
		r = loader_new(m->event, m->config->path, on_loaded, m, &m->reload.loader);
	if (r < 0) {
		m->reload.timer = sd_event_source_disable_unref(m->reload.timer);
		set_refusal(&m->reload, &none, strerror(-r));
		manager_note_reload(m);
		return r;
	}
	log_event(LOG_EVENT_RELOAD_BEGUN, LOG_INFO, NULL, 0, "reloading %s", m->config->path);
	systemd_reloading(m->systemd);
	return 0;
}

int manager_reload(struct manager *m) {
	if (m->state != MANAGER_RUNNING)
		return -ESHUTDOWN;
	if (m->reload.loader) {
		m->reload.again = true;
		return -EBUSY;
	}
	return manager_begin_reload(m);
}

void manager_cancel_reload(struct manager *m) {
	static const struct config_problems none;
	bool again = m->reload.again;

	m->reload.again = false;
	if (m->reload.loader)
		manager_fail_reload(m, "the daemon stops");
	/* Those who have asked for another one after that. */
	if (again)
		control_reload_done(m->listening.control,
				    &(struct control_reload_result){.failure = "the daemon stops", .problems = &none});
}

void manager_clear_reload(struct manager *m) {
	m->reload.loader = loader_free(m->reload.loader);
	m->reload.timer = sd_event_source_disable_unref(m->reload.timer);
	free(m->reload.refusal);
}

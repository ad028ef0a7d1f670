/* SPDX-License-Identifier: MIT */
#include "service/control_json.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "service/json_text.h"

/* jansson takes NULL, which stands for a lack of memory, wherever a value belongs, and makes the whole NULL: so what is put
 * together here is checked once, at the end. */

static json_t *array_append(json_t *array, json_t *value) {
	if (json_array_append_new(array, value) == 0)
		return array;
	json_decref(array);
	return NULL;
}

/* --- status ------------------------------------------------------------------------------------------------------ */

static json_t *count_to_json(uint64_t n) {
	return json_integer((json_int_t)n);
}

/* Those that there were. */
static json_t *failures_to_json(const struct snapshot_connection *c) {
	json_t *object = json_object();

	for (size_t i = 0; i < BROKER_FAILURES; i++) {
		if (c->failures[i] == 0)
			continue;
		if (json_object_set_new(object, broker_failure_to_string((enum broker_failure)i), count_to_json(c->failures[i])) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *broker_to_json(const struct snapshot_broker *b) {
	json_t *publisher = json_null();

	if (b->has_publisher)
		publisher = json_pack("{s:o, s:o, s:b, s:o, s:o}", "state", json_text_new(b->publishing_state), "reason",
				      json_text_new(b->publishing_reason), "blocked", b->blocked,
				      "connects", count_to_json(b->publishing.connects), "failures", failures_to_json(&b->publishing));
	return json_pack("{s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "name", json_text_new(b->name), "host", json_text_new(b->host),
			 "port", (int)b->port, "state", json_text_new(b->state), "reason", json_text_new(b->reason),
			 "connects", count_to_json(b->consuming.connects), "failures", failures_to_json(&b->consuming),
			 "publisher", publisher);
}

static json_t *counters_to_json(const struct queue_counters *c) {
	const struct {
		const char *name;
		uint64_t n;
	} all[] = {
		{"delivered", c->delivered},
		{"acked", c->acked},
		{"requeued", c->requeued},
		{"retried", c->retried},
		{"rejected", c->rejected},
		{"replied", c->replied},
		{"replies_unroutable", c->replies_unroutable},
		{"forwarded", c->forwarded},
		{"copies_failed", c->copies_failed},
		{"reused", c->reused},
		{"returned", c->returned},
		{"lost", c->lost},
	};
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (json_object_set_new(object, all[i].name, count_to_json(all[i].n)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *last_failure_to_json(const struct failure *f) {
	if (!f)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "time", json_text_time(f->time_usec), "message_id",
			 json_text_new(f->message_id), "how", json_text_new(f->how), "decision", json_text_new(f->decision),
			 "text", json_text_new(f->text));
}

/* JSON knows no other numbers than finite ones, and nobody needs more digits. */
static json_t *rate_to_json(double rate) {
	return json_real(round(rate * 1e4) / 1e4);
}

/* How it has been doing. */
static json_t *health_to_json(const struct snapshot_queue *q) {
	const struct queue_view *v = &q->view;

	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "rate", rate_to_json(q->rate), "failure_rate",
			 rate_to_json(q->failure_rate), "last_failure", last_failure_to_json(v->last_failure),
			 "oldest_seconds", json_real((double)(q->oldest_usec / USEC_PER_MSEC) / 1e3),
			 "unacknowledged", (json_int_t)v->unacknowledged, "breaker_failures", (json_int_t)v->failures);
}

static json_t *merge(json_t *object, json_t *more) {
	int r = object && more ? json_object_update(object, more) : -1;

	json_decref(more);
	if (r == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *queue_to_json(const struct snapshot_queue *q) {
	const struct queue_view *v = &q->view;

	return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:b, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
			 "name", json_text_new(q->name), "broker", json_text_new(q->broker),
			 "state", json_text_new(queue_state_to_string(v->state)), "reason", json_text_new(v->reason),
			 "paused_by_operator", q->paused_by_operator, "leaving", q->leaving,
			 "attempted", v->attempted, "consumed", v->consumed,
			 "copy_trouble", json_text_new(v->copy_trouble), "worker_trouble", json_text_new(v->worker_trouble),
			 "prefetch", (json_int_t)q->prefetch, "concurrency", (json_int_t)q->concurrency,
			 "waiting", (json_int_t)v->waiting, "running", (json_int_t)v->running,
			 "publishing", (json_int_t)v->publishing, "answering", (json_int_t)v->answering,
			 "held", (json_int_t)v->held,
			 "messages_ready", q->depth_known ? count_to_json(q->messages_ready) : json_null(),
			 "consumers", q->depth_known ? count_to_json(q->consumers) : json_null(), "counters", counters_to_json(&v->counters));
}

static json_t *last_reload_to_json(const struct snapshot *s) {
	if (s->last_reload_usec == 0)
		return json_null();
	return json_pack("{s:o, s:b, s:o}", "time", json_text_time(s->last_reload_usec), "ok", s->last_reload_ok, "reason",
			 json_text_new(s->last_reload_reason));
}

void control_json_status(const struct snapshot *s, struct strbuf *b) {
	json_t *brokers = json_array(), *queues = json_array();

	for (size_t i = 0; i < s->n_brokers; i++)
		brokers = array_append(brokers, broker_to_json(&s->brokers[i]));
	for (size_t i = 0; i < s->n_queues; i++)
		queues = array_append(queues, merge(queue_to_json(&s->queues[i]), health_to_json(&s->queues[i])));
	json_text_append(b, json_pack("{s:o, s:I, s:o, s:b, s:o, s:{s:o, s:o}, s:o, s:{s:I, s:I}, s:o, s:o}",
				      "version", json_text_new(s->version), "pid", (json_int_t)s->pid,
				      "state", json_text_new(s->state), "ready", s->ready, "started", json_text_time(s->started_usec),
				      "configuration", "path", json_text_new(s->config_path), "loaded", json_text_time(s->config_loaded_usec),
				      "last_reload", last_reload_to_json(s),
				      "handlers", "running", (json_int_t)s->running, "max", (json_int_t)s->max_handlers,
				      "brokers", brokers, "queues", queues));
}

/* --- orders ------------------------------------------------------------------------------------------------------ */

bool control_json_meant(const struct snapshot_queue *q, const char *queue, const char *broker) {
	return !q->leaving && (!queue || strcmp(q->name, queue) == 0) && (!broker || strcmp(q->broker, broker) == 0);
}

void control_json_queues(const struct snapshot *s, const char *queue, const char *broker, struct strbuf *b) {
	json_t *queues = json_array();

	for (size_t i = 0; i < s->n_queues; i++) {
		const struct snapshot_queue *q = &s->queues[i];

		if (control_json_meant(q, queue, broker))
			queues = array_append(
				queues, json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:I}", "name", json_text_new(q->name), "broker",
						  json_text_new(q->broker), "state", json_text_new(queue_state_to_string(q->view.state)),
						  "paused_by_operator", q->paused_by_operator, "running", (json_int_t)q->view.running,
						  "waiting", (json_int_t)q->view.waiting, "publishing", (json_int_t)q->view.publishing));
	}
	json_text_append(b, json_pack("{s:o}", "queues", queues));
}

/* --- reload ------------------------------------------------------------------------------------------------------ */

static json_t *names_to_json(const char *const *names, size_t n) {
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		array = array_append(array, json_text_new(names[i]));
	return array;
}

/* Errors, or warnings. The line is null if it is the file as a whole. */
static json_t *problems_to_json(const struct config_problems *problems, bool warnings) {
	json_t *array = json_array();

	for (size_t i = 0; problems && i < problems->n; i++) {
		const struct config_problem *p = &problems->items[i];

		if (p->warning == warnings)
			array = array_append(array, json_pack("{s:o, s:o, s:o, s:o}", "file", json_text_new(p->file), "line",
							      p->line > 0 ? json_integer(p->line) : json_null(), "key",
							      json_text_new(p->key), "text", json_text_new(p->text)));
	}
	return array;
}

void control_json_reload(const struct control_reload_result *result, struct strbuf *b) {
	json_t *warnings = problems_to_json(result->problems, true);

	if (result->problems && result->problems->n_errors > 0)
		json_text_append(b, json_pack("{s:s, s:o, s:o}", "error", "the configuration is refused", "problems",
					      problems_to_json(result->problems, false), "warnings", warnings));
	else
		json_text_append(b, json_pack("{s:s, s:o, s:o, s:o, s:I, s:o}", "result", "reloaded", "added",
					      names_to_json(result->added, result->n_added), "removed",
					      names_to_json(result->removed, result->n_removed), "changed",
					      names_to_json(result->changed, result->n_changed), "unchanged",
					      (json_int_t)result->unchanged, "warnings", warnings));
}

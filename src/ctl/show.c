/* SPDX-License-Identifier: MIT */
#include "ctl/show.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/columns.h"
#include "ctl/text.h"

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

const char *show_text(json_t *object, const char *name) {
	return json_string_value(json_object_get(object, name));
}

unsigned long long show_number(json_t *object, const char *name) {
	json_int_t n = json_integer_value(json_object_get(object, name));

	return n > 0 ? (unsigned long long)n : 0;
}

bool show_flag(json_t *object, const char *name) {
	return json_is_true(json_object_get(object, name));
}

static const char *text_or(json_t *object, const char *name, const char *otherwise) {
	const char *text = show_text(object, name);

	return text ? text : otherwise;
}

/* Appends how long ago a time was, "2026-01-31T12:00:00Z"; "?" if it is none. */
static void append_ago(struct strbuf *b, const char *time, time_t now) {
	struct tm tm = {0};
	const char *end = time ? strptime(time, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;
	time_t then = end && !*end ? timegm(&tm) : -1;

	if (then < 0)
		strbuf_append_char(b, '?');
	else
		text_append_age(b, now > then ? (uint64_t)(now - then) : 0);
}

/* --- the daemon and its brokers ---------------------------------------------------------------------------------- */

static void append_daemon(json_t *status, time_t now, bool colour, struct strbuf *b) {
	json_t *configuration = json_object_get(status, "configuration");
	json_t *reload = json_object_get(status, "last_reload");
	json_t *handlers = json_object_get(status, "handlers");

	strbuf_append_str(b, "amqp-execd ");
	text_append(b, text_or(status, "version", "?"));
	strbuf_printf(b, ": %s", colour ? (show_flag(status, "ready") ? GREEN : YELLOW) : "");
	text_append(b, text_or(status, "state", "?"));
	strbuf_printf(b, "%s for ", colour ? PLAIN : "");
	append_ago(b, show_text(status, "started"), now);
	strbuf_printf(b, "%s, process %llu; %llu of at most %llu handlers running\n",
		      show_flag(status, "ready") ? "" : ", not ready", show_number(status, "pid"),
		      show_number(handlers, "running"), show_number(handlers, "max"));
	strbuf_append_str(b, "configuration ");
	text_append(b, text_or(configuration, "path", "?"));
	strbuf_append_str(b, ", loaded ");
	append_ago(b, show_text(configuration, "loaded"), now);
	strbuf_append_str(b, " ago\n");
	if (json_is_object(reload) && !show_flag(reload, "ok")) {
		strbuf_printf(b, "%sthe last reload, ", colour ? RED : "");
		append_ago(b, show_text(reload, "time"), now);
		strbuf_append_str(b, " ago, has failed: ");
		text_append_line(b, text_or(reload, "reason", "?"));
		strbuf_printf(b, "%s\n", colour ? PLAIN : "");
	}
}

static void append_connection(json_t *broker, json_t *connection, const char *what, bool colour, struct strbuf *b) {
	const char *state = text_or(connection, "state", "?"), *reason = show_text(connection, "reason");
	bool up = strcmp(state, "up") == 0;

	strbuf_append_str(b, "broker ");
	text_append(b, text_or(broker, "name", "?"));
	strbuf_printf(b, "%s: %s", what, colour ? (up ? GREEN : RED) : "");
	text_append(b, state);
	strbuf_append_str(b, colour ? PLAIN ", " : ", ");
	text_append(b, text_or(broker, "host", "?"));
	strbuf_printf(b, " port %llu", show_number(broker, "port"));
	if (show_flag(connection, "blocked"))
		strbuf_append_str(b, ", takes no publications for now");
	if (reason) {
		strbuf_append_str(b, ": ");
		text_append_line(b, reason);
	}
	strbuf_append_char(b, '\n');
}

/* The publishing connection is worth a line when it is not as it should be. */
static void append_brokers(json_t *brokers, bool colour, struct strbuf *b) {
	json_t *broker;
	size_t i;

	json_array_foreach(brokers, i, broker) {
		json_t *publisher = json_object_get(broker, "publisher");

		append_connection(broker, broker, "", colour, b);
		if (json_is_object(publisher) &&
		    (show_flag(publisher, "blocked") || strcmp(text_or(publisher, "state", "?"), "up") != 0))
			append_connection(broker, publisher, " (publishing)", colour, b);
	}
}

/* --- queues ------------------------------------------------------------------------------------------------------ */

static const char *state_colour(const char *state) {
	if (strcmp(state, "consuming") == 0)
		return GREEN;
	if (strcmp(state, "degraded") == 0 || strcmp(state, "paused") == 0)
		return RED;
	return YELLOW;
}

static int add_note(struct columns *c, const char *before, const char *text) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	if (!text)
		return 0;
	strbuf_printf(&b, "%s%s", before, text);
	return b.failed ? -1 : columns_note(c, strbuf_str(&b));
}

static int add_queue(struct columns *c, json_t *queue, bool with_broker) {
	json_t *counters = json_object_get(queue, "counters");
	const char *state = text_or(queue, "state", "?");
	bool by_operator = show_flag(queue, "paused_by_operator");
	char running[48];

	snprintf(running, sizeof(running), "%llu/%llu", show_number(queue, "running"),
		 show_number(queue, "concurrency"));
	if (columns_row(c) < 0 || columns_cell(c, text_or(queue, "name", "?"), NULL) < 0 ||
	    (with_broker && columns_cell(c, text_or(queue, "broker", "?"), NULL) < 0) ||
	    columns_cell(c, state, by_operator ? YELLOW : state_colour(state)) < 0 ||
	    columns_cell(c, running, NULL) < 0 || columns_number(c, show_number(queue, "waiting")) < 0 ||
	    columns_number(c, show_number(queue, "held")) < 0 ||
	    columns_number(c, show_number(counters, "acked")) < 0 ||
	    columns_number(c, show_number(counters, "requeued")) < 0 ||
	    columns_number(c, show_number(counters, "retried")) < 0 ||
	    columns_number(c, show_number(counters, "rejected")) < 0)
		return -1;
	if (show_flag(queue, "leaving") &&
	    add_note(c, "", "is not in the configuration any more, or is started anew") < 0)
		return -1;
	if (add_note(c, "", show_text(queue, "reason")) < 0 ||
	    add_note(c, "cannot publish: ", show_text(queue, "copy_trouble")) < 0 ||
	    add_note(c, "waits for workers: ", show_text(queue, "worker_trouble")) < 0)
		return -1;
	return 0;
}

static void append_queues(json_t *queues, bool with_broker, bool colour, struct strbuf *b) {
	static const struct column all[] = {
		{"QUEUE", false}, {"BROKER", false}, {"STATE", false},   {"RUNNING", true}, {"WAITING", true},
		{"HELD", true},   {"ACKED", true},   {"REQUEUED", true}, {"RETRIED", true}, {"REJECTED", true},
	};
	struct column columns[ARRAY_SIZE(all)];
	CLEANUP(columns_free) struct columns *c = NULL;
	json_t *queue;
	size_t n = 0, i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (with_broker || strcmp(all[i].title, "BROKER") != 0)
			columns[n++] = all[i];
	if (columns_new(columns, n, &c) < 0) {
		b->failed = true;
		return;
	}
	json_array_foreach(queues, i, queue) {
		if (add_queue(c, queue, with_broker) < 0)
			b->failed = true;
	}
	columns_append(c, colour, b);
}

void show_status(json_t *status, time_t now, bool colour, struct strbuf *b) {
	json_t *brokers = json_object_get(status, "brokers");

	append_daemon(status, now, colour, b);
	append_brokers(brokers, colour, b);
	strbuf_append_char(b, '\n');
	append_queues(json_object_get(status, "queues"), json_array_size(brokers) > 1, colour, b);
}

void show_queues(json_t *answer, struct strbuf *b) {
	json_t *queues = json_object_get(answer, "queues"), *queue;
	size_t i;

	json_array_foreach(queues, i, queue) {
		unsigned long long running = show_number(queue, "running");

		text_append(b, text_or(queue, "name", "?"));
		strbuf_append_str(b, ": ");
		text_append(b, text_or(queue, "state", "?"));
		strbuf_printf(b, ", %llu handler%s running\n", running, text_plural(running));
	}
}

/* --- reload ------------------------------------------------------------------------------------------------------ */

static void append_names(const char *what, json_t *names, struct strbuf *b) {
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name) {
		strbuf_printf(b, "%s: ", what);
		text_append(b, json_is_string(name) ? json_string_value(name) : "?");
		strbuf_append_char(b, '\n');
	}
}

void show_reload(json_t *answer, struct strbuf *b) {
	unsigned long long unchanged = show_number(answer, "unchanged");

	append_names("added", json_object_get(answer, "added"), b);
	append_names("removed", json_object_get(answer, "removed"), b);
	append_names("changed", json_object_get(answer, "changed"), b);
	strbuf_printf(b, "reloaded; %llu queue%s unchanged\n", unchanged, text_plural(unchanged));
}

void show_problems(json_t *problems, bool warnings, struct strbuf *b) {
	json_t *problem;
	size_t i;

	json_array_foreach(problems, i, problem) {
		unsigned long long line = show_number(problem, "line");
		const char *key = show_text(problem, "key");

		text_append(b, text_or(problem, "file", "?"));
		if (line > 0)
			strbuf_printf(b, ":%llu", line);
		strbuf_append_str(b, ": ");
		if (key) {
			text_append(b, key);
			strbuf_append_str(b, ": ");
		}
		if (warnings)
			strbuf_append_str(b, "warning: ");
		text_append_line(b, text_or(problem, "text", "?"));
		strbuf_append_char(b, '\n');
	}
}

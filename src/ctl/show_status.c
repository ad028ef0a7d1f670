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
/* Older failures are no news. */
#define FAILURE_MAX_SECONDS (24 * 60 * 60)

/* "2026-01-31T12:00:00Z"; -1: it is none. */
static time_t parse_time(const char *time) {
	struct tm tm = {0};
	const char *end = time ? strptime(time, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;

	return end && !*end ? timegm(&tm) : -1;
}

/* Appends how long ago a time was; "?" if it is none. */
static void append_ago(struct strbuf *b, const char *time, time_t now) {
	time_t then = parse_time(time);

	if (then < 0)
		strbuf_append_char(b, '?');
	else
		text_append_age(b, now > then ? (uint64_t)(now - then) : 0);
}

static size_t count_lines(const struct strbuf *b) {
	const char *s = strbuf_str(b);
	size_t n = 0;

	while ((s = strchr(s, '\n')))
		n++, s++;
	return n;
}

/* --- the daemon and its brokers ---------------------------------------------------------------------------------- */

static void append_daemon(json_t *status, time_t now, bool colour, struct strbuf *b) {
	json_t *configuration = json_object_get(status, "configuration");
	json_t *reload = json_object_get(status, "last_reload");
	json_t *handlers = json_object_get(status, "handlers");

	strbuf_append_str(b, "amqp-execd ");
	text_append(b, show_text_or(status, "version", "?"));
	strbuf_printf(b, ": %s", colour ? (show_flag(status, "ready") ? GREEN : YELLOW) : "");
	text_append(b, show_text_or(status, "state", "?"));
	strbuf_printf(b, "%s for ", colour ? PLAIN : "");
	append_ago(b, show_text(status, "started"), now);
	strbuf_printf(b, "%s, process %llu; %llu of at most %llu handlers running\n",
		      show_flag(status, "ready") ? "" : ", not ready", show_number(status, "pid"),
		      show_number(handlers, "running"), show_number(handlers, "max"));
	strbuf_append_str(b, "configuration ");
	text_append(b, show_text_or(configuration, "path", "?"));
	strbuf_append_str(b, ", loaded ");
	append_ago(b, show_text(configuration, "loaded"), now);
	strbuf_append_str(b, " ago\n");
	if (json_is_object(reload) && !show_flag(reload, "ok")) {
		strbuf_printf(b, "%sthe last reload, ", colour ? RED : "");
		append_ago(b, show_text(reload, "time"), now);
		strbuf_append_str(b, " ago, has failed: ");
		text_append_line(b, show_text_or(reload, "reason", "?"));
		strbuf_printf(b, "%s\n", colour ? PLAIN : "");
	}
}

static void append_connection(json_t *broker, json_t *connection, const char *what, bool colour, struct strbuf *b) {
	const char *state = show_text_or(connection, "state", "?"), *reason = show_text(connection, "reason");
	CLEANUP(strbuf_free) struct strbuf address = STRBUF_INIT;
	bool up = strcmp(state, "up") == 0;

	strbuf_printf(&address, "%s port %llu", show_text_or(broker, "host", "?"), show_number(broker, "port"));
	strbuf_append_str(b, "broker ");
	text_append(b, show_text_or(broker, "name", "?"));
	strbuf_printf(b, "%s: %s", what, colour ? (up ? GREEN : RED) : "");
	text_append(b, state);
	strbuf_append_str(b, colour ? PLAIN : "");
	/* A reason that has it needs the room for itself. */
	if (!reason || !strstr(reason, strbuf_str(&address))) {
		strbuf_append_str(b, ", ");
		text_append(b, strbuf_str(&address));
	}
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
		    (show_flag(publisher, "blocked") || strcmp(show_text_or(publisher, "state", "?"), "up") != 0))
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

static const char *queue_colour(json_t *queue) {
	return show_flag(queue, "paused_by_operator") ? YELLOW : state_colour(show_text_or(queue, "state", "?"));
}

/* Something is wrong that nobody has wanted. */
static bool is_troubled(json_t *queue) {
	const char *state = show_text_or(queue, "state", "?");

	if (strcmp(state, "paused") == 0 && !show_flag(queue, "paused_by_operator"))
		return true;
	return strcmp(state, "degraded") == 0 || strcmp(state, "probing") == 0 || show_text(queue, "copy_trouble") ||
	       show_text(queue, "worker_trouble");
}

/* "6 queues: 4 consuming, 1 paused, 1 degraded" */
static void append_summary(json_t *queues, bool colour, struct strbuf *b) {
	static const char *const states[] = {"starting", "consuming", "probing", "paused",
					     "degraded", "stopping",  "stopped"};
	size_t n = json_array_size(queues), i;
	const char *separator = ":";
	json_t *queue;

	strbuf_printf(b, "%zu queue%s", n, text_plural(n));
	for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
		unsigned count = 0;

		json_array_foreach(queues, i, queue) count += strcmp(show_text_or(queue, "state", "?"), states[k]) == 0;
		if (count == 0)
			continue;
		strbuf_printf(b, "%s %s%u %s%s", separator, colour ? state_colour(states[k]) : "", count, states[k],
			      colour ? PLAIN : "");
		separator = ",";
	}
	strbuf_append_char(b, '\n');
}

static int add_note(struct columns *c, const char *before, const char *text) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	if (!text)
		return 0;
	strbuf_printf(&b, "%s%s", before, text);
	return b.failed ? -1 : columns_note(c, strbuf_str(&b), false);
}

/* A number that an older daemon may not tell. */
static int add_count(struct columns *c, json_t *object, const char *name) {
	if (!json_is_integer(json_object_get(object, name)))
		return columns_cell(c, "-", NULL);
	return columns_number(c, show_number(object, name));
}

/* How many messages end in a second, and how many of them fail. */
static int add_rates(struct columns *c, json_t *queue) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *all = json_object_get(queue, "rate"), *failing = json_object_get(queue, "failure_rate");
	double rate = json_number_value(all), share = rate > 0 ? json_number_value(failing) / rate : 0;

	if (!json_is_number(all))
		return columns_cell(c, "-", NULL) < 0 ? -1 : columns_cell(c, "-", NULL);
	text_append_rate(&b, rate);
	if (b.failed || columns_cell(c, strbuf_str(&b), NULL) < 0)
		return -1;
	if (!json_is_number(failing) || rate < TEXT_RATE_MIN)
		return columns_cell(c, "-", NULL);
	strbuf_reset(&b);
	/* Nothing that fails is rounded away. */
	strbuf_printf(&b, share > 0 && share < 0.01 ? "<1%%" : "%.0f%%", (share > 1 ? 1 : share) * 100);
	return b.failed ? -1 : columns_cell(c, strbuf_str(&b), share >= 0.5 ? RED : share >= 0.1 ? YELLOW : NULL);
}

static const char *decision_in_words(const char *decision) {
	static const struct {
		const char *decision, *words;
	} all[] = {
		{"ack", "acknowledged"}, {"requeue", "requeued"}, {"retry", "retried"},
		{"reject", "rejected"},  {"return", "returned"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(all[i].decision, decision) == 0)
			return all[i].words;
	return decision;
}

/* Failed messages that are held are all that the broker sends until one of them is requeued. */
static int add_stall(struct columns *c, json_t *queue) {
	unsigned long long held = show_number(queue, "held"), prefetch = show_number(queue, "prefetch");

	if (prefetch == 0 || held < prefetch || show_number(queue, "messages_ready") == 0)
		return 0;
	return columns_note(c,
			    "failed messages are held, as many as prefetch allows: the others wait until one is "
			    "requeued",
			    false);
}

/* "last failure 2min ago: exit 65, message m-17, rejected: no such customer" */
static int add_failure(struct columns *c, json_t *queue, time_t now) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *failure = json_object_get(queue, "last_failure");
	const char *id = show_text(failure, "message_id"), *decision = show_text(failure, "decision");
	const char *text = show_text(failure, "text");
	time_t then = parse_time(show_text(failure, "time"));

	if (!json_is_object(failure) || (then >= 0 && now - then > FAILURE_MAX_SECONDS))
		return 0;
	strbuf_append_str(&b, "last failure ");
	append_ago(&b, show_text(failure, "time"), now);
	strbuf_printf(&b, " ago: %s", show_text_or(failure, "how", "?"));
	if (id)
		strbuf_printf(&b, ", message %s", id);
	if (decision)
		strbuf_printf(&b, ", %s", decision_in_words(decision));
	if (text && *text)
		strbuf_printf(&b, ": %s", text);
	return b.failed ? -1 : columns_note(c, strbuf_str(&b), true);
}

static int add_notes(struct columns *c, json_t *queue, time_t now) {
	if (show_flag(queue, "leaving") &&
	    add_note(c, "", "is not in the configuration any more, or is started anew") < 0)
		return -1;
	if (add_note(c, "", show_text(queue, "reason")) < 0 ||
	    add_note(c, "cannot publish: ", show_text(queue, "copy_trouble")) < 0 ||
	    add_note(c, "waits for workers: ", show_text(queue, "worker_trouble")) < 0 || add_stall(c, queue) < 0)
		return -1;
	return add_failure(c, queue, now);
}

static int add_queue(struct columns *c, json_t *queue, bool with_broker, time_t now) {
	static const char *const counted[] = {"acked", "requeued", "retried", "rejected"};
	json_t *counters = json_object_get(queue, "counters");
	char running[48];

	snprintf(running, sizeof(running), "%llu/%llu", show_number(queue, "running"),
		 show_number(queue, "concurrency"));
	if (columns_row(c) < 0 || columns_cell(c, show_text_or(queue, "name", "?"), NULL) < 0 ||
	    (with_broker && columns_cell(c, show_text_or(queue, "broker", "?"), NULL) < 0) ||
	    columns_cell(c, show_text_or(queue, "state", "?"), queue_colour(queue)) < 0 ||
	    columns_cell(c, running, NULL) < 0 || add_count(c, queue, "waiting") < 0 ||
	    add_count(c, queue, "held") < 0 || add_count(c, queue, "messages_ready") < 0 || add_rates(c, queue) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
		if (add_count(c, counters, counted[i]) < 0)
			return -1;
	return add_notes(c, queue, now);
}

/* Who needs somebody's attention comes first, so that it is there however many queues do not fit a screen; apart from
 * that they are in the order of the configuration. */
static void add_queues(struct columns *c, json_t *queues, bool with_broker, time_t now, struct strbuf *b) {
	json_t *queue;
	size_t i;

	for (int troubled = 1; troubled >= 0; troubled--)
		json_array_foreach(queues, i, queue) if (is_troubled(queue) == troubled &&
							 add_queue(c, queue, with_broker, now) < 0) b->failed = true;
}

static void append_queues(json_t *queues, bool with_broker, const struct show_options *o, struct strbuf *b) {
	static const struct column all[] = {
		{"QUEUE", false, true, 0},    {"BROKER", false, true, 0},   {"STATE", false, false, 0},
		{"RUNNING", true, false, 0},  {"WAITING", true, false, 3},  {"HELD", true, false, 2},
		{"READY", true, false, 0},    {"RATE", true, false, 1},     {"FAILING", true, false, 1},
		{"ACKED", true, false, 4},    {"REQUEUED", true, false, 4}, {"RETRIED", true, false, 4},
		{"REJECTED", true, false, 4},
	};
	struct columns_room room = {.width = o->width, .what = "queue"};
	struct column columns[ARRAY_SIZE(all)];
	CLEANUP(columns_free) struct columns *c = NULL;
	size_t n = 0, used = count_lines(b);

	if (o->lines > 0)
		room.lines = o->lines > used + 2 ? o->lines - used : 2;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (with_broker || strcmp(all[i].title, "BROKER") != 0)
			columns[n++] = all[i];
	if (columns_new(columns, n, &c) < 0) {
		b->failed = true;
		return;
	}
	add_queues(c, queues, with_broker, o->now, b);
	columns_append(c, o->colour, &room, b);
}

void show_status(json_t *status, const struct show_options *o, struct strbuf *b) {
	json_t *brokers = json_object_get(status, "brokers"), *queues = json_object_get(status, "queues");

	append_daemon(status, o->now, o->colour, b);
	append_brokers(brokers, o->colour, b);
	append_summary(queues, o->colour, b);
	if (json_array_size(queues) == 0)
		return;
	strbuf_append_char(b, '\n');
	append_queues(queues, json_array_size(brokers) > 1, o, b);
}

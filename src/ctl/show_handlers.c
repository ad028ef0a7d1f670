/* SPDX-License-Identifier: MIT */
#include "ctl/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/columns.h"
#include "ctl/text.h"

static bool have_several_brokers(json_t *handlers) {
	const char *first = show_text_or(json_array_get(handlers, 0), "broker", "?");
	json_t *handler;
	size_t i;

	json_array_foreach(handlers, i,
			   handler) if (strcmp(show_text_or(handler, "broker", "?"), first) != 0) return true;
	return false;
}

static int add_handler(struct columns *c, json_t *handler, bool with_broker) {
	CLEANUP(strbuf_free) struct strbuf age = STRBUF_INIT, size = STRBUF_INIT;
	double seconds = json_number_value(json_object_get(handler, "seconds"));
	unsigned long long attempt = show_number(handler, "attempt");

	text_append_age(&age, seconds > 0 ? (uint64_t)seconds : 0);
	text_append_size(&size, show_number(handler, "body_size"));
	if (age.failed || size.failed || columns_row(c) < 0 || columns_number(c, show_number(handler, "pid")) < 0 ||
	    columns_number(c, show_number(handler, "delivery_tag")) < 0 ||
	    columns_cell(c, show_text_or(handler, "queue", "?"), NULL) < 0 ||
	    (with_broker && columns_cell(c, show_text_or(handler, "broker", "?"), NULL) < 0) ||
	    columns_cell(c, show_text_or(handler, "message_id", "-"), NULL) < 0 ||
	    (attempt > 0 ? columns_number(c, attempt) : columns_cell(c, "-", NULL)) < 0 ||
	    columns_cell(c, strbuf_str(&age), NULL) < 0 || columns_cell(c, strbuf_str(&size), NULL) < 0)
		return -1;
	return show_flag(handler, "stopping") ? columns_note(c, "is being stopped", true) : 0;
}

void show_handlers(json_t *answer, const struct show_options *o, struct strbuf *b) {
	static const struct column all[] = {
		{"PID", true, false, 0},    {"TAG", true, false, 0},        {"QUEUE", false, true, 0},
		{"BROKER", false, true, 0}, {"MESSAGE ID", false, true, 0}, {"ATTEMPT", true, false, 2},
		{"AGE", true, false, 0},    {"SIZE", true, false, 1},
	};
	json_t *handlers = json_object_get(answer, "handlers"), *handler;
	struct columns_room room = {.width = o->width, .what = "handler"};
	bool with_broker = have_several_brokers(handlers);
	CLEANUP(columns_free) struct columns *c = NULL;
	struct column columns[ARRAY_SIZE(all)];
	size_t n = 0, i;

	if (json_array_size(handlers) == 0) {
		strbuf_append_str(b, "no handler runs\n");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (with_broker || strcmp(all[i].title, "BROKER") != 0)
			columns[n++] = all[i];
	if (columns_new(columns, n, &c) < 0) {
		b->failed = true;
		return;
	}
	json_array_foreach(handlers, i, handler) if (add_handler(c, handler, with_broker) < 0) b->failed = true;
	columns_append(c, o->colour, &room, b);
}

void show_killed(json_t *answer, struct strbuf *b) {
	const char *id = show_text(answer, "message_id");

	strbuf_printf(b, "process %llu, queue ", show_number(answer, "pid"));
	text_append(b, show_text_or(answer, "queue", "?"));
	strbuf_append_str(b, id ? ", message " : ", a message without an id");
	text_append(b, id ? id : "");
	strbuf_append_str(b, show_flag(answer, "already_stopping") ? ": is being stopped already\n"
								   : ": is being stopped\n");
}

/* SPDX-License-Identifier: MIT */
#include "ctl/findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/strbuf.h"
#include "ctl/show.h"
#include "ctl/text.h"

#define WIDTH_OF_LEVEL 8

static const struct {
	const char *name;
	const char *colour;
} levels[] = {
	[FINDING_OK] = {"ok", "\033[32m"},
	[FINDING_WARNING] = {"warning", "\033[33m"},
	[FINDING_ERROR] = {"error", "\033[31m"},
};

const char *finding_level_to_string(enum finding_level level) {
	return levels[level].name;
}

static enum finding_level level_of(json_t *finding) {
	const char *name = show_text(finding, "level");

	for (size_t i = 0; name && i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (enum finding_level)i;
	return FINDING_ERROR;
}

/* A string, or null. What is no UTF-8 is escaped. */
static json_t *text_value(const char *s) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *value;

	if (!s)
		return json_null();
	value = json_string(s);
	if (value)
		return value;
	text_append(&b, s);
	return b.failed ? NULL : json_string(strbuf_str(&b));
}

static bool list_is_there(struct findings *f) {
	if (!f->list)
		f->list = json_array();
	return f->list != NULL;
}

void findings_add(struct findings *f, enum finding_level level, const struct finding_place *place, const char *what,
		  const char *hint, const char *format, ...) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	json_t *finding;
	va_list args;

	va_start(args, format);
	strbuf_vprintf(&text, format, args);
	va_end(args);
	finding = json_pack("{s:s, s:o, s:o, s:s, s:o, s:o}", "level", levels[level].name, "broker",
			    text_value(place->broker), "queue", text_value(place->queue), "what", what, "text",
			    text_value(strbuf_str(&text)), "hint", text_value(hint));
	f->n[level]++;
	if (text.failed || !finding || !list_is_there(f) || json_array_append_new(f->list, finding) < 0)
		f->failed = true;
}

bool findings_take(struct findings *f, json_t *list) {
	json_t *finding;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, finding) {
		if (!json_is_object(finding))
			return false;
		f->n[level_of(finding)]++;
	}
	if (!list_is_there(f) || json_array_extend(f->list, list) < 0)
		f->failed = true;
	return true;
}

json_t *findings_to_json(const struct findings *f, bool quiet) {
	json_t *list = json_array(), *finding;
	size_t i;

	json_array_foreach(f->list, i, finding) if (!quiet || level_of(finding) != FINDING_OK)(void)
		json_array_append(list, finding);
	return f->failed ? (json_decref(list), NULL)
			 : json_pack("{s:b, s:o}", "ok", f->n[FINDING_ERROR] == 0, "findings", list);
}

/* --- for people -------------------------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b) {
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_at(json_t *finding, const struct finding_place *place) {
	return is_same(show_text(finding, "broker"), place->broker) &&
	       is_same(show_text(finding, "queue"), place->queue);
}

static void append_title(const struct finding_place *place, struct strbuf *b) {
	if (place->queue) {
		strbuf_append_str(b, "queue ");
		strbuf_append_value(b, place->queue, strlen(place->queue));
		if (place->broker)
			strbuf_append_str(b, ", at ");
	}
	if (place->broker) {
		strbuf_append_str(b, "broker ");
		strbuf_append_value(b, place->broker, strlen(place->broker));
	}
	if (!place->queue && !place->broker)
		strbuf_append_str(b, "configuration and system");
	strbuf_append_char(b, '\n');
}

static void append_finding(json_t *finding, bool colour, struct strbuf *b) {
	enum finding_level level = level_of(finding);
	const char *hint = show_text(finding, "hint"), *text = show_text(finding, "text");

	strbuf_printf(b, "  %s%-*s%s ", colour ? levels[level].colour : "", WIDTH_OF_LEVEL, levels[level].name,
		      colour ? "\033[0m" : "");
	strbuf_printf(b, "%s: ", show_text(finding, "what") ? show_text(finding, "what") : "?");
	text_append_line(b, text ? text : "");
	strbuf_append_char(b, '\n');
	if (hint) {
		strbuf_printf(b, "  %*s   -> ", WIDTH_OF_LEVEL, "");
		text_append_line(b, hint);
		strbuf_append_char(b, '\n');
	}
}

static void append_place(const struct findings *f, const struct finding_place *place, bool quiet, bool colour,
			 struct strbuf *b) {
	bool titled = false;
	json_t *finding;
	size_t i;

	json_array_foreach(f->list, i, finding) {
		if (!is_at(finding, place) || (quiet && level_of(finding) == FINDING_OK))
			continue;
		if (!titled)
			append_title(place, b);
		titled = true;
		append_finding(finding, colour, b);
	}
}

/* Whether an earlier one is of the same broker, and, if `queue`, of the same queue. */
static bool came_before(const struct findings *f, size_t at, bool queue) {
	json_t *this = json_array_get(f->list, at);

	for (size_t i = 0; i < at; i++) {
		json_t *other = json_array_get(f->list, i);

		if (is_same(show_text(this, "broker"), show_text(other, "broker")) &&
		    (!queue || is_same(show_text(this, "queue"), show_text(other, "queue"))))
			return true;
	}
	return false;
}

static void append_broker(const struct findings *f, const char *broker, bool quiet, bool colour, struct strbuf *b) {
	json_t *finding;
	size_t i;

	append_place(f, &(struct finding_place){broker, NULL}, quiet, colour, b);
	json_array_foreach(f->list, i, finding) {
		const char *queue = show_text(finding, "queue");

		if (queue && is_same(show_text(finding, "broker"), broker) && !came_before(f, i, true))
			append_place(f, &(struct finding_place){broker, queue}, quiet, colour, b);
	}
}

void findings_append(const struct findings *f, bool quiet, bool colour, struct strbuf *b) {
	size_t errors = f->n[FINDING_ERROR], warnings = f->n[FINDING_WARNING], i;
	json_t *finding;

	append_broker(f, NULL, quiet, colour, b);
	json_array_foreach(f->list, i, finding) {
		const char *broker = show_text(finding, "broker");

		if (broker && !came_before(f, i, false))
			append_broker(f, broker, quiet, colour, b);
	}
	if (errors > 0)
		strbuf_printf(b, "%zu error%s", errors, text_plural(errors));
	if (warnings > 0)
		strbuf_printf(b, "%s%zu warning%s", errors > 0 ? ", " : "", warnings, text_plural(warnings));
	if (errors == 0 && !(quiet && warnings == 0))
		strbuf_printf(b, "%sno error", warnings > 0 ? ", " : "");
	if (b->len > 0)
		strbuf_append_char(b, '\n');
	if (f->failed)
		b->failed = true;
}

int findings_status(const struct findings *f) {
	if (f->unreachable)
		return EX_UNAVAILABLE;
	if (f->refused)
		return EX_NOPERM;
	return f->n[FINDING_ERROR] > 0 || f->failed ? EXIT_FAILURE : 0;
}

void findings_clear(struct findings *f) {
	json_decref(f->list);
	*f = FINDINGS_INIT;
}

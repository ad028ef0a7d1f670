/* SPDX-License-Identifier: MIT */
#include "ctl/show.h"

#include "base/strbuf.h"
#include "ctl/text.h"

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

const char *show_text_or(json_t *object, const char *name, const char *otherwise) {
	const char *text = show_text(object, name);

	return text ? text : otherwise;
}

void show_queues(json_t *answer, struct strbuf *b) {
	json_t *queues = json_object_get(answer, "queues"), *queue;
	size_t i;

	json_array_foreach(queues, i, queue) {
		unsigned long long running = show_number(queue, "running");

		text_append(b, show_text_or(queue, "name", "?"));
		strbuf_append_str(b, ": ");
		text_append(b, show_text_or(queue, "state", "?"));
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

		text_append(b, show_text_or(problem, "file", "?"));
		if (line > 0)
			strbuf_printf(b, ":%llu", line);
		strbuf_append_str(b, ": ");
		if (key) {
			text_append(b, key);
			strbuf_append_str(b, ": ");
		}
		if (warnings)
			strbuf_append_str(b, "warning: ");
		text_append_line(b, show_text_or(problem, "text", "?"));
		strbuf_append_char(b, '\n');
	}
}

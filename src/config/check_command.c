/* SPDX-License-Identifier: MIT */
/* The command of a handler: where its arguments say what a message says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/interpreter.h"
#include "message/template.h"

struct words {
	struct word *items; /* n of them, owned */
	size_t n;
};

/* Notes it at the argument, or where it says that one is added. */
static void tell(struct reader *r, const config_setting_t *s, enum danger danger, const struct danger_place *place) {
	const config_setting_t *command = check_given(r, s, "handler", "command");
	const config_setting_t *argument = config_setting_get_elem((config_setting_t *)command, (unsigned)place->at);
	const char *slash = strrchr(place->program, '/'), *program = slash ? slash + 1 : place->program;
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char name[32];

	(void)snprintf(name, sizeof(name), "command[%zu]", place->at);
	strbuf_append_str(&b, danger == DANGER_OPTION
				      ? "what a message says would be, or could be taken for, an option of \""
				      : "a message would choose what is executed by \"");
	strbuf_append_escaped(&b, program, strlen(program));
	if (danger == DANGER_OPTION)
		strbuf_append_str(&b, "\": put \"--\" before it, or take it out");
	else if (place->instead)
		strbuf_printf(&b, "\": pass what it says as a further argument, and use %s in the script",
			      place->instead);
	else
		strbuf_append_str(&b, "\": leave that to a program that gets what it says as an argument");
	if (b.failed)
		(void)reader_check(r, -ENOMEM);
	else if (argument)
		check_problem(r, argument, "handler", name, "%s", strbuf_str(&b));
	else
		check_problem(r, check_given(r, s, "handler", "input"), "handler", "input", "%s", strbuf_str(&b));
}

static void check_scripts(struct reader *r, const config_setting_t *s, const struct words *w) {
	struct danger_place place;
	enum danger danger = interpreter_danger(w->items, w->n, &place);

	if (danger != DANGER_NONE)
		tell(r, s, danger, &place);
}

static void check_worker(struct reader *r, const config_setting_t *s, const struct words *w) {
	const config_setting_t *command = check_given(r, s, "handler", "command");
	char name[32];

	for (size_t i = 0; i < w->n; i++) {
		if (w->items[i].constant)
			continue;
		(void)snprintf(name, sizeof(name), "command[%zu]", i);
		check_problem(r, config_setting_get_elem((config_setting_t *)command, (unsigned)i), "handler", name,
			      "a worker starts without a message: there is nothing to put in place of %%{...}");
	}
}

/* The words of the command, and one for what is added. False: they could not be read, which has been complained about.
 */
static bool read_words(struct reader *r, const config_setting_t *command, const struct config_handler *h,
		       struct words *ret) {
	size_t n = 0;

	while (h->command && h->command[n])
		n++;
	if (!command || n == 0 || config_setting_length(command) != (int)n)
		return false;
	ret->items = calloc(n + 1, sizeof(*ret->items));
	if (!ret->items)
		return reader_check(r, -ENOMEM) == 0;
	ret->items[0] = (struct word){h->command[0], true};
	for (size_t i = 1; i < n; i++) {
		CLEANUP(template_clear) struct template t = {0};

		if (template_parse(h->command[i], &t, NULL) < 0)
			return false;
		ret->items[i] = (struct word){h->command[i], template_is_constant(&t)};
	}
	ret->n = n;
	if (h->mode == CONFIG_MODE_EXEC &&
	    (h->input == CONFIG_INPUT_ARGUMENT || h->input == CONFIG_INPUT_ARGUMENT_JSON))
		ret->items[ret->n++] = (struct word){"base64", false};
	return true;
}

void check_command(struct reader *r, const config_setting_t *s, const struct config_handler *h) {
	const config_setting_t *command = check_given(r, s, "handler", "command");
	struct words w = {0};

	if (read_words(r, command, h, &w)) {
		if (h->mode == CONFIG_MODE_WORKER)
			check_worker(r, s, &w);
		else
			check_scripts(r, s, &w);
	}
	free(w.items);
}

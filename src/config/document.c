/* SPDX-License-Identifier: MIT */
#include "config/document.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/duplicate.h"

/* libconfig frees its strings as they are; some are passwords. */
static void wipe(config_setting_t *s) {
	if (config_setting_type(s) == CONFIG_TYPE_STRING) {
		char *string = (char *)config_setting_get_string(s);

		if (string)
			explicit_bzero(string, strlen(string));
	} else if (config_setting_is_aggregate(s)) {
		for (int i = 0; i < config_setting_length(s); i++)
			wipe(config_setting_get_elem(s, (unsigned)i));
	}
}

static void document_free(struct document *d) {
	if (config_root_setting(&d->library))
		wipe(config_root_setting(&d->library));
	config_destroy(&d->library);
	source_clear(&d->source);
	free(d);
}

#define DUPLICATE "duplicate setting name" /* as libconfig calls it */

/* What libconfig says in its own terms, in ours. */
static const char *explain(const char *text) {
	if (!text || strcmp(text, "syntax error") == 0)
		return "syntax error here or just before: expected NAME = VALUE; with strings in double quotes";
	if (strcmp(text, "mismatched element type in array") == 0)
		return "the values in [ ] must all be of the same type; use ( ) for values of several types";
	if (strcmp(text, DUPLICATE) == 0)
		return "this group has a setting of this name already";
	return text;
}

/* Notes which name of a group is there twice, and where it was first. 0; -ENOENT: it was not found; -ENOMEM. */
static int explain_duplicate(const struct source *source, unsigned line, struct config_problems *problems) {
	CLEANUP(strbuf_free) struct strbuf where = STRBUF_INIT;
	struct place place = source_place(source, line), first;
	struct duplicate d;
	int r;

	r = duplicate_find(strbuf_str(&source->text), &d);
	if (r < 0)
		return r;
	if (d.line != line)
		return -ENOENT;
	first = source_place(source, d.first_line);
	if (strcmp(first.file, place.file) == 0)
		strbuf_append_str(&where, "on line ");
	else
		strbuf_append_escaped(&where, first.file, strlen(first.file));
	strbuf_printf(&where, "%s%u", strcmp(first.file, place.file) == 0 ? "" : ":", first.line);
	if (where.failed)
		return -ENOMEM;
	return problems_add(problems, false, &place, NULL, "this group has \"%.*s\" already: %s", (int)d.len, d.name,
			    strbuf_str(&where));
}

/* Turns the text into libconfig's tree. 0; -EINVAL after noting the syntax error; -ENOMEM. */
static int parse(const struct source *source, config_t *library, struct config_problems *problems) {
	unsigned line, lines = source_lines(source);
	struct place place;
	int r;

	if (config_read_string(library, strbuf_str(&source->text)) == CONFIG_TRUE)
		return 0;
	line = config_error_line(library) > 0 ? (unsigned)config_error_line(library) : 1;
	/* What is missing at the end is missing from the last line, not from one after it. */
	if (line > lines && lines > 0)
		line = lines;
	if (config_error_text(library) && strcmp(config_error_text(library), DUPLICATE) == 0) {
		r = explain_duplicate(source, line, problems);
		if (r != -ENOENT)
			return r < 0 ? r : -EINVAL;
	}
	place = source_place(source, line);
	r = problems_add(problems, false, &place, NULL, "%s", explain(config_error_text(library)));
	return r < 0 ? r : -EINVAL;
}

/* What is said of a document comes behind what is said of those before it. */
static unsigned next_position(const struct documents *d) {
	return d->n > 0 ? d->items[d->n - 1]->source.position : 0;
}

int documents_add(struct documents *d, const char *path, bool may_be_gone, struct config_problems *problems) {
	struct document **items = reallocarray(d->items, d->n + 1, sizeof(*items)), *document;
	int r;

	if (!items)
		return -ENOMEM;
	d->items = items;
	document = calloc(1, sizeof(*document));
	if (!document)
		return -ENOMEM;
	config_init(&document->library);
	config_set_auto_convert(&document->library, CONFIG_FALSE);
	r = source_read(&document->source, path, next_position(d), may_be_gone, problems);
	if (r == 0)
		r = parse(&document->source, &document->library, problems);
	if (r == 0) {
		config_setting_t *root = config_root_setting(&document->library);

		config_setting_set_hook(root, document);
		document->root = root;
	}
	if (r < 0 && r != -EINVAL) {
		document_free(document);
		return r;
	}
	d->incomplete = d->incomplete || r < 0;
	items[d->n++] = document;
	return r;
}

void documents_clear(struct documents *d) {
	for (size_t i = 0; i < d->n; i++)
		document_free(d->items[i]);
	free(d->items);
	*d = (struct documents){0};
}

const struct document *document_of(const config_setting_t *s) {
	while (!config_setting_is_root(s))
		s = config_setting_parent(s);
	return config_setting_get_hook(s);
}

/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "config/duplicate.h"
#include "config/reader.h"
#include "config/section.h"

/* What a reference is to: the tree that others see is its first member. */
struct shared_config {
	struct config config;
	atomic_uint references;
};

static struct shared_config *shared(struct config *c) {
	return CONTAINER_OF(c, struct shared_config, config);
}

struct config *config_ref(struct config *c) {
	atomic_fetch_add_explicit(&shared(c)->references, 1, memory_order_relaxed);
	return c;
}

struct config *config_unref(struct config *c) {
	/* Release: what this thread did with the tree comes before its end in the thread that frees it. */
	if (!c || atomic_fetch_sub_explicit(&shared(c)->references, 1, memory_order_acq_rel) > 1)
		return NULL;
	section_clear(SECTION_ROOT, c);
	free(c->path);
	for (size_t i = 0; i < c->n_secret_files; i++)
		free(c->secret_files[i]);
	free(c->secret_files);
	free(shared(c));
	return NULL;
}

static int config_new(const char *path, struct config **ret) {
	struct shared_config *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	atomic_init(&s->references, 1);
	s->config.path = strdup(path);
	if (!s->config.path) {
		free(s);
		return -ENOMEM;
	}
	*ret = &s->config;
	return 0;
}

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

static void libconfig_clear(config_t *library) {
	if (config_root_setting(library))
		wipe(config_root_setting(library));
	config_destroy(library);
}

static void libconfig_clear_cleanup(config_t *library) {
	libconfig_clear(library);
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
	struct place place;
	unsigned line;
	int r;

	config_set_auto_convert(library, CONFIG_FALSE);
	if (config_read_string(library, strbuf_str(&source->text)) == CONFIG_TRUE)
		return 0;
	line = config_error_line(library) > 0 ? (unsigned)config_error_line(library) : 1;
	/* What is missing at the end is missing from the last line, not from one after it. */
	if (line >= source->position && source->position > 1)
		line = source->position - 1;
	if (config_error_text(library) && strcmp(config_error_text(library), DUPLICATE) == 0) {
		r = explain_duplicate(source, line, problems);
		if (r != -ENOENT)
			return r < 0 ? r : -EINVAL;
	}
	place = source_place(source, line);
	r = problems_add(problems, false, &place, NULL, "%s", explain(config_error_text(library)));
	return r < 0 ? r : -EINVAL;
}

static int read_tree(const struct source *source, const struct privileges *privileges, struct config_problems *problems,
		     struct config *c) {
	CLEANUP(libconfig_clear) config_t library;
	struct reader reader = {.source = source, .problems = problems, .config = c, .privileges = privileges};
	int r;

	config_init(&library);
	r = parse(source, &library, problems);
	if (r < 0)
		return r;
	reader_read(&reader, config_root_setting(&library));
	strbuf_free(&reader.path);
	return reader.error;
}

int config_load_for(const char *path, const struct privileges *privileges, struct config_problems *problems,
		    struct config **ret) {
	CLEANUP(config_unref) struct config *c = NULL;
	CLEANUP(source_clear) struct source source = {0};
	int r;

	r = source_read(&source, path, problems);
	if (r < 0)
		return r;
	r = config_new(path, &c);
	if (r < 0)
		return r;
	r = read_tree(&source, privileges, problems, c);
	if (r < 0)
		return r;
	problems_sort(problems);
	if (problems->n_errors > 0)
		return -EINVAL;
	*ret = TAKE(c);
	return 0;
}

int config_load(const char *path, struct config_problems *problems, struct config **ret) {
	struct privileges privileges;
	int r = privileges_look(&privileges);

	return r < 0 ? r : config_load_for(path, &privileges, problems, ret);
}

const char *config_ready_to_string(enum config_ready r) {
	return config_ready_names[r];
}

const char *outcome_to_string(enum outcome o) {
	return config_outcome_names[o];
}

bool outcome_is_possible(const struct config_outcomes *o, enum outcome outcome) {
	static const struct config_statuses none;
	const struct config_statuses *const sets[] = {
		[OUTCOME_ACK] = &o->ack,
		[OUTCOME_REQUEUE] = &o->requeue,
		[OUTCOME_RETRY] = &o->retry,
		[OUTCOME_REJECT] = &o->reject,
	};

	return memcmp(sets[outcome], &none, sizeof(none)) != 0 || o->otherwise == outcome || o->on_timeout == outcome ||
	       o->on_signal == outcome;
}

bool config_queue_can(const struct config_queue *q, enum outcome outcome) {
	if (q->handler.mode == CONFIG_MODE_WORKER || outcome_is_possible(&q->outcomes, outcome))
		return true;
	if ((q->reply.present || q->forward.present) && q->outcomes.on_large_output == outcome)
		return true;
	return q->reply.present && q->reply.unroutable == outcome;
}

bool config_queue_publishes(const struct config_queue *q) {
	return q->dead_letter.present || q->reply.present || q->forward.present || config_queue_can(q, OUTCOME_RETRY);
}

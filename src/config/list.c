/* SPDX-License-Identifier: MIT */
/* Lists of groups: those within a group of one file, and brokers and queues, which come from all files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/document.h"
#include "config/reader.h"

#define DEFAULT_NAME "default" /* of the single broker */

/* Allocates the array of a list. False if there is no memory. */
static bool make_array(struct reader *r, const struct key *k, size_t n, void *base, char **ret_array) {
	char *array = calloc(n > 0 ? n : 1, section_size(k->child));

	if (!array) {
		(void)reader_check(r, -ENOMEM);
		return false;
	}
	*(void **)(void *)((char *)base + k->offset) = array;
	*(size_t *)(void *)((char *)base + k->count_offset) = n;
	*ret_array = array;
	return true;
}

/* How many elements the setting has; 0 if it is no list. [] and () are both empty. */
static int count_elements(const config_setting_t *s) {
	return config_setting_is_list(s) ? config_setting_length(s) : 0;
}

/* Notes what keeps the setting from being a list. */
static void check_list(struct reader *r, const struct key *k, const config_setting_t *s, bool may_be_empty) {
	bool empty = config_setting_is_aggregate(s) && !config_setting_is_group(s) && config_setting_length(s) == 0;

	if (!config_setting_is_list(s) && !empty)
		reader_mismatch(r, k, s, NULL);
	else if (empty && !may_be_empty)
		reader_mismatch(r, k, s, "a list of at least one group");
}

void list_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	int n = count_elements(s);
	bool partial = r->partial;
	char *array;

	check_list(r, k, s, true);
	if (n == 0 || !make_array(r, k, (size_t)n, base, &array))
		return;
	r->partial = false;
	for (int i = 0; i < n && !r->error; i++) {
		const config_setting_t *element = config_setting_get_elem((config_setting_t *)s, (unsigned)i);
		size_t mark = reader_enter_index(r, i);

		if (config_setting_is_group(element))
			reader_read_section(r, k->child, element, NULL, array + (size_t)i * section_size(k->child));
		else
			reader_mismatch(r, k, element, "a group");
		reader_leave(r, mark);
	}
	r->partial = partial;
}

/* A list of the root on its way from all files into one array. */
struct gathering {
	const struct key *list;
	const struct key *one; /* of the single group that may stand in place of the list; NULL: there is no such key */
	char *array;
	size_t n;                     /* elements that were read */
	const config_setting_t *only; /* the single group; NULL: there was none so far */
};

/* Gives the element this name, if it has none. */
static void set_name(struct reader *r, enum section section, void *element, const char *string) {
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k)) {
		char **at = (char **)(void *)((char *)element + k->offset);

		if (k->identity && !*at)
			*at = reader_strdup(r, string);
	}
}

/* Reads an element at the end of the path. s is NULL for one that is in no file; `name` is for one that needs not give
 * any, else NULL. */
static void read_element(struct reader *r, struct gathering *g, const config_setting_t *s, const char *name) {
	const struct key *k = g->list;
	char *element = g->array + g->n * section_size(k->child);

	r->elements[g->n] = s;
	if (s && !config_setting_is_group(s)) {
		reader_mismatch(r, k, s, "a group");
	} else {
		reader_read_section(r, k->child, s, k->child == SECTION_QUEUE ? r->defaults : NULL, element);
		if (name)
			set_name(r, k->child, element, name);
		if (k->child == SECTION_BROKER)
			check_broker(r, s, g->n);
		else
			check_queue(r, s, g->n);
	}
	g->n++;
}

/* Notes that a second file has the single group. */
static void second_one(struct reader *r, const struct gathering *g, const config_setting_t *s) {
	struct place place = reader_place(r, g->only);
	CLEANUP(strbuf_free) struct strbuf file = STRBUF_INIT;

	strbuf_append_escaped(&file, place.file, strlen(place.file));
	reader_problem(r, s, "is given already: %s:%u; several are given by \"%s\", each with a name",
		       strbuf_str(&file), place.line, g->list->name);
}

static void read_one(struct reader *r, struct gathering *g, const config_setting_t *s) {
	size_t mark = reader_enter(r, g->one->name);

	if (!config_setting_is_group(s)) {
		reader_mismatch(r, g->one, s, NULL);
	} else {
		const config_setting_t *first = g->only;

		if (first)
			second_one(r, g, s);
		else
			r->default_broker = &r->config->brokers[g->n];
		read_element(r, g, s, first ? NULL : DEFAULT_NAME);
		g->only = first ? first : s;
	}
	reader_leave(r, mark);
}

static const config_setting_t *find_one(const struct gathering *g, const config_setting_t *root) {
	return g->one ? setting_member(root, g->one->name) : NULL;
}

/* Counts the elements of all files, and says whether any of them has the list or the single group. */
static size_t count_all(const struct reader *r, const struct gathering *g, bool *ret_given) {
	size_t n = 0;

	*ret_given = false;
	for (size_t i = 0; i < r->documents->n; i++) {
		const config_setting_t *root = r->documents->items[i]->root;
		const config_setting_t *list = setting_member(root, g->list->name), *one = find_one(g, root);

		if (list)
			n += (size_t)count_elements(list);
		else if (one && config_setting_is_group(one))
			n++;
		*ret_given = *ret_given || list || one;
	}
	return n;
}

/* Reads what one file has. */
static void read_file(struct reader *r, struct gathering *g, const config_setting_t *root) {
	const config_setting_t *list = setting_member(root, g->list->name), *one = find_one(g, root);
	size_t mark;

	if (one && !list)
		read_one(r, g, one);
	if (one && list) {
		mark = reader_enter(r, g->one->name);
		reader_problem(r, one, "give either this or \"%s\", not both", g->list->name);
		reader_leave(r, mark);
	}
	if (!list)
		return;
	mark = reader_enter(r, g->list->name);
	check_list(r, g->list, list, g->list->required && r->has_include_dir);
	for (int i = 0; i < count_elements(list) && !r->error; i++) {
		size_t inner = reader_enter_index(r, i);

		read_element(r, g, config_setting_get_elem((config_setting_t *)list, (unsigned)i), NULL);
		reader_leave(r, inner);
	}
	reader_leave(r, mark);
}

/* No file has any. */
static void read_none(struct reader *r, struct gathering *g) {
	const struct key *k = g->one ? g->one : g->list;
	size_t mark = reader_enter(r, k->name);

	if (g->one)
		read_element(r, g, NULL, DEFAULT_NAME);
	else if (!r->has_include_dir)
		reader_missing(r, k, r->documents->items[0]->root);
	reader_leave(r, mark);
}

void list_read_all(struct reader *r, const struct key *k, void *base) {
	struct gathering g = {.list = k};
	const struct document *document = r->document;
	bool given;
	size_t n;

	for (const struct key *one = key_next(k->section, NULL); one; one = key_next(k->section, one))
		if (one->type == KEY_ONE && one->offset == k->offset)
			g.one = one;
	/* The single group has another name. */
	reader_leave(r, 0);
	n = count_all(r, &g, &given);
	if (!given && g.one)
		n = 1;
	r->elements = calloc(n + 1, sizeof(const config_setting_t *));
	if (!r->elements || !make_array(r, k, n, base, &g.array)) {
		(void)reader_check(r, -ENOMEM);
	} else if (!given) {
		read_none(r, &g);
	}
	for (size_t i = 0; i < r->documents->n && given && !r->error; i++) {
		r->document = r->documents->items[i];
		read_file(r, &g, r->document->root);
	}
	r->document = document;
	free(r->elements);
	r->elements = NULL;
}

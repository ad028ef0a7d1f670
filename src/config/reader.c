/* SPDX-License-Identifier: MIT */
#include "config/reader.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "config/check.h"
#include "config/section.h"

/* How much of a wrong value a message repeats. */
#define FOUND_MAX 60

int reader_check(struct reader *r, int result) {
	if (result < 0)
		r->error = result;
	return r->error;
}

char *reader_strdup(struct reader *r, const char *s) {
	char *copy = strdup(s);

	if (!copy)
		(void)reader_check(r, -ENOMEM);
	return copy;
}

void reader_add_secret_file(struct reader *r, const char *path) {
	struct config *c = r->config;
	char **grown;

	for (size_t i = 0; i < c->n_secret_files; i++)
		if (strcmp(c->secret_files[i], path) == 0)
			return;
	grown = reallocarray(c->secret_files, c->n_secret_files + 1, sizeof(*grown));
	if (!grown) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	c->secret_files = grown;
	grown[c->n_secret_files] = reader_strdup(r, path);
	if (grown[c->n_secret_files])
		c->n_secret_files++;
}

size_t reader_enter(struct reader *r, const char *name) {
	size_t mark = r->path.len;

	if (mark > 0)
		strbuf_append_char(&r->path, '.');
	strbuf_append_str(&r->path, name);
	return mark;
}

size_t reader_enter_index(struct reader *r, int index) {
	size_t mark = r->path.len;

	strbuf_printf(&r->path, "[%d]", index);
	return mark;
}

void reader_leave(struct reader *r, size_t mark) {
	if (r->path.failed) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	r->path.len = mark;
	if (r->path.data)
		r->path.data[mark] = '\0';
}

struct place reader_place(const struct reader *r, const config_setting_t *s) {
	const struct document *d = s ? document_of(s) : r->document;

	return source_place(&d->source, s ? (unsigned)config_setting_source_line(s) : 1);
}

PRINTF_LIKE(4, 0)
static void note(struct reader *r, bool warning, const config_setting_t *s, const char *format, va_list args) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	struct place place = reader_place(r, s);

	if (r->muted > 0)
		return;
	/* The root is no setting that has a line: what is missing there is missing from the file as a whole. */
	if (!s || config_setting_is_root(s))
		place.line = 0;
	strbuf_vprintf(&text, format, args);
	if (text.failed || r->path.failed)
		(void)reader_check(r, -ENOMEM);
	else
		(void)reader_check(r, problems_add(r->problems, warning, &place,
						   r->path.len ? strbuf_str(&r->path) : NULL, "%s", strbuf_str(&text)));
}

void reader_problem(struct reader *r, const config_setting_t *s, const char *format, ...) {
	va_list args;

	va_start(args, format);
	note(r, false, s, format, args);
	va_end(args);
}

void reader_warning(struct reader *r, const config_setting_t *s, const char *format, ...) {
	va_list args;

	va_start(args, format);
	note(r, true, s, format, args);
	va_end(args);
}

const char *setting_string(const config_setting_t *s) {
	const char *string = config_setting_get_string(s);

	return string ? string : "";
}

bool setting_get_integer(const config_setting_t *s, int64_t *ret) {
	double f;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		*ret = config_setting_get_int(s);
		return true;
	case CONFIG_TYPE_INT64:
		*ret = config_setting_get_int64(s);
		return true;
	case CONFIG_TYPE_FLOAT:
		f = config_setting_get_float(s);
		if (!(f >= -0x1p63 && f < 0x1p63) || f != trunc(f))
			return false;
		*ret = (int64_t)f;
		return true;
	default:
		return false;
	}
}

const config_setting_t *setting_member(const config_setting_t *group, const char *name) {
	/* The library does not change the group, although it does not say so. */
	return group && config_setting_is_group(group) ? config_setting_get_member((config_setting_t *)group, name)
						       : NULL;
}

/* "70000", "the string \"many\"", "a group"; of a secret only its type. */
static void append_found(const config_setting_t *s, bool secret, struct strbuf *b) {
	const char *string;
	size_t len;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		if (secret)
			strbuf_append_str(b, "an integer");
		else
			strbuf_printf(b, "%lld",
				      config_setting_type(s) == CONFIG_TYPE_INT ? (long long)config_setting_get_int(s)
										: config_setting_get_int64(s));
		break;
	case CONFIG_TYPE_FLOAT:
		if (secret)
			strbuf_append_str(b, "a number");
		else
			strbuf_printf(b, "%.15g", config_setting_get_float(s));
		break;
	case CONFIG_TYPE_BOOL:
		strbuf_append_str(b, secret ? "a boolean" : config_setting_get_bool(s) ? "true" : "false");
		break;
	case CONFIG_TYPE_STRING:
		if (secret) {
			strbuf_append_str(b, "a string");
			break;
		}
		string = setting_string(s);
		len = strlen(string);
		strbuf_append_str(b, "the string \"");
		strbuf_append_escaped(b, string, len > FOUND_MAX ? FOUND_MAX : len);
		strbuf_append_str(b, "\"");
		if (len > FOUND_MAX)
			strbuf_printf(b, "... of %zu bytes", len);
		break;
	case CONFIG_TYPE_GROUP:
		strbuf_append_str(b, "a group");
		break;
	case CONFIG_TYPE_ARRAY:
		strbuf_append_str(b, config_setting_length(s) ? "an array" : "an empty array");
		break;
	default:
		strbuf_append_str(b, config_setting_length(s) ? "a list" : "an empty list");
		break;
	}
}

/* What the library keeps with a setting for its user: here, that it is wrong. */
static char wrong;

bool setting_is_wrong(const config_setting_t *s) {
	return s && config_setting_get_hook(s) == &wrong;
}

void reader_mismatch(struct reader *r, const struct key *k, const config_setting_t *s, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	bool secret = k->type == KEY_PASSWORD || k->type == KEY_URL || k->type == KEY_URLS;

	strbuf_append_str(&b, "expected ");
	if (expected)
		strbuf_append_str(&b, expected);
	else
		key_append_expected(k, &b);
	strbuf_append_str(&b, ", found ");
	append_found(s, secret, &b);
	reader_problem(r, s, "%s", strbuf_str(&b));
	config_setting_set_hook((config_setting_t *)s, &wrong);
	if (b.failed)
		(void)reader_check(r, -ENOMEM);
}

void reader_unknown_key(struct reader *r, enum section section, const config_setting_t *s) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	const char *name = config_setting_name(s);
	const struct key *elsewhere = NULL;
	struct closest closest;
	const char *comma = "";

	closest_init(&closest, name);
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k))
		closest_consider(&closest, k->name);
	for (size_t i = 0; i < config_n_keys && !elsewhere; i++)
		if (strcmp(config_keys[i].name, name) == 0)
			elsewhere = &config_keys[i];
	if (elsewhere && !(closest.best && closest.distance <= 1)) {
		strbuf_append_str(&b, "unknown key here; did you mean \"");
		key_append_path(elsewhere, &b);
		strbuf_append_str(&b, "\"?");
	} else if (closest.best) {
		strbuf_printf(&b, "unknown key; did you mean \"%s\"?", closest.best);
	} else {
		strbuf_append_str(&b, "unknown key; the keys here are ");
		for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k)) {
			strbuf_printf(&b, "%s%s", comma, k->name);
			comma = ", ";
		}
	}
	reader_problem(r, s, "%s", strbuf_str(&b));
	if (b.failed)
		(void)reader_check(r, -ENOMEM);
}

void reader_missing(struct reader *r, const struct key *k, const config_setting_t *group) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	key_append_expected(k, &b);
	reader_problem(r, group, "missing: expected %s (%s)", strbuf_str(&b), k->help);
	if (b.failed)
		(void)reader_check(r, -ENOMEM);
}

/* A group of keys in a group: own and inherited values are merged key by key. */
static void read_group(struct reader *r, const struct key *k, const config_setting_t *s,
		       const config_setting_t *inherited, void *base) {
	bool partial = r->partial;

	if (s && k->boolean && config_setting_type(s) == CONFIG_TYPE_BOOL) {
		/* What is given for all queues is no part of what a queue itself switches on or off. */
		s = NULL;
		inherited = NULL;
	} else if (s && !config_setting_is_group(s)) {
		reader_mismatch(r, k, s, NULL);
		s = NULL;
		inherited = NULL;
		r->partial = true;
	} else if (!s && !inherited) {
		/* The group itself was said to be missing, if it is required; its keys then need not be. */
		r->partial = true;
	}
	reader_read_section(r, k->child, s, inherited, (char *)base + k->offset);
	r->partial = partial;
}

/* Values for all elements of a list: read once by themselves, for what is wrong with them; taken from when the elements
 * are read. */
static void read_defaults(struct reader *r, const struct key *k, const config_setting_t *s) {
	bool partial = r->partial;
	void *scratch;

	if (!config_setting_is_group(s)) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	scratch = calloc(1, section_size(k->child));
	if (!scratch) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	r->partial = true;
	reader_read_section(r, k->child, s, NULL, scratch);
	r->partial = partial;
	r->defaults = s;
	section_clear(k->child, scratch);
	free(scratch);
}

/* Whether a group that may be a boolean is switched off. */
static bool is_false(const struct key *k, const config_setting_t *s) {
	return k->boolean && config_setting_type(s) == CONFIG_TYPE_BOOL && !config_setting_get_bool(s);
}

static void read_key(struct reader *r, const struct key *k, const config_setting_t *own,
		     const config_setting_t *inherited, const config_setting_t *group, void *base) {
	const config_setting_t *s = own ? own : inherited;

	if (k->type == KEY_ONE) /* read with the list whose array it is */
		return;
	if (k->type == KEY_LIST && k->section == SECTION_ROOT) {
		list_read_all(r, k, base);
		return;
	}
	if (k->present_offset != KEY_NO_OFFSET && s)
		*((bool *)base + k->present_offset) = !is_false(k, s);
	if (!s && !r->partial && (k->required || (k->identity && group && config_setting_name(group) == NULL)))
		reader_missing(r, k, group);
	if (k->type == KEY_GROUP) {
		read_group(r, k, own, inherited, base);
		return;
	}
	if (!s) {
		value_default(r, k, group, base);
		return;
	}
	if (!own)
		r->muted++;
	if (k->identity && r->partial)
		reader_problem(r, s, "cannot be a default: each must have its own");
	else if (k->type == KEY_LIST)
		list_read(r, k, s, base);
	else if (k->type == KEY_DEFAULTS)
		read_defaults(r, k, s);
	else
		value_read(r, k, s, own ? inherited : NULL, base);
	if (!own)
		r->muted--;
}

void reader_read_section(struct reader *r, enum section section, const config_setting_t *own,
			 const config_setting_t *inherited, void *base) {
	int n = own ? config_setting_length(own) : 0;

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem((config_setting_t *)own, (unsigned)i);
		size_t mark = reader_enter(r, config_setting_name(s));

		if (!key_find(section, config_setting_name(s)))
			reader_unknown_key(r, section, s);
		reader_leave(r, mark);
	}
	for (const struct key *k = key_next(section, NULL); k && !r->error; k = key_next(section, k)) {
		size_t mark = reader_enter(r, k->name);

		read_key(r, k, setting_member(own, k->name), setting_member(inherited, k->name), own, base);
		reader_leave(r, mark);
	}
}

void reader_read(struct reader *r) {
	const config_setting_t *root = r->documents->items[0]->root;

	reader_read_section(r, SECTION_ROOT, root, NULL, r->config);
	check_control(r, setting_member(root, "control"), &r->config->control);
}

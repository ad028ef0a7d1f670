/* SPDX-License-Identifier: MIT */
/* The effective configuration as text that can be read again. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/statuses.h"
#include "config/units.h"
#include "config/url.h"

#define HIDDEN "********"

static void dump_section(enum section section, const void *base, unsigned level, struct strbuf *b);
static void dump_table(const struct table *t, bool array, struct strbuf *b);

static void indent(struct strbuf *b, unsigned level) {
	for (unsigned i = 0; i < level; i++)
		strbuf_append_char(b, '\t');
}

/* A string in libconfig's quotes and escapes, which are those of strbuf_append_escaped and \" */
static void dump_string(const char *s, size_t len, struct strbuf *b) {
	strbuf_append_char(b, '"');
	while (len > 0) {
		const char *quote = memchr(s, '"', len);
		size_t n = quote ? (size_t)(quote - s) : len;

		strbuf_append_escaped(b, s, n);
		if (quote) {
			strbuf_append_str(b, "\\\"");
			n++;
		}
		s += n;
		len -= n;
	}
	strbuf_append_char(b, '"');
}

/* Always with a point: libconfig 1.5 needs it to see a float. 15 digits give back every decimal that was written with
 * as many; 17 tell every double from the next. */
static void dump_float(double f, struct strbuf *b) {
	char digits[32];
	char *e;

	(void)snprintf(digits, sizeof(digits), "%.15g", f);
	if (strtod(digits, NULL) != f)
		(void)snprintf(digits, sizeof(digits), "%.17g", f);
	e = strchr(digits, 'e');
	if (strchr(digits, '.'))
		strbuf_append_str(b, digits);
	else if (e)
		strbuf_printf(b, "%.*s.0%s", (int)(e - digits), digits, e);
	else
		strbuf_printf(b, "%s.0", digits);
}

static void dump_field(const struct field *f, struct strbuf *b) {
	switch (f->kind) {
	case FIELD_BOOLEAN:
		strbuf_append_str(b, f->boolean ? "true" : "false");
		break;
	case FIELD_I32:
		strbuf_printf(b, "%" PRId64, f->i);
		break;
	case FIELD_I64:
		strbuf_printf(b, "%" PRId64 "L", f->i);
		break;
	case FIELD_F64:
		dump_float(f->f, b);
		break;
	case FIELD_STRING:
		dump_string(f->text.data, f->text.len, b);
		break;
	case FIELD_TABLE:
	case FIELD_ARRAY:
		dump_table(&f->table, f->kind == FIELD_ARRAY, b);
		break;
	default: /* no other kind can be written in a configuration */
		break;
	}
}

static void dump_table(const struct table *t, bool array, struct strbuf *b) {
	strbuf_append_str(b, array ? "(" : "{");
	for (size_t i = 0; i < t->n; i++) {
		strbuf_append_str(b, i == 0 || !array ? " " : ", ");
		if (!array)
			strbuf_printf(b, "%s = ", t->fields[i].name.data);
		dump_field(&t->fields[i], b);
		if (!array)
			strbuf_append_char(b, ';');
	}
	strbuf_append_str(b, array ? " )" : " }");
}

static void dump_strings(char **strings, struct strbuf *b) {
	strbuf_append_char(b, '[');
	for (char **s = strings; *s; s++) {
		strbuf_append_str(b, s == strings ? " " : ", ");
		dump_string(*s, strlen(*s), b);
	}
	strbuf_append_str(b, " ]");
}

static void dump_environment(char **variables, struct strbuf *b) {
	strbuf_append_str(b, "{ ");
	for (char **v = variables; *v; v++) {
		const char *value = strchr(*v, '=') + 1;

		strbuf_printf(b, "%.*s = ", (int)(value - *v - 1), *v);
		dump_string(value, strlen(value), b);
		strbuf_append_str(b, "; ");
	}
	strbuf_append_char(b, '}');
}

/* A list, as numbers and ranges cannot be in one array. */
static void dump_statuses(const struct config_statuses *set, struct strbuf *b) {
	strbuf_append_char(b, '(');
	for (unsigned first, last = 0, from = 0; statuses_next(set, from, &first, &last); from = last + 1) {
		strbuf_append_str(b, from > 0 ? ", " : " ");
		if (last > first)
			strbuf_printf(b, "\"%u-%u\"", first, last);
		else
			strbuf_printf(b, "%u", first);
	}
	strbuf_append_str(b, " )");
}

static void dump_list(const struct key *k, const void *base, unsigned level, struct strbuf *b) {
	const char *array = *(char *const *)(const void *)((const char *)base + k->offset);
	size_t n = *(const size_t *)(const void *)((const char *)base + k->count_offset);

	strbuf_append_char(b, '(');
	for (size_t i = 0; i < n; i++) {
		strbuf_append_str(b, i ? ", {\n" : " {\n");
		dump_section(k->child, array + i * section_size(k->child), level + 1, b);
		indent(b, level);
		strbuf_append_char(b, '}');
	}
	strbuf_append_str(b, " )");
}

static void dump_scalar(const struct key *k, const void *base, struct strbuf *b) {
	union key_value value;

	key_load(k, base, &value);
	if (k->type == KEY_BOOL)
		strbuf_append_str(b, value.boolean ? "true" : "false");
	else if (k->type == KEY_INT)
		strbuf_printf(b, "%" PRId64, value.i);
	else if (k->type == KEY_UINT)
		strbuf_printf(b, "%" PRIu64, value.u);
	else if (k->type == KEY_MODE)
		strbuf_printf(b, "\"%03" PRIo64 "\"", value.u);
	else if (k->type == KEY_FLOAT)
		dump_float(value.number, b);
	else if (k->type == KEY_ENUM)
		strbuf_printf(b, "\"%s\"", k->names[value.index]);
	else if (k->type == KEY_SIZE || k->type == KEY_DURATION || k->type == KEY_SECONDS) {
		strbuf_append_char(b, '"');
		if (k->type == KEY_SIZE)
			units_format_size(value.u, b);
		else
			units_format_duration(k->type == KEY_SECONDS ? value.u * USEC_PER_SEC : value.u, b);
		strbuf_append_char(b, '"');
	}
}

/* Whether one user name is for all addresses, so that it can be written as a key of its own. */
static bool has_one_username(const struct config_broker *b) {
	for (size_t i = 1; i < b->n_addresses; i++)
		if (strcmp(b->addresses[i].username, b->addresses[0].username) != 0)
			return false;
	return true;
}

static void dump_url(const struct config_broker *b, const struct config_address *a, struct strbuf *out) {
	struct url u = {.tls = a->tls, .host = a->host, .port = a->port, .vhost = a->vhost};

	if (!has_one_username(b))
		u.username = a->username;
	strbuf_append_char(out, '"');
	url_format(&u, out);
	strbuf_append_char(out, '"');
}

static void dump_urls(const struct config_broker *b, struct strbuf *out) {
	strbuf_append_char(out, '[');
	for (size_t i = 0; i < b->n_addresses; i++) {
		strbuf_append_str(out, i ? ", " : " ");
		dump_url(b, &b->addresses[i], out);
	}
	strbuf_append_str(out, " ]");
}

static void dump_listen(const struct config_monitor *m, struct strbuf *b) {
	strbuf_append_char(b, '[');
	for (size_t i = 0; i < m->n_listen; i++) {
		const struct config_listen *l = &m->listen[i];

		strbuf_printf(b, strchr(l->host, ':') ? "%s\"[%s]:%u\"" : "%s\"%s:%u\"", i ? ", " : " ", l->host,
			      l->port);
	}
	strbuf_append_str(b, " ]");
}

static void dump_value(const struct key *k, const void *base, unsigned level, struct strbuf *b) {
	const void *at = (const char *)base + k->offset;
	const struct config_broker *broker = base;
	const char *string;

	switch (k->type) {
	case KEY_STRING:
	case KEY_PATH:
	case KEY_SOCKET:
	case KEY_TEMPLATE:
	case KEY_FILE:
	case KEY_PRIVATE_FILE:
	case KEY_SECRET_FILE:
		string = *(char *const *)at;
		dump_string(string, strlen(string), b);
		break;
	case KEY_URL:
		dump_url(broker, broker->addresses, b);
		break;
	case KEY_URLS:
		dump_urls(broker, b);
		break;
	case KEY_USERNAME:
		string = broker->addresses[0].username;
		dump_string(string, strlen(string), b);
		break;
	case KEY_PASSWORD:
		strbuf_append_str(b, "\"" HIDDEN "\"");
		break;
	case KEY_LISTEN:
		dump_listen(base, b);
		break;
	case KEY_BROKER:
		broker = *(const struct config_broker *const *)at;
		dump_string(broker->name, strlen(broker->name), b);
		break;
	case KEY_STRINGS:
	case KEY_COMMAND:
		dump_strings(*(char **const *)at, b);
		break;
	case KEY_ENVIRONMENT:
		dump_environment(*(char **const *)at, b);
		break;
	case KEY_TABLE:
		dump_table(at, false, b);
		break;
	case KEY_STATUSES:
		dump_statuses(at, b);
		break;
	case KEY_GROUP:
		strbuf_append_str(b, "{\n");
		dump_section(k->child, at, level + 1, b);
		indent(b, level);
		strbuf_append_char(b, '}');
		break;
	case KEY_LIST:
		dump_list(k, base, level, b);
		break;
	default:
		dump_scalar(k, base, b);
		break;
	}
}

/* Whether there is something to write of the key: not of what is optional and was not given, and of no key that only is
 * another way of giving what a further key holds. */
static bool has_value(const struct key *k, const void *base) {
	const void *at = (const char *)base + k->offset;
	const struct config_broker *broker = base;

	/* Where a socket is by default is worth knowing. */
	if (k->present_offset != KEY_NO_OFFSET && k->type != KEY_SOCKET && !*((const bool *)base + k->present_offset))
		return false;
	switch (k->type) {
	case KEY_ONE:
	case KEY_DEFAULTS:
	case KEY_INCLUDE_DIR:
	case KEY_PASSWORD_FILE:
	case KEY_CREDENTIAL:
		return false;
	case KEY_URL:
		return broker->n_addresses == 1;
	case KEY_URLS:
		return broker->n_addresses > 1;
	case KEY_USERNAME:
		return has_one_username(broker);
	case KEY_STRING:
	case KEY_PATH:
	case KEY_SOCKET:
	case KEY_TEMPLATE:
	case KEY_FILE:
	case KEY_PRIVATE_FILE:
	case KEY_SECRET_FILE:
	case KEY_STRINGS:
	case KEY_COMMAND:
	case KEY_ENVIRONMENT:
		return *(void *const *)at != NULL;
	case KEY_TABLE:
		return ((const struct table *)at)->n > 0;
	case KEY_LIST:
	case KEY_LISTEN:
		return *(const size_t *)(const void *)((const char *)base + k->count_offset) > 0;
	default:
		return true;
	}
}

static void dump_section(enum section section, const void *base, unsigned level, struct strbuf *b) {
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k)) {
		if (!has_value(k, base))
			continue;
		indent(b, level);
		strbuf_printf(b, "%s = ", k->name);
		dump_value(k, base, level, b);
		strbuf_append_str(b, ";\n");
	}
}

int config_dump(const struct config *c, FILE *f) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_append_str(&b, "# Effective configuration of ");
	strbuf_append_escaped(&b, c->path, strlen(c->path));
	if (c->include_dir) {
		strbuf_printf(&b, " and %zu file%s in ", c->n_drop_ins, c->n_drop_ins == 1 ? "" : "s");
		strbuf_append_escaped(&b, c->include_dir, strlen(c->include_dir));
	}
	strbuf_append_str(&b, "\n");
	dump_section(SECTION_ROOT, c, 0, &b);
	if (b.failed)
		return -ENOMEM;
	if (fwrite(b.data, 1, b.len, f) != b.len || fflush(f) != 0)
		return -EIO;
	return 0;
}

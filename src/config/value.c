/* SPDX-License-Identifier: MIT */
/* Values of single keys: from libconfig's settings to where the table of keys says they belong. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "config/reader.h"
#include "config/section.h"
#include "config/statuses.h"
#include "config/units.h"

#define NAME_PREFIX "AMQP_"    /* of environment variables: the daemon's own */
#define EXEC_STRING_MAX 131071 /* bytes of one argument or variable that execve(2) takes: 32 pages less the NUL */

static void *at(const struct key *k, void *base) {
	return (char *)base + k->offset;
}

static void replace(char **to, char *string) {
	free(*to);
	*to = string;
}

static bool is_string(const config_setting_t *s) {
	return config_setting_type(s) == CONFIG_TYPE_STRING;
}

/* The number as the key's type wants it. */
static int number_from_setting(const struct key *k, const config_setting_t *s, union key_value *ret) {
	int64_t n;
	int r;

	if (k->type == KEY_DURATION || k->type == KEY_SECONDS) {
		if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
			r = units_duration_from_float(config_setting_get_float(s), &ret->u);
		else
			r = setting_get_integer(s, &n) ? units_duration_from_seconds(n, &ret->u) : -EINVAL;
		if (r == 0 && k->type == KEY_SECONDS) {
			if (ret->u % USEC_PER_SEC != 0)
				return -ERANGE;
			ret->u /= USEC_PER_SEC;
		}
		return r;
	}
	if (k->type == KEY_FLOAT) {
		if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
			ret->number = config_setting_get_float(s);
		else
			ret->number = setting_get_integer(s, &n) ? (double)n : 0;
		return 0;
	}
	if (!setting_get_integer(s, &n))
		return -EINVAL;
	if (k->type == KEY_INT)
		ret->i = n;
	else if (n < 0)
		return -ERANGE;
	else
		ret->u = (uint64_t)n;
	return 0;
}

/* Types that key_store stores. */
static void read_scalar(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	union key_value value = {0};
	bool quoted = k->type != KEY_BOOL && k->type != KEY_INT && k->type != KEY_UINT && k->type != KEY_FLOAT;
	int result = -EINVAL;

	if (k->type == KEY_BOOL && config_setting_type(s) == CONFIG_TYPE_BOOL) {
		value.boolean = config_setting_get_bool(s);
		result = 0;
	} else if (quoted && is_string(s)) {
		result = key_parse(k, setting_string(s), &value);
	} else if (k->type != KEY_BOOL && k->type != KEY_ENUM && k->type != KEY_MODE && config_setting_is_number(s)) {
		result = number_from_setting(k, s, &value);
		if (result == 0)
			result = key_check_range(k, &value);
	}
	if (result == 0) {
		key_store(k, &value, base);
		return;
	}
	value_default(r, k, NULL, base);
	if (result == -EINVAL && (k->type == KEY_DURATION || k->type == KEY_SECONDS)) {
		CLEANUP(strbuf_free) struct strbuf expected = STRBUF_INIT;

		key_append_expected(k, &expected);
		strbuf_append_str(&expected, " (seconds, or a string such as \"250ms\", \"90s\", \"1h 30min\")");
		reader_mismatch(r, k, s, strbuf_str(&expected));
	} else if (result == -EINVAL && k->type == KEY_SIZE) {
		CLEANUP(strbuf_free) struct strbuf expected = STRBUF_INIT;

		key_append_expected(k, &expected);
		strbuf_append_str(&expected, " (bytes, or a string such as \"512K\", \"64M\", \"1G\")");
		reader_mismatch(r, k, s, strbuf_str(&expected));
	} else {
		reader_mismatch(r, k, s, NULL);
	}
}

static bool length_is_right(const struct key *k, const char *string) {
	size_t len = strlen(string);

	return k->max == 0 || (len >= k->min && len <= k->max);
}

static bool has_control(const char *string) {
	for (const unsigned char *p = (const unsigned char *)string; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return true;
	return false;
}

static void read_string(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	const char *string = is_string(s) ? setting_string(s) : NULL;

	if (!string || (k->type == KEY_PATH ? *string != '/' : !length_is_right(k, string)))
		reader_mismatch(r, k, s, NULL);
	else if (k->identity && has_control(string))
		reader_problem(r, s, "a name with control characters would spoil every line of the log that it is in");
	else if (k->type != KEY_TEMPLATE || templates_check(r, s))
		replace(at(k, base), reader_strdup(r, string));
}

static void read_broker(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	const struct config *c = r->config;
	const char *name;
	struct closest closest;

	if (!is_string(s)) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	name = setting_string(s);
	closest_init(&closest, name);
	for (size_t i = 0; i < c->n_brokers; i++) {
		if (!c->brokers[i].name)
			continue;
		if (strcmp(c->brokers[i].name, name) == 0) {
			*(const struct config_broker **)at(k, base) = &c->brokers[i];
			return;
		}
		closest_consider(&closest, c->brokers[i].name);
	}
	strbuf_append_str(&b, "there is no broker \"");
	strbuf_append_escaped(&b, name, strlen(name));
	strbuf_append_str(&b, closest.best ? "\"; did you mean \"" : "\"; the brokers here are ");
	if (closest.best) {
		strbuf_append_escaped(&b, closest.best, strlen(closest.best));
		strbuf_append_str(&b, "\"?");
	} else {
		append_broker_names(c, &b);
	}
	/* Brokers that could not be read at all are a problem of their own, as are files that may have this one. */
	if (c->n_brokers > 0 && !r->documents->incomplete)
		reader_problem(r, s, "%s", strbuf_str(&b));
}

/* Checks one string of an array and copies it to *to. */
static void read_element(struct reader *r, const struct key *k, const config_setting_t *s, char **to) {
	const char *string = is_string(s) ? setting_string(s) : NULL;

	if (!string)
		reader_mismatch(r, k, s, "a string");
	else if (k->type == KEY_COMMAND && strlen(string) > EXEC_STRING_MAX)
		reader_mismatch(r, k, s, "an argument of at most 131071 bytes");
	else if (k->type == KEY_STRINGS && !length_is_right(k, string))
		reader_mismatch(r, k, s, "a string of at most 255 bytes");
	else
		*to = reader_strdup(r, string);
}

/* The program, by number 0, and its arguments. A percent sign in the program's path is one. */
static void check_argument(struct reader *r, const struct key *k, const config_setting_t *s, int number, const char *string) {
	if (number > 0)
		(void)templates_check(r, s);
	else if (*string != '/')
		reader_mismatch(r, k, s, "the absolute path of a program");
	else if (strstr(string, "%{"))
		reader_problem(r, s, "the program cannot have a template: nothing that a message says may choose what is executed");
}

/* An array or list of strings, or for KEY_STRINGS a single one. */
static void read_strings(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	bool single = k->type == KEY_STRINGS && is_string(s);
	bool several = config_setting_is_array(s) || config_setting_is_list(s);
	int n = single ? 1 : several ? config_setting_length(s) : 0, filled = 0;
	char **strings;

	if (n == 0) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	strings = calloc((size_t)n + 1, sizeof(*strings));
	if (!strings) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *element = s;
		size_t mark = r->path.len;

		if (!single) {
			element = config_setting_get_elem((config_setting_t *)s, (unsigned)i);
			mark = reader_enter_index(r, i);
		}
		/* One that is wrong leaves no gap. */
		read_element(r, k, element, &strings[filled]);
		if (k->type == KEY_COMMAND && strings[filled])
			check_argument(r, k, element, i, strings[filled]);
		if (strings[filled])
			filled++;
		reader_leave(r, mark);
	}
	strings_free(*(char ***)at(k, base));
	*(char ***)at(k, base) = strings;
}

/* A status or a range of a set. */
static void read_status(struct reader *r, const struct key *k, const config_setting_t *s, struct config_statuses *set) {
	int64_t n;
	int result = -EINVAL;

	if (is_string(s)) {
		result = statuses_parse(setting_string(s), set);
	} else if (config_setting_is_number(s) && setting_get_integer(s, &n)) {
		result = n >= 0 && n <= STATUS_MAX ? 0 : -ERANGE;
		if (result == 0)
			statuses_add(set, (unsigned)n, (unsigned)n);
	}
	if (result == -EDOM)
		reader_mismatch(r, k, s, "a range that begins with the lesser status");
	else if (result < 0)
		reader_mismatch(r, k, s, "a status from 0 to 255, or a range such as \"64-78\"");
}

static void read_statuses(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	struct config_statuses set = {0};

	if (config_setting_is_group(s) || config_setting_type(s) == CONFIG_TYPE_BOOL) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	if (!config_setting_is_aggregate(s))
		read_status(r, k, s, &set);
	for (int i = 0; config_setting_is_aggregate(s) && i < config_setting_length(s); i++) {
		size_t mark = reader_enter_index(r, i);

		read_status(r, k, config_setting_get_elem((config_setting_t *)s, (unsigned)i), &set);
		reader_leave(r, mark);
	}
	*(struct config_statuses *)at(k, base) = set;
}

static bool is_variable_name(const char *name) {
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* "NAME=value", or NULL after noting what is wrong. */
static char *read_variable(struct reader *r, const struct key *k, const config_setting_t *s) {
	const char *name = config_setting_name(s);
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char *variable = NULL;

	if (!is_variable_name(name)) {
		reader_problem(r, s, "expected a variable's name made of letters, digits and _");
	} else if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0) {
		reader_problem(r, s,
			       "names that begin with " NAME_PREFIX " are the daemon's own, which tell the handler "
			       "about its message");
	} else if (!is_string(s)) {
		reader_mismatch(r, k, s, "a string");
	} else if (strlen(name) + 1 + strlen(setting_string(s)) > EXEC_STRING_MAX) {
		reader_problem(r, s, "expected name and value of at most 131071 bytes together, found %zu",
			       strlen(name) + 1 + strlen(setting_string(s)));
	} else {
		strbuf_printf(&b, "%s=%s", name, setting_string(s));
		(void)reader_check(r, strbuf_take(&b, &variable));
	}
	return variable;
}

/* Adds the variables of a group to those that are there already, leaving out names that `except` has. */
static size_t add_variables(struct reader *r, const struct key *k, const config_setting_t *group,
			    const config_setting_t *except, char **variables, size_t filled) {
	for (int i = 0; group && config_setting_is_group(group) && i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem((config_setting_t *)group, (unsigned)i);
		size_t mark;

		if (setting_member(except, config_setting_name(s)))
			continue;
		mark = reader_enter(r, config_setting_name(s));
		variables[filled] = read_variable(r, k, s);
		if (variables[filled])
			filled++;
		reader_leave(r, mark);
	}
	return filled;
}

static void read_environment(struct reader *r, const struct key *k, const config_setting_t *s,
			     const config_setting_t *inherited, void *base) {
	size_t n = 0;
	char **variables;

	if (!config_setting_is_group(s)) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	n = (size_t)config_setting_length(s);
	if (inherited && config_setting_is_group(inherited))
		n += (size_t)config_setting_length(inherited);
	variables = calloc(n + 1, sizeof(*variables));
	if (!variables) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	/* The common ones first, in the order in which the file gives them. */
	r->muted++;
	n = add_variables(r, k, inherited, s, variables, 0);
	r->muted--;
	(void)add_variables(r, k, s, NULL, variables, n);
	strings_free(*(char ***)at(k, base));
	*(char ***)at(k, base) = variables;
}

void value_read(struct reader *r, const struct key *k, const config_setting_t *s, const config_setting_t *inherited,
		void *base) {
	switch (k->type) {
	case KEY_STRING:
	case KEY_PATH:
	case KEY_TEMPLATE:
		read_string(r, k, s, base);
		break;
	case KEY_FILE:
	case KEY_PRIVATE_FILE:
	case KEY_SECRET_FILE:
		file_read(r, k, s, base);
		break;
	case KEY_URL:
	case KEY_URLS:
	case KEY_USERNAME:
	case KEY_PASSWORD:
	case KEY_PASSWORD_FILE:
	case KEY_CREDENTIAL:
		address_read(r, k, s, base);
		break;
	case KEY_INCLUDE_DIR:
		drop_ins_read(r, k, s, base);
		break;
	case KEY_SOCKET:
	case KEY_LISTEN:
		listen_read(r, k, s, base);
		break;
	case KEY_BROKER:
		read_broker(r, k, s, base);
		break;
	case KEY_STRINGS:
	case KEY_COMMAND:
		read_strings(r, k, s, base);
		break;
	case KEY_STATUSES:
		read_statuses(r, k, s, base);
		break;
	case KEY_ENVIRONMENT:
		read_environment(r, k, s, inherited, base);
		break;
	case KEY_TABLE:
		if (config_setting_is_group(s))
			arguments_read(r, s, at(k, base));
		else
			reader_mismatch(r, k, s, NULL);
		break;
	default:
		read_scalar(r, k, s, base);
		break;
	}
}

static void default_strings(struct reader *r, const struct key *k, void *base) {
	char **strings = calloc(2, sizeof(*strings));

	if (!strings) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	strings[0] = reader_strdup(r, k->fallback);
	*(char ***)at(k, base) = strings;
}

/* Without a name, the one of the group `broker`, else the only one. */
static void default_broker(struct reader *r, const struct key *k, const config_setting_t *group, void *base) {
	const struct config *c = r->config;

	if (r->default_broker) {
		*(const struct config_broker **)at(k, base) = r->default_broker;
	} else if (c->n_brokers == 1) {
		*(const struct config_broker **)at(k, base) = &c->brokers[0];
	} else if (c->n_brokers > 1 && !r->partial) {
		CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

		append_broker_names(c, &b);
		reader_problem(r, group, "missing: expected the name of a broker, as there are several: %s",
			       strbuf_str(&b));
	}
}

void value_default(struct reader *r, const struct key *k, const config_setting_t *group, void *base) {
	union key_value value;

	switch (k->type) {
	case KEY_BROKER:
		default_broker(r, k, group, base);
		break;
	case KEY_STRING:
	case KEY_PATH:
	case KEY_TEMPLATE:
		if (k->fallback)
			*(char **)at(k, base) = reader_strdup(r, k->fallback);
		break;
	case KEY_SOCKET:
		listen_default(r, k, base);
		break;
	case KEY_URL:
	case KEY_USERNAME:
	case KEY_PASSWORD:
		address_default(r, k, base);
		break;
	case KEY_STATUSES:
		if (k->fallback)
			(void)statuses_parse(k->fallback, at(k, base));
		break;
	case KEY_STRINGS:
		default_strings(r, k, base);
		break;
	default:
		if (k->fallback && key_parse(k, k->fallback, &value) == 0)
			key_store(k, &value, base);
		break;
	}
}

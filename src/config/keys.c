/* SPDX-License-Identifier: MIT */
#include "config/keys.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "config/units.h"

/* key_store and key_load move an enum as an unsigned. */
static_assert(sizeof(enum config_ready) == sizeof(unsigned), "enum config_ready is kept as an unsigned");
static_assert(sizeof(enum config_auth) == sizeof(unsigned), "enum config_auth is kept as an unsigned");
static_assert(sizeof(enum config_tls_version) == sizeof(unsigned), "enum config_tls_version is kept as an unsigned");
static_assert(sizeof(enum outcome) == sizeof(unsigned), "enum outcome is kept as an unsigned");
static_assert(sizeof(enum config_too_large) == sizeof(unsigned), "enum config_too_large is kept as an unsigned");
static_assert(sizeof(enum config_queue_type) == sizeof(unsigned), "enum config_queue_type is kept as an unsigned");
static_assert(sizeof(enum config_mode) == sizeof(unsigned), "enum config_mode is kept as an unsigned");
static_assert(sizeof(enum config_input) == sizeof(unsigned), "enum config_input is kept as an unsigned");
static_assert(sizeof(enum config_metadata) == sizeof(unsigned), "enum config_metadata is kept as an unsigned");
static_assert(sizeof(enum config_output) == sizeof(unsigned), "enum config_output is kept as an unsigned");
static_assert(sizeof(enum config_descendants) == sizeof(unsigned), "enum config_descendants is kept as an unsigned");
static_assert(sizeof(enum config_compat) == sizeof(unsigned), "enum config_compat is kept as an unsigned");

const struct key *key_find(enum section section, const char *name) {
	for (size_t i = 0; i < config_n_keys; i++)
		if (config_keys[i].section == section && strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	return NULL;
}

const struct key *key_next(enum section section, const struct key *previous) {
	const struct key *k = previous ? previous + 1 : config_keys;

	for (; k < config_keys + config_n_keys; k++)
		if (k->section == section)
			return k;
	return NULL;
}

const struct key *key_parent(enum section section) {
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];

		/* No type but the groups has a child; SECTION_ROOT, its zero, is nobody's. */
		if (k->child == section && k->child != SECTION_ROOT && k->type != KEY_DEFAULTS)
			return k;
	}
	return NULL;
}

size_t section_size(enum section section) {
	switch (section) {
	case SECTION_ROOT:
	case SECTION_LIMITS:
		return sizeof(struct config);
	case SECTION_BROKER:
	case SECTION_RECONNECT:
		return sizeof(struct config_broker);
	case SECTION_TLS:
		return sizeof(struct config_tls);
	case SECTION_CONTROL:
		return sizeof(struct config_control);
	case SECTION_MONITOR:
		return sizeof(struct config_monitor);
	case SECTION_QUEUE:
	case SECTION_REQUEUE:
		return sizeof(struct config_queue);
	case SECTION_DECLARE:
		return sizeof(struct config_declare);
	case SECTION_BINDING:
		return sizeof(struct config_binding);
	case SECTION_HANDLER:
		return sizeof(struct config_handler);
	case SECTION_OUTCOMES:
		return sizeof(struct config_outcomes);
	case SECTION_RETRY:
		return sizeof(struct config_retry);
	case SECTION_DEAD_LETTER:
		return sizeof(struct config_dead_letter);
	case SECTION_BREAKER:
		return sizeof(struct config_breaker);
	case SECTION_RESULTS:
		return sizeof(struct config_results);
	case SECTION_RLIMITS:
		return sizeof(struct config_rlimits);
	case SECTION_RATE:
		return sizeof(struct config_rate);
	case SECTION_REPLY:
		return sizeof(struct config_reply);
	case SECTION_FORWARD:
		return sizeof(struct config_forward);
	}
	return 0;
}

void key_append_path(const struct key *k, struct strbuf *b) {
	const struct key *parent = key_parent(k->section);

	if (parent) {
		key_append_path(parent, b);
		strbuf_append_char(b, '.');
	}
	strbuf_append_str(b, k->name);
}

/* "an integer from 1 to 5", with numbers as `format` writes them. */
static void append_span(const struct key *k, const char *what, void (*format)(uint64_t, struct strbuf *),
			struct strbuf *b) {
	strbuf_append_str(b, what);
	if (k->type == KEY_DURATION && k->max == USEC_INFINITY) {
		if (k->min > 0) {
			strbuf_append_str(b, " of at least ");
			format(k->min, b);
		}
		strbuf_append_str(b, " or \"infinity\"");
		return;
	}
	strbuf_append_str(b, k->type == KEY_URLS ? " " : " from ");
	format(k->min, b);
	strbuf_append_str(b, " to ");
	format(k->max, b);
}

static void format_unsigned(uint64_t n, struct strbuf *b) {
	strbuf_printf(b, "%" PRIu64, n);
}

static void format_signed(uint64_t n, struct strbuf *b) {
	strbuf_printf(b, "%" PRId64, (int64_t)n);
}

static void append_length(const struct key *k, const char *what, struct strbuf *b) {
	strbuf_append_str(b, what);
	if (k->max > 0 && k->min > 0)
		strbuf_printf(b, " of %" PRIu64 " to %" PRIu64 " bytes", k->min, k->max);
	else if (k->max > 0)
		strbuf_printf(b, " of at most %" PRIu64 " bytes", k->max);
}

/* Whether there is a name of this index that may be given. */
static bool has_name(const struct key *k, uint64_t index) {
	return k->names[index] && (k->max == 0 || index <= k->max);
}

static void append_names(const struct key *k, struct strbuf *b) {
	strbuf_append_str(b, "one of");
	for (uint64_t i = k->min; has_name(k, i); i++)
		strbuf_printf(b, "%s \"%s\"", i > k->min ? "," : "", k->names[i]);
}

#define FILE_OR_CREDENTIAL "the absolute path of a file, or \"%d/NAME\" for a credential"

/* What is expected where no number of the key's matters. */
static const char *const fixed_texts[] = {
	[KEY_BOOL] = "true or false",
	[KEY_PATH] = "an absolute path",
	[KEY_INCLUDE_DIR] = "the absolute path of a folder",
	[KEY_STATUSES] = "a status from 0 to 255, or an array or list of statuses and ranges such as \"64-78\"",
	[KEY_FILE] = FILE_OR_CREDENTIAL,
	[KEY_PRIVATE_FILE] = FILE_OR_CREDENTIAL,
	[KEY_SECRET_FILE] = FILE_OR_CREDENTIAL,
	[KEY_URL] = "a URL such as \"amqp://host:5672/vhost\"",
	[KEY_PASSWORD] = "a string",
	[KEY_PASSWORD_FILE] = "an absolute path",
	[KEY_CREDENTIAL] = "the name of a credential",
	[KEY_BROKER] = "the name of a broker",
	[KEY_COMMAND] = "an array of strings, the first of them an absolute path",
	[KEY_ENVIRONMENT] = "a group of NAME = \"value\"",
	[KEY_TABLE] = "a group",
	[KEY_MODE] = "a string of octal digits such as \"027\"",
	[KEY_LIST] = "a list of groups",
	[KEY_ONE] = "a group",
	[KEY_DEFAULTS] = "a group",
};

void key_append_expected(const struct key *k, struct strbuf *b) {
	switch (k->type) {
	case KEY_INT:
		append_span(k, "an integer", format_signed, b);
		break;
	case KEY_UINT:
		append_span(k, "an integer", format_unsigned, b);
		break;
	case KEY_FLOAT:
		append_span(k, "a number", format_unsigned, b);
		break;
	case KEY_SECONDS:
		append_span(k, "a duration in whole seconds", format_unsigned, b);
		break;
	case KEY_DURATION:
		append_span(k, "a duration", units_format_duration, b);
		break;
	case KEY_SIZE:
		append_span(k, "a size", units_format_size, b);
		break;
	case KEY_STRING:
	case KEY_USERNAME:
		append_length(k, "a string", b);
		break;
	case KEY_SOCKET:
		append_length(k, "an absolute path", b);
		strbuf_append_str(b, ", or \"\" for none");
		break;
	case KEY_LISTEN:
		strbuf_printf(b, "an address such as \"127.0.0.1:9419\", or an array of at most %" PRIu64, k->max);
		break;
	case KEY_STRINGS:
		append_length(k, "a string, or an array of strings,", b);
		break;
	case KEY_TEMPLATE:
		append_length(k, "a string", b);
		strbuf_append_str(b, ", in which %{NAME} stands for what the message says");
		break;
	case KEY_ENUM:
		append_names(k, b);
		break;
	case KEY_GROUP:
		strbuf_append_str(b, k->boolean ? "true, false or a group" : "a group");
		break;
	case KEY_URLS:
		append_span(k, "an array of", format_unsigned, b);
		strbuf_append_str(b, " URLs");
		break;
	default:
		strbuf_append_str(b, fixed_texts[k->type]);
		break;
	}
}

void key_append_default(const struct key *k, struct strbuf *b) {
	bool bare = k->type == KEY_BOOL || k->type == KEY_INT || k->type == KEY_UINT || k->type == KEY_FLOAT ||
		    k->type == KEY_SECONDS || k->type == KEY_STATUSES;

	if (k->fallback_note)
		strbuf_append_str(b, k->fallback_note);
	else if (k->fallback)
		strbuf_printf(b, bare ? "%s" : "\"%s\"", k->fallback);
}

static int parse_integer(const char *text, int64_t *ret) {
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || *end)
		return -EINVAL;
	if (errno)
		return -ERANGE;
	*ret = n;
	return 0;
}

static int parse_octal(const char *text, uint64_t *ret) {
	size_t len = strlen(text);

	if (len == 0 || len > 7 || strspn(text, "01234567") != len)
		return -EINVAL;
	*ret = strtoul(text, NULL, 8);
	return 0;
}

static int parse_number(const char *text, double *ret) {
	char *end;
	double f;

	errno = 0;
	f = strtod(text, &end);
	if (end == text || *end)
		return -EINVAL;
	if (errno)
		return -ERANGE;
	*ret = f;
	return 0;
}

static int parse_seconds(const char *text, uint64_t *ret) {
	uint64_t usec;
	int r;

	r = units_parse_duration(text, &usec);
	if (r < 0)
		return r;
	if (usec == USEC_INFINITY || usec % USEC_PER_SEC != 0)
		return -ERANGE;
	*ret = usec / USEC_PER_SEC;
	return 0;
}

static int parse_name(const struct key *k, const char *text, unsigned *ret) {
	for (uint64_t i = k->min; has_name(k, i); i++) {
		if (strcmp(k->names[i], text) == 0) {
			*ret = (unsigned)i;
			return 0;
		}
	}
	return -EINVAL;
}

int key_parse(const struct key *k, const char *text, union key_value *ret) {
	union key_value value = {0};
	int64_t n = 0;
	int r = -EINVAL;

	if (k->type == KEY_MODE) {
		r = parse_octal(text, &value.u);
	} else if (k->type == KEY_BOOL) {
		value.boolean = strcmp(text, "true") == 0;
		r = value.boolean || strcmp(text, "false") == 0 ? 0 : -EINVAL;
	} else if (k->type == KEY_INT || k->type == KEY_UINT) {
		r = parse_integer(text, &n);
		if (r == 0 && k->type == KEY_UINT && n < 0)
			r = -ERANGE;
		value.i = n; /* value.u has the same bits */
	} else if (k->type == KEY_FLOAT) {
		r = parse_number(text, &value.number);
	} else if (k->type == KEY_SECONDS) {
		r = parse_seconds(text, &value.u);
	} else if (k->type == KEY_DURATION) {
		r = units_parse_duration(text, &value.u);
	} else if (k->type == KEY_SIZE) {
		r = units_parse_size(text, &value.u);
	} else if (k->type == KEY_ENUM) {
		r = parse_name(k, text, &value.index);
	}
	if (r == 0)
		r = key_check_range(k, &value);
	if (r == 0)
		*ret = value;
	return r;
}

int key_check_range(const struct key *k, const union key_value *value) {
	switch (k->type) {
	case KEY_INT:
		return value->i >= (int64_t)k->min && value->i <= (int64_t)k->max ? 0 : -ERANGE;
	case KEY_FLOAT: /* written so that no NaN gets through */
		return value->number >= (double)k->min && value->number <= (double)k->max ? 0 : -ERANGE;
	case KEY_UINT:
	case KEY_MODE:
	case KEY_SECONDS:
	case KEY_DURATION:
	case KEY_SIZE:
		return value->u >= k->min && value->u <= k->max ? 0 : -ERANGE;
	default:
		return 0;
	}
}

void key_store(const struct key *k, const union key_value *value, void *base) {
	void *at = (char *)base + k->offset;

	switch (k->type) {
	case KEY_BOOL:
		*(bool *)at = value->boolean;
		break;
	case KEY_INT:
		*(int *)at = (int)value->i;
		break;
	case KEY_UINT:
	case KEY_MODE:
	case KEY_SECONDS:
		*(unsigned *)at = (unsigned)value->u;
		break;
	case KEY_DURATION:
	case KEY_SIZE:
		*(uint64_t *)at = value->u;
		break;
	case KEY_FLOAT:
		*(double *)at = value->number;
		break;
	case KEY_ENUM:
		memcpy(at, &value->index, sizeof(value->index));
		break;
	default:
		break;
	}
}

void key_load(const struct key *k, const void *base, union key_value *ret) {
	const void *at = (const char *)base + k->offset;

	*ret = (union key_value){0};
	switch (k->type) {
	case KEY_BOOL:
		ret->boolean = *(const bool *)at;
		break;
	case KEY_INT:
		ret->i = *(const int *)at;
		break;
	case KEY_UINT:
	case KEY_MODE:
	case KEY_SECONDS:
		ret->u = *(const unsigned *)at;
		break;
	case KEY_DURATION:
	case KEY_SIZE:
		ret->u = *(const uint64_t *)at;
		break;
	case KEY_FLOAT:
		ret->number = *(const double *)at;
		break;
	case KEY_ENUM:
		memcpy(&ret->index, at, sizeof(ret->index));
		break;
	default:
		break;
	}
}

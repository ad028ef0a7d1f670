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

#define HOUR (60 * USEC_PER_MINUTE)
#define DAY (24 * HOUR)
#define SHORT_STRING 1, 255 /* what AMQP calls one, and not empty */

const char *const config_ready_names[] = {
	[CONFIG_READY_ATTEMPTED] = "attempted",
	[CONFIG_READY_CONSUMING] = "consuming",
	[CONFIG_READY_STARTED] = "started",
	NULL,
};

const char *const config_outcome_names[] = {
	[OUTCOME_ACK] = "ack",	     [OUTCOME_REQUEUE] = "requeue", [OUTCOME_RETRY] = "retry",
	[OUTCOME_REJECT] = "reject", NULL,
};

#define COMMON(section_, name_, type_, help_)                                                                          \
	.section = SECTION_##section_, .name = (name_), .type = KEY_##type_, .help = (help_)

/* A value at struct type_.member_, without a flag that says whether it was given. */
#define AT(type_, member_)                                                                                             \
	.offset = offsetof(struct type_, member_), .present_offset = KEY_NO_OFFSET, .count_offset = KEY_NO_OFFSET

/* Likewise, with such a flag. */
#define AT_FLAG(type_, member_, flag_)                                                                                 \
	.offset = offsetof(struct type_, member_), .present_offset = offsetof(struct type_, flag_),                    \
	.count_offset = KEY_NO_OFFSET

/* An array and its count. */
#define AT_ARRAY(type_, member_, count_)                                                                               \
	.offset = offsetof(struct type_, member_), .present_offset = KEY_NO_OFFSET,                                    \
	.count_offset = offsetof(struct type_, count_)

/* Nothing of its own: the same struct. */
#define NOWHERE .present_offset = KEY_NO_OFFSET, .count_offset = KEY_NO_OFFSET

#define RANGE(...) RANGE_(__VA_ARGS__)
#define RANGE_(min_, max_) .min = (uint64_t)(min_), .max = (uint64_t)(max_)

const struct key config_keys[] = {
	{COMMON(ROOT, "broker", ONE, "the broker that all queues are on"), .child = SECTION_BROKER,
	 .fallback_note = "a broker with the defaults of all its keys", AT_ARRAY(config, brokers, n_brokers)},
	{COMMON(ROOT, "brokers", LIST, "several brokers, each with a name, in place of broker"),
	 .child = SECTION_BROKER, AT_ARRAY(config, brokers, n_brokers)},
	{COMMON(ROOT, "limits", GROUP, "limits of the daemon as a whole"), .child = SECTION_LIMITS, NOWHERE},
	{COMMON(ROOT, "ready", ENUM, "when systemd is told that the daemon is ready"), .names = config_ready_names,
	 .fallback = "attempted", AT(config, ready)},
	{COMMON(ROOT, "drain_timeout", DURATION, "how long a stop waits for handlers that run"),
	 RANGE(0, USEC_INFINITY), .fallback = "1min", AT(config, drain_timeout_usec)},
	{COMMON(ROOT, "defaults", DEFAULTS, "values for all queues that do not give their own"), .child = SECTION_QUEUE,
	 NOWHERE},
	{COMMON(ROOT, "queues", LIST, "the queues to consume from, with their handlers"), .child = SECTION_QUEUE,
	 .required = true, AT_ARRAY(config, queues, n_queues)},

	{COMMON(BROKER, "name", STRING, "what queues and the log call this broker"), RANGE(SHORT_STRING),
	 .identity = true, .fallback_note = "\"default\" in broker, required in brokers", AT(config_broker, name)},
	{COMMON(BROKER, "url", URL, "where the broker is, and its virtual host"), .fallback = "amqp://localhost",
	 NOWHERE},
	{COMMON(BROKER, "username", STRING, "the user to log in as"), RANGE(0, 255), .fallback = "guest",
	 .fallback_note = "the one in url, else \"guest\"", AT(config_broker, username)},
	{COMMON(BROKER, "password", SECRET, "the user's password"), .fallback = "guest",
	 .fallback_note = "the one in url, else \"guest\"", AT(config_broker, password)},
	{COMMON(BROKER, "password_file", SECRET_FILE, "a file whose first line is the password"),
	 AT(config_broker, password)},
	{COMMON(BROKER, "heartbeat", SECONDS, "the interval of heartbeats; 0: none"), RANGE(0, UINT16_MAX),
	 .fallback = "30", AT(config_broker, heartbeat)},
	{COMMON(BROKER, "connect_timeout", DURATION, "how long connecting and logging in may take"),
	 RANGE(USEC_PER_MSEC, HOUR), .fallback = "10s", AT(config_broker, connect_timeout_usec)},
	{COMMON(BROKER, "reconnect", GROUP, "the delays between attempts to connect"), .child = SECTION_RECONNECT,
	 NOWHERE},
	{COMMON(BROKER, "connection_name", STRING, "what the broker shows the connection as"), RANGE(SHORT_STRING),
	 .fallback_note = "made of the names of the program and the host", AT(config_broker, connection_name)},

	{COMMON(RECONNECT, "min_delay", DURATION, "the delay after a first failure; it doubles with each further one"),
	 RANGE(USEC_PER_MSEC, HOUR), .fallback = "1s", AT(config_broker, reconnect_min_usec)},
	{COMMON(RECONNECT, "max_delay", DURATION, "the longest delay"), RANGE(USEC_PER_MSEC, DAY), .fallback = "30s",
	 AT(config_broker, reconnect_max_usec)},

	{COMMON(LIMITS, "max_handlers", UINT, "how many handlers may run at once, over all queues"),
	 RANGE(1, UINT16_MAX), .fallback = "64", AT(config, max_handlers)},
	{COMMON(LIMITS, "max_message_size", SIZE, "the largest body that is passed to a handler"),
	 RANGE(1, UINT64_C(1) << 40), .fallback = "128M", AT(config, max_message_size)},

	{COMMON(QUEUE, "name", STRING, "the queue's name at the broker"), RANGE(SHORT_STRING), .required = true,
	 .identity = true, AT(config_queue, name)},
	{COMMON(QUEUE, "broker", BROKER, "the broker that the queue is on"), .fallback_note = "the only broker",
	 AT(config_queue, broker)},
	{COMMON(QUEUE, "prefetch", UINT, "how many unsettled messages the broker may send"), RANGE(1, UINT16_MAX),
	 .fallback_note = "the value of concurrency", AT(config_queue, prefetch)},
	{COMMON(QUEUE, "concurrency", UINT, "how many of the queue's handlers may run at once"), RANGE(1, UINT16_MAX),
	 .fallback = "1", AT(config_queue, concurrency)},
	{COMMON(QUEUE, "priority", INT, "the consumer's priority (x-priority)"), RANGE((int64_t)INT32_MIN, INT32_MAX),
	 .fallback_note = "none, which counts as 0", AT_FLAG(config_queue, priority, has_priority)},
	{COMMON(QUEUE, "exclusive", BOOL, "whether to refuse to share the queue with other consumers"),
	 .fallback = "false", AT(config_queue, exclusive)},
	{COMMON(QUEUE, "consumer_tag", STRING, "the consumer's tag"), RANGE(SHORT_STRING),
	 .fallback_note = "made by the broker", AT(config_queue, consumer_tag)},
	{COMMON(QUEUE, "arguments", TABLE, "further arguments of basic.consume"), AT(config_queue, arguments)},
	{COMMON(QUEUE, "declare", GROUP, "declares the queue; without it, the queue must exist"),
	 .child = SECTION_DECLARE, AT_FLAG(config_queue, declare, declare.present)},
	{COMMON(QUEUE, "bindings", LIST, "binds the queue to exchanges"), .child = SECTION_BINDING,
	 AT_ARRAY(config_queue, bindings, n_bindings)},
	{COMMON(QUEUE, "handler", GROUP, "the process that is run for each message"), .child = SECTION_HANDLER,
	 .required = true, AT(config_queue, handler)},
	{COMMON(QUEUE, "requeue", GROUP, "how a message goes back whose handler has failed"), .child = SECTION_REQUEUE,
	 NOWHERE},

	{COMMON(DECLARE, "durable", BOOL, "whether the queue outlives a restart of the broker"), .fallback = "true",
	 AT(config_declare, durable)},
	{COMMON(DECLARE, "auto_delete", BOOL, "whether the broker deletes the queue with its last consumer"),
	 .fallback = "false", AT(config_declare, auto_delete)},
	{COMMON(DECLARE, "type", STRING, "the queue's type (x-queue-type)"), RANGE(SHORT_STRING),
	 .fallback_note = "the broker's", AT(config_declare, type)},
	{COMMON(DECLARE, "arguments", TABLE, "further arguments of queue.declare"), AT(config_declare, arguments)},

	{COMMON(BINDING, "exchange", STRING, "the exchange to bind to"), RANGE(SHORT_STRING), .required = true,
	 AT(config_binding, exchange)},
	{COMMON(BINDING, "exchange_type", STRING, "declares the exchange, durable, with this type"),
	 RANGE(SHORT_STRING), .fallback_note = "none, so the exchange must exist", AT(config_binding, exchange_type)},
	{COMMON(BINDING, "routing_keys", STRINGS, "the routing keys to bind with, one binding each"), RANGE(0, 255),
	 .fallback = "", AT(config_binding, routing_keys)},
	{COMMON(BINDING, "arguments", TABLE, "arguments of queue.bind"), AT(config_binding, arguments)},

	{COMMON(HANDLER, "command", COMMAND, "the program and its arguments; no shell is involved"), .required = true,
	 AT(config_handler, command)},
	{COMMON(HANDLER, "environment", ENVIRONMENT, "variables added to the handler's environment"),
	 AT(config_handler, environment)},
	{COMMON(HANDLER, "directory", PATH, "the handler's working directory"), .fallback = "/",
	 AT(config_handler, directory)},
	{COMMON(HANDLER, "timeout", DURATION, "how long a handler may run"), RANGE(USEC_PER_MSEC, USEC_INFINITY),
	 .fallback = "25min", AT(config_handler, timeout_usec)},
	{COMMON(HANDLER, "kill_grace", DURATION, "the time between SIGTERM and SIGKILL"), RANGE(0, HOUR),
	 .fallback = "10s", AT(config_handler, kill_grace_usec)},

	{COMMON(REQUEUE, "delay", DURATION, "how long a failed message is held before it goes back"), RANGE(0, DAY),
	 .fallback = "1s", AT(config_queue, requeue_delay_usec)},
};

const size_t config_n_keys = ARRAY_SIZE(config_keys);

/* key_store and key_load move an enum as an unsigned. */
static_assert(sizeof(enum config_ready) == sizeof(unsigned), "enum config_ready is kept as an unsigned");

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
	case SECTION_QUEUE:
	case SECTION_REQUEUE:
		return sizeof(struct config_queue);
	case SECTION_DECLARE:
		return sizeof(struct config_declare);
	case SECTION_BINDING:
		return sizeof(struct config_binding);
	case SECTION_HANDLER:
		return sizeof(struct config_handler);
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
	strbuf_append_str(b, " from ");
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

static void append_names(const struct key *k, struct strbuf *b) {
	strbuf_append_str(b, "one of");
	for (size_t i = 0; k->names[i]; i++)
		strbuf_printf(b, "%s \"%s\"", i ? "," : "", k->names[i]);
}

void key_append_expected(const struct key *k, struct strbuf *b) {
	static const char *const texts[] = {
		[KEY_BOOL] = "true or false",
		[KEY_PATH] = "an absolute path",
		[KEY_URL] = "a URL such as \"amqp://host:5672/vhost\"",
		[KEY_SECRET] = "a string",
		[KEY_SECRET_FILE] = "an absolute path",
		[KEY_BROKER] = "the name of a broker",
		[KEY_COMMAND] = "an array of strings, the first of them an absolute path",
		[KEY_ENVIRONMENT] = "a group of NAME = \"value\"",
		[KEY_TABLE] = "a group",
		[KEY_GROUP] = "a group",
		[KEY_LIST] = "a list of groups",
		[KEY_ONE] = "a group",
		[KEY_DEFAULTS] = "a group",
	};

	switch (k->type) {
	case KEY_INT:
		append_span(k, "an integer", format_signed, b);
		break;
	case KEY_UINT:
		append_span(k, "an integer", format_unsigned, b);
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
		append_length(k, "a string", b);
		break;
	case KEY_STRINGS:
		append_length(k, "a string, or an array of strings,", b);
		break;
	case KEY_ENUM:
		append_names(k, b);
		break;
	default:
		strbuf_append_str(b, texts[k->type]);
		break;
	}
}

void key_append_default(const struct key *k, struct strbuf *b) {
	bool bare = k->type == KEY_BOOL || k->type == KEY_INT || k->type == KEY_UINT || k->type == KEY_SECONDS;

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
	for (unsigned i = 0; k->names[i]; i++) {
		if (strcmp(k->names[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int key_parse(const struct key *k, const char *text, union key_value *ret) {
	union key_value value = {0};
	int64_t n = 0;
	int r = -EINVAL;

	if (k->type == KEY_BOOL) {
		value.boolean = strcmp(text, "true") == 0;
		r = value.boolean || strcmp(text, "false") == 0 ? 0 : -EINVAL;
	} else if (k->type == KEY_INT || k->type == KEY_UINT) {
		r = parse_integer(text, &n);
		if (r == 0 && k->type == KEY_UINT && n < 0)
			r = -ERANGE;
		value.i = n; /* value.u has the same bits */
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
	case KEY_UINT:
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
	case KEY_SECONDS:
		*(unsigned *)at = (unsigned)value->u;
		break;
	case KEY_DURATION:
	case KEY_SIZE:
		*(uint64_t *)at = value->u;
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
	case KEY_SECONDS:
		ret->u = *(const unsigned *)at;
		break;
	case KEY_DURATION:
	case KEY_SIZE:
		ret->u = *(const uint64_t *)at;
		break;
	case KEY_ENUM:
		memcpy(&ret->index, at, sizeof(ret->index));
		break;
	default:
		break;
	}
}

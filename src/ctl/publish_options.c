/* SPDX-License-Identifier: MIT */
#include "ctl/publish_options.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "config/units.h"
#include "ctl/command.h"
#include "message/headers.h"

#define SHORT_STRING_MAX 255
#define IN_FLIGHT_DEFAULT 256
#define IN_FLIGHT_MAX 65535
#define RATE_MAX 1e6
/* One in 11 days; and what can be reckoned with. */
#define RATE_MIN 1e-6
#define PERSISTENT 2
#define TRANSIENT 1

enum {
	OPTION_QUEUE = 256,
	OPTION_EXCHANGE,
	OPTION_ROUTING_KEY,
	OPTION_HEADER,
	OPTION_TIMESTAMP,
	OPTION_PRIORITY,
	OPTION_PERSISTENT,
	OPTION_TRANSIENT,
	OPTION_RATE,
	OPTION_IN_FLIGHT,
	OPTION_TIMEOUT,
	OPTION_QUIET,
	OPTION_FILE,
	OPTION_STDIN,
	OPTION_LINES,
	OPTION_JSON_LINES,
	OPTION_TEXT, /* and the following ones: rows of text_properties */
};

static const struct {
	const char *name;
	size_t offset;
} text_properties[] = {
	{"content-type", offsetof(struct properties, content_type)},
	{"content-encoding", offsetof(struct properties, content_encoding)},
	{"correlation-id", offsetof(struct properties, correlation_id)},
	{"reply-to", offsetof(struct properties, reply_to)},
	{"expiration", offsetof(struct properties, expiration)},
	{"message-id", offsetof(struct properties, message_id)},
	{"type", offsetof(struct properties, type)},
	{"user-id", offsetof(struct properties, user_id)},
	{"app-id", offsetof(struct properties, app_id)},
};

/* In the order of text_properties. */
static const struct option options[] = {
	SESSION_OPTIONS,
	{"queue", required_argument, NULL, OPTION_QUEUE},
	{"exchange", required_argument, NULL, OPTION_EXCHANGE},
	{"routing-key", required_argument, NULL, OPTION_ROUTING_KEY},
	{"content-type", required_argument, NULL, OPTION_TEXT},
	{"content-encoding", required_argument, NULL, OPTION_TEXT + 1},
	{"correlation-id", required_argument, NULL, OPTION_TEXT + 2},
	{"reply-to", required_argument, NULL, OPTION_TEXT + 3},
	{"expiration", required_argument, NULL, OPTION_TEXT + 4},
	{"message-id", required_argument, NULL, OPTION_TEXT + 5},
	{"type", required_argument, NULL, OPTION_TEXT + 6},
	{"user-id", required_argument, NULL, OPTION_TEXT + 7},
	{"app-id", required_argument, NULL, OPTION_TEXT + 8},
	{"timestamp", required_argument, NULL, OPTION_TIMESTAMP},
	{"priority", required_argument, NULL, OPTION_PRIORITY},
	{"persistent", no_argument, NULL, OPTION_PERSISTENT},
	{"transient", no_argument, NULL, OPTION_TRANSIENT},
	{"header", required_argument, NULL, OPTION_HEADER},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"in-flight", required_argument, NULL, OPTION_IN_FLIGHT},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"quiet", no_argument, NULL, OPTION_QUIET},
	{"file", no_argument, NULL, OPTION_FILE},
	{"stdin", no_argument, NULL, OPTION_STDIN},
	{"lines", no_argument, NULL, OPTION_LINES},
	{"json-lines", no_argument, NULL, OPTION_JSON_LINES},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

const char publish_help[] =
	"      --queue NAME       publish to this queue, by the default exchange\n"
	"      --exchange NAME --routing-key KEY\n"
	"                         publish to this exchange\n"
	"What is published:\n"
	"      MESSAGE...         each argument; one that begins with \"-\" needs \"--\" before it\n"
	"      --file FILE...     each of these files\n"
	"      --stdin            what is on standard input, as one message\n"
	"      --lines [FILE...]  each line of the files, or of standard input\n"
	"      --json-lines [FILE...]\n"
	"                         the same, each line a message in JSON, as peek --json prints it\n"
	"Its properties, which go before those of messages in JSON:\n"
	"      --content-type TEXT, --content-encoding TEXT, --correlation-id TEXT, --reply-to TEXT,\n"
	"      --expiration MILLISECONDS, --message-id TEXT, --timestamp SECONDS|now, --type TEXT,\n"
	"      --user-id TEXT, --app-id TEXT, --priority 0..255\n"
	"      --persistent       survives a restart of the broker in a durable queue (the default)\n"
	"      --transient        need not\n"
	"      --header NAME=VALUE, --header NAME:TYPE=VALUE\n"
	"                         TYPE: string, int, float, bool, timestamp, base64, json\n"
	"How:\n"
	"      --rate N           at most N messages a second\n"
	"      --in-flight N      at most N messages without a confirm at a time (256)\n"
	"      --timeout DURATION give up when the broker neither takes nor confirms anything for so\n"
	"                         long (1min), and exit with status 75; \"infinity\": never\n"
	"      --quiet            print only what is missing\n"
	"Where:\n" SESSION_HELP;

/* --- headers ----------------------------------------------------------------------------------------------------- */

static int fail(const char **ret_why, const char *why) {
	*ret_why = why;
	return -EINVAL;
}

static int parse_integer(const char *s, int64_t min, int64_t max, int64_t *ret) {
	char *end;
	long long n;

	errno = 0;
	n = strtoll(s, &end, 10);
	if (errno || end == s || *end || *s == ' ' || *s == '+' || n < min || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int parse_float(const char *s, double *ret) {
	char *end;
	double f;

	if (!*s || *s == ' ')
		return -EINVAL;
	f = strtod(s, &end);
	if (*end)
		return -EINVAL;
	*ret = f;
	return 0;
}

/* An object that headers_value_from_json reads as a value of this type. */
static int set_special(struct field *f, const char *type, const char *value, const char **ret_why) {
	json_t *object = json_pack("{s:s}", type, value);
	int r = object ? headers_value_from_json(object, f, ret_why) : fail(ret_why, "the value is not UTF-8");

	json_decref(object);
	return r;
}

static int set_json(struct field *f, const char *value, const char **ret_why) {
	json_t *json = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	int r = json ? headers_value_from_json(json, f, ret_why) : fail(ret_why, "the value is no JSON");

	json_decref(json);
	return r;
}

static int set_integer(struct field *f, const char *value, const char **ret_why) {
	int64_t n;

	if (parse_integer(value, INT64_MIN, INT64_MAX, &n) < 0)
		return fail(ret_why, "the value is no integer");
	f->i = n;
	f->kind = n >= INT32_MIN && n <= INT32_MAX ? FIELD_I32 : FIELD_I64;
	return 0;
}

static int set_value(struct field *f, const char *type, const char *value, const char **ret_why) {
	int r;

	if (strcmp(type, "string") == 0) {
		r = text_set(&f->text, value, strlen(value));
		f->kind = r == 0 ? FIELD_STRING : FIELD_VOID;
		return r;
	}
	if (strcmp(type, "int") == 0)
		return set_integer(f, value, ret_why);
	if (strcmp(type, "float") == 0) {
		r = parse_float(value, &f->f);
		f->kind = r == 0 ? FIELD_F64 : FIELD_VOID;
		return r < 0 ? fail(ret_why, "the value is no number") : 0;
	}
	if (strcmp(type, "bool") == 0) {
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return fail(ret_why, "the value is neither \"true\" nor \"false\"");
		f->kind = FIELD_BOOLEAN;
		f->boolean = *value == 't';
		return 0;
	}
	if (strcmp(type, "timestamp") == 0 || strcmp(type, "base64") == 0)
		return set_special(f, type, value, ret_why);
	if (strcmp(type, "json") == 0)
		return set_json(f, value, ret_why);
	return fail(ret_why, "its type is none of string, int, float, bool, timestamp, base64, json");
}

int publish_options_add_header(struct table *headers, const char *s, const char **ret_why) {
	const char *equals = strchr(s, '='), *type = "string";
	CLEANUP(free) char *name = equals ? strndup(s, (size_t)(equals - s)) : NULL;
	struct field *f;
	char *colon;
	int r;

	if (!equals)
		return fail(ret_why, "it is not NAME=VALUE or NAME:TYPE=VALUE");
	if (!name)
		return -ENOMEM;
	/* A name with a colon takes a type, then. */
	colon = strrchr(name, ':');
	if (colon) {
		*colon = '\0';
		type = colon + 1;
	}
	if (!*name || strlen(name) > SHORT_STRING_MAX)
		return fail(ret_why, "its name is empty, or longer than 255 bytes");
	r = table_set(headers, name, &f);
	return r < 0 ? r : set_value(f, type, equals + 1, ret_why);
}

/* --- options ----------------------------------------------------------------------------------------------------- */

static int set_text(const struct command *command, int row, const char *value, struct properties *p) {
	struct text *to = (struct text *)(void *)((char *)p + text_properties[row].offset);
	int64_t n;

	if (strlen(value) > SHORT_STRING_MAX)
		return command_usage(command, "the value of --%s is longer than 255 bytes", text_properties[row].name);
	/* The broker would close the channel, on which others are. */
	if (strcmp(text_properties[row].name, "expiration") == 0 && parse_integer(value, 0, UINT32_MAX, &n) < 0)
		return command_usage(command, "--expiration takes a number of milliseconds");
	return text_set(to, value, strlen(value)) < 0 ? EXIT_FAILURE : 0;
}

static int set_timestamp(const struct command *command, const char *value, struct properties *p) {
	int64_t n;

	if (strcmp(value, "now") == 0)
		n = (int64_t)time(NULL);
	else if (parse_integer(value, 0, INT64_MAX, &n) < 0)
		return command_usage(command, "--timestamp takes seconds since 1970, or \"now\"");
	p->timestamp = (uint64_t)n;
	p->has_timestamp = true;
	return 0;
}

static int set_priority(const struct command *command, const char *value, struct properties *p) {
	int64_t n;

	if (parse_integer(value, 0, UINT8_MAX, &n) < 0)
		return command_usage(command, "--priority takes a number from 0 to 255");
	p->priority = (uint8_t)n;
	p->has_priority = true;
	return 0;
}

static int set_header(const struct command *command, const char *value, struct properties *p) {
	const char *why = "out of memory";

	p->has_headers = true;
	if (publish_options_add_header(&p->headers, value, &why) < 0)
		return command_usage(command, "the header \"%s\" cannot be sent: %s", value, why);
	return 0;
}

static int set_rate(const struct command *command, const char *value, double *ret) {
	size_t len = strlen(value);
	CLEANUP(free) char *number = strndup(value, len > 2 && strcmp(value + len - 2, "/s") == 0 ? len - 2 : len);

	if (!number || parse_float(number, ret) < 0 || !(*ret >= RATE_MIN && *ret <= RATE_MAX))
		return command_usage(command, "--rate takes a number of messages a second");
	return 0;
}

static int set_number(const struct command *command, int option, const char *value, struct publish_options *o) {
	int64_t n;

	if (option == OPTION_TIMEOUT) {
		if (units_parse_duration(value, &o->timeout_usec) < 0 || o->timeout_usec == 0)
			return command_usage(command, "\"%s\" is no duration; \"30s\" and \"5min\" are", value);
		return 0;
	}
	if (parse_integer(value, 1, IN_FLIGHT_MAX, &n) < 0)
		return command_usage(command, "--in-flight takes a number from 1 to %d", IN_FLIGHT_MAX);
	o->in_flight = (size_t)n;
	return 0;
}

static int set_mode(const struct command *command, enum publish_mode mode, struct publish_options *o) {
	if (o->mode != PUBLISH_ARGUMENTS && o->mode != mode)
		return command_usage(command, "one of --file, --stdin, --lines and --json-lines");
	o->mode = mode;
	return 0;
}

static int set_mode_of(struct properties *p, uint8_t delivery_mode) {
	p->delivery_mode = delivery_mode;
	p->has_delivery_mode = true;
	return 0;
}

static int read_option(const struct command *command, int c, struct publish_options *o) {
	struct properties *p = &o->model->properties;

	if (session_take_option(&o->session, c, optarg))
		return 0;
	if (c >= OPTION_TEXT && c < OPTION_TEXT + (int)ARRAY_SIZE(text_properties))
		return set_text(command, c - OPTION_TEXT, optarg, p);
	switch (c) {
	case OPTION_QUEUE:
		o->queue = optarg;
		return 0;
	case OPTION_EXCHANGE:
		o->exchange = optarg;
		return 0;
	case OPTION_ROUTING_KEY:
		o->routing_key = optarg;
		return 0;
	case OPTION_HEADER:
		return set_header(command, optarg, p);
	case OPTION_TIMESTAMP:
		return set_timestamp(command, optarg, p);
	case OPTION_PRIORITY:
		return set_priority(command, optarg, p);
	case OPTION_PERSISTENT:
	case OPTION_TRANSIENT:
		return set_mode_of(p, c == OPTION_PERSISTENT ? PERSISTENT : TRANSIENT);
	case OPTION_RATE:
		return set_rate(command, optarg, &o->rate);
	case OPTION_IN_FLIGHT:
	case OPTION_TIMEOUT:
		return set_number(command, c, optarg, o);
	case OPTION_QUIET:
		o->quiet = true;
		return 0;
	case OPTION_FILE:
	case OPTION_STDIN:
	case OPTION_LINES:
	case OPTION_JSON_LINES:
		return set_mode(command, PUBLISH_FILES + (enum publish_mode)(c - OPTION_FILE), o);
	default:
		return command_hint(command);
	}
}

static int check(const struct command *command, const struct publish_options *o) {
	const char *names[] = {o->queue, o->exchange, o->routing_key};

	if (o->queue && (o->exchange || o->routing_key))
		return command_usage(command, "either --queue, or --exchange and --routing-key");
	if (o->queue && !*o->queue)
		return command_usage(command, "no queue has an empty name");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && strlen(names[i]) > SHORT_STRING_MAX)
			return command_usage(command, "names and routing keys have at most 255 bytes");
	if (o->mode != PUBLISH_JSON_LINES && !o->queue && !o->exchange)
		return command_usage(command, "where to? --queue, or --exchange and --routing-key");
	if (o->mode == PUBLISH_STDIN && o->n > 0)
		return command_usage(command, "with --stdin there are no arguments");
	if ((o->mode == PUBLISH_ARGUMENTS || o->mode == PUBLISH_FILES) && o->n == 0)
		return command_usage(command, "what? Messages, --file FILE..., --stdin, --lines or --json-lines");
	return 0;
}

int publish_options_read(const struct command *command, int argc, char **argv, struct publish_options *ret,
			 int *ret_status) {
	struct publish_options *o = ret;
	int c;

	*o = (struct publish_options){.in_flight = IN_FLIGHT_DEFAULT, .timeout_usec = USEC_PER_MINUTE};
	*ret_status = EXIT_FAILURE;
	if (message_new(&o->model) < 0)
		return 1;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			command_print_help(command);
			*ret_status = 0;
			return 1;
		}
		*ret_status = read_option(command, c, o);
		if (*ret_status != 0)
			return 1;
	}
	o->arguments = argv + optind;
	o->n = (size_t)(argc - optind);
	*ret_status = check(command, o);
	return *ret_status != 0;
}

void publish_options_clear(struct publish_options *o) {
	session_options_clear(&o->session);
	o->model = message_free(o->model);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static int copy_text(struct text *to, const struct text *from) {
	return from->data ? text_set(to, from->data, from->len) : 0;
}

static int set_name(struct text *to, const char *name) {
	return name ? text_set(to, name, strlen(name)) : 0;
}

static int apply_headers(const struct properties *from, struct properties *to) {
	CLEANUP(table_clear) struct table copy = {0};
	int r;

	if (!from->has_headers)
		return 0;
	to->has_headers = true;
	r = table_copy(&from->headers, &copy);
	for (size_t i = 0; r == 0 && i < copy.n; i++) {
		struct field *f = &copy.fields[i], *slot = NULL;
		struct text name;

		r = table_set(&to->headers, f->name.data, &slot);
		if (r < 0)
			break;
		name = slot->name;
		*slot = *f;
		slot->name = name;
		f->kind = FIELD_VOID;
	}
	return r;
}

int publish_options_apply(const struct publish_options *o, struct message *m) {
	const struct properties *from = &o->model->properties;
	struct properties *to = &m->properties;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(text_properties); i++)
		r = copy_text((struct text *)(void *)((char *)to + text_properties[i].offset),
			      (const struct text *)(const void *)((const char *)from + text_properties[i].offset));
	if (from->has_timestamp) {
		to->timestamp = from->timestamp;
		to->has_timestamp = true;
	}
	if (from->has_priority) {
		to->priority = from->priority;
		to->has_priority = true;
	}
	if (from->has_delivery_mode || !to->has_delivery_mode)
		(void)set_mode_of(to, from->has_delivery_mode ? from->delivery_mode : PERSISTENT);
	if (r == 0)
		r = apply_headers(from, to);
	if (r == 0)
		r = set_name(&m->exchange, o->queue ? "" : o->exchange);
	return r < 0 ? r : set_name(&m->routing_key, o->queue ? o->queue : o->routing_key);
}

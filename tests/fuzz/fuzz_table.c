/* SPDX-License-Identifier: MIT */
/* A table of AMQP as it comes over the wire, to everything that headers become: JSON in both forms, variables, arguments, the
 * metadata on descriptor 3, the trace. */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "broker/table.h"
#include "handler/arguments.h"
#include "handler/environment.h"
#include "message/gojson.h"
#include "message/json.h"
#include "message/metadata.h"
#include "message/trace.h"

/* One line that another parser takes for JSON; it knows of no NUL in the name of a value. */
static void expect_json(const struct strbuf *b) {
	json_error_t error;
	json_t *value = json_loadb(strbuf_str(b), b->len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);

	EXPECT(value || json_error_code(&error) == json_error_null_byte_in_key);
	json_decref(value);
	for (size_t i = 0; i < b->len; i++)
		EXPECT((unsigned char)b->data[i] >= ' ' || (b->data[i] == '\n' && i == b->len - 1));
}

static void to_json(const struct message *m) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	EXPECT(metadata_append_object(m, &b) == 0);
	expect_json(&b);
	strbuf_reset(&b);
	EXPECT(metadata_append_line("queue", m, 1, &b) == 0);
	EXPECT(b.data[b.len - 1] == '\n');
	expect_json(&b);
	strbuf_reset(&b);
	EXPECT(metadata_begin_argument(m, &b) == 0);
	strbuf_append_str(&b, "\"}");
	expect_json(&b);
	strbuf_reset(&b);
	EXPECT(metadata_begin_input("queue", m, 0, "utf-8", &b) == 0);
	strbuf_append_str(&b, "\"}");
	expect_json(&b);
	for (size_t i = 0; i < m->properties.headers.n; i++) {
		strbuf_reset(&b);
		EXPECT(json_append_field(m->properties.headers.fields + i, &b) == 0);
		expect_json(&b);
		strbuf_reset(&b);
		EXPECT(gojson_append_field(&b, m->properties.headers.fields + i) == 0);
		expect_json(&b);
	}
}

static int compare_names(const void *a, const void *b) {
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	size_t n = strcspn(x, "="), m = strcspn(y, "=");

	return n != m ? (n < m ? -1 : 1) : memcmp(x, y, n);
}

/* Names that a shell could have given, each once. */
static void expect_names(struct environment *env) {
	qsort(env->vector, env->n, sizeof(*env->vector), compare_names);
	for (size_t i = 0; i < env->n; i++) {
		size_t len = strspn(env->vector[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

		EXPECT(len > 0 && env->vector[i][len] == '=');
		EXPECT(i == 0 || compare_names(env->vector + i - 1, env->vector + i) != 0);
	}
}

static void to_environment(const struct message *m, enum config_metadata metadata, size_t max) {
	const struct config_queue queue = {.name = (char *)"queue", .handler = {.metadata = metadata}};
	bool told = metadata == CONFIG_METADATA_ENV || metadata == CONFIG_METADATA_BOTH;
	CLEANUP(environment_clear) struct environment env = ENVIRONMENT_INIT;
	size_t total = 0, ours = 0;

	EXPECT(environment_build(&env, "/", "user", &queue, m, 1, max) == 0);
	for (size_t i = 0; i < env.n; i++) {
		size_t len = strlen(env.vector[i]);

		EXPECT(len < ENVIRONMENT_STRING_MAX);
		total += len + 1 + sizeof(char *);
		ours += strncmp(env.vector[i], "AMQP_", strlen("AMQP_")) == 0;
	}
	EXPECT(!env.vector[env.n] && total <= max + 4096);
	EXPECT(told == (ours > 0));
	EXPECT(metadata != CONFIG_METADATA_NONE || env.n == 3); /* HOME, USER, LANG */
	expect_names(&env);
	for (const char *s = strbuf_str(&env.omitted); *s; s++)
		EXPECT((unsigned char)*s >= ' ' && *s != 0x7f);
}

static void to_arguments(const struct message *m, const struct config_queue *queue) {
	static char *argv[] = {(char *)"/bin/x", (char *)"<%{header:a}>", (char *)"%{header:traceparent}", NULL};
	struct argument_list arguments = ARGUMENT_LIST_INIT;
	struct command command = {0};
	int r;

	EXPECT(command_parse(argv, &command) == 0);
	r = arguments_build(&arguments, &command, queue, m, 1, ENVIRONMENT_MESSAGE_MAX);
	EXPECT(r == 0 || r == ARGUMENTS_REFUSED);
	if (r == 0)
		EXPECT(arguments.vector[1][0] == '<' && strlen(arguments.vector[1]) <= ARGUMENT_MAX && !arguments.vector[3]);
	arguments_clear(&arguments);
	command_clear(&command);
}

static void to_everything(struct message *m) {
	const struct config_queue queue = {.name = (char *)"queue"};

	EXPECT(!trace_state(m) || trace_parent(m));
	to_json(m);
	to_environment(m, CONFIG_METADATA_ENV, ENVIRONMENT_MESSAGE_MAX);
	to_environment(m, CONFIG_METADATA_BOTH, ENVIRONMENT_MESSAGE_SMALL);
	to_environment(m, CONFIG_METADATA_FD3, ENVIRONMENT_MESSAGE_MAX);
	to_environment(m, CONFIG_METADATA_NONE, ENVIRONMENT_MESSAGE_MAX);
	to_arguments(m, &queue);
}

/* In a buffer of exactly the size that is foretold. */
static char *encode(const struct table *t, amqp_pool_t *pool) {
	size_t size = table_wire_size(t), offset = 0;
	char *buffer = malloc(size);
	amqp_table_t table;

	EXPECT(buffer);
	EXPECT(table_to_amqp(t, pool, &table) == 0);
	EXPECT(amqp_encode_table((amqp_bytes_t){.len = size, .bytes = buffer}, &table, &offset) == AMQP_STATUS_OK);
	EXPECT(offset == size);
	return buffer;
}

/* What can be received can be sent, as copies of messages are, and is as large as we think. */
static void to_amqp(const struct table *t, amqp_pool_t *pool) {
	CLEANUP(table_clear) struct table copy = {0};
	char *wire = encode(t, pool), *wire_of_copy;

	EXPECT(table_copy(t, &copy) == 0);
	wire_of_copy = encode(&copy, pool);
	EXPECT(table_wire_size(&copy) == table_wire_size(t) && memcmp(wire, wire_of_copy, table_wire_size(t)) == 0);
	free(wire);
	free(wire_of_copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	amqp_bytes_t bytes = {.len = size, .bytes = (void *)data};
	CLEANUP(message_free) struct message *m = NULL;
	amqp_pool_t pool;
	amqp_table_t table;
	size_t offset = 0;

	init_amqp_pool(&pool, 4096);
	EXPECT(message_new(&m) == 0);
	if (amqp_decode_table(bytes, &pool, &table, &offset) == AMQP_STATUS_OK) {
		EXPECT(table_from_amqp(&table, &m->properties.headers) == 0);
		m->properties.has_headers = true;
		to_everything(m);
		to_amqp(&m->properties.headers, &pool);
	}
	empty_amqp_pool(&pool);
	return 0;
}

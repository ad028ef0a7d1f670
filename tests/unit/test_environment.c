/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "handler/environment.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct environment env;
static struct message *message;
static struct config_queue queue;

static void setup(void) {
	static char *none[] = {NULL};

	env = ENVIRONMENT_INIT;
	ck_assert_int_eq(message_new(&message), 0);
	ck_assert_int_eq(text_set(&message->exchange, "ex", 2), 0);
	ck_assert_int_eq(text_set(&message->routing_key, "key", 3), 0);
	message->delivery_tag = 7;
	queue = (struct config_queue){.name = (char *)"mail", .handler = {.environment = none, .path = (char *)DEFAULT_PATH}};
}

static void teardown(void) {
	environment_clear(&env);
	message = message_free(message);
}

static void build(void) {
	ck_assert_int_eq(environment_build(&env, "/home/u", "u", &queue, message, 3, ENVIRONMENT_MESSAGE_MAX), 0);
}

/* The value of the only variable of that name; NULL if there is none. */
static const char *get(const char *name) {
	size_t len = strlen(name);
	const char *found = NULL;

	for (size_t i = 0; env.vector[i]; i++)
		if (strncmp(env.vector[i], name, len) == 0 && env.vector[i][len] == '=') {
			ck_assert_msg(!found, "%s is there twice", name);
			found = env.vector[i] + len + 1;
		}
	return found;
}

static struct field *add_header(const char *name, size_t name_len) {
	struct table *t = &message->properties.headers;
	struct field *f;

	t->fields = reallocarray(t->fields, t->n + 1, sizeof(*t->fields));
	ck_assert_ptr_nonnull(t->fields);
	f = t->fields + t->n++;
	*f = (struct field){.kind = FIELD_VOID};
	ck_assert_int_eq(text_set(&f->name, name, name_len), 0);
	message->properties.has_headers = true;
	return f;
}

static void add_text(const char *name, const char *value, size_t len) {
	struct field *f = add_header(name, strlen(name));

	f->kind = FIELD_STRING;
	f->text = (struct text){0};
	ck_assert_int_eq(text_set(&f->text, value, len), 0);
}

static void add_str(const char *name, const char *value) {
	add_text(name, value, strlen(value));
}

/* A header that gives a string of `total` bytes in the environment, NUL included. */
static void add_filler(const char *name, size_t total) {
	size_t len = total - strlen("AMQP_HEADER_") - strlen(name) - 2;
	char *value = malloc(len);

	ck_assert_ptr_nonnull(value);
	memset(value, 'v', len);
	add_text(name, value, len);
	free(value);
}

START_TEST(bare_message_is_exactly_this) {
	static const char *const expected[] = {
		"PATH=" DEFAULT_PATH,
		"HOME=/home/u",
		"USER=u",
		"LANG=C.UTF-8",
		"AMQP_QUEUE=mail",
		"AMQP_EXCHANGE=ex",
		"AMQP_ROUTING_KEY=key",
		"AMQP_DELIVERY_TAG=7",
		"AMQP_REDELIVERED=false",
		"AMQP_ATTEMPT=3",
		"AMQP_BODY_SIZE=0",
	};

	build();
	ck_assert_uint_eq(env.n, ARRAY_SIZE(expected));
	for (size_t i = 0; i < env.n; i++)
		ck_assert_str_eq(env.vector[i], expected[i]);
	ck_assert_ptr_null(env.vector[env.n]);
	ck_assert_uint_eq(env.n_omitted, 0);
	ck_assert_str_eq(strbuf_str(&env.omitted), "");
}
END_TEST

START_TEST(unknown_attempt_and_default_exchange) {
	ck_assert_int_eq(text_set(&message->exchange, "", 0), 0);
	message->redelivered = true;
	ck_assert_int_eq(environment_build(&env, "/", "u", &queue, message, 0, ENVIRONMENT_MESSAGE_MAX), 0);
	ck_assert_ptr_null(get("AMQP_ATTEMPT"));
	ck_assert_str_eq(get("AMQP_EXCHANGE"), "");
	ck_assert_str_eq(get("AMQP_REDELIVERED"), "true");
}
END_TEST

START_TEST(every_property) {
	struct properties *p = &message->properties;
	const struct {
		const char *name;
		struct text *text;
	} texts[] = {
		{"AMQP_CONTENT_TYPE", &p->content_type},
		{"AMQP_CONTENT_ENCODING", &p->content_encoding},
		{"AMQP_CORRELATION_ID", &p->correlation_id},
		{"AMQP_REPLY_TO", &p->reply_to},
		{"AMQP_EXPIRATION", &p->expiration},
		{"AMQP_MESSAGE_ID", &p->message_id},
		{"AMQP_TYPE", &p->type},
		{"AMQP_USER_ID", &p->user_id},
		{"AMQP_APP_ID", &p->app_id},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ck_assert_int_eq(text_set(texts[i].text, texts[i].name + 5, strlen(texts[i].name) - 5), 0);
	p->has_delivery_mode = p->has_priority = p->has_timestamp = true;
	p->delivery_mode = 2;
	p->priority = 9;
	p->timestamp = 1700000000;
	message->body_size = 4294967296;
	build();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ck_assert_str_eq(get(texts[i].name), texts[i].name + 5);
	ck_assert_str_eq(get("AMQP_DELIVERY_MODE"), "2");
	ck_assert_str_eq(get("AMQP_PRIORITY"), "9");
	ck_assert_str_eq(get("AMQP_TIMESTAMP"), "1700000000");
	ck_assert_str_eq(get("AMQP_BODY_SIZE"), "4294967296");
	ck_assert_uint_eq(env.n, 11 + 12);
}
END_TEST

START_TEST(configuration_replaces_defaults_and_message_replaces_configuration) {
	char *settings[] = {(char *)"PATH=/opt/bin",          (char *)"EXTRA=a=b",
			    (char *)"AMQP_QUEUE=fake",        (char *)"AMQP_HEADER_KIND=default",
			    (char *)"AMQP_HEADER_OTHER=kept", NULL};

	queue.handler.environment = settings;
	add_str("kind", "sent");
	build();
	ck_assert_str_eq(get("PATH"), "/opt/bin");
	ck_assert_str_eq(get("EXTRA"), "a=b");
	ck_assert_str_eq(get("AMQP_QUEUE"), "mail");
	ck_assert_str_eq(get("AMQP_HEADER_KIND"), "sent");
	ck_assert_str_eq(get("AMQP_HEADER_OTHER"), "kept");
	ck_assert_uint_eq(env.n_omitted, 0);
}
END_TEST

START_TEST(header_names_are_tamed) {
	add_str("LD_PRELOAD", "/tmp/evil.so");
	add_str("x=y", "v1");
	add_str("PATH", "/tmp");
	add_str("\xc3\xa4 b\n", "v2");
	add_str("=", "v3");
	add_str("Az09_-.z", "line\nbreak=1");
	add_str("empty", "");
	build();
	ck_assert_ptr_null(get("LD_PRELOAD"));
	ck_assert_str_eq(get("AMQP_HEADER_LD_PRELOAD"), "/tmp/evil.so");
	ck_assert_str_eq(get("AMQP_HEADER_X_Y"), "v1");
	ck_assert_str_eq(get("PATH"), DEFAULT_PATH);
	ck_assert_str_eq(get("AMQP_HEADER_PATH"), "/tmp");
	ck_assert_str_eq(get("AMQP_HEADER____B_"), "v2");
	ck_assert_str_eq(get("AMQP_HEADER__"), "v3");
	ck_assert_str_eq(get("AMQP_HEADER_AZ09___Z"), "line\nbreak=1");
	ck_assert_str_eq(get("AMQP_HEADER_EMPTY"), "");
	ck_assert_uint_eq(env.n_omitted, 0);
}
END_TEST

START_TEST(header_values_of_other_kinds) {
	struct field *f = add_header("number", 6);

	f->kind = FIELD_I32;
	f->i = -5;
	f = add_header("flag", 4);
	f->kind = FIELD_BOOLEAN;
	f->boolean = true;
	add_header("void", 4);
	f = add_header("x-death", 7);
	f->kind = FIELD_ARRAY;
	f->table = (struct table){.fields = calloc(1, sizeof(struct field)), .n = 1};
	ck_assert_ptr_nonnull(f->table.fields);
	f->table.fields[0].kind = FIELD_I32;
	f->table.fields[0].i = 1;
	build();
	ck_assert_str_eq(get("AMQP_HEADER_NUMBER"), "-5");
	ck_assert_str_eq(get("AMQP_HEADER_FLAG"), "true");
	ck_assert_str_eq(get("AMQP_HEADER_VOID"), "");
	ck_assert_str_eq(get("AMQP_HEADER_X_DEATH"), "[1]");
}
END_TEST

START_TEST(what_cannot_be_passed_on_is_told) {
	add_str("a-b", "first");
	add_str("a_b", "second");
	add_header("", 0);
	add_text("nul", "a\0b", 3);
	add_str("good", "g");
	ck_assert_int_eq(text_set(&message->routing_key, "k\0y", 3), 0);
	build();
	ck_assert_str_eq(get("AMQP_HEADER_A_B"), "first");
	ck_assert_str_eq(get("AMQP_HEADER_GOOD"), "g");
	ck_assert_ptr_null(get("AMQP_HEADER_"));
	ck_assert_ptr_null(get("AMQP_HEADER_NUL"));
	ck_assert_ptr_null(get("AMQP_ROUTING_KEY"));
	ck_assert_uint_eq(env.n_omitted, 4);
	ck_assert_str_eq(
		strbuf_str(&env.omitted),
		"property AMQP_ROUTING_KEY: contains a NUL byte; header a_b: another header has the same variable; "
		"header \"\": it has no name; header nul: contains a NUL byte");
}
END_TEST

START_TEST(nul_in_a_name_is_no_end) {
	add_header("a\0b", 3)->kind = FIELD_VOID;
	build();
	ck_assert_str_eq(get("AMQP_HEADER_A_B"), "");
}
END_TEST

START_TEST(longest_string) {
	add_filler("fits", ENVIRONMENT_STRING_MAX);
	add_filler("toolong", ENVIRONMENT_STRING_MAX + 1);
	build();
	ck_assert_uint_eq(strlen(get("AMQP_HEADER_FITS")), 131072 - 1 - strlen("AMQP_HEADER_FITS="));
	ck_assert_ptr_null(get("AMQP_HEADER_TOOLONG"));
	ck_assert_uint_eq(env.n_omitted, 1);
	ck_assert_str_eq(strbuf_str(&env.omitted), "header toolong: too long for the environment");
}
END_TEST

START_TEST(all_headers_together_are_capped) {
	size_t total = 0;

	for (int i = 0; i < 8; i++)
		add_filler((const char[]){(char)('a' + i), '\0'}, 100000);
	add_str("small", "still fits");
	build();
	for (size_t i = 0; i < env.n; i++)
		total += strlen(env.vector[i]) + 1 + sizeof(char *);
	ck_assert_uint_le(total, ENVIRONMENT_MESSAGE_MAX);
	ck_assert_uint_gt(total, 500000);
	ck_assert_ptr_nonnull(get("AMQP_HEADER_E"));
	ck_assert_ptr_null(get("AMQP_HEADER_F"));
	ck_assert_str_eq(get("AMQP_HEADER_SMALL"), "still fits");
	ck_assert_str_eq(get("AMQP_QUEUE"), "mail");
	ck_assert_uint_eq(env.n_omitted, 3);
}
END_TEST

START_TEST(many_headers_and_a_bounded_report) {
	char name[16];

	for (int i = 0; i < ENVIRONMENT_HEADERS_MAX - 1; i++) {
		(void)snprintf(name, sizeof(name), "h%d", i);
		add_str(name, "v");
	}
	for (int i = 0; i < 1000; i++)
		add_str("\x01\x02\x03 a very long name that has to be escaped and is long, long, long, long, long\x7f",
			"v");
	build();
	ck_assert_uint_lt(strbuf_str(&env.omitted)[0] ? strlen(strbuf_str(&env.omitted)) : 0, 1024);
	ck_assert_uint_gt(env.n_omitted, 900);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&env.omitted), " left out in all"));
	for (const char *s = strbuf_str(&env.omitted); *s; s++)
		ck_assert_int_ge(*s, ' ');
	ck_assert_str_eq(get("AMQP_HEADER_H0"), "v");
	ck_assert_str_eq(get("AMQP_HEADER_H998"), "v");
	ck_assert_uint_eq(env.n, 11 + ENVIRONMENT_HEADERS_MAX);
}
END_TEST

static void add_numbered(const char *prefix, int n) {
	char name[32];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s%d", prefix, i);
		add_str(name, "v");
	}
}

START_TEST(so_many_headers_and_no_more) {
	char *settings[] = {(char *)"AMQP_HEADER_H7=default", NULL};

	queue.handler.environment = settings;
	add_str("h0", "first");
	add_numbered("h", ENVIRONMENT_HEADERS_MAX); /* the first of them is left out for its name and does not count */
	build();
	ck_assert_uint_eq(env.n, 11 + ENVIRONMENT_HEADERS_MAX);
	ck_assert_uint_eq(env.n_omitted, 1);
	ck_assert_str_eq(get("AMQP_HEADER_H0"), "first");
	ck_assert_str_eq(get("AMQP_HEADER_H7"), "v"); /* replaces one, and counts */
	ck_assert_str_eq(get("AMQP_HEADER_H999"), "v");
	add_str("one", "too many");
	add_str("", "nameless");
	add_str("two", "too many");
	build();
	ck_assert_uint_eq(env.n, 11 + ENVIRONMENT_HEADERS_MAX);
	ck_assert_uint_eq(env.n_omitted, 4);
	ck_assert_ptr_null(get("AMQP_HEADER_ONE"));
	ck_assert_str_eq(strbuf_str(&env.omitted),
			 "header h0: another header has the same variable; header one: the message has too many "
			 "headers; header \"\": it has no name; header two: the message has too many headers");
	table_clear(&message->properties.headers);
	add_str("two", "alone");
	build();
	ck_assert_str_eq(get("AMQP_HEADER_TWO"), "alone");
	ck_assert_uint_eq(env.n_omitted, 0);
}
END_TEST

/* Where names end up in the table is nothing that a sender can know: it differs from one table to the next. */
START_TEST(names_are_hashed_with_a_secret) {
	struct environment other = ENVIRONMENT_INIT;

	add_numbered("h", 300);
	build();
	ck_assert_int_eq(environment_build(&other, "/home/u", "u", &queue, message, 3, ENVIRONMENT_MESSAGE_MAX), 0);
	ck_assert_uint_eq(other.n, env.n);
	for (size_t i = 0; i < env.n; i++)
		ck_assert_str_eq(env.vector[i], other.vector[i]);
	ck_assert_uint_eq(other.n_slots, env.n_slots);
	ck_assert_int_ne(memcmp(env.slots, other.slots, env.n_slots * sizeof(*env.slots)), 0);
	environment_clear(&other);
}
END_TEST

/* The names of all variables, and nothing else. */
static void expect_names(const char *expected) {
	CLEANUP(strbuf_free) struct strbuf names = STRBUF_INIT;

	for (size_t i = 0; i < env.n; i++) {
		strbuf_append(&names, env.vector[i], strcspn(env.vector[i], "="));
		strbuf_append_char(&names, ' ');
	}
	ck_assert_str_eq(strbuf_str(&names), expected);
}

START_TEST(what_each_kind_of_metadata_brings) {
	static const char base[] = "PATH HOME USER LANG ";
	static const char trace[] = "PATH HOME USER LANG TRACEPARENT TRACESTATE ";
	static const char all[] = "PATH HOME USER LANG TRACEPARENT TRACESTATE AMQP_QUEUE AMQP_EXCHANGE AMQP_ROUTING_KEY "
				  "AMQP_DELIVERY_TAG AMQP_REDELIVERED AMQP_ATTEMPT AMQP_BODY_SIZE AMQP_TYPE "
				  "AMQP_HEADER_TRACEPARENT AMQP_HEADER_TRACESTATE ";
	static const struct {
		enum config_metadata metadata;
		const char *names;
	} cases[] = {
		{CONFIG_METADATA_ENV, all},
		{CONFIG_METADATA_BOTH, all},
		{CONFIG_METADATA_FD3, trace},
		{CONFIG_METADATA_NONE, base},
	};

	add_str("traceparent", PARENT);
	add_str("tracestate", "a=1");
	ck_assert_int_eq(text_set(&message->properties.type, "t", 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		queue.handler.metadata = cases[i].metadata;
		build();
		expect_names(cases[i].names);
		ck_assert_uint_eq(env.n_omitted, 0);
	}
}
END_TEST

START_TEST(the_trace_of_the_message_replaces_the_configured_one) {
	char *settings[] = {(char *)"TRACEPARENT=mine", (char *)"TRACESTATE=mine", NULL};

	queue.handler.environment = settings;
	build();
	ck_assert_str_eq(get("TRACEPARENT"), "mine");
	add_str("traceparent", PARENT);
	add_str("tracestate", "a=1");
	build();
	ck_assert_str_eq(get("TRACEPARENT"), PARENT);
	ck_assert_str_eq(get("TRACESTATE"), "a=1");
	table_clear(&message->properties.headers);
	/* Both or none: what is configured says nothing of the message's trace. */
	add_str("traceparent", PARENT);
	build();
	ck_assert_str_eq(get("TRACEPARENT"), PARENT);
	ck_assert_ptr_null(get("TRACESTATE"));
	queue.handler.metadata = CONFIG_METADATA_NONE;
	build();
	ck_assert_str_eq(get("TRACEPARENT"), "mine");
	ck_assert_str_eq(get("TRACESTATE"), "mine");
	queue.handler.metadata = CONFIG_METADATA_ENV;
	table_clear(&message->properties.headers);
	add_str("traceparent", "malformed");
	add_str("tracestate", "a=1");
	build();
	ck_assert_str_eq(get("TRACEPARENT"), "mine");
	ck_assert_str_eq(get("TRACESTATE"), "mine");
}
END_TEST

START_TEST(the_path_is_the_configured_one) {
	queue.handler.path = (char *)"/opt/bin";
	build();
	ck_assert_str_eq(get("PATH"), "/opt/bin");
	queue.handler.path = (char *)"";
	build();
	ck_assert_str_eq(get("PATH"), "");
}
END_TEST

START_TEST(can_be_used_again) {
	add_filler("big", 100000);
	build();
	ck_assert_ptr_nonnull(get("AMQP_HEADER_BIG"));
	table_clear(&message->properties.headers);
	for (int i = 0; i < 3; i++) {
		build();
		ck_assert_uint_eq(env.n, 11);
		ck_assert_ptr_null(get("AMQP_HEADER_BIG"));
	}
	ck_assert_uint_lt(env.text.capacity, 65536);
}
END_TEST

START_TEST(without_a_message_there_is_nothing_of_one) {
	build();
	ck_assert_ptr_nonnull(get("AMQP_QUEUE"));
	ck_assert_int_eq(environment_build(&env, "/home/u", "u", &queue, NULL, 0, 0), 0);
	ck_assert_str_eq(get("HOME"), "/home/u");
	for (size_t i = 0; env.vector[i]; i++)
		ck_assert_int_ne(strncmp(env.vector[i], "AMQP_", 5), 0);
	ck_assert_uint_eq(env.n_omitted, 0);
	ck_assert_uint_eq(env.message_size, 0);
}
END_TEST

int main(void) {
	Suite *s = suite_create("environment");
	TCase *t = tcase_create("environment");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, bare_message_is_exactly_this);
	tcase_add_test(t, unknown_attempt_and_default_exchange);
	tcase_add_test(t, every_property);
	tcase_add_test(t, configuration_replaces_defaults_and_message_replaces_configuration);
	tcase_add_test(t, header_names_are_tamed);
	tcase_add_test(t, header_values_of_other_kinds);
	tcase_add_test(t, what_cannot_be_passed_on_is_told);
	tcase_add_test(t, nul_in_a_name_is_no_end);
	tcase_add_test(t, longest_string);
	tcase_add_test(t, all_headers_together_are_capped);
	tcase_add_test(t, many_headers_and_a_bounded_report);
	tcase_add_test(t, so_many_headers_and_no_more);
	tcase_add_test(t, names_are_hashed_with_a_secret);
	tcase_add_test(t, what_each_kind_of_metadata_brings);
	tcase_add_test(t, the_trace_of_the_message_replaces_the_configured_one);
	tcase_add_test(t, the_path_is_the_configured_one);
	tcase_add_test(t, without_a_message_there_is_nothing_of_one);
	tcase_add_test(t, can_be_used_again);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

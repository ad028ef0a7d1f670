/* SPDX-License-Identifier: MIT */
/* What "amqp-execctl publish" makes of its command line and of its input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "ctl/command.h"
#include "ctl/message_line.h"
#include "ctl/publish_input.h"
#include "ctl/publish_options.h"
#include "scratch.h"

static const struct command command = {.name = "publish"};

/* --- lines of JSON --- */

static struct message *parse(const char *line) {
	struct message *m = NULL;
	char *why = NULL;

	ck_assert_msg(message_line_parse(line, strlen(line), &m, &why) == 0, "%s: %s", line, why);
	return m;
}

static void ck_refused(const char *line, const char *expected) {
	struct message *m = NULL;
	char *why = NULL;

	ck_assert_msg(message_line_parse(line, strlen(line), &m, &why) == -EINVAL, "%s", line);
	ck_assert_msg(strstr(why, expected) != NULL, "%s: %s", line, why);
	ck_assert_ptr_null(m);
	free(why);
}

START_TEST(a_line_is_a_message) {
	struct message *m = parse(
		"{\"body\":\"a\\u0000b\",\"exchange\":\"e\",\"routing_key\":\"k\",\"properties\":{\"priority\":255,"
		"\"delivery_mode\":1,\"timestamp\":0,\"message_id\":\"m\",\"type\":null,\"expiration\":\"0\"},"
		"\"headers\":{\"x\":1},\"redelivered\":true,\"death\":{}}");

	ck_assert_uint_eq(m->body_size, 3);
	ck_assert_mem_eq(m->body, "a\0b", 3);
	ck_assert_str_eq(m->exchange.data, "e");
	ck_assert_str_eq(m->routing_key.data, "k");
	ck_assert_str_eq(m->properties.message_id.data, "m");
	ck_assert_ptr_null(m->properties.type.data);
	ck_assert(m->properties.has_priority && m->properties.priority == 255);
	ck_assert(m->properties.has_delivery_mode && m->properties.delivery_mode == 1);
	ck_assert(m->properties.has_timestamp && m->properties.timestamp == 0);
	ck_assert(m->properties.has_headers && m->properties.headers.n == 1);
	message_free(m);
	m = parse("{\"body_base64\":\"\",\"exchange\":null,\"headers\":null,\"properties\":null}");
	ck_assert_uint_eq(m->body_size, 0);
	ck_assert_ptr_null(m->exchange.data);
	ck_assert(!m->properties.has_headers && !m->properties.has_priority);
	message_free(m);
}
END_TEST

START_TEST(a_wrong_line_says_why) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	ck_refused("", "no JSON");
	ck_refused("{\"body\":\"x\"", "no JSON");
	ck_refused("{\"body\":\"x\"} x", "no JSON");
	ck_refused("{\"body\":\"x\",\"body\":\"y\"}", "duplicate");
	ck_refused("{\"body\":\"\xff\"}", "no JSON");
	ck_refused("[]", "not an object");
	ck_refused("{}", "neither a body");
	ck_refused("{\"body\":null}", "neither a body");
	ck_refused("{\"body\":\"\",\"body_base64\":\"\"}", "both");
	ck_refused("{\"body\":1}", "not a string");
	ck_refused("{\"body_base64\":\"x\"}", "not base64");
	ck_refused("{\"body\":\"\",\"exchange\":1}", "exchange is not a string");
	ck_refused("{\"body\":\"\",\"routing_key\":\"a\\u0000b\"}", "holds a NUL");
	ck_refused("{\"body\":\"\",\"properties\":[]}", "not an object");
	ck_refused("{\"body\":\"\",\"properties\":{\"a\\nb\":1}}", "no property \"a\\nb\"");
	ck_refused("{\"body\":\"\",\"properties\":{\"priority\":256}}", "0 to 255");
	ck_refused("{\"body\":\"\",\"properties\":{\"delivery_mode\":0}}", "delivery_mode");
	ck_refused("{\"body\":\"\",\"properties\":{\"delivery_mode\":\"2\"}}", "delivery_mode");
	ck_refused("{\"body\":\"\",\"properties\":{\"timestamp\":-1}}", "timestamp");
	ck_refused("{\"body\":\"\",\"properties\":{\"timestamp\":1.5}}", "timestamp");
	ck_refused("{\"body\":\"\",\"properties\":{\"expiration\":\"1s\"}}", "expiration");
	ck_refused("{\"body\":\"\",\"properties\":{\"expiration\":1}}", "expiration");
	ck_refused("{\"body\":\"\",\"headers\":[]}", "headers are not an object");
	ck_refused("{\"body\":\"\",\"headers\":{\"a\":{\"float\":1}}}", "float");
	strbuf_printf(&b, "{\"body\":\"\",\"properties\":{\"type\":\"%0256d\"}}", 0);
	ck_refused(strbuf_str(&b), "longer than 255 bytes");
}
END_TEST

/* --- the command line --- */

/* What the options point to: it goes with the test's process, and is no leak until then. */
static char **kept[32];
static size_t n_kept;

static int read_options(struct publish_options *o, int argc, const char **argv) {
	char **copies = calloc((size_t)argc + 1, sizeof(*copies));
	int status = 0, r;

	ck_assert_uint_lt(n_kept, ARRAY_SIZE(kept));
	kept[n_kept++] = copies;
	for (int i = 0; i < argc; i++)
		copies[i] = strdup(argv[i]);
	optind = 0;
	r = publish_options_read(&command, argc, copies, o, &status);
	ck_assert_int_eq(r, status != 0);
	return status;
}
#define READ(o, ...)                                                                                                   \
	read_options(o, (int)ARRAY_SIZE(((const char *[]){"x", __VA_ARGS__})), (const char *[]){"x", __VA_ARGS__})

START_TEST(options_are_read) {
	CLEANUP(publish_options_clear) struct publish_options o;

	ck_assert_int_eq(READ(&o, "--queue", "q", "--rate", "2.5/s", "--in-flight", "9", "--timeout", "2min", "a",
			      "--quiet", "--", "-b"),
			 0);
	ck_assert_str_eq(o.queue, "q");
	ck_assert(o.rate > 2.4 && o.rate < 2.6);
	ck_assert_uint_eq(o.in_flight, 9);
	ck_assert_uint_eq(o.timeout_usec, 2 * USEC_PER_MINUTE);
	ck_assert(o.quiet);
	ck_assert_int_eq(o.mode, PUBLISH_ARGUMENTS);
	ck_assert_uint_eq(o.n, 2);
	ck_assert_str_eq(o.arguments[1], "-b");
}
END_TEST

START_TEST(nonsense_is_wrong_usage) {
	static const char *const wrong[][6] = {
		{"--queue", "q"},
		{"a"},
		{"--queue", "", "a"},
		{"--queue", "q", "--exchange", "e", "a"},
		{"--queue", "q", "--lines", "--json-lines"},
		{"--queue", "q", "--stdin", "a"},
		{"--queue", "q", "--rate", "nan", "a"},
		{"--queue", "q", "--rate", "-1", "a"},
		{"--queue", "q", "--rate", "1e-300", "a"},
		{"--queue", "q", "--in-flight", "0", "a"},
		{"--queue", "q", "--in-flight", "65536", "a"},
		{"--queue", "q", "--timeout", "0", "a"},
		{"--queue", "q", "--priority", "256", "a"},
		{"--queue", "q", "--priority", " 1", "a"},
		{"--queue", "q", "--timestamp", "yesterday", "a"},
		{"--queue", "q", "--expiration", "-1", "a"},
		{"--queue", "q", "--header", "a", "a"},
		{"--queue", "q", "--frobnicate", "a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CLEANUP(publish_options_clear) struct publish_options o;
		const char *argv[8] = {"x"};
		int argc = 1;

		for (size_t k = 0; k < 6 && wrong[i][k]; k++)
			argv[argc++] = wrong[i][k];
		ck_assert_msg(read_options(&o, argc, argv) == EX_USAGE, "%s %s", wrong[i][0], wrong[i][2]);
	}
}
END_TEST

START_TEST(headers_have_types) {
	CLEANUP(table_clear) struct table t = {0};
	static const char *const wrong[] = {
		"a",          "=x",       ":int=1", "a:int=", "a:int=1x",   "a:int=9223372036854775808",
		"a:float=x",  "a:bool=1", "a:b=c",  "a:=c",   "a:base64=x", "a:timestamp=now",
		"a:json={x}", "a:json="};
	const char *why = NULL;

	ck_assert_int_eq(publish_options_add_header(&t, "s=a=b:c", &why), 0);
	ck_assert_str_eq(table_find(&t, "s")->text.data, "a=b:c");
	ck_assert_int_eq(publish_options_add_header(&t, "i:int=-1", &why), 0);
	ck_assert_int_eq(table_find(&t, "i")->kind, FIELD_I32);
	ck_assert_int_eq(publish_options_add_header(&t, "i:int=9223372036854775807", &why), 0);
	ck_assert_int_eq(table_find(&t, "i")->kind, FIELD_I64);
	ck_assert_int_eq(publish_options_add_header(&t, "a:b:bool=false", &why), 0);
	ck_assert(!table_find(&t, "a:b")->boolean);
	ck_assert_int_eq(publish_options_add_header(&t, "j:json={\"x\":[1]}", &why), 0);
	ck_assert_int_eq(table_find(&t, "j")->kind, FIELD_TABLE);
	ck_assert_int_eq(publish_options_add_header(&t, "n:json=null", &why), 0);
	ck_assert_int_eq(table_find(&t, "n")->kind, FIELD_VOID);
	ck_assert_uint_eq(t.n, 5);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(publish_options_add_header(&t, wrong[i], &why) == -EINVAL, "%s", wrong[i]);
}
END_TEST

START_TEST(the_command_line_goes_before) {
	CLEANUP(publish_options_clear) struct publish_options o;
	struct message *m = parse("{\"body\":\"\",\"exchange\":\"e\",\"routing_key\":\"k\",\"properties\":{\"type\":"
				  "\"t\",\"app_id\":\"a\","
				  "\"delivery_mode\":1},\"headers\":{\"a\":1,\"b\":{\"c\":2}}}");

	ck_assert_int_eq(
		READ(&o, "--json-lines", "--routing-key", "l", "--type", "u", "--header", "b=x", "--header", "d=y"), 0);
	ck_assert_int_eq(publish_options_apply(&o, m), 0);
	ck_assert_str_eq(m->exchange.data, "e");
	ck_assert_str_eq(m->routing_key.data, "l");
	ck_assert_str_eq(m->properties.type.data, "u");
	ck_assert_str_eq(m->properties.app_id.data, "a");
	ck_assert_uint_eq(m->properties.delivery_mode, 1);
	ck_assert_uint_eq(m->properties.headers.n, 3);
	ck_assert_int_eq(table_find(&m->properties.headers, "a")->i, 1);
	ck_assert_str_eq(table_find(&m->properties.headers, "b")->text.data, "x");
	ck_assert_str_eq(table_find(&m->properties.headers, "d")->text.data, "y");
	message_free(m);
}
END_TEST

/* --- input --- */

static struct publish_input *open_input(struct publish_options *o, enum publish_mode mode, char **paths, size_t n) {
	struct publish_input *i = NULL;

	ck_assert_int_eq(READ(o, "--queue", "q", "x"), 0);
	o->mode = mode;
	o->arguments = paths;
	o->n = n;
	ck_assert_int_eq(publish_input_new(o, &i), 0);
	return i;
}

static void ck_next(struct publish_input *i, const char *body) {
	struct message *m = NULL;
	char *why = NULL;

	ck_assert_int_eq(publish_input_next(i, &m, &why), 1);
	ck_assert_uint_eq(m->body_size, strlen(body));
	ck_assert_mem_eq(m->body ? m->body : "", body, strlen(body));
	message_free(m);
}

START_TEST(lines_are_messages) {
	CLEANUP(publish_options_clear) struct publish_options o;
	CLEANUP(publish_input_free) struct publish_input *i = NULL;
	char *paths[] = {(char[]){"a"}, (char[]){"b"}, (char[]){"none"}};
	struct message *m = NULL;
	char *why = NULL;

	scratch_write("a", 0600, "one\n\ntwo");
	scratch_write("b", 0600, "\n");
	i = open_input(&o, PUBLISH_LINES, paths, 3);
	ck_next(i, "one");
	ck_next(i, "");
	ck_next(i, "two");
	ck_next(i, "");
	ck_assert_int_eq(publish_input_next(i, &m, &why), -EIO);
	ck_assert_str_eq(why, "none: No such file or directory");
	free(why);
}
END_TEST

START_TEST(a_wrong_line_is_one_line) {
	CLEANUP(publish_options_clear) struct publish_options o;
	CLEANUP(publish_input_free) struct publish_input *i = NULL;
	char *paths[] = {(char[]){"a"}};
	struct message *m = NULL;
	char *why = NULL;

	scratch_write("a", 0600, "{\"body\":\"1\"}\n\nx\n{\"body\":\"2\"}\n\n{\"body\":\"3\"}");
	i = open_input(&o, PUBLISH_JSON_LINES, paths, 1);
	ck_next(i, "1");
	ck_assert_int_eq(publish_input_next(i, &m, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "a, line 3: no JSON"));
	free(why);
	ck_next(i, "2");
	ck_assert_int_eq(publish_input_rest(i), 1);
	ck_assert_int_eq(publish_input_next(i, &m, &why), 0);
}
END_TEST

START_TEST(a_pipe_is_waited_for) {
	CLEANUP(publish_options_clear) struct publish_options o;
	CLEANUP(publish_input_free) struct publish_input *i = NULL;
	struct message *m = NULL;
	char *why = NULL;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	i = open_input(&o, PUBLISH_LINES, NULL, 0);
	ck_assert_int_eq(publish_input_next(i, &m, &why), -EAGAIN);
	ck_assert_int_ge(publish_input_fd(i), 0);
	ck_assert_int_eq(write(fds[1], "ab", 2), 2);
	ck_assert_int_eq(publish_input_next(i, &m, &why), -EAGAIN);
	ck_assert_int_eq(write(fds[1], "c\nd", 3), 3);
	ck_next(i, "abc");
	ck_assert_int_eq(publish_input_next(i, &m, &why), -EAGAIN);
	ck_assert_int_eq(publish_input_rest(i), -1);
	ck_assert_int_eq(close(fds[1]), 0);
	ck_next(i, "d");
	ck_assert_int_eq(publish_input_next(i, &m, &why), 0);
	ck_assert_int_eq(publish_input_rest(i), 0);
}
END_TEST

START_TEST(long_lines_come_in_one_piece) {
	CLEANUP(publish_options_clear) struct publish_options o;
	CLEANUP(publish_input_free) struct publish_input *i = NULL;
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char *paths[] = {(char[]){"a"}};
	struct message *m = NULL;
	char *why = NULL;

	for (size_t len = 65530; len < 65545; len++)
		strbuf_printf(&b, "%0*d\n", (int)len, 7);
	scratch_write("a", 0600, strbuf_str(&b));
	i = open_input(&o, PUBLISH_LINES, paths, 1);
	for (size_t len = 65530; len < 65545; len++) {
		ck_assert_int_eq(publish_input_next(i, &m, &why), 1);
		ck_assert_uint_eq(m->body_size, len);
		message_free(m);
	}
	ck_assert_int_eq(publish_input_next(i, &m, &why), 0);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "lines of JSON", a_line_is_a_message, a_wrong_line_says_why);
	ADD_CASE(suite, "options", options_are_read, nonsense_is_wrong_usage, headers_have_types,
		 the_command_line_goes_before);
	ADD_FIXTURE_CASE(suite, "input", scratch_setup, scratch_teardown, lines_are_messages, a_wrong_line_is_one_line,
			 a_pipe_is_waited_for, long_lines_come_in_one_piece);
}

CHECK_MAIN("publish_input", add_cases)

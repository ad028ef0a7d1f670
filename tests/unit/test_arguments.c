/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/base64.h"
#include "check_main.h"
#include "handler/arguments.h"
#include "handler/payload.h"

#define TOTAL 524288

static struct message *message;
static struct config_queue queue;
static struct command command;
static struct argument_list arguments;

static void setup(void) {
	ck_assert_int_eq(message_new(&message), 0);
	message->properties.has_headers = true;
	queue = (struct config_queue){.name = (char *)"mail"};
	arguments = ARGUMENT_LIST_INIT;
}

static void teardown(void) {
	arguments_clear(&arguments);
	command_clear(&command);
	message = message_free(message);
}

static void header(const char *name, const char *value, size_t len) {
	ck_assert_int_eq(table_set_string(&message->properties.headers, name, value, len), 0);
}

static void body(const char *data, size_t len) {
	ck_assert_int_eq(message_reserve_body(message, len), 0);
	ck_assert_int_eq(message_append_body(message, data, len), 0);
	ck_assert_int_eq(message_finish_body(message), 0);
}

static int build(const char *const *argv) {
	command_clear(&command);
	ck_assert_int_eq(command_parse((char *const *)argv, &command), 0);
	return arguments_build(&arguments, &command, &queue, message, 2, TOTAL);
}

/* argv is exactly this. */
static void expect(const char *const *expected) {
	size_t i = 0;

	for (; expected[i]; i++)
		ck_assert_str_eq(arguments.vector[i], expected[i]);
	ck_assert_ptr_null(arguments.vector[i]);
}

#define BUILD(...) build((const char *const[]){__VA_ARGS__, NULL})
#define EXPECT(...) expect((const char *const[]){__VA_ARGS__, NULL})

START_TEST(constant_commands_cost_nothing) {
	ck_assert_int_eq(BUILD("/bin/x", "a", "", "100%%"), 0);
	EXPECT("/bin/x", "a", "", "100%");
	ck_assert_uint_eq(arguments.message_size, 0);
	ck_assert_ptr_null(arguments.own);
	ck_assert_ptr_null(arguments.text.data);
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	EXPECT("/bin/x");
}
END_TEST

/* Nothing in a message chooses what is executed. */
START_TEST(the_program_is_no_template) {
	ck_assert_int_eq(BUILD("/bin/%{queue}%", "%{queue}"), 0);
	EXPECT("/bin/%{queue}%", "mail");
}
END_TEST

START_TEST(one_argument_stays_one) {
	header("h", "; rm -rf / $(id) `id` \n\t'\"\\ *", 29);
	header("dash", "-rf", 3);
	ck_assert_int_eq(text_set(&message->routing_key, "", 0), 0);
	ck_assert_int_eq(BUILD("/bin/x", "%{header:h}", "%{header:dash}", "%{routing_key}", "--to=%{reply_to}", "", "end"), 0);
	EXPECT("/bin/x", "; rm -rf / $(id) `id` \n\t'\"\\ *", "-rf", "", "--to=", "", "end");
}
END_TEST

START_TEST(used_again) {
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(BUILD("/bin/x", "%{queue}", "c", "%{attempt}%{attempt}"), 0);
		EXPECT("/bin/x", "mail", "c", "22");
		ck_assert_uint_eq(arguments.message_size, 5 + 3 + 2 * sizeof(char *));
		ck_assert_int_eq(BUILD("/bin/x", "a", "b", "c", "d", "e", "f", "g", "%{queue}"), 0);
		EXPECT("/bin/x", "a", "b", "c", "d", "e", "f", "g", "mail");
	}
}
END_TEST

START_TEST(no_template) {
	static const char *const argv[] = {"/bin/x", "%{nothing}", NULL};

	ck_assert_int_eq(command_parse((char *const *)argv, &command), -EINVAL);
}
END_TEST

/* `n` times the letter. */
static char *letters(char c, size_t n) {
	char *s = malloc(n + 1);

	ck_assert_ptr_nonnull(s);
	memset(s, c, n);
	s[n] = '\0';
	return s;
}

START_TEST(what_cannot_be_passed_is_refused) {
	char *most = letters('x', ARGUMENT_MAX);

	header("nul", "a\0b", 3);
	ck_assert_int_eq(BUILD("/bin/x", "%{queue}", "%{header:nul}"), ARGUMENTS_REFUSED);
	ck_assert_str_eq(arguments.refusal, "handler.command[2] would hold a NUL byte");
	header("most", most, ARGUMENT_MAX);
	ck_assert_int_eq(BUILD("/bin/x", "%{header:most}"), 0);
	ck_assert_uint_eq(strlen(arguments.vector[1]), ARGUMENT_MAX);
	ck_assert_int_eq(BUILD("/bin/x", "%{header:most}y"), ARGUMENTS_REFUSED);
	ck_assert_str_eq(arguments.refusal, "handler.command[1] would be longer than 131071 bytes");
	/* The pointers count, too. */
	ck_assert_int_eq(BUILD("/bin/x", "%{header:most}", "%{header:most}", "%{header:most}"), 0);
	ck_assert_uint_eq(arguments.message_size, 3 * (131072 + sizeof(char *)));
	ck_assert_int_eq(BUILD("/bin/x", "%{header:most}", "%{header:most}", "%{header:most}", "%{header:most}"),
			 ARGUMENTS_REFUSED);
	ck_assert_str_eq(arguments.refusal, "its arguments would be longer than 524288 bytes together");
	/* What it took is not kept. */
	ck_assert_int_eq(BUILD("/bin/x", "%{queue}"), 0);
	EXPECT("/bin/x", "mail");
	ck_assert_uint_lt(arguments.text.capacity, 65536);
	free(most);
}
END_TEST

/* --- the body as an argument ------------------------------------------------------------------------------------- */

static unsigned char decoded[1 << 20];

/* The bytes that the base64 of the last argument stands for. */
static size_t decode(const char *s) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	ck_assert_uint_eq(strlen(s) % 4, 0);
	for (; *s; s += 4) {
		unsigned bits = 0;

		for (int i = 0; i < 4; i++)
			bits = bits << 6 | (s[i] == '=' ? 0 : (unsigned)(strchr(digits, s[i]) - digits));
		decoded[n++] = (unsigned char)(bits >> 16);
		if (s[2] != '=')
			decoded[n++] = (unsigned char)(bits >> 8);
		if (s[3] != '=')
			decoded[n++] = (unsigned char)bits;
	}
	return n;
}

/* The same, uncompressed, into a string of its own. */
static char *inflated(const char *s, size_t *ret_len) {
	size_t n = decode(s);
	uLongf len = PAYLOAD_COMPRESS_MAX + 4096;
	char *out = malloc(len + 1);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(decoded[0], 0x78); /* zlib, not gzip or deflate alone, */
	ck_assert_int_eq(decoded[1], 0xda); /* at level 9 */
	ck_assert_int_eq(uncompress((Bytef *)out, &len, decoded, n), Z_OK);
	out[len] = '\0';
	*ret_len = len;
	return out;
}

START_TEST(body_as_argument) {
	queue.handler.input = CONFIG_INPUT_ARGUMENT;
	ck_assert_int_eq(BUILD("/bin/x", "-m"), 0);
	EXPECT("/bin/x", "-m", "");
	body("\0\xff<body>\n", 9);
	ck_assert_int_eq(BUILD("/bin/x", "-m"), 0);
	EXPECT("/bin/x", "-m", "AP88Ym9keT4K");
	ck_assert_int_eq(BUILD("/bin/x", "%{queue}"), 0);
	EXPECT("/bin/x", "mail", "AP88Ym9keT4K");
	ck_assert_uint_eq(arguments.message_size, 5 + 13 + 2 * sizeof(char *));
}
END_TEST

START_TEST(object_as_argument) {
	static const char expected[] =
		"{\"properties\":{\"application_headers\":{},\"content_type\":\"\",\"content_encoding\":\"\",\"delivery_mode\":0,"
		"\"priority\":0,\"correlation_id\":\"\",\"reply_to\":\"\",\"expiration\":\"\",\"message_id\":\"\","
		"\"timestamp\":\"0001-01-01T00:00:00Z\",\"type\":\"\",\"user_id\":\"\",\"app_id\":\"\"},"
		"\"delivery_info\":{\"message_count\":0,\"consumer_tag\":\"\",\"delivery_tag\":0,\"redelivered\":false,"
		"\"exchange\":\"\",\"routing_key\":\"\"},\"body\":\"\\u0000\\ufffd\\u003cbody\\u003e\\n\"}";
	char *text;
	size_t len;

	queue.handler.input = CONFIG_INPUT_ARGUMENT_JSON;
	body("\0\xff<body>\n", 9);
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	ck_assert_uint_eq(decode(arguments.vector[1]), strlen(expected));
	ck_assert_int_eq(memcmp(decoded, expected, strlen(expected)), 0);
	queue.handler.compress = true;
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	text = inflated(arguments.vector[1], &len);
	ck_assert_str_eq(text, expected);
	ck_assert_uint_eq(len, strlen(expected));
	free(text);
}
END_TEST

/* Just as much as base64 leaves room for, in a memory file. */
START_TEST(largest_bodies) {
	char *most = letters('x', 98304);

	queue.handler.input = CONFIG_INPUT_ARGUMENT;
	body(most, 98301);
	ck_assert_int_ge(message->body_fd, 0);
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	ck_assert_uint_eq(strlen(arguments.vector[1]), 131068);
	ck_assert_uint_eq(decode(arguments.vector[1]), 98301);
	ck_assert_int_eq(memcmp(decoded, most, 98301), 0);
	message_free(message);
	ck_assert_int_eq(message_new(&message), 0);
	body(most, 98302);
	ck_assert_int_eq(BUILD("/bin/x"), ARGUMENTS_REFUSED);
	ck_assert_str_eq(arguments.refusal, "its body of 98302 bytes does not fit an argument");
	queue.handler.input = CONFIG_INPUT_ARGUMENT_JSON;
	ck_assert_int_eq(BUILD("/bin/x"), ARGUMENTS_REFUSED);
	/* With the object around it, it is too much; compressed it is very little. */
	queue.handler.compress = true;
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	ck_assert_uint_lt(strlen(arguments.vector[1]), 2000);
	free(most);
}
END_TEST

START_TEST(compressed_bodies) {
	size_t n = PAYLOAD_COMPRESS_MAX, len;
	char *text, *large = letters('x', n + 1);

	queue.handler.input = CONFIG_INPUT_ARGUMENT;
	queue.handler.compress = true;
	body(large, n);
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	text = inflated(arguments.vector[1], &len);
	ck_assert_uint_eq(len, n);
	ck_assert_int_eq(memcmp(text, large, n), 0);
	free(text);
	message_free(message);
	ck_assert_int_eq(message_new(&message), 0);
	body(large, n + 1);
	ck_assert_int_eq(BUILD("/bin/x"), ARGUMENTS_REFUSED);
	ck_assert_str_eq(arguments.refusal, "its body of 16777217 bytes does not fit an argument, compressed or not");
	message_free(message);
	ck_assert_int_eq(message_new(&message), 0);
	for (size_t i = 0; i < n; i++)
		large[i] = (char)random();
	body(large, n);
	ck_assert_int_eq(BUILD("/bin/x"), ARGUMENTS_REFUSED);
	free(large);
}
END_TEST

/* A sequence that lies across the pieces of a body is not taken for bad bytes. */
START_TEST(sequences_across_pieces) {
	size_t n = 200000, len;
	char *euros = letters('x', n), *text;

	for (size_t i = 1; i + 3 <= n; i += 3)
		memcpy(euros + i, "\xe2\x82\xac", 3);
	queue.handler.input = CONFIG_INPUT_ARGUMENT_JSON;
	queue.handler.compress = true;
	body(euros, n - n % 3 + 1 <= n ? n - n % 3 + 1 : n - n % 3 - 2);
	ck_assert_int_eq(BUILD("/bin/x"), 0);
	text = inflated(arguments.vector[1], &len);
	ck_assert_ptr_null(strstr(text, "\\ufffd"));
	ck_assert_ptr_nonnull(strstr(text, "\"body\":\"x\xe2\x82\xac\xe2\x82\xac"));
	free(text);
	free(euros);
}
END_TEST

static void add_cases(Suite *s) {
	TCase *t = tcase_create("arguments");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, constant_commands_cost_nothing);
	tcase_add_test(t, the_program_is_no_template);
	tcase_add_test(t, one_argument_stays_one);
	tcase_add_test(t, used_again);
	tcase_add_test(t, no_template);
	tcase_add_test(t, what_cannot_be_passed_is_refused);
	tcase_add_test(t, body_as_argument);
	tcase_add_test(t, object_as_argument);
	tcase_add_test(t, largest_bodies);
	tcase_add_test(t, compressed_bodies);
	tcase_add_test(t, sequences_across_pieces);
	suite_add_tcase(s, t);
}

CHECK_MAIN("arguments", add_cases)

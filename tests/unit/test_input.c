/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "check_main.h"
#include "handler/input.h"

/* Newer kernels add one against being executed. */
#define ALL_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

static struct message *message;
static struct config_queue queue;
static struct strbuf content;

static void setup(void) {
	ck_assert_int_eq(message_new(&message), 0);
	queue = (struct config_queue){.name = (char *)"mail"};
	content = STRBUF_INIT;
}

static void teardown(void) {
	strbuf_free(&content);
	message = message_free(message);
}

static void body(const char *data, size_t len) {
	message_free(message);
	ck_assert_int_eq(message_new(&message), 0);
	ck_assert_int_eq(message_reserve_body(message, len), 0);
	ck_assert_int_eq(message_append_body(message, data, len), 0);
	ck_assert_int_eq(message_finish_body(message), 0);
}

/* Reads everything into `content` and closes it. Returns what it was: S_IFIFO, S_IFREG, S_IFCHR. */
static mode_t drain(int fd) {
	static char buffer[65536];
	struct stat st;
	ssize_t n;

	ck_assert_int_ge(fd, 4);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	if (S_ISREG(st.st_mode))
		ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
	strbuf_reset(&content);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		strbuf_append(&content, buffer, (size_t)n);
	ck_assert_int_eq(n, 0);
	fd_close(fd);
	return st.st_mode & S_IFMT;
}

static mode_t input(enum config_input kind) {
	int fd;

	queue.handler.input = kind;
	ck_assert_int_eq(input_open(&queue, message, 3, &fd), 0);
	return drain(fd);
}

/* What comes before the body in JSON, and after it. */
#define BEFORE                                                                                                         \
	"{\"properties\":{\"application_headers\":null,\"content_type\":\"\",\"content_encoding\":\"\",\"delivery_mode\":0,"   \
	"\"priority\":0,\"correlation_id\":\"\",\"reply_to\":\"\",\"expiration\":\"\",\"message_id\":\"\","                    \
	"\"timestamp\":\"0001-01-01T00:00:00Z\",\"type\":\"\",\"user_id\":\"\",\"app_id\":\"\"},"                              \
	"\"delivery_info\":{\"message_count\":0,\"consumer_tag\":\"\",\"delivery_tag\":0,\"redelivered\":false,"               \
	"\"exchange\":\"\",\"routing_key\":\"\"},\"queue\":\"mail\",\"attempt\":3,"

/* `content` is the object with this body. */
static void expect_json(size_t body_size, const char *encoding, const char *text, size_t len) {
	CLEANUP(strbuf_free) struct strbuf expected = STRBUF_INIT;

	strbuf_printf(&expected, BEFORE "\"body_size\":%zu,\"body_encoding\":\"%s\",\"body\":\"", body_size, encoding);
	strbuf_append(&expected, text, len);
	strbuf_append_str(&expected, "\"}\n");
	ck_assert_uint_eq(content.len, expected.len);
	ck_assert_int_eq(memcmp(content.data, expected.data, expected.len), 0);
}

START_TEST(bodies) {
	static char large[200000];

	memset(large, 'x', sizeof(large));
	ck_assert_int_eq(input(CONFIG_INPUT_BODY), S_IFIFO);
	ck_assert_uint_eq(content.len, 0);
	body("\0\xff\n", 3);
	ck_assert_int_eq(input(CONFIG_INPUT_BODY), S_IFIFO);
	ck_assert_uint_eq(content.len, 3);
	ck_assert_int_eq(memcmp(content.data, "\0\xff\n", 3), 0);
	body(large, sizeof(large));
	for (int i = 0; i < 2; i++) { /* each reader from the start */
		ck_assert_int_eq(input(CONFIG_INPUT_BODY), S_IFREG);
		ck_assert_uint_eq(content.len, sizeof(large));
		ck_assert_int_eq(memcmp(content.data, large, sizeof(large)), 0);
	}
}
END_TEST

START_TEST(nothing) {
	static const enum config_input kinds[] = {CONFIG_INPUT_NONE, CONFIG_INPUT_ARGUMENT, CONFIG_INPUT_ARGUMENT_JSON};

	body("body", 4);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		ck_assert_int_eq(input(kinds[i]), S_IFCHR);
		ck_assert_uint_eq(content.len, 0);
	}
}
END_TEST

#define BYTES(s) s, sizeof(s) - 1

START_TEST(json) {
	static const struct {
		const char *body;
		size_t size;
		const char *encoding;
		const char *text;
	} cases[] = {
		{BYTES(""), "utf-8", ""},
		{BYTES("plain \xc3\xa4"), "utf-8", "plain \xc3\xa4"},
		{BYTES("{\"a\":\"b\\n\"}\n"), "utf-8", "{\\\"a\\\":\\\"b\\\\n\\\"}\\n"},
		{BYTES("a nul: \0, of eight"), "utf-8", "a nul: \\u0000, of eight"},
		{BYTES("not \xff UTF-8"), "base64", "bm90IP8gVVRGLTg="},
		{BYTES("cut \xe2\x82"), "base64", "Y3V0IOKC"},
		{BYTES("\0\0\0"), "base64", "AAAA"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		body(cases[i].body, cases[i].size);
		ck_assert_int_eq(input(CONFIG_INPUT_JSON), S_IFIFO);
		expect_json(cases[i].size, cases[i].encoding, cases[i].text, strlen(cases[i].text));
	}
}
END_TEST

/* Around the sizes of a piece and of a pipe: euro signs of three bytes each, so that the end of a piece lies within one. */
START_TEST(large_json) {
	static const size_t sizes[] = {49150, 49153, 49156, 65002, 65536, 98305, 1000000};
	static char large[1000000];

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = i == 0 ? 'x' : "\xe2\x82\xac"[(i - 1) % 3];
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(strbuf_free) struct strbuf encoded = STRBUF_INIT;

		ck_assert_uint_eq(sizes[i] % 3, 1);
		body(large, sizes[i]);
		ck_assert_int_eq(input(CONFIG_INPUT_JSON), sizes[i] < 65100 ? S_IFIFO : S_IFREG);
		expect_json(sizes[i], "utf-8", large, sizes[i]);
		body(large, sizes[i] - 1); /* cut off within the last one */
		(void)input(CONFIG_INPUT_JSON);
		base64_append(&encoded, large, sizes[i] - 1);
		expect_json(sizes[i] - 1, "base64", encoded.data, encoded.len);
	}
}
END_TEST

START_TEST(metadata) {
	static char value[120000];
	int fd;

	ck_assert_int_eq(input_open_metadata(message, &fd), 0);
	ck_assert_int_eq(drain(fd), S_IFIFO);
	ck_assert_int_eq(strncmp(content.data, BEFORE, strlen("{\"properties\":{\"application_headers\":null")), 0);
	ck_assert_str_eq(content.data + content.len - strlen("\"routing_key\":\"\"}}"), "\"routing_key\":\"\"}}");
	memset(value, '<', sizeof(value));
	message->properties.has_headers = true;
	ck_assert_int_eq(table_set_string(&message->properties.headers, "h", value, sizeof(value)), 0);
	ck_assert_int_eq(input_open_metadata(message, &fd), 0);
	ck_assert_int_eq(drain(fd), S_IFREG);
	ck_assert_uint_gt(content.len, 6 * sizeof(value));
	ck_assert_int_eq(content.data[content.len - 1], '}');
}
END_TEST

static void add_cases(Suite *s) {
	TCase *t = tcase_create("input");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, bodies);
	tcase_add_test(t, nothing);
	tcase_add_test(t, json);
	tcase_add_test(t, large_json);
	tcase_add_test(t, metadata);
	suite_add_tcase(s, t);
}

CHECK_MAIN("input", add_cases)

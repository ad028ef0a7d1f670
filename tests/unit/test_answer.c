/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>

#include "check_main.h"
#include "delivery/answer.h"

static struct message *request, *answer;
static struct tail tail;

static void set(struct text *t, const char *value) {
	ck_assert_int_eq(text_set(t, value, strlen(value)), 0);
}

static void ck_is(const struct text *t, const char *value) {
	if (!value) {
		ck_assert_ptr_null(t->data);
		return;
	}
	ck_assert_ptr_nonnull(t->data);
	ck_assert_str_eq(t->data, value);
}

static void setup(void) {
	ck_assert_int_eq(message_new(&request), 0);
	ck_assert_int_eq(message_new(&answer), 0);
	set(&request->properties.correlation_id, "c-1");
	set(&request->properties.message_id, "m-1");
	set(&request->properties.reply_to, "there");
	set(&request->properties.type, "question");
	set(&request->properties.user_id, "guest");
	set(&request->properties.expiration, "1000");
	request->properties.has_headers = true;
	ck_assert_int_eq(table_set_i32(&request->properties.headers, "h", 1), 0);
	request->properties.has_delivery_mode = true;
	request->properties.delivery_mode = 1;
	request->properties.has_priority = true;
	request->properties.priority = 7;
}

static void teardown(void) {
	request = message_free(request);
	answer = message_free(answer);
	tail_clear(&tail);
}

static void ck_nothing_else(const struct message *m) {
	const struct properties *p = &m->properties;

	ck_is(&p->reply_to, NULL);
	ck_is(&p->user_id, NULL);
	ck_is(&p->expiration, NULL);
	ck_is(&p->content_encoding, NULL);
	ck_is(&p->cluster_id, NULL);
	ck_assert(!p->has_priority);
	ck_is(&p->app_id, "amqp-execd");
	ck_assert(p->has_timestamp);
	ck_assert_uint_eq(p->timestamp, 1600000000);
}

START_TEST(a_reply_is_as_persistent_as_its_request) {
	const struct properties *p = &answer->properties;

	ck_assert_int_eq(answer_reply(answer, request, "text/plain", 1600000000), 0);
	ck_nothing_else(answer);
	ck_is(&p->correlation_id, "c-1");
	ck_is(&p->content_type, "text/plain");
	ck_is(&p->message_id, NULL);
	ck_is(&p->type, NULL);
	ck_assert(p->has_delivery_mode && p->delivery_mode == 1 && !p->has_headers);
}
END_TEST

START_TEST(a_reply_to_a_bare_request) {
	struct message *bare;

	ck_assert_int_eq(message_new(&bare), 0);
	ck_assert_int_eq(answer_reply(answer, bare, NULL, 1600000000), 0);
	message_free(bare);
	ck_nothing_else(answer);
	ck_is(&answer->properties.correlation_id, NULL);
	ck_is(&answer->properties.content_type, NULL);
	ck_assert(!answer->properties.has_delivery_mode);
}
END_TEST

START_TEST(what_is_forwarded_is_persistent_and_has_the_id) {
	const struct properties *p = &answer->properties;

	ck_assert_int_eq(answer_forward(answer, request, NULL, 1600000000), 0);
	ck_nothing_else(answer);
	ck_is(&p->correlation_id, "c-1");
	ck_is(&p->message_id, "m-1");
	ck_is(&p->content_type, NULL);
	ck_assert(p->has_delivery_mode && p->delivery_mode == 2 && !p->has_headers);
}
END_TEST

static void error(const struct run_result *result, unsigned attempts, const char *note) {
	const struct copy_reason why = {.queue = "q", .host = "h", .attempts = attempts, .now_sec = 1600000000, .result = result,
					.note = note, .tail = &tail};

	answer = message_free(answer);
	ck_assert_int_eq(answer_error(request, &why, &answer), 0);
	ck_nothing_else(answer);
	ck_is(&answer->properties.correlation_id, "c-1");
	ck_is(&answer->properties.type, "error");
	ck_is(&answer->properties.content_type, "application/json");
	ck_assert_int_eq(answer->properties.delivery_mode, 1);
}

START_TEST(an_error_says_why) {
	const struct run_result exited = {.end = RUN_EXITED, .status = 65};
	const struct field *f;

	tail_add(&tail, "no such \"customer\"", 18);
	tail_add(&tail, "\xe2\x82\xac", 3);
	error(&exited, 3, "retry.max_attempts is reached");
	ck_assert_str_eq(answer->body, "{\"error\":\"exit status 65; retry.max_attempts is reached\",\"exit_status\":65,\"signal\":null,"
				       "\"attempts\":3,\"stderr\":\"no such \\\"customer\\\"\\n\xe2\x82\xac\\n\"}");
	f = table_find(&answer->properties.headers, HEADER_REASON);
	ck_assert_str_eq(f->text.data, "exit status 65; retry.max_attempts is reached");
	f = table_find(&answer->properties.headers, HEADER_EXIT_STATUS);
	ck_assert_int_eq(f->i, 65);
	ck_assert_ptr_null(table_find(&answer->properties.headers, HEADER_SIGNAL));
	ck_assert_uint_eq(answer->properties.headers.n, 2);
}
END_TEST

START_TEST(an_error_by_signal_without_words) {
	const struct run_result killed = {.end = RUN_SIGNALED, .status = SIGKILL, .signaled = true};

	error(&killed, 1, NULL);
	ck_assert_str_eq(answer->body, "{\"error\":\"killed by signal KILL\",\"exit_status\":null,\"signal\":\"KILL\",\"attempts\":1,"
				       "\"stderr\":\"\"}");
}
END_TEST

START_TEST(an_error_is_text_whatever_the_handler_wrote) {
	const struct run_result exited = {.end = RUN_EXITED, .status = 1};

	tail_add(&tail, "a\0\x1b", 3);
	error(&exited, 1, NULL);
	ck_assert_str_eq(answer->body, "{\"error\":\"exit status 1\",\"exit_status\":1,\"signal\":null,\"attempts\":1,"
				       "\"stderr\":\"a\\u0000\\u001B\\n\"}");
	tail_add(&tail, "\xff\\", 2);
	error(&exited, 1, NULL);
	ck_assert_str_eq(answer->body, "{\"error\":\"exit status 1\",\"exit_status\":1,\"signal\":null,\"attempts\":1,"
				       "\"stderr\":\"a\\\\x00\\\\x1b\\n\\\\xff\\\\\\\\\\n\"}");
}
END_TEST

static void add_cases(Suite *s) {
	const TTest *const tests[] = {a_reply_is_as_persistent_as_its_request, a_reply_to_a_bare_request,
				      what_is_forwarded_is_persistent_and_has_the_id, an_error_says_why,
				      an_error_by_signal_without_words, an_error_is_text_whatever_the_handler_wrote};
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
}

CHECK_MAIN("answer", add_cases)

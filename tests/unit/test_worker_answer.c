/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "check_main.h"
#include "handler/worker_answer.h"

#define SEC USEC_PER_SEC
#define MOST (USEC_INFINITY - 1)

static const struct {
	const char *line;
	enum outcome outcome;
	bool has_delay;
	uint64_t delay_usec;
	const char *reason;
} answers[] = {
	{"ack", OUTCOME_ACK, false, 0, NULL},
	{"ack\r", OUTCOME_ACK, false, 0, NULL},
	{"ack ", OUTCOME_ACK, false, 0, NULL},
	{"requeue", OUTCOME_REQUEUE, false, 0, NULL},
	{"requeue\r", OUTCOME_REQUEUE, false, 0, NULL},
	{"retry", OUTCOME_RETRY, false, 0, NULL},
	{"retry ", OUTCOME_RETRY, false, 0, NULL},
	{"retry 0", OUTCOME_RETRY, true, 0, NULL},
	{"retry 5", OUTCOME_RETRY, true, 5 * SEC, NULL},
	{"retry  5 \r", OUTCOME_RETRY, true, 5 * SEC, NULL},
	{"retry 007", OUTCOME_RETRY, true, 7 * SEC, NULL},
	{"retry 0.25", OUTCOME_RETRY, true, SEC / 4, NULL},
	{"retry 1.000001", OUTCOME_RETRY, true, SEC + 1, NULL},
	/* Never earlier than asked for. */
	{"retry 1.0000000", OUTCOME_RETRY, true, SEC, NULL},
	{"retry 1.0000001", OUTCOME_RETRY, true, SEC + 1, NULL},
	{"retry 0.9999999", OUTCOME_RETRY, true, SEC, NULL},
	/* More than can be counted. */
	{"retry 18446744073709.551613", OUTCOME_RETRY, true, MOST - 1, NULL},
	{"retry 18446744073709.551614", OUTCOME_RETRY, true, MOST, NULL},
	{"retry 18446744073709.551615", OUTCOME_RETRY, true, MOST, NULL},
	{"retry 18446744073710", OUTCOME_RETRY, true, MOST, NULL},
	{"retry 18446744073709551615", OUTCOME_RETRY, true, MOST, NULL},
	{"retry 99999999999999999999999999999999999.9", OUTCOME_RETRY, true, MOST, NULL},
	{"reject", OUTCOME_REJECT, false, 0, NULL},
	{"reject   ", OUTCOME_REJECT, false, 0, NULL},
	{"reject bad address", OUTCOME_REJECT, false, 0, "bad address"},
	{"reject  two  words \r", OUTCOME_REJECT, false, 0, "two  words"},
	{"reject \033[31m\r\xff", OUTCOME_REJECT, false, 0, "\033[31m\r\xff"},
};

START_TEST(reads_every_answer) {
	struct worker_answer a;
	const char *line = answers[_i].line;

	memset(&a, 0xff, sizeof(a));
	ck_assert_int_eq(worker_answer_parse(line, strlen(line), &a), 0);
	ck_assert_int_eq((int)a.outcome, (int)answers[_i].outcome);
	ck_assert_int_eq(a.has_delay, answers[_i].has_delay);
	ck_assert_uint_eq(a.delay_usec, answers[_i].delay_usec);
	if (!answers[_i].reason) {
		ck_assert_ptr_null(a.reason);
		ck_assert_uint_eq(a.reason_len, 0);
		return;
	}
	ck_assert_uint_eq(a.reason_len, strlen(answers[_i].reason));
	ck_assert_mem_eq(a.reason, answers[_i].reason, a.reason_len);
}
END_TEST

static const char *const others[] = {
	"",	     "\r",	   " ",		" ack",	     "ACK",	"Ack",	    "ac",	"acknowledge", "ack\r\r",  "ack\t",
	"ack 1",     "ack please", "requeue 5", "requeued",  "retry5",	"retry -1", "retry +1", "retry .5",    "retry 5.", "retry 1e3",
	"retry 5s",  "retry 1 2",  "retry 0x1", "retry inf", "retry ,", "retry\t5", "rejected", "reject\tx",   "nack",	   "0",
	"retry 1.5.", "ok",
};

START_TEST(nothing_else_is_an_answer) {
	struct worker_answer a, before;

	memset(&a, 0xff, sizeof(a));
	before = a;
	ck_assert_int_eq(worker_answer_parse(others[_i], strlen(others[_i]), &a), -EINVAL);
	ck_assert_mem_eq(&a, &before, sizeof(a));
}
END_TEST

START_TEST(a_nul_byte_is_a_byte) {
	struct worker_answer a;

	ck_assert_int_eq(worker_answer_parse("ack\0", 4, &a), -EINVAL);
	ck_assert_int_eq(worker_answer_parse("retry 1\0", 8, &a), -EINVAL);
	ck_assert_int_eq(worker_answer_parse("reject a\0b", 10, &a), 0);
	ck_assert_uint_eq(a.reason_len, 3);
	ck_assert_mem_eq(a.reason, "a\0b", 3);
}
END_TEST

START_TEST(a_long_reason_is_cut) {
	char line[WORKER_ANSWER_MAX];
	struct worker_answer a;

	memset(line, 'x', sizeof(line));
	memcpy(line, "reject ", 7);
	ck_assert_int_eq(worker_answer_parse(line, 7 + WORKER_REASON_MAX, &a), 0);
	ck_assert_uint_eq(a.reason_len, WORKER_REASON_MAX);
	ck_assert_int_eq(worker_answer_parse(line, sizeof(line), &a), 0);
	ck_assert_uint_eq(a.reason_len, WORKER_REASON_MAX);
	ck_assert_ptr_eq(a.reason, line + 7);
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *tc = tcase_create("rows");

	tcase_add_loop_test(tc, reads_every_answer, 0, sizeof(answers) / sizeof(answers[0]));
	tcase_add_loop_test(tc, nothing_else_is_an_answer, 0, sizeof(others) / sizeof(others[0]));
	suite_add_tcase(suite, tc);
	ADD_CASE(suite, "bytes", a_nul_byte_is_a_byte, a_long_reason_is_cut);
}

CHECK_MAIN("worker_answer", add_cases)

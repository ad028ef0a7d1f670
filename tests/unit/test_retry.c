/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "check_main.h"
#include "delivery/retry.h"

#define SEC USEC_PER_SEC
#define DAY (86400 * SEC)

/* Every row of the decision: the policy, the attempt that has failed, and the delay; 0: no further attempt. */
static const struct {
	struct config_retry policy;
	unsigned attempt;
	uint32_t random;
	uint64_t delay_usec;
} rows[] = {
	/* The delay grows with each attempt, up to the maximum. */
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 1, 0, 10 * SEC},
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 2, 0, 20 * SEC},
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 3, 0, 40 * SEC},
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 4, 0, 60 * SEC},
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 9, 0, 60 * SEC},
	/* The last attempt is number max_attempts. */
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 10, 0, 0},
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 11, 0, 0},
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, UINT_MAX, 0, 0},
	{{10 * SEC, 2.0, 60 * SEC, 0, 1, 0}, 1, 0, 0},
	{{10 * SEC, 2.0, 60 * SEC, 0, 2, 0}, 1, 0, 10 * SEC},
	{{10 * SEC, 2.0, 60 * SEC, 0, 2, 0}, 2, 0, 0},
	/* An unknown attempt is the first. */
	{{10 * SEC, 2.0, 60 * SEC, 0, 10, 0}, 0, 0, 10 * SEC},
	{{10 * SEC, 2.0, 60 * SEC, 0, 1, 0}, 0, 0, 0},
	/* Without a limit: for ever, and the power may overflow. */
	{{10 * SEC, 2.0, 60 * SEC, 0, 0, 0}, 1000000, 0, 60 * SEC},
	{{10 * SEC, 100.0, 30 * DAY, 0, 0, 0}, UINT_MAX, 0, 30 * DAY},
	/* A constant delay. */
	{{3 * SEC, 1.0, 60 * SEC, 0, 10, 0}, 1, 0, 3 * SEC},
	{{3 * SEC, 1.0, 60 * SEC, 0, 10, 0}, 8, 0, 3 * SEC},
	{{30 * SEC, 1.5, 30 * SEC, 0, 10, 0}, 5, 0, 30 * SEC},
	/* Whole milliseconds, at least one. */
	{{1500, 1.5, SEC, 0, 10, 0}, 1, 0, 1000},
	{{1000, 1.5, SEC, 0, 10, 0}, 2, 0, 1000},
	{{1000, 1.5, SEC, 0, 10, 0}, 3, 0, 2000},
	{{1000, 1.0, SEC, 1.0, 10, 0}, 1, 4, 1000},
	/* Jitter takes off up to its part, in five steps. */
	{{10 * SEC, 2.0, 60 * SEC, 0.2, 10, 0}, 1, 0, 10000 * USEC_PER_MSEC},
	{{10 * SEC, 2.0, 60 * SEC, 0.2, 10, 0}, 1, 1, 9500 * USEC_PER_MSEC},
	{{10 * SEC, 2.0, 60 * SEC, 0.2, 10, 0}, 1, 2, 9000 * USEC_PER_MSEC},
	{{10 * SEC, 2.0, 60 * SEC, 0.2, 10, 0}, 1, 3, 8500 * USEC_PER_MSEC},
	{{10 * SEC, 2.0, 60 * SEC, 0.2, 10, 0}, 1, 4, 8000 * USEC_PER_MSEC},
	{{10 * SEC, 2.0, 60 * SEC, 0.2, 10, 0}, 1, 5, 10000 * USEC_PER_MSEC},
	{{10 * SEC, 2.0, 60 * SEC, 0.5, 10, 0}, 4, 4, 30 * SEC},
};

START_TEST(decides_every_row) {
	uint64_t delay = 0;
	bool again = retry_next(&rows[_i].policy, rows[_i].attempt, rows[_i].random, &delay);

	ck_assert_int_eq(again, rows[_i].delay_usec != 0);
	ck_assert_uint_eq(delay, rows[_i].delay_usec);
}
END_TEST

START_TEST(there_are_few_delays) {
	const struct config_retry policy = {10 * SEC, 1.7, 900 * SEC, 0.37, 0, 0};

	for (unsigned attempt = 1; attempt < 20; attempt++) {
		uint64_t seen[RETRY_JITTER_STEPS];
		size_t n = 0;

		for (uint32_t random = 0; random < 1000; random++) {
			uint64_t delay = 0;
			size_t i = 0;

			ck_assert(retry_next(&policy, attempt, random * 2654435761U, &delay));
			while (i < n && seen[i] != delay)
				i++;
			ck_assert_uint_lt(i, RETRY_JITTER_STEPS);
			if (i == n)
				seen[n++] = delay;
		}
		ck_assert_uint_eq(n, RETRY_JITTER_STEPS);
	}
}
END_TEST

#define MSEC USEC_PER_MSEC

/* What a worker asks for, and what it gets; 0: no further attempt. */
static const struct {
	uint64_t max_delay_usec;
	unsigned max_attempts;
	unsigned attempt;
	uint64_t asked_usec;
	uint64_t delay_usec;
} wishes[] = {
	{DAY, 10, 1, 0, MSEC},
	{DAY, 10, 1, 1, MSEC},
	{DAY, 10, 1, MSEC, MSEC},
	{DAY, 10, 1, MSEC + 1, 2 * MSEC},
	{DAY, 10, 1, 7 * MSEC, 8 * MSEC},
	{DAY, 10, 1, 8001, 10 * MSEC},
	{DAY, 10, 1, 11 * MSEC, 12 * MSEC},
	{DAY, 10, 1, 13 * MSEC, 15 * MSEC},
	{DAY, 10, 1, 16 * MSEC, 20 * MSEC},
	{DAY, 10, 1, 24 * MSEC, 25 * MSEC},
	{DAY, 10, 1, 26 * MSEC, 30 * MSEC},
	{DAY, 10, 1, 999 * MSEC, SEC},
	{DAY, 10, 1, SEC, SEC},
	{DAY, 10, 1, 1001 * MSEC, 1200 * MSEC},
	{DAY, 10, 1, 5 * SEC, 5 * SEC},
	{DAY, 10, 1, 61 * SEC, 80 * SEC},
	{DAY, 10, 1, 3600 * SEC, 4000 * SEC},
	/* Not beyond the maximum, which need not be in the series. */
	{700 * SEC, 10, 1, 601 * SEC, 700 * SEC},
	{700 * SEC, 10, 1, 700 * SEC, 700 * SEC},
	{700 * SEC, 10, 1, 701 * SEC, 700 * SEC},
	{DAY, 10, 1, USEC_INFINITY - 1, DAY},
	{500, 10, 1, SEC, MSEC},
	{USEC_INFINITY, 10, 1, USEC_INFINITY - 1, RETRY_DELAY_MAX_MSEC * MSEC},
	{USEC_INFINITY, 10, 1, 4000001 * SEC, RETRY_DELAY_MAX_MSEC * MSEC},
	/* It is an attempt like any other. */
	{DAY, 10, 9, SEC, SEC},
	{DAY, 10, 10, SEC, 0},
	{DAY, 1, 0, SEC, 0},
	{DAY, 0, UINT_MAX, SEC, SEC},
};

START_TEST(a_wish_is_rounded_up) {
	const struct config_retry policy = {.delay_usec = 3 * SEC,
					    .multiplier = 1.0,
					    .max_delay_usec = wishes[_i].max_delay_usec,
					    .jitter = 0.5,
					    .max_attempts = wishes[_i].max_attempts};
	uint64_t delay = 0;
	bool again = retry_asked(&policy, wishes[_i].attempt, wishes[_i].asked_usec, &delay);

	ck_assert_int_eq(again, wishes[_i].delay_usec != 0);
	ck_assert_uint_eq(delay, wishes[_i].delay_usec);
}
END_TEST

START_TEST(wishes_lead_to_few_delays) {
	const struct config_retry policy = {.max_delay_usec = DAY};
	uint64_t last = 0, n = 0;

	/* Whatever is asked for from a second to a day. */
	for (uint64_t asked = SEC; asked <= DAY; asked += asked / 100) {
		uint64_t delay = 0;

		ck_assert(retry_asked(&policy, 1, asked, &delay));
		ck_assert_uint_ge(delay, asked);
		ck_assert_uint_ge(delay, last);
		n += delay != last;
		last = delay;
	}
	ck_assert_uint_eq(n, 51);
}
END_TEST

START_TEST(a_name_tells_all_that_the_queue_is_declared_with) {
	char name[RETRY_NAME_MAX];
	char longest[256];

	retry_queue_name("mail", CONFIG_QUEUE_CLASSIC, 10 * SEC, name);
	ck_assert_str_eq(name, "mail.retry.10000");
	retry_queue_name("mail", CONFIG_QUEUE_QUORUM, 1500 * USEC_PER_MSEC, name);
	ck_assert_str_eq(name, "mail.retry.1500.quorum");
	/* The longest queue name that the configuration lets through still makes a short string. */
	memset(longest, 'q', sizeof(longest));
	longest[255 - 32] = '\0';
	retry_queue_name(longest, CONFIG_QUEUE_QUORUM, RETRY_DELAY_MAX_MSEC * USEC_PER_MSEC, name);
	ck_assert_uint_le(strlen(name), 255);
	ck_assert_str_eq(name + strlen(longest), ".retry.4294967295.quorum");
}
END_TEST

/* How long a requeued message is held. */
static const struct {
	uint64_t delay;
	uint64_t max_delay;
	unsigned failures;
	unsigned attempt;
	uint64_t hold_usec;
} holds[] = {
	{1 * SEC, 60 * SEC, 1, 1, 1 * SEC},
	{1 * SEC, 60 * SEC, 0, 0, 1 * SEC}, /* nothing is known */
	{1 * SEC, 60 * SEC, 2, 1, 2 * SEC}, /* the queue's failures in a row */
	{1 * SEC, 60 * SEC, 4, 0, 8 * SEC},
	{1 * SEC, 60 * SEC, 1, 3, 4 * SEC}, /* or the message's attempts: the larger */
	{1 * SEC, 60 * SEC, 3, 3, 4 * SEC},
	{1 * SEC, 60 * SEC, 7, 1, 60 * SEC},
	{1 * SEC, 60 * SEC, UINT_MAX, UINT_MAX, 60 * SEC},
	{5 * SEC, 5 * SEC, 10, 10, 5 * SEC}, /* it does not grow */
	{0, 60 * SEC, 10, 10, 0},
	{1, USEC_INFINITY, UINT_MAX, 0, USEC_INFINITY},
};

START_TEST(holds_for_longer_and_longer) {
	const struct config_queue queue = {.requeue_delay_usec = holds[_i].delay, .requeue_max_delay_usec = holds[_i].max_delay};

	ck_assert_uint_eq(retry_hold_usec(&queue, holds[_i].failures, holds[_i].attempt), holds[_i].hold_usec);
}
END_TEST

static void add_cases(Suite *s) {
	TCase *tc = tcase_create("rows");

	tcase_add_loop_test(tc, decides_every_row, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_loop_test(tc, a_wish_is_rounded_up, 0, sizeof(wishes) / sizeof(wishes[0]));
	tcase_add_loop_test(tc, holds_for_longer_and_longer, 0, sizeof(holds) / sizeof(holds[0]));
	suite_add_tcase(s, tc);
	ADD_CASE(s, "delays", there_are_few_delays, wishes_lead_to_few_delays, a_name_tells_all_that_the_queue_is_declared_with);
}

CHECK_MAIN("retry", add_cases)

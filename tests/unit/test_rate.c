/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "check_main.h"
#include "delivery/rate.h"

/* The first instant that a test has: no clock says 0 or the like. */
#define BEGIN (1000 * USEC_PER_SEC)

static struct rate rate;
static struct config_rate config;

static void limit(unsigned messages, uint64_t per_usec) {
	config = (struct config_rate){.messages = messages, .per_usec = per_usec};
	ck_assert_int_eq(rate_init(&rate, &config), 0);
}

static void teardown(void) {
	rate_clear(&rate);
}

/* Starts one as soon as it may be, not before `now`. Returns when. */
static uint64_t start(uint64_t now) {
	uint64_t next = rate_next_usec(&rate);
	uint64_t at = next > now ? next : now;

	rate_count(&rate, at);
	return at;
}

START_TEST(no_limit_is_no_limit) {
	uint64_t last = 0;

	limit(0, USEC_PER_SEC);
	for (unsigned i = 0; i < 100000; i++)
		last = start(BEGIN);
	ck_assert_uint_eq(last, BEGIN);
}
END_TEST

START_TEST(so_many_at_once_and_no_more) {
	limit(3, USEC_PER_SEC);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(start(BEGIN + i), BEGIN + i);
	/* Each waits for the end of the span that began with the third before it, to the microsecond. */
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(start(BEGIN + 3), BEGIN + USEC_PER_SEC + i);
}
END_TEST

START_TEST(what_was_not_used_is_not_saved_up) {
	limit(2, USEC_PER_SEC);
	start(BEGIN);
	/* Ten spans without a start: two may begin, not twenty. */
	ck_assert_uint_eq(start(BEGIN + 10 * USEC_PER_SEC), BEGIN + 10 * USEC_PER_SEC);
	ck_assert_uint_eq(start(BEGIN + 10 * USEC_PER_SEC), BEGIN + 10 * USEC_PER_SEC);
	ck_assert_uint_eq(start(BEGIN + 10 * USEC_PER_SEC), BEGIN + 11 * USEC_PER_SEC);
}
END_TEST

/* A window that is fixed to the clock would allow twice as many around its border. */
START_TEST(any_span_has_no_more) {
	enum { N = 7, STARTS = 5000 };
	static uint64_t starts[STARTS];
	uint64_t now = BEGIN;
	unsigned too_soon = 0;

	limit(N, 250 * USEC_PER_MSEC);
	for (unsigned i = 0; i < STARTS; i++) {
		/* Idle, in bursts, and steadily. */
		now += (i * 7919) % 61 == 0 ? 400 * USEC_PER_MSEC : (i * 104729) % 11 * USEC_PER_MSEC;
		starts[i] = now = start(now);
	}
	for (unsigned i = N; i < STARTS; i++)
		too_soon += starts[i] < starts[i - N] + 250 * USEC_PER_MSEC;
	ck_assert_uint_eq(too_soon, 0);
}
END_TEST

START_TEST(one_in_a_long_time) {
	limit(1, 24 * 60 * USEC_PER_MINUTE);
	ck_assert_uint_eq(start(BEGIN), BEGIN);
	ck_assert_uint_eq(start(BEGIN), BEGIN + 24 * 60 * USEC_PER_MINUTE);
}
END_TEST

static void add_cases(Suite *s) {
	const TTest *const tests[] = {no_limit_is_no_limit, so_many_at_once_and_no_more, what_was_not_used_is_not_saved_up,
				      any_span_has_no_more, one_in_a_long_time};
	TCase *tc = tcase_create("rate");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
}

CHECK_MAIN("rate", add_cases)

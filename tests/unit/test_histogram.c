/* SPDX-License-Identifier: MIT */
/* Histograms and decaying rates. */
#include "base/clock.h"
#include "base/decay.h"
#include "base/histogram.h"
#include "check_main.h"

static const struct histogram_bounds bounds = {.n = 3, .usec = {10, 1000, USEC_PER_SEC}};

START_TEST(a_bound_is_part_of_its_bucket) {
	struct histogram h = {0};

	histogram_observe(&h, &bounds, 0);
	histogram_observe(&h, &bounds, 10);
	histogram_observe(&h, &bounds, 11);
	histogram_observe(&h, &bounds, 1000);
	histogram_observe(&h, &bounds, 1001);
	histogram_observe(&h, &bounds, USEC_PER_SEC);
	ck_assert_uint_eq(h.counts[0], 2);
	ck_assert_uint_eq(h.counts[1], 2);
	ck_assert_uint_eq(h.counts[2], 2);
	ck_assert_uint_eq(h.counts[3], 0);
	ck_assert_uint_eq(histogram_count(&h), 6);
}
END_TEST

START_TEST(what_is_larger_than_every_bound_is_counted) {
	struct histogram h = {0};

	histogram_observe(&h, &bounds, USEC_PER_SEC + 1);
	histogram_observe(&h, &bounds, USEC_INFINITY);
	ck_assert_uint_eq(h.counts[3], 2);
	ck_assert_uint_eq(histogram_count(&h), 2);
}
END_TEST

/* Ten thousand messages that say they are from 1970 are more microseconds than 64 bits hold. */
START_TEST(the_sum_never_goes_down) {
	struct histogram h = {0};

	for (unsigned i = 0; i < 100000; i++) {
		double before = h.sum;

		histogram_observe(&h, &bounds, 1800000000 * USEC_PER_SEC);
		ck_assert(h.sum > before);
	}
	ck_assert_double_eq_tol(h.sum, 1.8e14, 1e3);
}
END_TEST

START_TEST(without_bounds_there_is_one_bucket) {
	static const struct histogram_bounds none;
	struct histogram h = {0};

	histogram_observe(&h, &none, 5);
	ck_assert_uint_eq(h.counts[0], 1);
}
END_TEST

START_TEST(all_bounds_can_be_used) {
	struct histogram_bounds most = {.n = HISTOGRAM_BOUNDS_MAX};
	struct histogram h = {0};

	for (size_t i = 0; i < HISTOGRAM_BOUNDS_MAX; i++)
		most.usec[i] = i;
	histogram_observe(&h, &most, HISTOGRAM_BOUNDS_MAX - 1);
	histogram_observe(&h, &most, HISTOGRAM_BOUNDS_MAX);
	ck_assert_uint_eq(h.counts[HISTOGRAM_BOUNDS_MAX - 1], 1);
	ck_assert_uint_eq(h.counts[HISTOGRAM_BOUNDS_MAX], 1);
}
END_TEST

START_TEST(two_make_one) {
	struct histogram a = {0}, b = {0};

	histogram_observe(&a, &bounds, 5);
	histogram_observe(&b, &bounds, 5);
	histogram_observe(&b, &bounds, 2 * USEC_PER_SEC);
	histogram_add(&a, &b);
	ck_assert_uint_eq(a.counts[0], 2);
	ck_assert_uint_eq(a.counts[3], 1);
	ck_assert_double_eq_tol(a.sum, 2.00001, 1e-9);
	ck_assert_uint_eq(histogram_count(&b), 2);
}
END_TEST

#define BEGIN (1000 * USEC_PER_SEC)

START_TEST(nothing_is_zero) {
	struct decay d = {0};

	ck_assert_double_eq(decay_rate(&d, BEGIN), 0);
}
END_TEST

START_TEST(a_steady_rate_is_told) {
	struct decay d = {0};

	for (unsigned i = 0; i < 10 * 600; i++)
		decay_count(&d, BEGIN + i * (USEC_PER_SEC / 10));
	ck_assert_double_eq_tol(decay_rate(&d, BEGIN + 600 * USEC_PER_SEC), 10, 0.05);
}
END_TEST

START_TEST(it_decays_without_being_touched) {
	struct decay d = {0};
	double rate;

	for (unsigned i = 0; i < 60; i++)
		decay_count(&d, BEGIN);
	rate = decay_rate(&d, BEGIN);
	ck_assert_double_eq_tol(rate, 1, 1e-9);
	ck_assert_double_eq_tol(decay_rate(&d, BEGIN + USEC_PER_MINUTE), rate / 2.718281828, 1e-6);
	ck_assert(decay_rate(&d, BEGIN + 3600 * USEC_PER_SEC) < 1e-9);
	ck_assert(decay_rate(&d, USEC_INFINITY) >= 0);
}
END_TEST

START_TEST(a_clock_that_stands_still_or_goes_back_does_no_harm) {
	struct decay d = {0};

	decay_count(&d, BEGIN);
	decay_count(&d, BEGIN);
	decay_count(&d, BEGIN - 1);
	ck_assert_double_eq_tol(decay_rate(&d, 0), 3.0 / 60, 1e-9);
	ck_assert_double_eq_tol(decay_rate(&d, BEGIN), 3.0 / 60, 1e-9);
}
END_TEST

START_TEST(rates_add_up_whichever_is_the_older) {
	struct decay old = {0}, new = {0}, a, b;

	decay_count(&old, BEGIN);
	decay_count(&new, BEGIN + USEC_PER_MINUTE);
	a = old;
	decay_add(&a, &new);
	b = new;
	decay_add(&b, &old);
	ck_assert_double_eq_tol(decay_rate(&a, BEGIN + USEC_PER_MINUTE), (1 + 0.367879441) / 60, 1e-9);
	ck_assert_double_eq_tol(decay_rate(&b, BEGIN + USEC_PER_MINUTE), (1 + 0.367879441) / 60, 1e-9);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "histogram", a_bound_is_part_of_its_bucket, what_is_larger_than_every_bound_is_counted,
		 the_sum_never_goes_down, without_bounds_there_is_one_bucket, all_bounds_can_be_used, two_make_one);
	ADD_CASE(suite, "decay", nothing_is_zero, a_steady_rate_is_told, it_decays_without_being_touched,
		 a_clock_that_stands_still_or_goes_back_does_no_harm, rates_add_up_whichever_is_the_older);
}

CHECK_MAIN("histogram", add_cases)

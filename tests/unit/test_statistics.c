/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "check_main.h"
#include "delivery/statistics.h"

static enum handler_end classify(struct run_result result) {
	enum handler_end end;

	ck_assert(statistics_classify(&result, &end));
	return end;
}

static enum handler_end exited(int status) {
	return classify((struct run_result){.end = RUN_EXITED, .status = status});
}

START_TEST(exit_statuses_have_classes) {
	ck_assert_int_eq(exited(0), HANDLER_END_SUCCESS);
	ck_assert_int_eq(exited(1), HANDLER_END_FAILURE);
	ck_assert_int_eq(exited(63), HANDLER_END_FAILURE);
	ck_assert_int_eq(exited(64), HANDLER_END_SYSEXITS);
	ck_assert_int_eq(exited(78), HANDLER_END_SYSEXITS);
	ck_assert_int_eq(exited(79), HANDLER_END_FAILURE);
	ck_assert_int_eq(exited(255), HANDLER_END_FAILURE);
}
END_TEST

/* After our signal the status is no news. */
START_TEST(other_ends_have_classes) {
	struct run_result untried = {.end = RUN_UNTRIED};
	enum handler_end end;

	ck_assert_int_eq(classify((struct run_result){.end = RUN_SIGNALED, .status = 9, .signaled = true}),
			 HANDLER_END_SIGNAL);
	ck_assert_int_eq(classify((struct run_result){.end = RUN_EXITED, .status = 9, .signaled = true}),
			 HANDLER_END_SIGNAL);
	ck_assert_int_eq(classify((struct run_result){.end = RUN_TIMEOUT, .status = 0}), HANDLER_END_TIMEOUT);
	ck_assert_int_eq(classify((struct run_result){.end = RUN_STOPPED, .status = 65}), HANDLER_END_STOPPED);
	ck_assert(!statistics_classify(&untried, &end));
}
END_TEST

START_TEST(workers_have_classes) {
	struct run_result ack = {.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_ACK}};
	struct run_result reject = {.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_REJECT}};

	ck_assert_int_eq(classify(ack), HANDLER_END_SUCCESS);
	ck_assert_int_eq(classify(reject), HANDLER_END_FAILURE);
	ck_assert_int_eq(classify((struct run_result){.end = RUN_MISBEHAVED}), HANDLER_END_PROTOCOL);
	ck_assert_int_eq(classify((struct run_result){.end = RUN_EXITED, .unanswered = true}), HANDLER_END_PROTOCOL);
	ck_assert_int_eq(classify((struct run_result){.end = RUN_EXITED, .status = 3, .unanswered = true}),
			 HANDLER_END_FAILURE);
}
END_TEST

/* A publisher writes what it likes. */
START_TEST(ages_are_never_negative) {
	uint64_t now = 1800000000 * USEC_PER_SEC + 250000;

	ck_assert_uint_eq(statistics_age_usec(1800000000 - 90, now), 90 * USEC_PER_SEC + 250000);
	ck_assert_uint_eq(statistics_age_usec(1800000000, now), 250000);
	ck_assert_uint_eq(statistics_age_usec(1800000001, now), 0);
	ck_assert_uint_eq(statistics_age_usec(UINT64_C(1800000000000), now), 0);
	ck_assert_uint_eq(statistics_age_usec(UINT64_MAX, now), 0);
	ck_assert_uint_eq(statistics_age_usec(0, now), now);
}
END_TEST

START_TEST(an_end_in_a_few_words) {
	const struct {
		struct run_result result;
		const char *text;
	} all[] = {
		{{.end = RUN_EXITED, .status = 65}, "exit 65"},
		{{.end = RUN_SIGNALED, .status = 9, .signaled = true}, "signal 9"},
		{{.end = RUN_TIMEOUT, .status = 15, .signaled = true}, "timeout"},
		{{.end = RUN_STOPPED}, "stopped"},
		{{.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_RETRY}}, "answer retry"},
		{{.end = RUN_MISBEHAVED, .problem = "answered twice"}, "answered twice"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		char text[64];

		statistics_format_end(&all[i].result, text, sizeof(text));
		ck_assert_str_eq(text, all[i].text);
	}
}
END_TEST

START_TEST(sums_have_everything) {
	struct statistics a = {.start_failures = 1}, b = {.start_failures = 2};

	a.ends[HANDLER_END_SUCCESS] = 3;
	b.ends[HANDLER_END_SUCCESS] = 4;
	b.ends[HANDLER_END_PROTOCOL] = 5;
	b.pauses[PAUSE_OPERATOR] = 6;
	histogram_observe(&b.duration, &statistics_duration_bounds, 1);
	histogram_observe(&b.age, &statistics_age_bounds, USEC_INFINITY);
	decay_count(&b.rate, 5);
	decay_count(&b.failure_rate, 5);
	statistics_add(&a, &b);
	ck_assert_uint_eq(a.start_failures, 3);
	ck_assert_uint_eq(a.ends[HANDLER_END_SUCCESS], 7);
	ck_assert_uint_eq(a.ends[HANDLER_END_PROTOCOL], 5);
	ck_assert_uint_eq(a.pauses[PAUSE_OPERATOR], 6);
	ck_assert_uint_eq(histogram_count(&a.duration), 1);
	ck_assert_uint_eq(histogram_count(&a.age), 1);
	ck_assert(decay_rate(&a.rate, 5) > 0 && decay_rate(&a.failure_rate, 5) > 0);
}
END_TEST

START_TEST(the_later_failure_is_the_last_one) {
	char how[] = "exit 1", later[] = "exit 2";
	struct failure f = {0}, none = {0};
	struct failure early = {.time_usec = 10, .how = how, .decision = "requeue"};
	struct failure late = {.time_usec = 20, .how = later, .decision = "reject", .text = how, .message_id = how};

	failure_inherit(&f, &none);
	ck_assert_uint_eq(f.time_usec, 0);
	failure_inherit(&f, &late);
	failure_inherit(&f, &early);
	failure_inherit(&f, &none);
	ck_assert_str_eq(f.how, "exit 2");
	ck_assert_str_eq(f.text, "exit 1");
	ck_assert_ptr_ne(f.how, late.how);
	failure_clear(&f);
	failure_clear(&f);
	ck_assert_uint_eq(f.time_usec, 0);
}
END_TEST

/* A bound that is not above the one before would be a bucket that nothing gets into. */
START_TEST(bounds_ascend) {
	const struct histogram_bounds *all[] = {&statistics_duration_bounds, &statistics_age_bounds};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		ck_assert_uint_gt(all[i]->n, 0);
		ck_assert_uint_le(all[i]->n, HISTOGRAM_BOUNDS_MAX);
		for (size_t k = 1; k < all[i]->n; k++)
			ck_assert_uint_gt(all[i]->usec[k], all[i]->usec[k - 1]);
	}
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "ends", exit_statuses_have_classes, other_ends_have_classes, workers_have_classes,
		 an_end_in_a_few_words);
	ADD_CASE(suite, "numbers", ages_are_never_negative, sums_have_everything, bounds_ascend);
	ADD_CASE(suite, "failure", the_later_failure_is_the_last_one);
}

CHECK_MAIN("statistics", add_cases)

/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/clock.h"
#include "check_main.h"
#include "service/status.h"

static void ck_status(const struct status_input *in, const char *expected) {
	char *text;

	ck_assert_int_eq(status_format(in, &text), 0);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(says_what_works) {
	ck_status(&(struct status_input){.queues = 1, .consuming = 1}, "1 queue consuming, 0 handlers running; 0 messages acknowledged, 0 requeued");
	ck_status(&(struct status_input){.queues = 3, .consuming = 3, .running = 1, .held = 2, .acked = 1, .requeued = 4},
		  "3 queues consuming, 1 handler running, 2 messages held; 1 message acknowledged, 4 requeued");
	ck_status(&(struct status_input){.queues = 1, .consuming = 1, .publishing = 1, .held = 1},
		  "1 queue consuming, 0 handlers running, 1 message held, 1 publication to be confirmed; 0 messages acknowledged, 0 requeued");
	ck_status(&(struct status_input){0}, "no queue is configured, 0 handlers running; 0 messages acknowledged, 0 requeued");
	ck_status(&(struct status_input){.queues = 1, .consuming = 1, .running = 2, .leaving = 1},
		  "1 queue consuming, 2 handlers running, 1 queue of an earlier configuration finishing; 0 messages acknowledged, 0 requeued");
	ck_status(&(struct status_input){.queues = 1, .consuming = 1, .publishing = 2, .acked = 2, .retried = 3, .rejected = 1},
		  "1 queue consuming, 0 handlers running, 2 publications to be confirmed; 2 messages acknowledged, 0 requeued, 3 to be retried, 1 rejected");
}
END_TEST

START_TEST(says_what_does_not) {
	struct status_trouble t[] = {{"mail", "degraded", "no queue 'mail'"}, {"print", "paused", NULL}};

	ck_status(&(struct status_input){.queues = 3, .consuming = 1, .troubles = t, .n_troubles = 2},
		  "1 of 3 queues consuming, 0 handlers running; 0 messages acknowledged, 0 requeued; mail degraded: no queue 'mail'; "
		  "print paused");
}
END_TEST

START_TEST(stays_one_line_of_bounded_length) {
	struct status_trouble t[200];
	char reason[1000];
	char *text;

	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	reason[3] = '\n';
	for (size_t i = 0; i < 200; i++)
		t[i] = (struct status_trouble){"queue\nREADY=1", "degraded", reason};
	ck_assert_int_eq(status_format(&(struct status_input){.queues = 200, .troubles = t, .n_troubles = 200}, &text), 0);
	ck_assert_ptr_null(strchr(text, '\n'));
	ck_assert_uint_lt(strlen(text), 1200);
	ck_assert_ptr_nonnull(strstr(text, "; and 196 more"));
	free(text);
}
END_TEST

START_TEST(says_how_long_a_stop_takes) {
	ck_status(&(struct status_input){.stopping = true, .queues = 3, .running = 2, .drain_left_usec = 12100 * USEC_PER_MSEC},
		  "stopping, 2 handlers still running, stopped in 13 s at the latest; 0 messages acknowledged, 0 requeued");
	ck_status(&(struct status_input){.stopping = true, .queues = 3, .running = 1, .drain_left_usec = USEC_INFINITY},
		  "stopping, 1 handler still running; 0 messages acknowledged, 0 requeued");
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "status", says_what_works, says_what_does_not, stays_one_line_of_bounded_length, says_how_long_a_stop_takes);
}

CHECK_MAIN("status", add_cases)

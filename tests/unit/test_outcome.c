/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>

#include "check_main.h"
#include "delivery/outcome.h"

#define STATUS(n) ((uint64_t)1 << ((n) % 64))

/* As without any configuration. */
static const struct config_outcomes plain = {
	.ack = {{STATUS(0)}},
	.otherwise = OUTCOME_REQUEUE,
	.on_timeout = OUTCOME_REQUEUE,
	.on_signal = OUTCOME_REQUEUE,
	.on_large_output = OUTCOME_REQUEUE,
};

/* A value of its own for everything. 64 and 255 are beyond the first and in the last of the words. */
static const struct config_outcomes full = {
	.ack = {{STATUS(0) | STATUS(10)}},
	.requeue = {{STATUS(1), STATUS(64)}},
	.retry = {{0, STATUS(75)}},
	.reject = {{0, STATUS(65), 0, STATUS(255)}},
	.otherwise = OUTCOME_RETRY,
	.on_timeout = OUTCOME_REJECT,
	.on_signal = OUTCOME_RETRY,
	.on_large_output = OUTCOME_REJECT,
};

/* Nobody sane writes this, but it must mean what it says. */
static const struct config_outcomes generous = {
	.otherwise = OUTCOME_ACK,
	.on_timeout = OUTCOME_REQUEUE,
	.on_signal = OUTCOME_REJECT,
};

#define EXIT(n) {.end = RUN_EXITED, .status = (n)}
#define ANSWER(o) {.end = RUN_ANSWERED, .answer = {.outcome = (o)}}
#define SIGNAL(n) {.end = RUN_SIGNALED, .status = (n), .signaled = true}

/* Every row of the decision: how the handler ended, what becomes of the message, and whether the handler is sound. */
static const struct {
	const struct config_outcomes *policy;
	struct run_result result;
	enum outcome outcome;
	bool sound;
} rows[] = {
	{&plain, EXIT(0), OUTCOME_ACK, true},
	{&plain, EXIT(1), OUTCOME_REQUEUE, false},
	{&plain, EXIT(65), OUTCOME_REQUEUE, false},
	{&plain, EXIT(75), OUTCOME_REQUEUE, false},
	{&plain, EXIT(255), OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_SIGNALED, .status = SIGSEGV, .signaled = true, .dumped = true}, OUTCOME_REQUEUE, false},
	{&plain, SIGNAL(SIGKILL), OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_TIMEOUT, .status = SIGTERM, .signaled = true}, OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_TIMEOUT, .status = 0}, OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_TIMEOUT, .status = 1}, OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_STOPPED, .status = SIGKILL, .signaled = true}, OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_STOPPED, .status = 0}, OUTCOME_REQUEUE, false},

	{&full, EXIT(0), OUTCOME_ACK, true},
	{&full, EXIT(10), OUTCOME_ACK, true},
	{&full, EXIT(1), OUTCOME_REQUEUE, false},
	{&full, EXIT(64), OUTCOME_REQUEUE, false},
	{&full, EXIT(75), OUTCOME_RETRY, false},
	{&full, EXIT(65), OUTCOME_REJECT, true},
	{&full, EXIT(255), OUTCOME_REJECT, true},
	{&full, EXIT(2), OUTCOME_RETRY, false}, /* otherwise */
	{&full, EXIT(129), OUTCOME_RETRY, false},
	{&full, EXIT(63), OUTCOME_RETRY, false}, /* the neighbours of those that are listed */
	{&full, EXIT(66), OUTCOME_RETRY, false},
	{&full, EXIT(254), OUTCOME_RETRY, false},
	{&full, SIGNAL(SIGSEGV), OUTCOME_RETRY, false},
	{&full, SIGNAL(10), OUTCOME_RETRY, false}, /* a signal is not the status of the same number */
	{&full, {.end = RUN_TIMEOUT, .status = SIGKILL, .signaled = true}, OUTCOME_REJECT, false},
	{&full, {.end = RUN_TIMEOUT, .status = 0}, OUTCOME_REJECT, false}, /* what it says when it was told to end does not count */
	{&full, {.end = RUN_TIMEOUT, .status = 65}, OUTCOME_REJECT, false},
	{&full, {.end = RUN_STOPPED, .status = 65}, OUTCOME_REQUEUE, false}, /* nor does anything, when we stop */
	{&full, {.end = RUN_STOPPED, .status = SIGTERM, .signaled = true}, OUTCOME_REQUEUE, false},

	/* What it wrote counts only where it would be published: after a success. */
	{&plain, {.end = RUN_EXITED, .status = 0, .output_too_large = true}, OUTCOME_REQUEUE, false},
	{&full, {.end = RUN_EXITED, .status = 10, .output_too_large = true}, OUTCOME_REJECT, false},
	{&full, {.end = RUN_EXITED, .status = 1, .output_too_large = true}, OUTCOME_REQUEUE, false},
	{&full, {.end = RUN_EXITED, .status = 65, .output_too_large = true}, OUTCOME_REJECT, true},
	{&full, {.end = RUN_EXITED, .status = 75, .output_too_large = true}, OUTCOME_RETRY, false},
	{&full, {.end = RUN_TIMEOUT, .status = 0, .output_too_large = true}, OUTCOME_REJECT, false},
	{&full, {.end = RUN_STOPPED, .status = 0, .output_too_large = true}, OUTCOME_REQUEUE, false},
	{&full, {.end = RUN_EXITED, .status = 0, .output_error = ENOSPC}, OUTCOME_REQUEUE, false},
	{&full, {.end = RUN_EXITED, .status = 75, .output_error = ENOSPC}, OUTCOME_RETRY, false},

	/* What a worker answers is what becomes of the message. */
	{&plain, ANSWER(OUTCOME_ACK), OUTCOME_ACK, true},
	{&plain, ANSWER(OUTCOME_REQUEUE), OUTCOME_REQUEUE, false},
	{&plain, ANSWER(OUTCOME_RETRY), OUTCOME_RETRY, false},
	{&full, ANSWER(OUTCOME_REJECT), OUTCOME_REJECT, true},
	/* Without an answer its end is that of any handler, but never an ack. */
	{&full, {.end = RUN_EXITED, .status = 0, .unanswered = true}, OUTCOME_RETRY, false},
	{&full, {.end = RUN_EXITED, .status = 10, .unanswered = true}, OUTCOME_RETRY, false},
	{&full, {.end = RUN_EXITED, .status = 1, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&full, {.end = RUN_EXITED, .status = 65, .unanswered = true}, OUTCOME_REJECT, true},
	{&full, {.end = RUN_EXITED, .status = 2, .unanswered = true}, OUTCOME_RETRY, false},
	{&full, {.end = RUN_SIGNALED, .status = SIGKILL, .signaled = true, .unanswered = true}, OUTCOME_RETRY, false},
	{&full, {.end = RUN_TIMEOUT, .status = 0, .unanswered = true}, OUTCOME_REJECT, false},
	{&full, {.end = RUN_STOPPED, .status = 0, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&full, {.end = RUN_MISBEHAVED, .status = SIGKILL, .signaled = true, .unanswered = true}, OUTCOME_RETRY, false},
	{&full, {.end = RUN_UNTRIED, .status = 65, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&plain, {.end = RUN_EXITED, .status = 0, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&generous, {.end = RUN_EXITED, .status = 0, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&generous, {.end = RUN_EXITED, .status = 3, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&generous, {.end = RUN_MISBEHAVED, .status = SIGKILL, .signaled = true, .unanswered = true}, OUTCOME_REQUEUE, false},
	{&generous, {.end = RUN_SIGNALED, .status = SIGKILL, .signaled = true, .unanswered = true}, OUTCOME_REJECT, false},

	{&generous, EXIT(0), OUTCOME_ACK, true},
	{&generous, EXIT(3), OUTCOME_ACK, true},
	{&generous, SIGNAL(SIGKILL), OUTCOME_REJECT, false},
	{&generous, {.end = RUN_TIMEOUT, .status = 0}, OUTCOME_REQUEUE, false},
	{&generous, {.end = RUN_STOPPED, .status = 0}, OUTCOME_REQUEUE, false},
};

START_TEST(decides_every_row) {
	ck_assert_int_eq(outcome_decide(rows[_i].policy, &rows[_i].result), rows[_i].outcome);
	ck_assert_int_eq(outcome_is_sound(rows[_i].policy, &rows[_i].result), rows[_i].sound);
	if (outcome_is_spoiled(rows[_i].policy, &rows[_i].result)) {
		struct run_result good = rows[_i].result;

		good.output_too_large = false;
		good.output_error = 0;
		ck_assert_int_eq(outcome_decide(rows[_i].policy, &good), OUTCOME_ACK);
		ck_assert_int_ne(rows[_i].outcome, OUTCOME_ACK);
	}
}
END_TEST

START_TEST(has_names) {
	ck_assert_str_eq(outcome_to_string(OUTCOME_ACK), "ack");
	ck_assert_str_eq(outcome_to_string(OUTCOME_REQUEUE), "requeue");
	ck_assert_str_eq(outcome_to_string(OUTCOME_RETRY), "retry");
	ck_assert_str_eq(outcome_to_string(OUTCOME_REJECT), "reject");
}
END_TEST

static void add_cases(Suite *s) {
	TCase *tc = tcase_create("rows");

	tcase_add_loop_test(tc, decides_every_row, 0, sizeof(rows) / sizeof(rows[0]));
	suite_add_tcase(s, tc);
	ADD_CASE(s, "names", has_names);
}

CHECK_MAIN("outcome", add_cases)

/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "check_main.h"
#include "delivery/outcome.h"

/* Every row of the decision: how the handler ended, and what becomes of the message. */
static const struct {
	struct run_result result;
	enum outcome outcome;
} rows[] = {
	{{.end = RUN_EXITED, .status = 0}, OUTCOME_ACK},
	{{.end = RUN_EXITED, .status = 1}, OUTCOME_REQUEUE},
	{{.end = RUN_EXITED, .status = 75}, OUTCOME_REQUEUE},
	{{.end = RUN_EXITED, .status = 255}, OUTCOME_REQUEUE},
	{{.end = RUN_SIGNALED, .status = SIGSEGV, .signaled = true, .dumped = true}, OUTCOME_REQUEUE},
	{{.end = RUN_SIGNALED, .status = SIGKILL, .signaled = true}, OUTCOME_REQUEUE},
	{{.end = RUN_TIMEOUT, .status = SIGTERM, .signaled = true}, OUTCOME_REQUEUE},
	{{.end = RUN_TIMEOUT, .status = 0}, OUTCOME_REQUEUE},
	{{.end = RUN_TIMEOUT, .status = 1}, OUTCOME_REQUEUE},
	{{.end = RUN_STOPPED, .status = SIGKILL, .signaled = true}, OUTCOME_REQUEUE},
	{{.end = RUN_STOPPED, .status = 0}, OUTCOME_REQUEUE},
};

START_TEST(decides_every_row) {
	ck_assert_int_eq(outcome_decide(&rows[_i].result), rows[_i].outcome);
}
END_TEST

START_TEST(has_names) {
	ck_assert_str_eq(outcome_to_string(OUTCOME_ACK), "ack");
	ck_assert_str_eq(outcome_to_string(OUTCOME_REQUEUE), "requeue");
}
END_TEST

static void add_cases(Suite *s) {
	TCase *tc = tcase_create("rows");

	tcase_add_loop_test(tc, decides_every_row, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	suite_add_tcase(s, tc);
	ADD_CASE(s, "names", has_names);
}

CHECK_MAIN("outcome", add_cases)

/* SPDX-License-Identifier: MIT */
#include "delivery/outcome.h"

static const char *const outcome_names[] = {
	[OUTCOME_ACK] = "ack",
	[OUTCOME_REQUEUE] = "requeue",
};

enum outcome outcome_decide(const struct run_result *result) {
	if (result->end == RUN_EXITED && !result->signaled && result->status == 0)
		return OUTCOME_ACK;
	return OUTCOME_REQUEUE;
}

const char *outcome_to_string(enum outcome o) {
	return outcome_names[o];
}

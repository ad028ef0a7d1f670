/* SPDX-License-Identifier: MIT */
#include "delivery/outcome.h"

enum outcome outcome_decide(const struct run_result *result) {
	if (result->end == RUN_EXITED && !result->signaled && result->status == 0)
		return OUTCOME_ACK;
	return OUTCOME_REQUEUE;
}

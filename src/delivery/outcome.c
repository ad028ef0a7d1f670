/* SPDX-License-Identifier: MIT */
#include "delivery/outcome.h"

static enum outcome decide_status(const struct config_outcomes *policy, int status) {
	if (config_statuses_has(&policy->ack, status))
		return OUTCOME_ACK;
	if (config_statuses_has(&policy->requeue, status))
		return OUTCOME_REQUEUE;
	if (config_statuses_has(&policy->retry, status))
		return OUTCOME_RETRY;
	if (config_statuses_has(&policy->reject, status))
		return OUTCOME_REJECT;
	return policy->otherwise;
}

bool outcome_is_spoiled(const struct config_outcomes *policy, const struct run_result *result) {
	return result->end == RUN_EXITED && !result->signaled && (result->output_too_large || result->output_error) &&
	       decide_status(policy, result->status) == OUTCOME_ACK;
}

static enum outcome decide_exit(const struct config_outcomes *policy, const struct run_result *result) {
	if (!outcome_is_spoiled(policy, result))
		return decide_status(policy, result->status);
	return result->output_error ? OUTCOME_REQUEUE : policy->on_large_output;
}

static enum outcome decide(const struct config_outcomes *policy, const struct run_result *result) {
	switch (result->end) {
	case RUN_EXITED:
		return result->signaled ? policy->on_signal : decide_exit(policy, result);
	case RUN_SIGNALED:
		return policy->on_signal;
	case RUN_TIMEOUT:
		return policy->on_timeout;
	case RUN_ANSWERED:
		return result->answer.outcome;
	case RUN_MISBEHAVED:
		return policy->otherwise;
	case RUN_STOPPED:
	case RUN_UNTRIED:
		return OUTCOME_REQUEUE;
	}
	return OUTCOME_REQUEUE;
}

enum outcome outcome_decide(const struct config_outcomes *policy, const struct run_result *result) {
	enum outcome outcome = decide(policy, result);

	if (!result->unanswered || outcome != OUTCOME_ACK)
		return outcome;
	return result->end == RUN_EXITED && policy->otherwise != OUTCOME_ACK ? policy->otherwise : OUTCOME_REQUEUE;
}

bool outcome_is_sound(const struct config_outcomes *policy, const struct run_result *result) {
	if (result->end == RUN_ANSWERED)
		return result->answer.outcome == OUTCOME_ACK || result->answer.outcome == OUTCOME_REJECT;
	if (result->end != RUN_EXITED || result->signaled)
		return false;
	return config_statuses_has(&policy->reject, result->status) || outcome_decide(policy, result) == OUTCOME_ACK;
}

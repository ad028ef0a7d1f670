/* SPDX-License-Identifier: MIT */
#include "delivery/retry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"

/* An attempt of unknown number is the first. */
static unsigned number_of(unsigned attempt) {
	return attempt > 0 ? attempt : 1;
}

static bool is_last(const struct config_retry *policy, unsigned attempt) {
	return policy->max_attempts > 0 && number_of(attempt) >= policy->max_attempts;
}

bool retry_next(const struct config_retry *policy, unsigned attempt, uint32_t random, uint64_t *ret_delay_usec) {
	unsigned n = number_of(attempt);
	double delay;
	uint64_t msec;

	if (is_last(policy, attempt))
		return false;
	/* A large power is infinity, of which fmin makes the maximum. */
	delay = fmin((double)policy->delay_usec * pow(policy->multiplier, (double)(n - 1)), (double)policy->max_delay_usec);
	delay -= delay * policy->jitter * (double)(random % RETRY_JITTER_STEPS) / (RETRY_JITTER_STEPS - 1);
	msec = (uint64_t)(delay / (double)USEC_PER_MSEC);
	if (msec < 1)
		msec = 1;
	if (msec > RETRY_DELAY_MAX_MSEC)
		msec = RETRY_DELAY_MAX_MSEC;
	*ret_delay_usec = msec * USEC_PER_MSEC;
	return true;
}

/* The first of the series that is not below. */
static uint64_t round_up(uint64_t msec) {
	static const uint64_t tenths[] = {10, 12, 15, 20, 25, 30, 40, 50, 60, 80};

	for (uint64_t power = 1;; power *= 10)
		for (size_t i = 0; i < ARRAY_SIZE(tenths); i++) {
			uint64_t step = (tenths[i] * power + 9) / 10;

			if (step >= msec)
				return step;
		}
}

bool retry_asked(const struct config_retry *policy, unsigned attempt, uint64_t asked_usec, uint64_t *ret_delay_usec) {
	uint64_t max = policy->max_delay_usec / USEC_PER_MSEC, msec = asked_usec / USEC_PER_MSEC;

	if (is_last(policy, attempt))
		return false;
	if (max < 1)
		max = 1;
	if (max > RETRY_DELAY_MAX_MSEC)
		max = RETRY_DELAY_MAX_MSEC;
	if (asked_usec % USEC_PER_MSEC > 0)
		msec++;
	/* Before it is rounded, too: the series has an end. */
	if (msec < max)
		msec = round_up(msec);
	*ret_delay_usec = (msec < max ? msec : max) * USEC_PER_MSEC;
	return true;
}

void retry_queue_name(const char *queue, enum config_queue_type type, uint64_t delay_usec, char name[static RETRY_NAME_MAX]) {
	(void)snprintf(name, RETRY_NAME_MAX, "%s.retry.%" PRIu64 "%s", queue, delay_usec / USEC_PER_MSEC,
		       type == CONFIG_QUEUE_QUORUM ? ".quorum" : "");
}

uint64_t retry_hold_usec(const struct config_queue *queue, unsigned failures, unsigned attempt) {
	unsigned more = failures > attempt ? failures : attempt;
	uint64_t delay = queue->requeue_delay_usec;

	/* Nothing does not grow, and the number may be anybody's. */
	for (; more > 1 && delay > 0 && delay < queue->requeue_max_delay_usec; more--)
		delay = clock_add_usec(delay, delay);
	return delay < queue->requeue_max_delay_usec ? delay : queue->requeue_max_delay_usec;
}

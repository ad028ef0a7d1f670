/* SPDX-License-Identifier: MIT */
#include "delivery/retry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"

bool retry_next(const struct config_retry *policy, unsigned attempt, uint32_t random, uint64_t *ret_delay_usec) {
	unsigned n = attempt > 0 ? attempt : 1;
	double delay;
	uint64_t msec;

	if (policy->max_attempts > 0 && n >= policy->max_attempts)
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

void retry_queue_name(const char *queue, enum config_queue_type type, uint64_t delay_usec, char name[static RETRY_NAME_MAX]) {
	(void)snprintf(name, RETRY_NAME_MAX, "%s.retry.%" PRIu64 "%s", queue, delay_usec / USEC_PER_MSEC,
		       type == CONFIG_QUEUE_QUORUM ? ".quorum" : "");
}

uint64_t retry_hold_usec(const struct config_queue *queue, unsigned failures, unsigned attempt) {
	unsigned more = failures > attempt ? failures : attempt;
	uint64_t delay = queue->requeue_delay_usec;

	for (; more > 1 && delay < queue->requeue_max_delay_usec; more--)
		delay = clock_add_usec(delay, delay);
	return delay < queue->requeue_max_delay_usec ? delay : queue->requeue_max_delay_usec;
}

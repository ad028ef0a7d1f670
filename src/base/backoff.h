/* SPDX-License-Identifier: MIT */
/* Growing, capped, jittered delays between attempts. Pure: the caller supplies randomness and keeps the time. */
#pragma once

#include <stdint.h>

struct backoff {
	uint64_t min_usec;
	uint64_t max_usec;
	unsigned attempts; /* failures in a row so far */
};

static inline void backoff_init(struct backoff *b, uint64_t min_usec, uint64_t max_usec) {
	*b = (struct backoff){.min_usec = min_usec, .max_usec = max_usec};
}

/* After a success: the next delay is the shortest again. */
static inline void backoff_reset(struct backoff *b) {
	b->attempts = 0;
}

/* Counts a failure and returns the delay before the next attempt: min doubled with each failure up to max, of which
 * a random part of up to a quarter is taken off, so that many daemons do not return in step. `random` is any 32-bit
 * random number. The result is never below min_usec * 3/4. */
uint64_t backoff_next_usec(struct backoff *b, uint32_t random);

/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

uint64_t clock_now_usec(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_add_usec(uint64_t a, uint64_t b) {
	if (a == USEC_INFINITY || b >= USEC_INFINITY - a)
		return USEC_INFINITY;
	return a + b;
}

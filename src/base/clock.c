/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t clock) {
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_now_usec(void) {
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_usec(void) {
	return read_clock(CLOCK_REALTIME);
}

uint64_t clock_add_usec(uint64_t a, uint64_t b) {
	if (a == USEC_INFINITY || b >= USEC_INFINITY - a)
		return USEC_INFINITY;
	return a + b;
}

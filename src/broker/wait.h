/* SPDX-License-Identifier: MIT */
/* Deadlines for poll(2). Private to this room. */
#pragma once

#include <limits.h>
#include "base/clock.h"

/* Milliseconds from now until the deadline, rounded up so that the wait does not end just before it; -1: for ever. */
static inline int wait_msec(uint64_t deadline_usec, uint64_t now_usec) {
	uint64_t msec;

	if (deadline_usec == USEC_INFINITY)
		return -1;
	if (deadline_usec <= now_usec)
		return 0;
	msec = (deadline_usec - now_usec - 1) / USEC_PER_MSEC + 1;
	return msec > INT_MAX ? INT_MAX : (int)msec;
}

/* SPDX-License-Identifier: MIT */
/* Time as the daemon measures it: monotonic microseconds. */
#pragma once

#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
/* "never" as a point in time, "without limit" as a duration. */
#define USEC_INFINITY UINT64_MAX

/* CLOCK_MONOTONIC in microseconds. Cannot fail on a supported kernel. */
uint64_t clock_now_usec(void);

/* CLOCK_REALTIME likewise: what the calendar says, for people only. */
uint64_t clock_realtime_usec(void);

/* a + b, or USEC_INFINITY if either is infinite or the sum would overflow. */
uint64_t clock_add_usec(uint64_t a, uint64_t b);

/* SPDX-License-Identifier: MIT */
/* Randomness for delays. Private to this room. */
#pragma once

#include <stdint.h>
#include <sys/random.h>

/* 0 when the system has none to give yet: then the delay has no jitter. */
static inline uint32_t random_u32(void) {
	uint32_t value;

	return getrandom(&value, sizeof(value), GRND_NONBLOCK) == sizeof(value) ? value : 0;
}

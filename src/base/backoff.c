/* SPDX-License-Identifier: MIT */
#include "base/backoff.h"

uint64_t backoff_next_usec(struct backoff *b, uint32_t random) {
	uint64_t delay = b->min_usec;
	uint64_t part;

	for (unsigned i = 0; i < b->attempts && delay < b->max_usec; i++)
		delay = delay > b->max_usec / 2 ? b->max_usec : delay * 2;
	if (delay > b->max_usec)
		delay = b->max_usec;
	if (b->attempts < 64)
		b->attempts++;
	part = delay / 4;
	/* Sixteen random bits are enough, and keep the product in 64 bits for delays of up to eight years. */
	return delay - (part * (random >> 16) >> 16);
}

/* SPDX-License-Identifier: MIT */
/* No more than so many starts within any span of time. Exact: remembers when each of the last ones was. Pure but for memory. */
#pragma once

#include <stdint.h>
#include "config/config.h"

/* Owned by its queue. */
struct rate {
	const struct config_rate *config; /* borrowed */
	uint64_t *starts; /* owned ring: the last config->messages of them, the one at `oldest` first; 0: none yet */
	unsigned oldest;
};

/* Nothing was started yet. -ENOMEM. */
int rate_init(struct rate *r, const struct config_rate *config);
void rate_clear(struct rate *r);

/* When the next one may be started: now, if that is not after `now_usec`. */
uint64_t rate_next_usec(const struct rate *r);

/* One was started; not earlier than the one before. */
void rate_count(struct rate *r, uint64_t now_usec);

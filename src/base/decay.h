/* SPDX-License-Identifier: MIT */
/* How many a second, as an average in which what was a while ago counts less and less, like a load average: after a
 * minute by a factor of e. Nothing has to run for it to decay: that is made up for when it is looked at. Pure. */
#pragma once

#include "base/clock.h"
#include <stdint.h>

#define DECAY_USEC USEC_PER_MINUTE

/* All zero: nothing was counted. Copied freely. */
struct decay {
	double rate;       /* a second, at that time: */
	uint64_t now_usec; /* monotonic */
};

/* One more. A time that is before an earlier one counts as that. */
void decay_count(struct decay *d, uint64_t now_usec);

/* A second, as of now. */
double decay_rate(const struct decay *d, uint64_t now_usec);

/* Whatever was counted there was counted here as well. */
void decay_add(struct decay *to, const struct decay *from);

/* SPDX-License-Identifier: MIT */
#include "base/decay.h"

#include <math.h>

double decay_rate(const struct decay *d, uint64_t now_usec) {
	if (now_usec <= d->now_usec)
		return d->rate;
	return d->rate * exp(-(double)(now_usec - d->now_usec) / (double)DECAY_USEC);
}

static void decay_to(struct decay *d, uint64_t now_usec) {
	d->rate = decay_rate(d, now_usec);
	if (now_usec > d->now_usec)
		d->now_usec = now_usec;
}

void decay_count(struct decay *d, uint64_t now_usec) {
	decay_to(d, now_usec);
	d->rate += (double)USEC_PER_SEC / (double)DECAY_USEC;
}

void decay_add(struct decay *to, const struct decay *from) {
	decay_to(to, from->now_usec);
	to->rate += decay_rate(from, to->now_usec);
}

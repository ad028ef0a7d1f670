/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#include "base/clock.h"
#include "base/macro.h"

void histogram_observe(struct histogram *h, const struct histogram_bounds *bounds, uint64_t usec) {
	size_t i = 0;

	while (i < bounds->n && usec > bounds->usec[i])
		i++;
	h->counts[i]++;
	h->sum += (double)usec / (double)USEC_PER_SEC;
}

void histogram_add(struct histogram *to, const struct histogram *from) {
	for (size_t i = 0; i < ARRAY_SIZE(to->counts); i++)
		to->counts[i] += from->counts[i];
	to->sum += from->sum;
}

uint64_t histogram_count(const struct histogram *h) {
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(h->counts); i++)
		n += h->counts[i];
	return n;
}

/* SPDX-License-Identifier: MIT */
/* How often something took how long: counts by fixed bounds, and the sum. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 16

/* Upper bounds, each of which its bucket includes; ascending. Static. */
struct histogram_bounds {
	size_t n; /* at most HISTOGRAM_BOUNDS_MAX */
	uint64_t usec[HISTOGRAM_BOUNDS_MAX];
};

/* All zero is an empty one. Copied freely. */
struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS_MAX +
			1]; /* by bucket, not cumulative; the one at bounds->n is of all that is larger */
	double sum;         /* seconds; a floating point number never wraps around, whatever is observed */
};

void histogram_observe(struct histogram *h, const struct histogram_bounds *bounds, uint64_t usec);

/* Both have been made with the same bounds. */
void histogram_add(struct histogram *to, const struct histogram *from);

/* Of everything that was observed. */
uint64_t histogram_count(const struct histogram *h);

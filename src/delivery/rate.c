/* SPDX-License-Identifier: MIT */
#include "delivery/rate.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

int rate_init(struct rate *r, const struct config_rate *config) {
	*r = (struct rate){.config = config};
	if (config->messages == 0)
		return 0;
	r->starts = calloc(config->messages, sizeof(*r->starts));
	return r->starts ? 0 : -ENOMEM;
}

void rate_clear(struct rate *r) {
	free(r->starts);
	r->starts = NULL;
}

/* The span that began with the oldest is over once it is `per` ago; the next start takes its place. */
uint64_t rate_next_usec(const struct rate *r) {
	uint64_t oldest = r->starts ? r->starts[r->oldest] : 0;

	return oldest == 0 ? 0 : clock_add_usec(oldest, r->config->per_usec);
}

void rate_count(struct rate *r, uint64_t now_usec) {
	if (!r->starts)
		return;
	r->starts[r->oldest] = now_usec;
	r->oldest = (r->oldest + 1) % r->config->messages;
}

/* SPDX-License-Identifier: MIT */
/* The state of the daemon in words that a person can use: what `systemctl status` shows. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One queue or broker that is not as it should be. Borrowed. */
struct status_trouble {
	const char *name;
	const char *state; /* "degraded", "paused", "cannot publish" ... */
	const char *reason; /* NULL: none */
};

struct status_input {
	bool stopping;
	size_t queues;	  /* configured */
	size_t leaving;	  /* further ones, of an earlier configuration, that end what they have begun */
	size_t consuming; /* of these */
	unsigned running; /* handlers */
	unsigned held;	  /* failed messages that wait to be requeued */
	unsigned publishing; /* messages for which something was published that is not confirmed yet */
	uint64_t acked;
	uint64_t requeued;
	uint64_t retried;
	uint64_t rejected;
	uint64_t drain_left_usec; /* while stopping: until handlers are stopped */
	const struct status_trouble *troubles;
	size_t n_troubles;
};

/* "2 of 3 queues consuming, 1 handler running; 120 messages acknowledged, 3 requeued; mail degraded: queue does not exist". One
 * line of at most about 1000 bytes: of many troubles the first ones are named, the rest counted. The caller frees *ret. -ENOMEM. */
int status_format(const struct status_input *in, char **ret);

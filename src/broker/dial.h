/* SPDX-License-Identifier: MIT */
/* From a host name to a connected, tuned TCP socket, without the library: it neither says why an address failed nor lets itself be
 * interrupted. Private to this room. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

struct dial {
	const char *host;
	uint16_t port;
	unsigned heartbeat; /* seconds; 0: none */
	/* Called, on the same thread, whenever wake_fd is readable while waiting; a negative result ends the dialling. */
	int wake_fd;
	int (*wake)(void *userdata);
	void *userdata;
};

/* Tries the addresses of the host in turn, each for its share of timeout_usec. Name resolution has its own timeout, which only
 * the resolver's configuration bounds. 0: *ret_fd is the caller's: non-blocking, close-on-exec, with keep-alive. -errno, with the
 * reason as text; what `wake` returned. */
int dial(const struct dial *d, uint64_t timeout_usec, char *reason, size_t reason_size, int *ret_fd);

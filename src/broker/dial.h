/* SPDX-License-Identifier: MIT */
/* From a host name to a connected, tuned TCP socket, without the library: it neither says why an address failed nor
 * lets itself be interrupted. Private to this room. */
#pragma once

#include "base/macro.h"
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dial {
	const char *host;
	uint16_t port;
	unsigned heartbeat; /* seconds; 0: none */
	/* Called, on the same thread, whenever wake_fd is readable while waiting; a negative result ends the dialling.
	 */
	int wake_fd;
	int (*wake)(void *userdata);
	void *userdata;
};

/* Tries one address of the host, until the deadline. A negative result gives the next address its turn, unless
 * *ret_final is set: then it ends the dialling, and why is known to whoever tried. */
typedef int dial_attempt(const struct dial *d, const struct addrinfo *a, uint64_t deadline_usec, void *userdata,
			 bool *ret_final);

/* Tries the addresses of the host in turn, each for its share of timeout_usec, until an attempt succeeds. Name
 * resolution has its own timeout, which only the resolver's configuration bounds. 0; -errno, with the reason as text;
 * what a final attempt returned. */
int dial_each(const struct dial *d, uint64_t timeout_usec, dial_attempt *attempt, void *userdata, char *reason,
	      size_t reason_size);

/* Connects to one address. 0: *ret_fd is the caller's: non-blocking, close-on-exec, tuned. -errno; what `wake`
 * returned: then *ret_final is set. */
int dial_address(const struct dial *d, const struct addrinfo *a, uint64_t deadline_usec, bool *ret_final, int *ret_fd);

/* Both together. */
int dial(const struct dial *d, uint64_t timeout_usec, char *reason, size_t reason_size, int *ret_fd);

/* Sets on a socket how long a peer that is gone is waited for, when sending and when nothing happens. */
void dial_tune(int fd, unsigned heartbeat);

/* "127.0.0.1" or "::1". */
void dial_address_to_string(const struct addrinfo *a, char *buf, size_t size);

/* SPDX-License-Identifier: MIT */
/* A job's message as frames: basic.publish, the header with its properties, then the body in pieces, read from the heap or
 * the memory file one at a time. Private to this room. */
#pragma once

#include <stddef.h>
#include "broker/connection.h"
#include "broker/job.h"

/* The largest piece of a body that is sent at once. Less than what fits into a socket's buffer when poll(2) says that it can be
 * written to, so that sending it does not block. */
#define CONTENT_PIECE 16384U

/* Whether the job can be sent at all, which the library finds out in the middle of it, too late for the connection.
 * -EMSGSIZE: no, with the reason as text. */
int content_check(struct connection *c, const struct job *j, char *reason, size_t reason_size);

/* Sends basic.publish, mandatory, and the header; only after content_check. Results as of connection_send. */
int content_begin(struct connection *c, uint16_t channel, struct job *j);

/* Sends the next piece of the body. */
int content_continue(struct connection *c, uint16_t channel, struct job *j);

/* How much of the body is still to be sent. */
static inline uint64_t content_left(const struct job *j) {
	return j->message->body_size - j->offset;
}

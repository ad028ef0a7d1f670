/* SPDX-License-Identifier: MIT */
/* The descriptor that becomes a handler's stdin. */
#pragma once

#include "message/message.h"

/* Opens the message's body for reading from its start, complete, so that nobody needs to feed the handler: a pipe that
 * holds it and is at end of file after it (up to BODY_HEAP_MAX bytes), or a read-only open file description of its own
 * on a sealed memory file. The descriptor is close-on-exec, at least 4, and the caller's. -errno (-EMFILE, -ENOMEM,
 * ...). */
int input_open(const struct message *m, int *ret_fd);

/* The descriptor itself if it is none of those that a handler may have (0 to 3), else a duplicate that is none, and fd is closed.
 * Close-on-exec. -errno, fd closed. */
int input_above_stdio(int fd);

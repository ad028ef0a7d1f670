/* SPDX-License-Identifier: MIT */
/* The descriptors that become a handler's stdin and its descriptor 3. */
#pragma once

#include "config/config.h"
#include "message/message.h"

/* Opens what handler.input says for reading from its start, complete, so that nobody needs to feed the handler: a pipe that
 * holds it and is at end of file after it (up to BODY_HEAP_MAX bytes), or a read-only open file description of its own
 * on a sealed memory file; /dev/null for no input. The descriptor is close-on-exec, at least 4, and the caller's. -errno (-EMFILE,
 * -ENOMEM, ...). "json" is the object of metadata_begin_input with the body, and a newline; the body is in base64 if it is not
 * UTF-8, or if its control characters would make it more than twice as long. */
int input_open(const struct config_queue *queue, const struct message *m, unsigned attempt, int *ret_fd);

/* The same with what metadata_append_object gives, for descriptor 3. */
int input_open_metadata(const struct message *m, int *ret_fd);

/* The descriptor itself if it is none of those that a handler may have (0 to 3), else a duplicate that is none, and fd is closed.
 * Close-on-exec. -errno, fd closed. */
int input_above_stdio(int fd);

/* SPDX-License-Identifier: MIT */
/* Writes a message to a worker: a line of metadata (message/metadata.h), then the body. Never blocks. */
#pragma once

#include <stdint.h>

#include "base/strbuf.h"
#include "message/message.h"

/* There is more to write. */
#define FEED_MORE 1

/* Used again and again, so that a message costs no allocation. */
struct feed {
	struct strbuf head;	       /* the line; kept for its memory */
	const struct message *message; /* borrowed while it is written */
	uint64_t written;	       /* bytes that the descriptor has taken, of head and body together */
};

#define FEED_INIT ((struct feed){0})

/* Begins with a message, which must have its body and stay as it is until it is written. -ENOMEM. */
int feed_begin(struct feed *f, const char *queue, const struct message *m, unsigned attempt);

/* Writes what fd, which does not block, takes now, but not for ever if somebody reads fast. `buffer` is for pieces of large bodies. 0:
 * everything is written; FEED_MORE; -errno: -EPIPE if nobody can read it any more, or an errno of pread(2). SIGPIPE must be ignored. */
int feed_write(struct feed *f, int fd, char *buffer, size_t size);

void feed_clear(struct feed *f);

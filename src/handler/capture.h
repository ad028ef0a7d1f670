/* SPDX-License-Identifier: MIT */
/* What a handler writes to stdout, kept whole so that it can be published. Fed by hand, like output.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "message/message.h"

/* Owned by its run. Kept on the heap, beyond BODY_HEAP_MAX bytes in a memory file as long as there are descriptors to spare. */
struct capture {
	uint64_t max;	/* how much may be kept; once there is more, nothing is */
	uint64_t bytes; /* fed */
	int error;	/* why it could not be kept: a positive errno; 0: it is */
	char *heap;	/* owned, with room for a NUL; NULL: nothing yet, or it is in fd */
	size_t allocated;
	int fd; /* owned; the memory file; or -1 */
};

/* Nothing is kept yet. */
void capture_init(struct capture *c, uint64_t max);
void capture_clear(struct capture *c);

/* Takes the next len bytes. What cannot be kept (too much, no memory) is counted and thrown away, and what was kept with it. */
void capture_feed(struct capture *c, const char *data, size_t len);

/* There was more than may be kept. */
static inline bool capture_is_too_large(const struct capture *c) {
	return c->bytes > c->max;
}

/* Hands over what was kept, as the body of a new message that has nothing else; the capture is empty afterwards. -ENOMEM, an errno of
 * fcntl(2). Not if it is too large, or there was an error. */
int capture_take(struct capture *c, struct message **ret);

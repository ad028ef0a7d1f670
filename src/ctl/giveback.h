/* SPDX-License-Identifier: MIT */
/* Messages that were only looked at go back into their queue. */
#pragma once

#include "ctl/session.h"
#include <stdbool.h>
#include <stdint.h>

/* What was taken on a channel by session_get, and not settled since: a bit for each delivery tag. */
struct held {
	uint8_t *bits; /* owned */
	uint64_t size; /* bytes of it */
	uint64_t n;    /* messages */
	bool counted;  /* the queue is known to count deliveries: it is a quorum queue */
};

/* -ENOMEM. */
int held_add(struct held *h, uint64_t tag);
void held_remove(struct held *h, uint64_t tag);
void held_clear(struct held *h);

/* Gives everything back that is held, in order, and closes the channel (owned). The broker takes its time over many
 * messages, in which they are neither in the queue nor with anybody: waits until the queue has as many more as it
 * should, for some seconds, and not where consumers may take them. Signals are ignored but for a further one. 0: the
 * broker has answered, so that whatever was settled before has come through. Else as session_channel_close. */
int giveback(struct session *s, struct session_channel *c, const char *queue, const struct held *h);

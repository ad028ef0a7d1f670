/* SPDX-License-Identifier: MIT */
/* Messages that were only looked at go back into their queue. */
#pragma once

#include "ctl/session.h"
#include <stdbool.h>
#include <stdint.h>

/* Gives everything back that was taken on the channel (owned: it is closed) and not settled, `held` messages, all at
 * once, so that they come to their old places. The broker takes its time over many of them, in which they are neither
 * in the queue nor with anybody: waits until the queue has as many more as it should, for some seconds, and not where
 * consumers may take them. Signals are ignored but for a further one. `counted`: the queue is known to count
 * deliveries. 0: the broker has answered, so that whatever was settled before has come through. Else as
 * session_channel_close. */
int giveback(struct session *s, struct session_channel *c, const char *queue, uint64_t held, bool counted);

/* SPDX-License-Identifier: MIT */
/* When a failed message is tried again, and where it waits until then. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"

/* A delay is shortened by jitter in so many steps, the first of which is nothing at all: for each delay there are at most so many
 * queues at the broker. */
#define RETRY_JITTER_STEPS 5

/* The longest TTL that RabbitMQ takes, in milliseconds (https://www.rabbitmq.com/docs/ttl): what fits 32 bits. */
#define RETRY_DELAY_MAX_MSEC UINT32_MAX

/* Room for a delay queue's name and its NUL. */
#define RETRY_NAME_MAX 288

/* Whether the message may be tried again after attempt number `attempt` (from 1; 0: unknown, which counts as 1) has failed. If so,
 * *ret_delay_usec is the delay: a whole number of milliseconds, at least 1. `random`: any 32-bit random number. */
bool retry_next(const struct config_retry *policy, unsigned attempt, uint32_t random, uint64_t *ret_delay_usec);

/* The same for a message whose handler says itself how long to wait. Each delay is a queue at the broker, so that is rounded up to one of
 * a few: 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten seconds, in whole milliseconds, from 1; at most the policy's
 * maximum. */
bool retry_asked(const struct config_retry *policy, unsigned attempt, uint64_t asked_usec, uint64_t *ret_delay_usec);

/* The name of the queue in which messages of `queue` wait for this delay. All that it is declared with is in its name: two daemons
 * with different settings never declare one queue in two ways. */
void retry_queue_name(const char *queue, enum config_queue_type type, uint64_t delay_usec, char name[static RETRY_NAME_MAX]);

/* How long a message that is to be requeued is held: the configured delay, doubled for each failure in a row of its queue
 * (`failures`, of handlers or of copies, this one included) or for each earlier attempt at the message, whichever is more, up to the maximum. */
uint64_t retry_hold_usec(const struct config_queue *queue, unsigned failures, unsigned attempt);

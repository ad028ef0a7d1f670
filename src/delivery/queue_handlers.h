/* SPDX-License-Identifier: MIT */
/* The handlers of a queue that run, one by one, for operators. */
#pragma once

#include "base/clock.h"
#include "message/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct queue;

/* A process that has a message in hand. Pointers are borrowed, until the next event. */
struct queue_handler {
	const char *queue;
	const char *broker;
	const struct message *message;
	pid_t pid;
	unsigned attempt;      /* 0: unknown */
	uint64_t started_usec; /* when it was given the message; monotonic */
	bool worker;           /* it had others before, or may have */
	bool stopping;         /* it was told to end, for whatever reason */
};

/* How many there are. */
size_t queue_count_handlers(const struct queue *q);

/* Tells them, in no order; `ret` has room for queue_count_handlers. Returns how many they are. */
size_t queue_list_handlers(const struct queue *q, struct queue_handler *ret);

/* Has the handler of that process stopped as if handler.timeout were over: outcomes.on_timeout says what becomes of its
 * message. If it was told to end before, it is left to that (ret->stopping). 0, with what it is, as it was before.
 * -ESRCH: no handler of the queue is that process. -ESTALE: it has another message than the one of that delivery tag
 * (0: any), which is told in *ret. */
int queue_time_out_handler(struct queue *q, pid_t pid, uint64_t delivery_tag, struct queue_handler *ret);

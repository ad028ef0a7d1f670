/* SPDX-License-Identifier: MIT */
/* Makes a message into the copy of it that is published, to a delay queue or to the dead letters, and undoes what the way through a
 * delay queue changes. Pure but for memory.
 *
 * A copy keeps body, properties, headers and priority. What must not travel is taken out: headers that the broker writes (x-death,
 * x-delivery-count ...), those that would route the copy to more queues (CC, BCC), the property expiration, which would end
 * the wait in a delay queue or delete a dead letter, and user_id, which the broker refuses from anybody but that user.
 * Its headers are those of message/marks.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "delivery/tail.h"
#include "handler/run.h"
#include "message/marks.h"
#include "message/message.h"

/* Why there is a copy. All borrowed. */
struct copy_reason {
	const char *queue;
	const char *host;
	unsigned attempts; /* without success so far */
	uint64_t now_sec;  /* since 1970 */
	const struct run_result *result; /* NULL: no handler has got it */
	const char *note; /* what led to the copy beside the result; NULL: nothing */
	const struct tail *tail;
};

/* Makes m into the copy. -ENOMEM: m may be changed in part, and is good for nothing but being given back to the broker. Headers
 * that leave no room in a frame go without the lines of stderr. */
int copy_prepare(struct message *m, const struct copy_reason *why);

/* Sets HEADER_REASON and, of a handler that has ended, HEADER_EXIT_STATUS or HEADER_SIGNAL. -ENOMEM. */
int copy_set_result(struct table *headers, const struct copy_reason *why);

/* A message that came back from a delay queue of ours gets its exchange and routing key back, from the headers of the copy. Any
 * other is left as it is. (Whoever may publish to the queue can write these headers, too.) Without memory it stays as it is. */
void copy_restore(struct message *m, const char *queue);

/* "exit status 65", "killed by signal KILL", "timeout (exit status 0)", "rejected by the worker". */
void copy_format_reason(const struct run_result *result, char *buf, size_t size);

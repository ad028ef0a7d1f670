/* SPDX-License-Identifier: MIT */
/* The headers that the daemon puts on the copies that it publishes, beside HEADER_ATTEMPTS and HEADER_QUEUE of
 * message.h, and those that a broker puts on messages. Pure. */
#pragma once

#include "message/field.h"
#include "message/message.h"
#include <stdbool.h>

#define HEADER_FIRST_FAILURE HEADER_OURS "first-failure" /* timestamp */
#define HEADER_LAST_FAILURE HEADER_OURS "last-failure"   /* timestamp */
#define HEADER_EXCHANGE HEADER_OURS "exchange"           /* to which it was published first */
#define HEADER_ROUTING_KEY HEADER_OURS "routing-key"     /* with which it was published first */
#define HEADER_HOST HEADER_OURS "host"                   /* where its handler ran */
#define HEADER_REASON                                                                                                  \
	HEADER_OURS "reason" /* "exit status 65", "killed by signal KILL", "rejected by the worker: REASON", ... */
#define HEADER_EXIT_STATUS HEADER_OURS "exit-status" /* integer */
#define HEADER_SIGNAL HEADER_OURS "signal"           /* "KILL" */
#define HEADER_STDERR HEADER_OURS "stderr"           /* the last lines of stderr */
#define HEADER_EXPIRATION HEADER_OURS "expiration"   /* the property as it was */
#define HEADER_USER_ID HEADER_OURS "user-id"         /* likewise */

#define HEADER_DEATH "x-death"                   /* array of tables, the last death first */
#define HEADER_DELIVERY_COUNT "x-delivery-count" /* integer; quorum queues */

/* Whether it is called so. */
bool marks_is_named(const struct field *f, const char *name);

/* Whether it must not travel with a copy: what a broker writes, and what would route the copy to more queues (CC, BCC).
 */
bool marks_is_local(const struct field *f);

/* Whether it tells of attempts and failures: a message that starts anew has none of these. */
bool marks_is_history(const struct field *f);

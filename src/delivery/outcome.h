/* SPDX-License-Identifier: MIT */
/* From the way a handler ended to what becomes of its message. Pure. */
#pragma once

#include <stdbool.h>
#include "config/config.h"
#include "handler/run.h"

/* What the configuration says of this end. An exit status that came after we had sent SIGTERM is that of the timeout or of the
 * stop, not of the handler's work, because many programs leave with 0 when they are told to stop, done or not; what was
 * stopped by us for another reason than its time limit (the daemon stops) is requeued, whatever is configured. A handler that has
 * succeeded, but has written more than can be published, or what could not be kept, has not done what it was run for: that is
 * on_large_output, and a requeue.
 *
 * The answer of a worker is what it says. A worker that ends without one has not said "ack", whatever its exit status: where that would
 * be an ack, it is as a status in no set, and a requeue where that is an ack, too. */
enum outcome outcome_decide(const struct config_outcomes *policy, const struct run_result *result);

/* Whether the handler would have succeeded, if it were not for what it wrote. */
bool outcome_is_spoiled(const struct config_outcomes *policy, const struct run_result *result);

/* Whether the handler has done its work, for the breaker: it succeeded, or its exit status is listed as one that rejects, or a worker
 * has rejected the message, which says that it judged the message, and is sound itself. */
bool outcome_is_sound(const struct config_outcomes *policy, const struct run_result *result);

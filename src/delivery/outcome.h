/* SPDX-License-Identifier: MIT */
/* From the way a handler ended to what becomes of its message. Pure. */
#pragma once

#include "config/config.h"
#include "handler/run.h"

/* Exit status 0 of a handler that ended by itself is an ack, everything else a requeue: also an exit status 0 after we
 * have sent SIGTERM, because many programs leave with 0 when they are told to stop, done or not. */
enum outcome outcome_decide(const struct run_result *result);


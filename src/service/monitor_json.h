/* SPDX-License-Identifier: MIT */
/* What the monitor answers, as JSON. Pure: a lack of memory makes the buffer fail. */
#pragma once

#include <stdbool.h>
#include "service/snapshot.h"

struct strbuf;

/* The answer to GET /readyz: whether the daemon does all that its configuration asks of it, and if not, what is missing: a broker that is not
 * connected, a queue that does not consume. What an operator has paused is not missing. Returns whether it does. */
bool monitor_json_ready(const struct snapshot *s, struct strbuf *b);

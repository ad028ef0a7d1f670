/* SPDX-License-Identifier: MIT */
/* W3C Trace Context (https://www.w3.org/TR/trace-context/) in the headers of a message. Pure. */
#pragma once

#include <stddef.h>
#include "message/message.h"

/* The message's header `traceparent`, if it is well-formed: version 00, or a later one whose beginning looks like it. NULL
 * otherwise. Borrowed; holds printable ASCII alone, and so does the next. */
const struct text *trace_parent(const struct message *m);

/* The message's header `tracestate`, if it is well-formed, at most 512 bytes long and beside a well-formed traceparent. NULL
 * otherwise. */
const struct text *trace_state(const struct message *m);

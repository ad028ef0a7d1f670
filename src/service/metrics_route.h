/* SPDX-License-Identifier: MIT */
/* The answer to GET /metrics, on the monitor and on the control socket. */
#pragma once

#include "service/http.h"
#include "service/snapshot.h"

/* `r`: what came of getting the snapshot, 0 or -errno, and then there is none. */
void metrics_respond(struct http_request *request, int r, const struct snapshot *s);

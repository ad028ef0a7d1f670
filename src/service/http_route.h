/* SPDX-License-Identifier: MIT */
/* From a request to the function that answers it. */
#pragma once

#include "service/http.h"
#include <stddef.h>

struct http_route {
	const char *method;
	const char *path; /* "v1/queues/@/pause": segments, of which @ stands for any that is not empty */
	void (*call)(struct http_request *request, void *userdata);
};

/* Calls the route of the request's method and path. Where none has the path the answer is 404; where only the method is
 * another one, 405. */
void http_route(struct http_request *request, const struct http_route *routes, size_t n, void *userdata);

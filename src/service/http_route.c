/* SPDX-License-Identifier: MIT */
#include "service/http_route.h"

#include <stdbool.h>
#include <string.h>

static bool path_matches(const struct http_request *request, const char *path) {
	for (size_t i = 0;; i++) {
		const char *segment = http_request_segment(request, i);
		size_t len = strcspn(path, "/");

		if (!segment)
			return false;
		if (len == 1 && path[0] == '@' ? !*segment : strlen(segment) != len || memcmp(segment, path, len) != 0)
			return false;
		if (!path[len])
			return !http_request_segment(request, i + 1);
		path += len + 1;
	}
}

void http_route(struct http_request *request, const struct http_route *routes, size_t n, void *userdata) {
	const char *allow = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!path_matches(request, routes[i].path))
			continue;
		if (strcmp(routes[i].method, http_request_method(request)) == 0) {
			routes[i].call(request, userdata);
			return;
		}
		allow = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method;
	}
	if (allow)
		http_respond_method(request, allow);
	else
		http_respond_error(request, 404, "there is nothing of this path");
}

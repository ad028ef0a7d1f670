/* SPDX-License-Identifier: MIT */
#include "service/metrics_route.h"

#include "base/macro.h"
#include "service/metrics.h"

void metrics_respond(struct http_request *request, int r, const struct snapshot *s) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	struct process_figures process;

	if (r < 0) {
		http_respond_error(request, 500, "out of memory");
		return;
	}
	/* It would be made for nothing, which with thousands of queues takes its time. */
	if (http_request_is_crowded(request)) {
		http_respond_error(request, 503, HTTP_CROWDED);
		return;
	}
	process_figures_read(&process);
	metrics_format(s, &process, &body);
	http_respond(request, 200, EXPOSITION_TYPE, &body);
}

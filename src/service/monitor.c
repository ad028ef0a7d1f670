/* SPDX-License-Identifier: MIT */
#include "service/monitor.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "service/http.h"
#include "service/http_route.h"
#include "service/metrics_route.h"
#include "service/monitor_json.h"

#define TYPE_JSON "application/json"

struct monitor {
	const struct monitor_callbacks *callbacks; /* borrowed */
	void *userdata;				   /* borrowed */
	struct http_server *http;		   /* owned */
};

/* That it answers is the answer: the event loop turns. Whether broker threads do is the watchdog's to judge. */
static void on_livez(struct http_request *request, void *userdata) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;

	strbuf_append_str(&body, "{\"live\": true}\n");
	http_respond(request, 200, TYPE_JSON, &body);
}

static void on_readyz(struct http_request *request, void *userdata) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	struct monitor *m = userdata;
	struct snapshot s;

	if (m->callbacks->look(m->userdata, &s) < 0) {
		http_respond_error(request, 500, "out of memory");
		return;
	}
	http_respond(request, monitor_json_ready(&s, &body) ? 200 : 503, TYPE_JSON, &body);
}

static void on_metrics(struct http_request *request, void *userdata) {
	struct monitor *m = userdata;
	struct snapshot s;

	metrics_respond(request, m->callbacks->look(m->userdata, &s), &s);
}

static const struct http_route routes[] = {
	{"GET", "livez", on_livez},
	{"GET", "readyz", on_readyz},
	{"GET", "metrics", on_metrics},
};

static void on_request(struct http_request *request, void *userdata) {
	http_route(request, routes, ARRAY_SIZE(routes), userdata);
}

static const struct http_callbacks http_callbacks = {.request = on_request};

int monitor_new(sd_event *event, const struct monitor_callbacks *callbacks, void *userdata, struct monitor **ret) {
	CLEANUP(monitor_free) struct monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->callbacks = callbacks;
	m->userdata = userdata;
	r = http_new(event, &http_limits_default, &http_callbacks, m, &m->http);
	if (r < 0)
		return r;
	*ret = TAKE(m);
	return 0;
}

struct monitor *monitor_free(struct monitor *m) {
	if (m)
		http_free(m->http);
	free(m);
	return NULL;
}

int monitor_add_socket(struct monitor *m, int fd) {
	return http_add_socket(m->http, fd);
}

void monitor_drop_sockets(struct monitor *m) {
	http_drop_sockets(m->http);
}

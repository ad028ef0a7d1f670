/* SPDX-License-Identifier: MIT */
#include "service/control_handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "delivery/report.h"
#include "message/field.h"
#include "service/json_text.h"

#define TYPE_JSON "application/json"

/* NULL if there is none, which stands for a lack of memory where a value belongs: see control_json.c. */
static json_t *text_to_json(const struct text *t) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *value = json_stringn(t->data ? t->data : "", t->len);

	if (value)
		return value;
	strbuf_append_escaped(&b, t->data, t->len);
	return b.failed ? NULL : json_string(strbuf_str(&b));
}

static json_t *handler_to_json(const struct queue_handler *h) {
	const struct message *m = h->message;
	uint64_t now = clock_now_usec(), ran = now > h->started_usec ? now - h->started_usec : 0;
	const struct text *id = &m->properties.message_id;

	return json_pack("{s:I, s:o, s:o, s:o, s:I, s:I, s:b, s:o, s:I, s:o, s:f, s:b, s:b}", "pid", (json_int_t)h->pid,
			 "queue", json_text_new(h->queue), "broker", json_text_new(h->broker), "message_id",
			 id->data ? text_to_json(id) : json_null(), "delivery_tag", (json_int_t)m->delivery_tag,
			 "attempt", (json_int_t)h->attempt, "redelivered", m->redelivered, "routing_key",
			 text_to_json(&m->routing_key), "body_size", (json_int_t)m->body_size, "started",
			 json_text_time(clock_realtime_usec() - ran), "seconds", (double)ran / USEC_PER_SEC, "worker",
			 h->worker, "stopping", h->stopping);
}

void control_handlers_list(struct http_request *request, const struct control_callbacks *callbacks, void *userdata,
			   const char *queue, const char *broker) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	const struct queue_handler *handlers;
	json_t *array = json_array();
	size_t n;

	if (callbacks->handlers(userdata, &handlers, &n) < 0) {
		json_decref(array);
		http_respond_error(request, 500, "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct queue_handler *h = &handlers[i];

		if ((queue && strcmp(queue, h->queue) != 0) || (broker && strcmp(broker, h->broker) != 0))
			continue;
		if (json_array_append_new(array, handler_to_json(h)) < 0) {
			json_decref(array);
			array = NULL;
			break;
		}
	}
	json_text_append(&body, json_pack("{s:o}", "handlers", array));
	http_respond(request, 200, TYPE_JSON, &body);
}

/* --- stopping one ------------------------------------------------------------------------------------------------- */

/* A number in decimal digits, from 1 to max. -EINVAL. */
static int parse_number(const char *s, uint64_t max, uint64_t *ret) {
	char *end;
	unsigned long long n;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno || *end || n == 0 || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

/* What the request asks for. If that makes no sense it was answered: -EINVAL. */
static int parse_target(struct http_request *request, struct control_target *ret) {
	const char *tag = http_request_parameter(request, "delivery_tag");
	const char *segment = http_request_segment(request, 2);
	struct control_target target = {.queue = http_request_parameter(request, "queue"),
					.broker = http_request_parameter(request, "broker")};
	uint64_t pid;

	if (parse_number(segment, INT_MAX, &pid) < 0) {
		http_respond_error(request, 400, "\"%s\" is no process id", segment);
		return -EINVAL;
	}
	if (tag && parse_number(tag, UINT64_MAX, &target.delivery_tag) < 0) {
		http_respond_error(request, 400, "\"%s\" is no delivery tag", tag);
		return -EINVAL;
	}
	target.pid = (pid_t)pid;
	*ret = target;
	return 0;
}

static void log_kill(struct http_request *request, const struct queue_handler *h) {
	const struct http_peer *peer = http_request_peer(request);
	char who[96];

	(void)snprintf(who, sizeof(who), "user %ju (process %jd) wanted it", (uintmax_t)peer->uid, (intmax_t)peer->pid);
	report_killed(h->queue, h->message, (int)h->pid, who);
}

static void respond_killed(struct http_request *request, const struct queue_handler *h) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	const struct text *id = &h->message->properties.message_id;

	json_text_append(&body, json_pack("{s:I, s:o, s:o, s:o, s:I, s:b}", "pid", (json_int_t)h->pid, "queue",
					  json_text_new(h->queue), "broker", json_text_new(h->broker), "message_id",
					  id->data ? text_to_json(id) : json_null(), "delivery_tag",
					  (json_int_t)h->message->delivery_tag, "already_stopping", h->stopping));
	http_respond(request, 200, TYPE_JSON, &body);
}

void control_handlers_kill(struct http_request *request, const struct control_callbacks *callbacks, void *userdata) {
	struct control_target target;
	struct queue_handler h;
	int r;

	if (parse_target(request, &target) < 0)
		return;
	r = callbacks->kill(userdata, &target, &h);
	if (r == -ESTALE) {
		http_respond_error(request, 404,
				   "the process %jd has another message by now: its delivery tag is %" PRIu64
				   ", not %" PRIu64,
				   (intmax_t)target.pid, h.message->delivery_tag, target.delivery_tag);
	} else if (r < 0) {
		http_respond_error(request, 404, "no handler%s%s%s with the process id %jd has a message",
				   target.queue ? " of the queue \"" : "", target.queue ? target.queue : "",
				   target.queue ? "\"" : "", (intmax_t)target.pid);
	} else {
		if (!h.stopping)
			log_kill(request, &h);
		respond_killed(request, &h);
	}
}

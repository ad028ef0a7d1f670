/* SPDX-License-Identifier: MIT */
#include "delivery/copy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"

/* A header frame has room for 128 KiB; so much of it may be taken when the lines of stderr are added. */
#define STDERR_ROOM (96 * 1024)
#define SHORT_STRING_MAX 255

/* Of an earlier failure: what is not written again must not stay. */
static bool is_outdated(const struct field *f) {
	return marks_is_named(f, HEADER_EXIT_STATUS) || marks_is_named(f, HEADER_SIGNAL) || marks_is_named(f, HEADER_STDERR);
}

static const char *signal_name(int signal, char *buf, size_t size) {
	const char *name = sigabbrev_np(signal);

	if (name)
		return name;
	(void)snprintf(buf, size, "%d", signal);
	return buf;
}

/* What a worker has answered; NULL: it has not. */
static const char *describe_answer(const struct run_result *result) {
	if (result->end != RUN_ANSWERED)
		return NULL;
	switch (result->answer.outcome) {
	case OUTCOME_ACK:
		return "acknowledged by the worker";
	case OUTCOME_REQUEUE:
		return "requeued by the worker";
	case OUTCOME_RETRY:
		return "the worker asked for a retry";
	case OUTCOME_REJECT:
		break;
	}
	return "rejected by the worker";
}

void copy_format_reason(const struct run_result *result, char *buf, size_t size) {
	char what[64], number[16];
	const char *answer = describe_answer(result);

	if (answer) {
		(void)snprintf(buf, size, "%s", answer);
		return;
	}
	if (result->end == RUN_MISBEHAVED && result->problem) {
		(void)snprintf(buf, size, "%s", result->problem);
		return;
	}
	if (result->signaled)
		(void)snprintf(what, sizeof(what), "killed by signal %s", signal_name(result->status, number, sizeof(number)));
	else
		(void)snprintf(what, sizeof(what), "exit status %d", result->status);
	if (result->end == RUN_TIMEOUT)
		(void)snprintf(buf, size, "timeout (%s)", what);
	else if (result->problem)
		(void)snprintf(buf, size, "%s; %s", what, result->problem);
	else
		(void)snprintf(buf, size, "%s", what);
}

/* Moves a property to a header. */
static int move_property(struct table *headers, const char *name, struct text *property) {
	int r = property->data ? table_set_string(headers, name, property->data, property->len) : 0;

	if (r == 0)
		text_clear(property);
	return r;
}

static void append_result(const struct run_result *result, struct strbuf *b) {
	const struct worker_answer *answer = &result->answer;
	char what[192];

	copy_format_reason(result, what, sizeof(what));
	strbuf_append_str(b, what);
	if (answer->reason) {
		strbuf_append_str(b, ": ");
		strbuf_append_escaped(b, answer->reason, answer->reason_len);
	}
}

static int set_reason(struct table *h, const struct copy_reason *why) {
	CLEANUP(strbuf_free) struct strbuf reason = STRBUF_INIT;

	if (why->result)
		append_result(why->result, &reason);
	else
		strbuf_append_str(&reason, "no handler can get it");
	if (why->note) {
		strbuf_append_str(&reason, why->result ? "; " : ": ");
		strbuf_append_str(&reason, why->note);
	}
	return reason.failed ? -ENOMEM : table_set_string(h, HEADER_REASON, reason.data, reason.len);
}

int copy_set_result(struct table *h, const struct copy_reason *why) {
	char number[16];
	const char *name;
	int r = set_reason(h, why);

	/* A worker that has answered lives on. */
	if (r < 0 || !why->result || why->result->end == RUN_ANSWERED)
		return r;
	if (!why->result->signaled)
		return table_set_i32(h, HEADER_EXIT_STATUS, why->result->status);
	name = signal_name(why->result->status, number, sizeof(number));
	return table_set_string(h, HEADER_SIGNAL, name, strlen(name));
}

static int set_times(struct table *h, const struct copy_reason *why) {
	const struct field *first = table_find(h, HEADER_FIRST_FAILURE);
	int r = 0;

	if (!first || first->kind != FIELD_TIMESTAMP)
		r = table_set_timestamp(h, HEADER_FIRST_FAILURE, why->now_sec);
	return r < 0 ? r : table_set_timestamp(h, HEADER_LAST_FAILURE, why->now_sec);
}

static int set_origin(struct table *h, const struct message *m, const struct copy_reason *why) {
	int r = table_set_string(h, HEADER_QUEUE, why->queue, strlen(why->queue));

	if (r == 0)
		r = table_set_string(h, HEADER_EXCHANGE, m->exchange.data, m->exchange.len);
	if (r == 0)
		r = table_set_string(h, HEADER_ROUTING_KEY, m->routing_key.data, m->routing_key.len);
	if (r == 0)
		r = table_set_string(h, HEADER_HOST, why->host, strlen(why->host));
	return r;
}

int copy_prepare(struct message *m, const struct copy_reason *why) {
	struct properties *p = &m->properties;
	struct table *h = &p->headers;
	int r;

	p->has_headers = true;
	table_remove_if(h, marks_is_local);
	table_remove_if(h, is_outdated);
	r = table_set_i32(h, HEADER_ATTEMPTS, why->attempts < INT32_MAX ? (int32_t)why->attempts : INT32_MAX);
	if (r == 0)
		r = set_times(h, why);
	if (r == 0)
		r = set_origin(h, m, why);
	if (r == 0)
		r = copy_set_result(h, why);
	if (r == 0)
		r = move_property(h, HEADER_EXPIRATION, &p->expiration);
	if (r == 0)
		r = move_property(h, HEADER_USER_ID, &p->user_id);
	if (r == 0 && why->tail->len > 0 && table_wire_size(h) + why->tail->len <= STDERR_ROOM)
		r = table_set_string(h, HEADER_STDERR, why->tail->data, why->tail->len);
	return r;
}

static const struct text *short_string(const struct table *h, const char *name) {
	const struct field *f = table_find(h, name);

	return f && f->kind == FIELD_STRING && f->text.len <= SHORT_STRING_MAX ? &f->text : NULL;
}

void copy_restore(struct message *m, const char *queue) {
	const struct table *h = &m->properties.headers;
	const struct text *exchange = short_string(h, HEADER_EXCHANGE);
	const struct text *routing_key = short_string(h, HEADER_ROUTING_KEY);
	struct text copy = {0};

	/* As a delay queue sends it on: through the default exchange, to the queue by its name. */
	if (m->exchange.len > 0 || m->routing_key.len != strlen(queue) || memcmp(m->routing_key.data, queue, m->routing_key.len) != 0)
		return;
	if (!table_find(h, HEADER_ATTEMPTS) || !exchange || !routing_key)
		return;
	/* Both or neither. */
	if (text_set(&copy, exchange->data, exchange->len) < 0)
		return;
	if (text_set(&m->routing_key, routing_key->data, routing_key->len) < 0) {
		text_clear(&copy);
		return;
	}
	text_clear(&m->exchange);
	m->exchange = copy;
}

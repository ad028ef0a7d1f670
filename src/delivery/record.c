/* SPDX-License-Identifier: MIT */
#include "delivery/record.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void add_field(struct record *r, const char *name, const void *value, size_t size) {
	assert(r->n_fields < RECORD_FIELDS_MAX);
	r->fields[r->n_fields++] = (struct log_field){name, value, size};
}

static void add_string(struct record *r, const char *name, const char *value) {
	add_field(r, name, value, strlen(value));
}

static void add_number(struct record *r, const char *name, uint64_t value) {
	char *buf;
	int n;

	assert(r->n_numbers < ARRAY_SIZE(r->numbers));
	buf = r->numbers[r->n_numbers++];
	n = snprintf(buf, sizeof(r->numbers[0]), "%" PRIu64, value);
	add_field(r, name, buf, (size_t)n);
}

void record_identify(const struct record_input *in, struct record *ret) {
	const struct message *m = in->message;

	ret->n_fields = 0;
	ret->n_numbers = 0;
	add_string(ret, "AMQP_QUEUE", in->queue);
	if (!m)
		return;
	add_number(ret, "AMQP_DELIVERY_TAG", m->delivery_tag);
	if (m->properties.message_id.data)
		add_field(ret, "AMQP_MESSAGE_ID", m->properties.message_id.data, m->properties.message_id.len);
}

static void append_seconds(struct strbuf *b, const char *key, uint64_t usec) {
	strbuf_printf(b, " %s=%" PRIu64 ".%03" PRIu64 "s", key, usec / USEC_PER_SEC, usec % USEC_PER_SEC / USEC_PER_MSEC);
}

/* What is known of a process that has ended. */
static void format_status(const struct run_result *result, struct record *r) {
	struct strbuf *b = &r->text;
	const char *name = result->signaled ? sigabbrev_np(result->status) : NULL;

	if (!result->signaled) {
		strbuf_printf(b, " exit=%d", result->status);
		add_number(r, "HANDLER_EXIT_STATUS", (uint64_t)result->status);
		return;
	}
	if (name)
		strbuf_printf(b, " signal=%s", name);
	else
		strbuf_printf(b, " signal=%d", result->status);
	if (result->dumped)
		strbuf_append_str(b, " core=yes");
	add_number(r, "HANDLER_SIGNAL", (uint64_t)result->status);
}

static void format_result(const struct run_result *result, struct record *r) {
	struct strbuf *b = &r->text;

	if (result->end == RUN_TIMEOUT)
		strbuf_append_str(b, " timeout=yes");
	if (result->end == RUN_STOPPED)
		strbuf_append_str(b, " stopped=yes");
	if (result->end == RUN_ANSWERED) {
		strbuf_printf(b, " answer=%s", outcome_to_string(result->answer.outcome));
		add_string(r, "HANDLER_ANSWER", outcome_to_string(result->answer.outcome));
	} else {
		format_status(result, r);
	}
	append_seconds(b, "duration", result->duration_usec);
	add_number(r, "HANDLER_DURATION_USEC", result->duration_usec);
}

static void format_target(const char *target, const char *key, const char *field, struct record *r) {
	if (!target)
		return;
	strbuf_printf(&r->text, " %s=", key);
	strbuf_append_value(&r->text, target, strlen(target));
	add_string(r, field, target);
}

/* The last line that the handler wrote to stderr. */
static void format_stderr(const struct tail *tail, struct record *r) {
	size_t len;
	const char *line = tail ? tail_last(tail, &len) : NULL;

	if (!line)
		return;
	if (len > RECORD_STDERR_MAX)
		len = RECORD_STDERR_MAX;
	strbuf_append_str(&r->text, " stderr=");
	strbuf_append_value(&r->text, line, len);
	add_field(r, "HANDLER_STDERR", line, len);
}

/* Why, of all who have something to say: a worker, what it did wrong, and who decided. */
static void format_reason(const struct record_input *in, struct record *r) {
	struct strbuf *reason = &r->reason;
	const struct run_result *result = in->result;
	const char *problem = result ? result->problem : NULL;

	if (result && result->answer.reason)
		strbuf_append(reason, result->answer.reason, result->answer.reason_len);
	if (problem) {
		strbuf_append_str(reason, reason->len > 0 ? "; " : "");
		strbuf_append_str(reason, problem);
	}
	if (in->reason) {
		strbuf_append_str(reason, reason->len > 0 ? "; " : "");
		strbuf_append_str(reason, in->reason);
	}
	if (reason->failed)
		r->text.failed = true;
	if (reason->failed || reason->len == 0)
		return;
	strbuf_append_str(&r->text, " reason=");
	strbuf_append_value(&r->text, reason->data, reason->len);
	add_field(r, "AMQP_REASON", reason->data, reason->len);
}

const char *record_word(const struct record_input *in) {
	return in->event == LOG_EVENT_MESSAGE_UNSETTLED ? "unsettled" : "settled";
}

enum log_event record_event(const char *decision) {
	static const struct {
		const char *decision;
		enum log_event event;
	} events[] = {
		{"ack", LOG_EVENT_MESSAGE_ACKED},	{"requeue", LOG_EVENT_MESSAGE_REQUEUED},
		{"retry", LOG_EVENT_MESSAGE_RETRIED},	{"reject", LOG_EVENT_MESSAGE_REJECTED},
		{"return", LOG_EVENT_MESSAGE_RETURNED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (strcmp(decision, events[i].decision) == 0)
			return events[i].event;
	return LOG_EVENT_MESSAGE_UNSETTLED;
}

int record_format(const struct record_input *in, struct record *ret) {
	const struct message *m = in->message;
	struct strbuf *b = &ret->text;

	*ret = (struct record){0};
	record_identify(in, ret);
	strbuf_printf(b, "%s queue=", record_word(in));
	strbuf_append_value(b, in->queue, strlen(in->queue));
	strbuf_printf(b, " tag=%" PRIu64, m->delivery_tag);
	if (m->properties.message_id.data) {
		strbuf_append_str(b, " message_id=");
		strbuf_append_value(b, m->properties.message_id.data, m->properties.message_id.len);
	}
	if (in->attempt > 0) {
		strbuf_printf(b, " attempt=%u", in->attempt);
		add_number(ret, "AMQP_ATTEMPT", in->attempt);
	} else {
		strbuf_append_str(b, " attempt=unknown");
	}
	if (in->result)
		format_result(in->result, ret);
	strbuf_printf(b, " decision=%s", in->decision);
	add_string(ret, "AMQP_OUTCOME", in->decision);
	if (in->delay_usec > 0)
		append_seconds(b, "delay", in->delay_usec);
	format_target(in->copy, "copy", "AMQP_COPY", ret);
	format_target(in->reply, "reply", "AMQP_REPLY", ret);
	format_target(in->forward, "forward", "AMQP_FORWARD", ret);
	format_reason(in, ret);
	format_stderr(in->tail, ret);
	if (b->failed) {
		record_clear(ret);
		return -ENOMEM;
	}
	return 0;
}

void record_clear(struct record *r) {
	strbuf_free(&r->text);
	strbuf_free(&r->reason);
	r->n_fields = 0;
}

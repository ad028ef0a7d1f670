/* SPDX-License-Identifier: MIT */
#include "delivery/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void report_message(const struct record_input *in) {
	CLEANUP(record_clear) struct record r = {0};
	bool calm = strcmp(in->decision, "ack") == 0 || strcmp(in->decision, "return") == 0;
	int priority = calm ? LOG_INFO : LOG_WARNING;

	if (!log_enabled(priority))
		return;
	if (record_format(in, &r) < 0)
		/* No memory for the long line: the short one still says what was decided. */
		log_event(in->event, priority,
			  LOG_FIELDS(log_string("AMQP_QUEUE", in->queue), log_string("AMQP_OUTCOME", in->decision)),
			  "%s tag=%" PRIu64 " decision=%s (no memory for more)", record_word(in), in->message->delivery_tag,
			  in->decision);
	else
		log_event(in->event, priority, r.fields, r.n_fields, "%s", strbuf_str(&r.text));
}

void report_event(enum log_event event, int priority, const char *queue, const struct message *m, const char *format, ...) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct record r = {0};
	va_list args;

	record_identify(&(struct record_input){.queue = queue, .message = m}, &r);
	va_start(args, format);
	strbuf_vprintf(&b, format, args);
	va_end(args);
	log_event(event, priority, r.fields, r.n_fields, "queue=%s tag=%" PRIu64 " %s", queue, m->delivery_tag, strbuf_str(&b));
}

void report_output(const char *queue, const struct message *m, int pid, int stream, const char *text, size_t len, bool cut) {
	int priority = stream == 2 ? LOG_NOTICE : LOG_INFO;
	const char *name = stream == 2 ? "stderr" : "stdout";
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct record r = {0};
	char pid_text[16];

	if (!log_enabled(priority))
		return;
	record_identify(&(struct record_input){.queue = queue, .message = m}, &r);
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	r.fields[r.n_fields++] = (struct log_field){"HANDLER_PID", pid_text, strlen(pid_text)};
	r.fields[r.n_fields++] = (struct log_field){"HANDLER_STREAM", name, strlen(name)};
	strbuf_append_str(&b, "output queue=");
	strbuf_append_value(&b, queue, strlen(queue));
	if (m)
		strbuf_printf(&b, " tag=%" PRIu64, m->delivery_tag);
	strbuf_printf(&b, " pid=%d %s: ", pid, name);
	strbuf_append_escaped(&b, text, len);
	if (cut)
		strbuf_append_str(&b, " [cut]");
	if (!b.failed)
		log_event(LOG_EVENT_HANDLER_OUTPUT, priority, r.fields, r.n_fields, "%s", strbuf_str(&b));
}

void report_omissions(const char *queue, const struct message *m, const char *omissions) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct record r = {0};

	if (!omissions)
		return;
	record_identify(&(struct record_input){.queue = queue, .message = m}, &r);
	r.fields[r.n_fields++] = log_string("AMQP_REASON", omissions);
	strbuf_append_str(&b, "omitted queue=");
	strbuf_append_value(&b, queue, strlen(queue));
	strbuf_printf(&b, " tag=%" PRIu64 " from the handler's environment: %s", m->delivery_tag, omissions);
	if (!b.failed)
		log_event(LOG_EVENT_HANDLER_ENVIRONMENT_OMITTED, LOG_WARNING, r.fields, r.n_fields, "%s", strbuf_str(&b));
}

void report_incomplete(const char *queue, const struct message *m, int pid) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct record r = {0};
	char pid_text[16];

	record_identify(&(struct record_input){.queue = queue, .message = m}, &r);
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	r.fields[r.n_fields++] = (struct log_field){"HANDLER_PID", pid_text, strlen(pid_text)};
	strbuf_append_str(&b, "unstopped queue=");
	strbuf_append_value(&b, queue, strlen(queue));
	strbuf_printf(&b, " tag=%" PRIu64 " pid=%d what the handler started may live on: not every process could be found or killed",
		      m->delivery_tag, pid);
	if (!b.failed)
		log_event(LOG_EVENT_HANDLER_UNSTOPPED, LOG_WARNING, r.fields, r.n_fields, "%s", strbuf_str(&b));
}

void report_killed(const char *queue, const struct message *m, int pid, const char *who) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct record r = {0};
	char pid_text[16];

	record_identify(&(struct record_input){.queue = queue, .message = m}, &r);
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	r.fields[r.n_fields++] = (struct log_field){"HANDLER_PID", pid_text, strlen(pid_text)};
	r.fields[r.n_fields++] = log_string("AMQP_REASON", who);
	strbuf_append_str(&b, "killed queue=");
	strbuf_append_value(&b, queue, strlen(queue));
	strbuf_printf(&b, " tag=%" PRIu64, m->delivery_tag);
	if (m->properties.message_id.data) {
		strbuf_append_str(&b, " message_id=");
		strbuf_append_value(&b, m->properties.message_id.data, m->properties.message_id.len);
	}
	strbuf_printf(&b, " pid=%d its handler is stopped as if handler.timeout were over: %s", pid, who);
	if (!b.failed)
		log_event(LOG_EVENT_HANDLER_KILLED, LOG_NOTICE, r.fields, r.n_fields, "%s", strbuf_str(&b));
}

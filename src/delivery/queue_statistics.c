/* SPDX-License-Identifier: MIT */
/* What a queue counts of its handlers, and remembers of its last failure. */
#include "delivery/queue_private.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/report.h"

void queue_count_pause(struct queue *q, enum pause_cause cause) {
	q->statistics.pauses[cause]++;
}

void queue_count_start(struct queue *q, const struct message *m) {
	if (m->properties.has_timestamp)
		histogram_observe(&q->statistics.age, &statistics_age_bounds,
				  statistics_age_usec(m->properties.timestamp, clock_realtime_usec()));
}

void queue_count_end(struct queue *q, const struct delivery *d) {
	struct statistics *s = &q->statistics;
	uint64_t now = clock_now_usec();
	enum handler_end end;

	if (!statistics_classify(&d->result, &end))
		return;
	s->ends[end]++;
	histogram_observe(&s->duration, &statistics_duration_bounds, d->result.duration_usec);
	decay_count(&s->rate, now);
	if (d->outcome != OUTCOME_ACK)
		decay_count(&s->failure_rate, now);
}

/* --- the last failure ----------------------------------------------------------------------------------------------
 */

static char *escape(const char *data, size_t len) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char *text = NULL;

	strbuf_append_escaped(&b, data, len);
	(void)strbuf_take(&b, &text);
	return text;
}

static char *escape_line(const char *data, size_t len) {
	return escape(data, len < FAILURE_TEXT_MAX ? len : FAILURE_TEXT_MAX);
}

static void set_failure(struct queue *q, const struct message *m, const char *how, const char *decision, char *text) {
	const struct text *id = m ? &m->properties.message_id : NULL;

	failure_clear(&q->last_failure);
	q->last_failure = (struct failure){.time_usec = clock_realtime_usec(),
					   .how = strdup(how),
					   .message_id = id && id->data ? escape(id->data, id->len) : NULL,
					   .decision = decision,
					   .text = text};
}

/* Why it is not what the end of the handler alone says comes first, then what a worker said, then the handler's own
 * words. */
static char *explain(const struct record_input *in) {
	const struct worker_answer *answer = in->result ? &in->result->answer : NULL;
	size_t len;
	const char *line = in->tail ? tail_last(in->tail, &len) : NULL;

	if (in->event == LOG_EVENT_PUBLICATION_FAILED || !in->result)
		return in->reason ? escape_line(in->reason, strlen(in->reason)) : NULL;
	if (answer->reason)
		return escape_line(answer->reason, answer->reason_len);
	if (line)
		return escape_line(line, len);
	if (in->result->problem && in->result->end != RUN_MISBEHAVED)
		return escape_line(in->result->problem, strlen(in->result->problem));
	return in->reason ? escape_line(in->reason, strlen(in->reason)) : NULL;
}

void queue_report_failure(struct queue *q, const struct record_input *in) {
	char how[192];

	report_message(in);
	if (in->event == LOG_EVENT_PUBLICATION_FAILED)
		(void)snprintf(how, sizeof(how), "cannot publish");
	else if (in->result)
		statistics_format_end(in->result, how, sizeof(how));
	else
		(void)snprintf(how, sizeof(how), "no handler can get it");
	set_failure(q, in->message, how, in->decision, explain(in));
}

void queue_note_start_failure(struct queue *q, const struct message *m, const char *what) {
	char how[560];

	q->statistics.start_failures++;
	(void)snprintf(how, sizeof(how), "cannot start: %s", what);
	set_failure(q, m, how, "return", NULL);
}

/* --- what is in hand -----------------------------------------------------------------------------------------------
 */

unsigned queue_count_unsettled(const struct queue *q) {
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(q->n); i++)
		n += q->n[i];
	return n - q->n_lost;
}

uint64_t queue_oldest_usec(const struct queue *q) {
	LIST_FOREACH (d, (struct list *)&q->arrivals, struct delivery, arrival) {
		if (!d->lost)
			return d->received_usec;
	}
	return 0;
}

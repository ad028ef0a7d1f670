/* SPDX-License-Identifier: MIT */
/* Why a queue takes no messages although its broker would give some: its handler cannot be executed, it fails again and again, or
 * an operator wants it so; and how it goes on. */
#include "delivery/queue_private.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/copy.h"
#include "delivery/outcome.h"

/* How much of a line of stderr goes into the reason of a pause. */
#define COMPLAINT_MAX 256

/* --- a handler that cannot be executed ------------------------------------------------------------------------ */

static void queue_pause_until_probe(struct queue *q, const char *reason, uint64_t delay_usec) {
	bool news = q->state != QUEUE_PAUSED || !q->reason || strcmp(q->reason, reason) != 0;

	if (q->state != QUEUE_PAUSED)
		queue_count_pause(q, q->cause);
	log_event(q->cause == PAUSE_HANDLER ? LOG_EVENT_QUEUE_PAUSED_HANDLER : LOG_EVENT_QUEUE_PAUSED_BREAKER,
		  news ? LOG_ERR : LOG_DEBUG, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", reason)),
		  "queue=%s %s: %s; looking again in %" PRIu64 ".%" PRIu64 " s", q->config->name,
		  news ? "paused, its messages stay in the queue" : "still paused", reason, delay_usec / USEC_PER_SEC,
		  delay_usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
	queue_set_state(q, QUEUE_PAUSED, reason);
	sd_event_source_set_time(q->probe_timer, clock_add_usec(clock_now_usec(), delay_usec));
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_ONESHOT);
}

static void queue_pause_for_handler(struct queue *q, uint64_t delay_usec) {
	char what[512], reason[768];

	spawn_error_format(&q->pause.error, what, sizeof(what));
	snprintf(reason, sizeof(reason), "handler cannot be executed: %s", what);
	q->cause = PAUSE_HANDLER;
	queue_pause_until_probe(q, reason, delay_usec);
}

/* A wish that the broker room refuses (it has been stopped) is tried again like a handler. */
static int queue_consume_or_pause(struct queue *q, unsigned prefetch) {
	int r = queue_consume(q, prefetch);

	if (r < 0)
		queue_pause_until_probe(q, "cannot ask the broker thread to consume", pause_again(&q->pause, queue_random()));
	return r;
}

bool queue_keeps_consumer(const struct queue *q) {
	return q->config->declare.present && q->config->declare.auto_delete;
}

void queue_pause(struct queue *q, const struct spawn_error *error) {
	if (!queue_keeps_consumer(q))
		queue_cancel(q);
	queue_pause_for_handler(q, pause_failed(&q->pause, &q->config->handler, error, queue_random()));
}

/* Until a message comes, why it was paused is still what there is to say. */
static void queue_begin_probing(struct queue *q) {
	char reason[1024];

	snprintf(reason, sizeof(reason), "waits for a message to try; was paused because %s", q->reason ? q->reason : "of its handler");
	free(q->probe_reason);
	q->probe_reason = strdup(reason);
	queue_set_state(q, QUEUE_PROBING, reason);
}

static void queue_probe(struct queue *q, const char *why) {
	log_event(LOG_EVENT_QUEUE_PROBING, LOG_INFO, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", why)),
		  "queue=%s trying one message: %s", q->config->name, why);
	if (!q->wanted && queue_consume_or_pause(q, 1) < 0)
		return;
	queue_begin_probing(q);
	queue_work_start(q);
}

int queue_pause_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;

	if (q->cause == PAUSE_HANDLER && pause_probe(&q->pause, q->program) < 0) {
		queue_pause_for_handler(q, pause_again(&q->pause, queue_random()));
		return 0;
	}
	queue_probe(q, q->cause == PAUSE_HANDLER ? "the handler looks executable again" : "breaker.cooldown is over");
	return 0;
}

static void queue_resume(struct queue *q, const char *why) {
	pause_reset(&q->pause);
	log_event(LOG_EVENT_QUEUE_RESUMED, LOG_NOTICE, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", why)),
		  "queue=%s resumed: %s", q->config->name, why);
	if (q->config->prefetch != 1 && !queue_keeps_consumer(q)) {
		queue_cancel(q);
		if (queue_consume_or_pause(q, q->config->prefetch) < 0)
			return;
	}
	queue_set_state(q, QUEUE_CONSUMING, NULL);
}

void queue_probe_started(struct queue *q, struct delivery *d) {
	if (q->cause == PAUSE_HANDLER) {
		queue_resume(q, "its handler can be executed again");
		return;
	}
	d->probe = true;
	q->n_probes++;
}

/* --- a handler that fails again and again ----------------------------------------------------------------------- */

static void queue_trip(struct queue *q, const struct delivery *d) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char what[192];
	size_t len;
	const char *line = tail_last(&d->tail, &len);

	copy_format_reason(&d->result, what, sizeof(what));
	strbuf_printf(&b, "the handler failed %u time%s in a row; the last: %s", q->failures, q->failures == 1 ? "" : "s", what);
	if (line) {
		strbuf_append_str(&b, ": ");
		strbuf_append_escaped(&b, line, len < COMPLAINT_MAX ? len : COMPLAINT_MAX);
	}
	if (!queue_keeps_consumer(q))
		queue_cancel(q);
	q->cause = PAUSE_BREAKER;
	queue_pause_until_probe(q, b.failed ? what : strbuf_str(&b), q->config->breaker.cooldown_usec);
	if (!queue_keeps_consumer(q))
		queue_work_return_waiting(q, "the queue is paused");
}

void queue_handler_ended(struct queue *q, struct delivery *d) {
	bool probed = d->probe;
	bool tripped = q->state == QUEUE_PROBING && q->cause == PAUSE_BREAKER;

	if (probed) {
		d->probe = false;
		q->n_probes--;
	}
	/* What we stopped ourselves says nothing of the handler; what has not looked at a message is the pool's affair. */
	if (d->result.end == RUN_STOPPED || d->result.end == RUN_UNTRIED)
		return;
	if (outcome_is_sound(&q->config->outcomes, &d->result)) {
		q->failures = 0;
		if (tripped)
			queue_resume(q, "its handler has succeeded");
		return;
	}
	if (q->failures < UINT_MAX)
		q->failures++;
	if (q->config->breaker.failures == 0 || q->failures < q->config->breaker.failures || !queue_is_taking(q))
		return;
	/* While it probes, only the probe counts: what was started before the pause tells nothing new. */
	if (tripped && !probed)
		return;
	d->uncounted = tripped;
	queue_trip(q, d);
}

/* --- an operator ------------------------------------------------------------------------------------------------- */

void queue_order_pause(struct queue *q) {
	if (q->state == QUEUE_STOPPING || q->state == QUEUE_STOPPED || (q->state == QUEUE_PAUSED && q->cause == PAUSE_OPERATOR))
		return;
	log_event(LOG_EVENT_QUEUE_PAUSED_OPERATOR, LOG_NOTICE, LOG_FIELDS(queue_field(q)),
		  "queue=%s paused by an operator: its messages stay in the queue until it is resumed", q->config->name);
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_OFF);
	if (!queue_keeps_consumer(q))
		queue_cancel(q);
	q->cause = PAUSE_OPERATOR;
	/* One that has not begun takes over the pause of its predecessor, which was counted there. */
	if (q->begun)
		queue_count_pause(q, PAUSE_OPERATOR);
	queue_set_state(q, QUEUE_PAUSED, "by an operator, until it is resumed");
	if (!queue_keeps_consumer(q))
		queue_work_return_waiting(q, "the queue is paused");
	queue_changed(q);
}

void queue_order_resume(struct queue *q) {
	if (q->state != QUEUE_PAUSED)
		return;
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_OFF);
	if (q->cause != PAUSE_OPERATOR) {
		queue_probe(q, "told to go on by an operator");
		return;
	}
	log_event(LOG_EVENT_QUEUE_RESUMED, LOG_NOTICE, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", "by an operator")),
		  "queue=%s resumed by an operator", q->config->name);
	pause_reset(&q->pause);
	q->failures = 0;
	if (q->begun && !q->wanted && queue_consume_or_pause(q, q->config->prefetch) < 0)
		return;
	queue_set_state(q, queue_keeps_consumer(q) && q->flowing ? QUEUE_CONSUMING : QUEUE_STARTING, NULL);
	queue_work_start(q);
}

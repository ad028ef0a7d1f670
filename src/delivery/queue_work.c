/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/outcome.h"
#include "delivery/report.h"

#define HELD_ACCURACY_USEC (10 * USEC_PER_MSEC)

/* --- giving messages back ---------------------------------------------------------------------------------------- */

/* Hands a message back. The delivery, if there is one, has already let go of it. */
static void settle(struct queue *q, struct message *m, enum verdict verdict) {
	uint64_t tag = m->delivery_tag;
	int r = consumer_settle(q->consumer, m, verdict);

	if (r < 0)
		log_error("queue=%s tag=%" PRIu64 " cannot be settled, the broker thread does not answer; the connection is "
			  "closed and the message delivered again",
			  q->config->name, tag);
}

/* The common fields of a log line. */
static struct record_input describe(const struct queue *q, const struct delivery *d, const char *decision) {
	return (struct record_input){.event = "settled",
				     .queue = q->config->name,
				     .message = d->message,
				     .attempt = d->attempt,
				     .decision = decision};
}

/* A message that was not tried goes back, with a line that says why. */
static void give_back(struct queue *q, struct delivery *d, const char *reason) {
	struct record_input in = describe(q, d, "return");

	in.reason = reason;
	report_message(&in);
	q->counters.returned++;
	delivery_set_state(d, DELIVERY_DONE, NULL);
	settle(q, TAKE(d->message), VERDICT_RETURN);
	delivery_free(d);
}

void queue_work_return_waiting(struct queue *q, const char *reason) {
	LIST_FOREACH(d, &q->waiting, struct delivery, node) {
		q->n_waiting--;
		give_back(q, d, reason);
	}
	dispatcher_withdraw(&q->entry);
}

static void requeue_due(struct queue *q, uint64_t until_usec) {
	struct delivery *d;

	while ((d = LIST_FIRST(&q->held, struct delivery, node)) && d->due_usec <= until_usec) {
		q->n_held--;
		delivery_set_state(d, DELIVERY_DONE, NULL);
		settle(q, TAKE(d->message), VERDICT_REQUEUE);
		delivery_free(d);
	}
}

static void arm_held(struct queue *q) {
	struct delivery *d = LIST_FIRST(&q->held, struct delivery, node);

	if (!d) {
		if (q->held_timer)
			sd_event_source_set_enabled(q->held_timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(q->held_timer, d->due_usec);
	sd_event_source_set_enabled(q->held_timer, SD_EVENT_ONESHOT);
}

static int on_held_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;

	requeue_due(q, clock_now_usec());
	arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
	return 0;
}

void queue_work_requeue_held(struct queue *q) {
	requeue_due(q, USEC_INFINITY);
	arm_held(q);
}

/* The delay before a failed message is requeued; none when we are about to leave. */
static uint64_t hold_usec(const struct queue *q) {
	return queue_is_taking(q) || q->state == QUEUE_PAUSED ? q->config->requeue_delay_usec : 0;
}

/* A failed delivery, off the waiting and running lists: kept until its delay is over. */
static void hold(struct queue *q, struct delivery *d, uint64_t delay_usec) {
	q->counters.requeued++;
	if (delay_usec == 0) {
		delivery_set_state(d, DELIVERY_DONE, NULL);
		settle(q, TAKE(d->message), VERDICT_REQUEUE);
		delivery_free(d);
		return;
	}
	d->due_usec = clock_add_usec(clock_now_usec(), delay_usec);
	delivery_set_state(d, DELIVERY_HELD, &q->held);
	q->n_held++;
	arm_held(q);
}

/* --- running handlers ------------------------------------------------------------------------------------------ */

static void on_run_line(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct delivery *d = userdata;

	report_output(d->queue->config->name, d->message, run_pid(r), stream, text, len, cut);
	if (stream == 2)
		delivery_set_complaint(d, text, len);
}

/* The handler of a message that can be settled no more has ended: its result is only told. */
static void end_lost(struct queue *q, struct delivery *d, const struct run_result *result) {
	struct record_input in = describe(q, d, "none");

	in.event = "unsettled";
	in.result = result;
	in.reason = "the connection or channel was lost meanwhile; the broker delivers the message again if the queue is still there";
	report_message(&in);
	delivery_set_state(d, DELIVERY_DONE, NULL);
	delivery_free(d);
}

static void end_run(struct queue *q, struct delivery *d, const struct run_result *result) {
	enum outcome outcome = outcome_decide(result);
	struct record_input in = describe(q, d, outcome_to_string(outcome));

	in.result = result;
	switch (outcome) {
	case OUTCOME_ACK:
		report_message(&in);
		q->counters.acked++;
		delivery_set_state(d, DELIVERY_DONE, NULL);
		settle(q, TAKE(d->message), VERDICT_ACK);
		delivery_free(d);
		break;
	case OUTCOME_RETRY:
	case OUTCOME_REJECT:
	case OUTCOME_REQUEUE:
		in.delay_usec = hold_usec(q);
		in.complaint = d->complaint;
		report_message(&in);
		hold(q, d, in.delay_usec);
		break;
	}
}

void queue_work_start(struct queue *q) {
	if (q->n_waiting > 0)
		dispatcher_offer(q->dispatcher, &q->entry);
	dispatcher_run(q->dispatcher);
}

static void on_run_ended(struct run *r, const struct run_result *result, void *userdata) {
	struct delivery *d = userdata;
	struct queue *q = d->queue;
	struct run_result copy = *result; /* the run may own the original */

	if (copy.incomplete)
		report_incomplete(q->config->name, d->message, run_pid(r));
	d->run = run_free(r);
	q->n_running--;
	dispatcher_release(q->dispatcher);
	if (d->lost)
		end_lost(q, d, &copy);
	else
		end_run(q, d, &copy);
	queue_work_start(q);
	queue_check_stopped(q);
	queue_changed(q);
}

static const struct run_callbacks run_callbacks = {.line = on_run_line, .ended = on_run_ended};

/* A message whose handler could not be started. */
static void start_failed(struct queue *q, struct delivery *d, const struct spawn_error *error) {
	char what[512];

	spawn_error_format(error, what, sizeof(what));
	queue_pause(q, error);
	if (queue_keeps_consumer(q)) {
		list_insert_before(q->waiting.next, &d->node);
		q->n_waiting++;
		return;
	}
	give_back(q, d, what);
	queue_work_return_waiting(q, what);
}

/* dispatcher_entry.start */
static bool start_one(struct dispatcher_entry *entry) {
	struct queue *q = CONTAINER_OF(entry, struct queue, entry);

	while (q->n_waiting > 0 && q->n_running < q->config->concurrency && q->state != QUEUE_PAUSED) {
		struct delivery *d = LIST_FIRST(&q->waiting, struct delivery, node);
		struct spawn_error error;

		q->n_waiting--;
		list_remove(&d->node);
		if (run_start(q->executor, q->config, d->message, d->attempt, &run_callbacks, d, &error, &d->run) < 0) {
			start_failed(q, d, &error);
			continue;
		}
		delivery_set_state(d, DELIVERY_RUNNING, &q->running);
		q->n_running++;
		report_omissions(q->config->name, d->message, run_omissions(d->run));
		if (q->state == QUEUE_PROBING)
			queue_resume(q);
		return true;
	}
	return false;
}

/* --- what the broker room delivers ------------------------------------------------------------------------------- */

static void admit(struct queue *q, struct delivery *d) {
	if (!queue_is_taking(q) && !(q->state == QUEUE_PAUSED && queue_keeps_consumer(q))) {
		give_back(q, d, q->state == QUEUE_PAUSED ? "the queue is paused" : "the daemon stops");
		return;
	}
	if (d->message->body_state != BODY_COMPLETE) {
		struct record_input in = describe(q, d, "requeue");
		char reason[160];

		if (d->message->body_state == BODY_TOO_LARGE)
			snprintf(reason, sizeof(reason),
				 "its body of %" PRIu64 " bytes is larger than limits.max_message_size",
				 d->message->body_size);
		else
			snprintf(reason, sizeof(reason), "its body of %" PRIu64 " bytes could not be stored: %s",
				 d->message->body_size, strerror(d->message->body_error));
		in.reason = reason;
		in.delay_usec = hold_usec(q);
		report_message(&in);
		hold(q, d, in.delay_usec);
		return;
	}
	list_append(&q->waiting, &d->node);
	q->n_waiting++;
	queue_work_start(q);
}

void queue_work_on_message(struct message *m, void *userdata) {
	struct queue *q = userdata;
	struct delivery *d;

	q->counters.delivered++;
	if (delivery_new(q, m, &d) < 0) {
		q->counters.returned++;
		log_error("queue=%s tag=%" PRIu64 " returned untried: no memory", q->config->name, m->delivery_tag);
		settle(q, m, VERDICT_RETURN);
		return;
	}
	admit(q, d);
	queue_changed(q);
}

/* The deliveries of this epoch on one of the lists that hold no running handler. Returns how many there were. */
static unsigned forget_epoch(struct queue *q, struct list *list, uint64_t epoch) {
	unsigned n = 0;

	LIST_FOREACH(d, list, struct delivery, node) {
		if (d->message->epoch != epoch)
			continue;
		delivery_set_state(d, DELIVERY_DONE, NULL);
		delivery_free(d);
		n++;
	}
	q->counters.lost += n;
	return n;
}

void queue_work_on_lost(uint64_t epoch, void *userdata) {
	struct queue *q = userdata;
	unsigned waiting = forget_epoch(q, &q->waiting, epoch);
	unsigned held = forget_epoch(q, &q->held, epoch);
	unsigned running = 0;

	q->n_waiting -= waiting;
	q->n_held -= held;
	LIST_FOREACH(d, &q->running, struct delivery, node) {
		if (d->message->epoch != epoch || d->lost)
			continue;
		d->lost = true;
		q->counters.lost++;
		running++;
	}
	if (waiting + held + running > 0)
		log_warning("queue=%s channel lost with %u waiting, %u held and %u running message(s): if the queue is still there, the "
			    "broker delivers them again; running handlers go on",
			    q->config->name, waiting, held, running);
	arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
}

void queue_work_on_unsettled(struct message *m, void *userdata) {
	struct queue *q = userdata;

	q->counters.lost++;
	log_warning("queue=%s tag=%" PRIu64 " its %s did not reach the broker: the channel was gone; the message is delivered again",
		    q->config->name, m->delivery_tag, verdict_to_string(m->verdict));
	message_free(m);
	queue_changed(q);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

int queue_work_init(struct queue *q) {
	int r;

	list_init(&q->waiting);
	list_init(&q->running);
	list_init(&q->held);
	dispatcher_entry_init(&q->entry, start_one);
	r = sd_event_add_time(q->event, &q->held_timer, CLOCK_MONOTONIC, USEC_INFINITY, HELD_ACCURACY_USEC, on_held_timer, q);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(q->held_timer, SD_EVENT_OFF);
}

static void free_deliveries(struct list *list) {
	LIST_FOREACH(d, list, struct delivery, node)
		delivery_free(d);
}

void queue_work_clear(struct queue *q) {
	dispatcher_withdraw(&q->entry);
	free_deliveries(&q->waiting);
	free_deliveries(&q->running);
	free_deliveries(&q->held);
	q->held_timer = sd_event_source_disable_unref(q->held_timer);
}

void queue_work_stop_handlers(struct queue *q, bool now) {
	LIST_FOREACH(d, &q->running, struct delivery, node) {
		if (now)
			run_kill(d->run);
		else
			run_stop(d->run);
	}
}

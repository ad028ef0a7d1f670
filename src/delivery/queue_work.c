/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/units.h"
#include "delivery/copy.h"
#include "delivery/outcome.h"
#include "delivery/report.h"
#include "delivery/retry.h"

#define HELD_ACCURACY_USEC (10 * USEC_PER_MSEC)
/* Late by this much at most: a rate of 1000 a second has one start in a millisecond. */
#define RATE_ACCURACY_USEC (USEC_PER_MSEC / 4)

void queue_work_move(struct queue *q, struct delivery *d, enum delivery_state state) {
	if (list_is_linked(&d->node))
		q->n[d->state]--;
	delivery_set_state(d, state, state == DELIVERY_DONE ? NULL : &q->deliveries[state]);
	if (state != DELIVERY_DONE)
		q->n[state]++;
}

/* --- giving messages back ---------------------------------------------------------------------------------------- */

/* Hands a message back. */
static void hand_back(struct queue *q, struct message *m, enum verdict verdict) {
	uint64_t tag = m->delivery_tag;
	int r = consumer_settle(q->consumer, m, verdict);

	if (r < 0)
		log_event(LOG_EVENT_MESSAGE_UNSETTLED, LOG_ERR, LOG_FIELDS(log_string("AMQP_QUEUE", q->config->name)),
			  "queue=%s tag=%" PRIu64 " cannot be settled, the broker thread does not answer; the connection is "
			  "closed and the message delivered again",
			  q->config->name, tag);
}

void queue_work_settle(struct queue *q, struct delivery *d, enum verdict verdict) {
	queue_work_move(q, d, DELIVERY_DONE);
	hand_back(q, TAKE(d->message), verdict);
	delivery_free(d);
}

struct record_input queue_work_describe(const struct queue *q, const struct delivery *d, const char *decision) {
	struct record_input in = {.event = d->refused ? LOG_EVENT_MESSAGE_REFUSED : record_event(decision),
				  .queue = q->config->name,
				  .message = d->message,
				  .attempt = d->attempt,
				  .decision = decision};

	for (unsigned i = 0; i < d->n_errands; i++) {
		const struct errand *e = &d->errands[i];

		if (e->kind == ERRAND_COPY)
			in.copy = e->target;
		else if (e->kind == ERRAND_FORWARD)
			in.forward = e->target;
		else
			in.reply = e->target;
	}
	return in;
}

/* A message that was not tried goes back, with a line that says why. */
static void give_back(struct queue *q, struct delivery *d, const char *reason) {
	struct record_input in = queue_work_describe(q, d, "return");

	in.reason = reason;
	report_message(&in);
	q->counters.returned++;
	queue_work_settle(q, d, VERDICT_RETURN);
}

void queue_work_return_waiting(struct queue *q, const char *reason) {
	LIST_FOREACH(d, &q->deliveries[DELIVERY_WAITING], struct delivery, node)
		give_back(q, d, reason);
	dispatcher_withdraw(&q->entry);
}

static struct delivery *first_held(struct queue *q) {
	return LIST_FIRST(&q->deliveries[DELIVERY_HELD], struct delivery, node);
}

static void requeue_due(struct queue *q, uint64_t until_usec) {
	struct delivery *d;

	while ((d = first_held(q)) && d->due_usec <= until_usec)
		queue_work_settle(q, d, VERDICT_REQUEUE);
}

void queue_work_arm_held(struct queue *q) {
	struct delivery *d = first_held(q);

	if (!d) {
		sd_event_source_set_enabled(q->held_timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(q->held_timer, d->due_usec);
	sd_event_source_set_enabled(q->held_timer, SD_EVENT_ONESHOT);
}

static int on_held_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;

	requeue_due(q, clock_now_usec());
	queue_work_arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
	return 0;
}

void queue_work_requeue_held(struct queue *q) {
	requeue_due(q, USEC_INFINITY);
	queue_work_arm_held(q);
}

uint64_t queue_work_hold_usec(const struct queue *q, const struct delivery *d) {
	/* Nothing is held when we are about to leave. */
	if (q->state == QUEUE_STOPPING || q->state == QUEUE_STOPPED)
		return 0;
	return retry_hold_usec(q->config, q->failures > q->copy_failures ? q->failures : q->copy_failures, d->attempt);
}

/* The list is in the order in which its deliveries are due; a new one is mostly the last. */
static void sort_in(struct list *held, struct delivery *d) {
	struct list *at = held;

	list_remove(&d->node);
	while (at->prev != held && LIST_ENTRY(at->prev, struct delivery, node)->due_usec > d->due_usec)
		at = at->prev;
	list_insert_before(at, &d->node);
}

void queue_work_hold(struct queue *q, struct delivery *d, uint64_t delay_usec) {
	q->counters.requeued++;
	if (delay_usec == 0) {
		queue_work_settle(q, d, VERDICT_REQUEUE);
		return;
	}
	d->due_usec = clock_add_usec(clock_now_usec(), delay_usec);
	queue_work_move(q, d, DELIVERY_HELD);
	sort_in(&q->deliveries[DELIVERY_HELD], d);
	queue_work_arm_held(q);
}

/* --- what becomes of a message whose handler has ended --------------------------------------------------------- */

static void acknowledge(struct queue *q, struct delivery *d) {
	struct record_input in = queue_work_describe(q, d, "ack");

	in.result = &d->result;
	report_message(&in);
	q->counters.acked++;
	queue_work_settle(q, d, VERDICT_ACK);
}

static void requeue(struct queue *q, struct delivery *d) {
	struct record_input in = queue_work_describe(q, d, "requeue");

	in.result = &d->result;
	in.delay_usec = queue_work_hold_usec(q, d);
	in.reason = d->note;
	in.tail = &d->tail;
	queue_report_failure(q, &in);
	queue_work_hold(q, d, in.delay_usec);
}

static void reject(struct queue *q, struct delivery *d) {
	struct record_input in = queue_work_describe(q, d, "reject");

	if (!d->answered && queue_reply_error(q, d))
		return;
	/* Without its body it would not be the message: that is left to the broker. */
	if (q->config->dead_letter.present && d->message->body_state == BODY_COMPLETE) {
		queue_copy_dead_letter(q, d);
		return;
	}
	in.result = delivery_result(d);
	in.reason = d->note;
	in.tail = &d->tail;
	queue_report_failure(q, &in);
	q->counters.rejected++;
	queue_work_settle(q, d, VERDICT_REJECT);
}

static void retry(struct queue *q, struct delivery *d) {
	const struct config_retry *policy = &q->config->retry;
	unsigned attempt = d->uncounted && d->attempt > 0 ? d->attempt - 1 : d->attempt;
	uint64_t delay;
	bool again;

	if (d->result.end == RUN_ANSWERED && d->result.answer.has_delay)
		again = retry_asked(policy, attempt, d->result.answer.delay_usec, &delay);
	else
		again = retry_next(policy, attempt, queue_random(), &delay);
	if (again) {
		queue_copy_retry(q, d, delay);
		return;
	}
	delivery_note(d, "retry.max_attempts is reached");
	d->outcome = OUTCOME_REJECT;
	reject(q, d);
}

void queue_work_decide(struct queue *q, struct delivery *d) {
	if (d->outcome == OUTCOME_ACK && !d->answered && queue_reply_publish(q, d))
		return;
	switch (d->outcome) {
	case OUTCOME_ACK:
		acknowledge(q, d);
		break;
	case OUTCOME_REQUEUE:
		requeue(q, d);
		break;
	case OUTCOME_RETRY:
		retry(q, d);
		break;
	case OUTCOME_REJECT:
		reject(q, d);
		break;
	}
}

/* --- running handlers ------------------------------------------------------------------------------------------ */

static void on_task_line(struct task *t, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct delivery *d = userdata;

	if (d->queue->config->handler.output == CONFIG_OUTPUT_LOG)
		report_output(d->queue->config->name, d->message, task_pid(t), stream, text, len, cut);
	if (stream == 2)
		tail_add(&d->tail, text, len);
}

void queue_work_start(struct queue *q) {
	if (q->n[DELIVERY_WAITING] > 0)
		dispatcher_offer(q->dispatcher, &q->entry);
	dispatcher_run(q->dispatcher);
}

/* Takes what the handler wrote if it is to be published, and decides what becomes of the message: also by that. */
static void take_output(struct queue *q, struct delivery *d, struct task *t) {
	CLEANUP(strbuf_free) struct strbuf max = STRBUF_INIT;
	const struct config_outcomes *policy = &q->config->outcomes;
	bool wanted = queue_reply_wanted(q, d);

	/* What nobody gets matters to nobody. */
	if (!wanted) {
		d->result.output_too_large = false;
		d->result.output_error = 0;
	}
	d->outcome = outcome_decide(policy, &d->result);
	if (wanted && d->outcome == OUTCOME_ACK) {
		d->result.output_error = -task_take_output(t, &d->output);
		d->outcome = outcome_decide(policy, &d->result);
	}
	if (!outcome_is_spoiled(policy, &d->result))
		return;
	if (d->result.output_error) {
		delivery_note(d, "stdout could not be kept: %s", strerror(d->result.output_error));
		return;
	}
	units_format_size(q->config->handler.max_output, &max);
	delivery_note(d, "stdout is more than handler.max_output (%s)", strbuf_str(&max));
}

void queue_work_put_back(struct queue *q, struct delivery *d) {
	struct list *waiting = &q->deliveries[DELIVERY_WAITING];

	if (!queue_is_taking(q) && !(q->state == QUEUE_PAUSED && queue_keeps_consumer(q))) {
		give_back(q, d, queue_why_not_taking(q));
		return;
	}
	tail_clear(&d->tail);
	queue_work_move(q, d, DELIVERY_WAITING);
	list_remove(&d->node);
	list_insert_before(waiting->next, &d->node);
}

static void on_task_ended(struct task *t, const struct run_result *result, void *userdata) {
	struct delivery *d = userdata;
	struct queue *q = d->queue;

	delivery_set_result(d, result);
	take_output(q, d, t);
	if (d->result.incomplete)
		report_incomplete(q->config->name, d->message, task_pid(t));
	d->task = task_free(t);
	queue_count_end(q, d);
	dispatcher_release(q->dispatcher);
	queue_handler_ended(q, d);
	if (d->lost)
		queue_lost_decide(q, d);
	else if (d->result.end == RUN_UNTRIED)
		queue_work_put_back(q, d);
	else
		queue_work_decide(q, d);
	queue_work_start(q);
	queue_check_stopped(q);
	queue_changed(q);
}

static const struct task_callbacks task_callbacks = {.line = on_task_line, .ended = on_task_ended};

static void on_worker_line(pid_t pid, const char *text, size_t len, bool cut, void *userdata) {
	const struct queue *q = userdata;

	if (q->config->handler.output == CONFIG_OUTPUT_LOG)
		report_output(q->config->name, NULL, pid, STDERR_FILENO, text, len, cut);
}

static void on_pool_changed(void *userdata) {
	struct queue *q = userdata;

	queue_work_start(q);
	queue_check_stopped(q);
	queue_changed(q);
}

const struct pool_callbacks queue_work_pool_callbacks = {.line = on_worker_line, .changed = on_pool_changed};

/* The handler could not be started for the first of the waiting messages. */
static void start_failed(struct queue *q, const struct spawn_error *error) {
	struct delivery *first = LIST_FIRST(&q->deliveries[DELIVERY_WAITING], struct delivery, node);
	char what[512];

	spawn_error_format(error, what, sizeof(what));
	queue_note_start_failure(q, first ? first->message : NULL, what);
	queue_pause(q, error);
	if (!queue_keeps_consumer(q))
		queue_work_return_waiting(q, what);
}

static int on_rate_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;

	queue_work_start(q);
	queue_check_stopped(q);
	queue_changed(q);
	return 0;
}

/* Whether it is time for the next start. If not, the queue is offered to the dispatcher again when it is. */
static bool is_due(struct queue *q) {
	uint64_t next = rate_next_usec(&q->rate);

	if (next <= clock_now_usec())
		return true;
	sd_event_source_set_time(q->rate_timer, next);
	sd_event_source_set_enabled(q->rate_timer, SD_EVENT_ONESHOT);
	return false;
}

static bool may_start(struct queue *q) {
	if (q->n[DELIVERY_WAITING] == 0 || q->n[DELIVERY_RUNNING] + q->occupied >= q->config->concurrency)
		return false;
	/* Each probe has a new consumer, and so a new window of prefetch: copies that wait for a broker which blocks publishing
	 * must not become more and more. */
	if (q->n[DELIVERY_PUBLISHING] >= q->config->prefetch)
		return false;
	if (q->state == QUEUE_PAUSED || (q->state == QUEUE_PROBING && q->n_probes > 0))
		return false;
	return pool_is_ready(q->pool) && is_due(q);
}

/* dispatcher_entry.start */
static bool start_one(struct dispatcher_entry *entry) {
	struct queue *q = CONTAINER_OF(entry, struct queue, entry);

	while (may_start(q)) {
		struct delivery *d = LIST_FIRST(&q->deliveries[DELIVERY_WAITING], struct delivery, node);
		struct spawn_error error;
		int r = task_start(q->pool, d->message, d->attempt, &task_callbacks, d, &error, &d->task);

		if (r == TASK_NOT_NOW)
			return false;
		if (r == RUN_REFUSED) {
			queue_refuse(q, d, run_refusal(q->program));
			continue;
		}
		if (r < 0) {
			start_failed(q, &error);
			continue;
		}
		rate_count(&q->rate, task_started_usec(d->task));
		queue_work_move(q, d, DELIVERY_RUNNING);
		queue_count_start(q, d->message);
		report_omissions(q->config->name, d->message, task_omissions(d->task));
		if (q->state == QUEUE_PROBING)
			queue_probe_started(q, d);
		return true;
	}
	return false;
}

void queue_work_stop_handlers(struct queue *q, bool now) {
	LIST_FOREACH(d, &q->deliveries[DELIVERY_RUNNING], struct delivery, node) {
		if (now)
			task_kill(d->task);
		else
			task_stop(d->task);
	}
	pool_stop(q->pool, now);
}

/* --- what the broker room delivers ------------------------------------------------------------------------------- */

static void admit(struct queue *q, struct delivery *d) {
	if (queue_lost_claim(q, d))
		return;
	if (!queue_is_taking(q) && !(q->state == QUEUE_PAUSED && queue_keeps_consumer(q))) {
		give_back(q, d, queue_why_not_taking(q));
		return;
	}
	if (d->message->body_state != BODY_COMPLETE) {
		queue_refuse_body(q, d);
		return;
	}
	queue_work_move(q, d, DELIVERY_WAITING);
	queue_work_start(q);
}

void queue_work_on_message(struct message *m, void *userdata) {
	struct queue *q = userdata;
	struct delivery *d;

	q->counters.delivered++;
	copy_restore(m, q->config->name);
	if (delivery_new(q, m, &d) < 0) {
		q->counters.returned++;
		report_event(LOG_EVENT_MESSAGE_RETURNED, LOG_ERR, q->config->name, m, "returned untried: no memory");
		hand_back(q, m, VERDICT_RETURN);
		return;
	}
	list_append(&q->arrivals, &d->arrival);
	admit(q, d);
	queue_check_stopped(q);
	queue_changed(q);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

int queue_work_init(struct queue *q) {
	int r;

	list_init(&q->arrivals);
	for (size_t i = 0; i < ARRAY_SIZE(q->deliveries); i++)
		list_init(&q->deliveries[i]);
	dispatcher_entry_init(&q->entry, start_one);
	r = sd_event_add_time(q->event, &q->held_timer, CLOCK_MONOTONIC, USEC_INFINITY, HELD_ACCURACY_USEC, on_held_timer, q);
	if (r >= 0)
		r = sd_event_source_set_enabled(q->held_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(q->event, &q->rate_timer, CLOCK_MONOTONIC, USEC_INFINITY, RATE_ACCURACY_USEC, on_rate_timer, q);
	if (r >= 0)
		r = sd_event_source_set_enabled(q->rate_timer, SD_EVENT_OFF);
	return r < 0 ? r : rate_init(&q->rate, &q->config->rate);
}

void queue_work_clear(struct queue *q) {
	dispatcher_withdraw(&q->entry);
	for (size_t i = 0; i < ARRAY_SIZE(q->deliveries); i++)
		LIST_FOREACH(d, &q->deliveries[i], struct delivery, node)
			delivery_free(d);
	q->held_timer = sd_event_source_disable_unref(q->held_timer);
	q->rate_timer = sd_event_source_disable_unref(q->rate_timer);
	rate_clear(&q->rate);
}

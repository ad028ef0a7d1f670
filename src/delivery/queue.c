/* SPDX-License-Identifier: MIT */
#include "delivery/queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/delivery.h"
#include "delivery/outcome.h"
#include "delivery/pause.h"
#include "delivery/report.h"

#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)

struct queue {
	sd_event *event;			 /* borrowed */
	const struct config_queue *config;	 /* borrowed */
	struct broker *broker;			 /* borrowed */
	struct executor *executor;		 /* borrowed */
	struct dispatcher *dispatcher;		 /* borrowed */
	struct consumer *consumer;		 /* borrowed: the broker's */
	const struct queue_callbacks *callbacks; /* borrowed */
	void *userdata;

	enum queue_state state;
	char *reason;	 /* owned; while DEGRADED or PAUSED */
	bool attempted;	 /* has consumed, or its first attempt has failed */
	bool consumed;	 /* has consumed */
	bool wanted;	 /* the consumer was told to consume */
	unsigned cancels; /* told to cancel, not yet confirmed */

	struct dispatcher_entry entry;
	struct list waiting; /* deliveries by state; owned */
	struct list running;
	struct list held; /* the one that is due first at the front */
	unsigned n_waiting;
	unsigned n_running;
	unsigned n_held;
	struct queue_counters counters;

	sd_event_source *held_timer;  /* owned; armed while something is held */
	sd_event_source *probe_timer; /* owned; armed while PAUSED */
	struct pause pause;
};

static const char *const queue_state_names[] = {
	[QUEUE_STARTING] = "starting", [QUEUE_CONSUMING] = "consuming", [QUEUE_DEGRADED] = "degraded",
	[QUEUE_PAUSED] = "paused",     [QUEUE_PROBING] = "probing",	[QUEUE_STOPPING] = "stopping",
	[QUEUE_STOPPED] = "stopped",
};

static void queue_changed(struct queue *q) {
	q->callbacks->changed(q, q->userdata);
}

/* True while messages that arrive are handled. */
static bool queue_is_taking(const struct queue *q) {
	return q->state != QUEUE_PAUSED && q->state != QUEUE_STOPPING && q->state != QUEUE_STOPPED;
}

static void queue_set_state(struct queue *q, enum queue_state state, const char *reason) {
	assert(q->state != QUEUE_STOPPED);
	assert(q->state != QUEUE_STOPPING || state == QUEUE_STOPPED);
	q->state = state;
	if (state == QUEUE_CONSUMING)
		q->consumed = true;
	if (state != QUEUE_STARTING)
		q->attempted = true;
	if (reason != q->reason) {
		free(q->reason);
		/* Without memory the state is still right, and the reason has been logged. */
		q->reason = reason ? strdup(reason) : NULL;
	}
	queue_changed(q);
}

static uint32_t random_number(void) {
	uint32_t n = 0;

	/* Without randomness the delay is merely not spread. */
	(void)!getrandom(&n, sizeof(n), GRND_NONBLOCK);
	return n;
}

/* --- asking the broker --------------------------------------------------------------------------------------- */

static int queue_consume(struct queue *q, unsigned prefetch) {
	int r = consumer_consume(q->consumer, prefetch);

	if (r < 0) {
		log_error("queue=%s cannot ask the broker thread to consume: %s", q->config->name, strerror(-r));
		return r;
	}
	q->wanted = true;
	return 0;
}

static void queue_cancel(struct queue *q) {
	int r;

	if (!q->wanted)
		return;
	q->wanted = false;
	r = consumer_cancel(q->consumer);
	if (r < 0)
		log_error("queue=%s cannot ask the broker thread to cancel: %s", q->config->name, strerror(-r));
	else
		q->cancels++;
}

/* Hands a message back. The delivery, if there is one, has already let go of it. */
static void queue_settle(struct queue *q, struct message *m, enum verdict verdict) {
	uint64_t tag = m->delivery_tag;
	int r = consumer_settle(q->consumer, m, verdict);

	if (r < 0)
		log_error("queue=%s tag=%" PRIu64 " cannot be settled, the broker thread does not answer; the connection is "
			  "closed and the message delivered again",
			  q->config->name, tag);
}

/* --- the end of a delivery ----------------------------------------------------------------------------------- */

static void queue_check_stopped(struct queue *q) {
	if (q->state == QUEUE_STOPPING && q->n_waiting + q->n_running + q->n_held == 0 && q->cancels == 0)
		queue_set_state(q, QUEUE_STOPPED, NULL);
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
static void queue_return(struct queue *q, struct delivery *d, const char *reason) {
	struct record_input in = describe(q, d, "return");

	in.reason = reason;
	report_message(&in);
	q->counters.returned++;
	delivery_set_state(d, DELIVERY_DONE, NULL);
	queue_settle(q, TAKE(d->message), VERDICT_RETURN);
	delivery_free(d);
}

static void queue_return_waiting(struct queue *q, const char *reason) {
	LIST_FOREACH(d, &q->waiting, struct delivery, node) {
		q->n_waiting--;
		queue_return(q, d, reason);
	}
	dispatcher_withdraw(&q->entry);
}

static void queue_requeue_held(struct queue *q, uint64_t until_usec) {
	struct delivery *d;

	while ((d = LIST_FIRST(&q->held, struct delivery, node)) && d->due_usec <= until_usec) {
		q->n_held--;
		delivery_set_state(d, DELIVERY_DONE, NULL);
		queue_settle(q, TAKE(d->message), VERDICT_REQUEUE);
		delivery_free(d);
	}
}

static int on_held_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void queue_arm_held(struct queue *q) {
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

	queue_requeue_held(q, clock_now_usec());
	queue_arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
	return 0;
}

/* The delay before a failed message is requeued; none when we are about to leave. */
static uint64_t queue_hold_usec(const struct queue *q) {
	return queue_is_taking(q) || q->state == QUEUE_PAUSED ? q->config->requeue_delay_usec : 0;
}

/* A failed delivery, off the waiting and running lists: kept until its delay is over. */
static void queue_hold(struct queue *q, struct delivery *d, uint64_t delay_usec) {
	q->counters.requeued++;
	if (delay_usec == 0) {
		delivery_set_state(d, DELIVERY_DONE, NULL);
		queue_settle(q, TAKE(d->message), VERDICT_REQUEUE);
		delivery_free(d);
		return;
	}
	d->due_usec = clock_add_usec(clock_now_usec(), delay_usec);
	delivery_set_state(d, DELIVERY_HELD, &q->held);
	q->n_held++;
	queue_arm_held(q);
}

/* --- a handler that cannot be executed ------------------------------------------------------------------------ */

static void queue_pause_until_probe(struct queue *q, uint64_t delay_usec) {
	char what[512], reason[768];

	spawn_error_format(&q->pause.error, what, sizeof(what));
	snprintf(reason, sizeof(reason), "handler cannot be executed: %s", what);
	if (q->state == QUEUE_PAUSED && q->reason && strcmp(q->reason, reason) == 0)
		log_debug("queue=%s still paused: %s", q->config->name, reason);
	else
		log_error("queue=%s paused, its messages stay in the queue: %s", q->config->name, reason);
	queue_set_state(q, QUEUE_PAUSED, reason);
	sd_event_source_set_time(q->probe_timer, clock_add_usec(clock_now_usec(), delay_usec));
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_ONESHOT);
}

/* First the cancel, then the messages: what is returned before the broker has seen the cancel comes straight back. */
static void queue_pause(struct queue *q, const struct spawn_error *error) {
	queue_cancel(q);
	queue_pause_until_probe(q, pause_failed(&q->pause, &q->config->handler, error, random_number()));
}

static int on_probe_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;

	if (pause_probe(&q->pause, &q->config->handler) < 0) {
		queue_pause_until_probe(q, pause_again(&q->pause, random_number()));
		return 0;
	}
	log_info("queue=%s trying one message: the handler looks executable again", q->config->name);
	if (queue_consume(q, 1) < 0)
		queue_pause_until_probe(q, pause_again(&q->pause, random_number()));
	else
		queue_set_state(q, QUEUE_PROBING, NULL);
	return 0;
}

/* The probing message was started: the handler works. */
static void queue_resume(struct queue *q) {
	pause_reset(&q->pause);
	log_notice("queue=%s resumed: its handler can be executed again", q->config->name);
	if (q->config->prefetch != 1) {
		queue_cancel(q);
		(void)queue_consume(q, q->config->prefetch);
	}
	queue_set_state(q, QUEUE_CONSUMING, NULL);
}

/* --- running handlers ------------------------------------------------------------------------------------------ */

static void on_run_line(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct delivery *d = userdata;

	report_output(d->queue->config->name, d->message, run_pid(r), stream, text, len, cut);
}

/* The handler of a message that can be settled no more has ended: its result is only told. */
static void queue_end_lost(struct queue *q, struct delivery *d, const struct run_result *result) {
	struct record_input in = describe(q, d, "none");

	in.event = "unsettled";
	in.result = result;
	in.reason = "the connection or channel was lost meanwhile; the broker delivers the message again";
	report_message(&in);
	delivery_set_state(d, DELIVERY_DONE, NULL);
	delivery_free(d);
}

static void queue_end_run(struct queue *q, struct delivery *d, const struct run_result *result) {
	enum outcome outcome = outcome_decide(result);
	struct record_input in = describe(q, d, outcome_to_string(outcome));

	in.result = result;
	switch (outcome) {
	case OUTCOME_ACK:
		report_message(&in);
		q->counters.acked++;
		delivery_set_state(d, DELIVERY_DONE, NULL);
		queue_settle(q, TAKE(d->message), VERDICT_ACK);
		delivery_free(d);
		break;
	case OUTCOME_REQUEUE:
		in.delay_usec = queue_hold_usec(q);
		report_message(&in);
		queue_hold(q, d, in.delay_usec);
		break;
	}
}

static void on_run_ended(struct run *r, const struct run_result *result, void *userdata) {
	struct delivery *d = userdata;
	struct queue *q = d->queue;
	struct run_result copy = *result; /* the run may own the original */

	d->run = run_free(r);
	q->n_running--;
	dispatcher_release(q->dispatcher);
	if (d->lost)
		queue_end_lost(q, d, &copy);
	else
		queue_end_run(q, d, &copy);
	if (q->n_waiting > 0)
		dispatcher_offer(q->dispatcher, &q->entry);
	dispatcher_run(q->dispatcher);
	queue_check_stopped(q);
	queue_changed(q);
}

static const struct run_callbacks run_callbacks = {.line = on_run_line, .ended = on_run_ended};

/* A message whose handler could not be started. */
static void queue_start_failed(struct queue *q, struct delivery *d, const struct spawn_error *error) {
	char what[512];

	spawn_error_format(error, what, sizeof(what));
	if (error->step == SPAWN_EXECUTE && error->error == E2BIG) {
		/* The message's doing, not the handler's: its properties and headers do not fit the kernel's limit. */
		struct record_input in = describe(q, d, "requeue");

		in.reason = what;
		in.delay_usec = queue_hold_usec(q);
		report_message(&in);
		queue_hold(q, d, in.delay_usec);
		return;
	}
	queue_pause(q, error);
	queue_return(q, d, what);
	queue_return_waiting(q, what);
}

/* dispatcher_entry.start */
static bool queue_start_one(struct dispatcher_entry *entry) {
	struct queue *q = CONTAINER_OF(entry, struct queue, entry);

	while (q->n_waiting > 0 && q->n_running < q->config->concurrency) {
		struct delivery *d = LIST_FIRST(&q->waiting, struct delivery, node);
		struct spawn_error error;

		q->n_waiting--;
		list_remove(&d->node);
		if (run_start(q->executor, q->config, d->message, d->attempt, &run_callbacks, d, &error, &d->run) < 0) {
			queue_start_failed(q, d, &error);
			continue;
		}
		delivery_set_state(d, DELIVERY_RUNNING, &q->running);
		q->n_running++;
		if (q->state == QUEUE_PROBING)
			queue_resume(q);
		return true;
	}
	return false;
}

/* --- what the broker room tells -------------------------------------------------------------------------------- */

static void queue_admit(struct queue *q, struct delivery *d) {
	if (!queue_is_taking(q)) {
		queue_return(q, d, q->state == QUEUE_PAUSED ? "the queue is paused" : "the daemon stops");
		return;
	}
	if (d->message->too_large) {
		struct record_input in = describe(q, d, "requeue");
		char reason[96];

		snprintf(reason, sizeof(reason), "its body of %" PRIu64 " bytes is larger than limits.max_message_size",
			 d->message->body_size);
		in.reason = reason;
		in.delay_usec = queue_hold_usec(q);
		report_message(&in);
		queue_hold(q, d, in.delay_usec);
		return;
	}
	list_append(&q->waiting, &d->node);
	q->n_waiting++;
	dispatcher_offer(q->dispatcher, &q->entry);
	dispatcher_run(q->dispatcher);
}

static void on_message(struct message *m, void *userdata) {
	struct queue *q = userdata;
	struct delivery *d;

	q->counters.delivered++;
	if (delivery_new(q, m, &d) < 0) {
		q->counters.returned++;
		log_error("queue=%s tag=%" PRIu64 " returned untried: no memory", q->config->name, m->delivery_tag);
		queue_settle(q, m, VERDICT_RETURN);
		return;
	}
	queue_admit(q, d);
	queue_changed(q);
}

static void queue_degrade(struct queue *q, const char *reason, uint64_t retry_usec) {
	if (q->state != QUEUE_STARTING && q->state != QUEUE_CONSUMING && q->state != QUEUE_DEGRADED)
		return;
	if (q->state != QUEUE_DEGRADED || !q->reason || strcmp(q->reason, reason) != 0)
		log_warning("queue=%s degraded: %s%s", q->config->name, reason, retry_usec ? "; trying again" : "");
	queue_set_state(q, QUEUE_DEGRADED, reason);
}

static void on_consumer_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	struct queue *q = userdata;

	switch (state) {
	case CONSUMER_CONSUMING:
		if (q->state == QUEUE_STARTING || q->state == QUEUE_DEGRADED) {
			log_info("queue=%s consuming", q->config->name);
			queue_set_state(q, QUEUE_CONSUMING, NULL);
		}
		break;
	case CONSUMER_FAILED:
		queue_degrade(q, report->reason ? report->reason : "cannot consume", report->retry_usec);
		break;
	case CONSUMER_IDLE:
		/* Either we wanted it, or the broker's own report (queue_broker_down) tells more. */
		break;
	}
}

void queue_broker_down(struct queue *q, const char *reason) {
	queue_degrade(q, reason, 0);
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

static void on_lost(uint64_t epoch, void *userdata) {
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
		log_warning("queue=%s channel lost: the broker delivers again %u waiting, %u held and %u running message(s); "
			    "running handlers go on",
			    q->config->name, waiting, held, running);
	queue_arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
}

static void on_unsettled(struct message *m, void *userdata) {
	struct queue *q = userdata;

	q->counters.lost++;
	log_warning("queue=%s tag=%" PRIu64 " its %s did not reach the broker: the channel was gone; the message is delivered again",
		    q->config->name, m->delivery_tag, verdict_to_string(m->verdict));
	message_free(m);
	queue_changed(q);
}

static void on_cancelled(void *userdata) {
	struct queue *q = userdata;

	if (q->cancels > 0)
		q->cancels--;
	queue_check_stopped(q);
}

static const struct consumer_callbacks consumer_callbacks = {
	.message = on_message,
	.state = on_consumer_state,
	.lost = on_lost,
	.unsettled = on_unsettled,
	.cancelled = on_cancelled,
};

/* --- life ------------------------------------------------------------------------------------------------------ */

/* A disarmed one-shot timer. */
static int queue_add_timer(struct queue *q, sd_event_time_handler_t callback, sd_event_source **ret) {
	int r = sd_event_add_time(q->event, ret, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC, callback, q);

	if (r < 0)
		return r;
	return sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int queue_new(sd_event *event, const struct config_queue *config, struct broker *broker, struct executor *executor,
	      struct dispatcher *dispatcher, const struct queue_callbacks *callbacks, void *userdata, struct queue **ret) {
	CLEANUP(queue_free) struct queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->event = event;
	q->config = config;
	q->broker = broker;
	q->executor = executor;
	q->dispatcher = dispatcher;
	q->callbacks = callbacks;
	q->userdata = userdata;
	q->state = QUEUE_STARTING;
	list_init(&q->waiting);
	list_init(&q->running);
	list_init(&q->held);
	dispatcher_entry_init(&q->entry, queue_start_one);
	pause_init(&q->pause);
	r = queue_add_timer(q, on_held_timer, &q->held_timer);
	if (r < 0)
		return r;
	r = queue_add_timer(q, on_probe_timer, &q->probe_timer);
	if (r < 0)
		return r;
	r = broker_add_consumer(broker, config, &consumer_callbacks, q, &q->consumer);
	if (r < 0)
		return r;
	*ret = TAKE(q);
	return 0;
}

static void free_deliveries(struct list *list) {
	LIST_FOREACH(d, list, struct delivery, node)
		delivery_free(d);
}

struct queue *queue_free(struct queue *q) {
	if (!q)
		return NULL;
	dispatcher_withdraw(&q->entry);
	free_deliveries(&q->waiting);
	free_deliveries(&q->running);
	free_deliveries(&q->held);
	sd_event_source_disable_unref(q->held_timer);
	sd_event_source_disable_unref(q->probe_timer);
	free(q->reason);
	free(q);
	return NULL;
}

int queue_start(struct queue *q) {
	return queue_consume(q, q->config->prefetch);
}

void queue_stop(struct queue *q) {
	if (q->state == QUEUE_STOPPING || q->state == QUEUE_STOPPED)
		return;
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_OFF);
	queue_cancel(q);
	queue_set_state(q, QUEUE_STOPPING, NULL);
	queue_return_waiting(q, "the daemon stops");
	queue_requeue_held(q, USEC_INFINITY);
	queue_arm_held(q);
	queue_check_stopped(q);
}

void queue_stop_handlers(struct queue *q, bool now) {
	LIST_FOREACH(d, &q->running, struct delivery, node) {
		if (now)
			run_kill(d->run);
		else
			run_stop(d->run);
	}
}

enum queue_state queue_state(const struct queue *q) {
	return q->state;
}

const char *queue_reason(const struct queue *q) {
	return q->reason;
}

bool queue_was_attempted(const struct queue *q) {
	return q->attempted;
}

bool queue_has_consumed(const struct queue *q) {
	return q->consumed;
}

unsigned queue_running(const struct queue *q) {
	return q->n_running;
}

unsigned queue_waiting(const struct queue *q) {
	return q->n_waiting;
}

unsigned queue_held(const struct queue *q) {
	return q->n_held;
}

const struct queue_counters *queue_counters(const struct queue *q) {
	return &q->counters;
}

const struct config_queue *queue_config(const struct queue *q) {
	return q->config;
}

const char *queue_state_to_string(enum queue_state s) {
	return queue_state_names[s];
}

/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/copy.h"
#include "delivery/outcome.h"

#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)
/* How much of a line of stderr goes into the reason of a pause. */
#define COMPLAINT_MAX 256

static const char *const queue_state_names[] = {
	[QUEUE_STARTING] = "starting", [QUEUE_CONSUMING] = "consuming", [QUEUE_DEGRADED] = "degraded",
	[QUEUE_PAUSED] = "paused",     [QUEUE_PROBING] = "probing",	[QUEUE_STOPPING] = "stopping",
	[QUEUE_STOPPED] = "stopped",
};

void queue_changed(struct queue *q) {
	q->callbacks->changed(q, q->userdata);
}

bool queue_is_taking(const struct queue *q) {
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

void queue_check_stopped(struct queue *q) {
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(q->n); i++)
		n += q->n[i];
	if (q->state == QUEUE_STOPPING && n == 0 && q->cancels == 0 && pool_is_empty(q->pool))
		queue_set_state(q, QUEUE_STOPPED, NULL);
}

uint32_t queue_random(void) {
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

/* --- a handler that cannot be executed ------------------------------------------------------------------------ */

static void queue_pause_until_probe(struct queue *q, const char *reason, uint64_t delay_usec) {
	bool news = q->state != QUEUE_PAUSED || !q->reason || strcmp(q->reason, reason) != 0;

	log_write(news ? LOG_ERR : LOG_DEBUG, NULL, 0, "queue=%s %s: %s; looking again in %" PRIu64 ".%" PRIu64 " s", q->config->name,
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

static int on_probe_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;

	if (q->cause == PAUSE_HANDLER && pause_probe(&q->pause, q->program) < 0) {
		queue_pause_for_handler(q, pause_again(&q->pause, queue_random()));
		return 0;
	}
	log_info("queue=%s trying one message: %s", q->config->name,
		 q->cause == PAUSE_HANDLER ? "the handler looks executable again" : "breaker.cooldown is over");
	if (!q->wanted && queue_consume_or_pause(q, 1) < 0)
		return 0;
	queue_begin_probing(q);
	queue_work_start(q);
	return 0;
}

static void queue_resume(struct queue *q, const char *why) {
	pause_reset(&q->pause);
	log_notice("queue=%s resumed: %s", q->config->name, why);
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

/* --- what the broker room tells -------------------------------------------------------------------------------- */

static void queue_degrade(struct queue *q, int priority, const char *reason, uint64_t retry_usec) {
	if (q->state == QUEUE_PAUSED || q->state == QUEUE_STOPPING || q->state == QUEUE_STOPPED)
		return;
	char again[48] = "";

	if (retry_usec)
		snprintf(again, sizeof(again), "; trying again in %" PRIu64 ".%" PRIu64 " s", retry_usec / USEC_PER_SEC,
			 retry_usec % USEC_PER_SEC / (USEC_PER_SEC / 10));
	if (!q->reason || strcmp(q->reason, reason) != 0)
		log_write(priority, NULL, 0, "queue=%s degraded: %s%s", q->config->name, reason, again);
	else if (retry_usec)
		log_debug("queue=%s still degraded: %s%s", q->config->name, reason, again);
	/* A queue that probes goes on probing when messages come again: that they do not is its reason meanwhile. */
	queue_set_state(q, q->state == QUEUE_PROBING ? QUEUE_PROBING : QUEUE_DEGRADED, reason);
}

static void on_consumer_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	struct queue *q = userdata;

	switch (state) {
	case CONSUMER_CONSUMING:
		if (q->state == QUEUE_STARTING || q->state == QUEUE_DEGRADED) {
			log_info("queue=%s consuming", q->config->name);
			queue_set_state(q, QUEUE_CONSUMING, NULL);
		} else if (q->state == QUEUE_PROBING) {
			queue_set_state(q, QUEUE_PROBING, q->probe_reason);
		}
		break;
	case CONSUMER_FAILED:
		queue_degrade(q, LOG_WARNING, report->reason ? report->reason : "cannot consume", report->retry_usec);
		break;
	case CONSUMER_IDLE:
		/* Either we wanted it, or the broker's own report (queue_broker_down) tells more. */
		break;
	}
}

void queue_broker_down(struct queue *q, const char *reason) {
	/* Warned about once, by the manager: not again for each of maybe hundreds of queues. */
	queue_degrade(q, LOG_DEBUG, reason, 0);
}

static void on_cancelled(void *userdata) {
	struct queue *q = userdata;

	if (q->cancels > 0)
		q->cancels--;
	queue_check_stopped(q);
}

static const struct consumer_callbacks consumer_callbacks = {
	.message = queue_work_on_message,
	.state = on_consumer_state,
	.lost = queue_lost_on_lost,
	.unsettled = queue_lost_on_unsettled,
	.cancelled = on_cancelled,
};

/* --- life ------------------------------------------------------------------------------------------------------ */

static int queue_add_lanes(struct queue *q) {
	int r = q->publisher ? publisher_add_lane(q->publisher, &q->retry_lane) : 0;

	return r < 0 || !q->publisher ? r : publisher_add_lane(q->publisher, &q->dead_letter_lane);
}

static void queue_free_lane(struct queue *q, uint32_t *lane) {
	if (*lane != LANE_NONE)
		publisher_free_lane(q->publisher, *lane);
	*lane = LANE_NONE;
}

static void queue_free_lanes(struct queue *q) {
	queue_free_lane(q, &q->retry_lane);
	queue_free_lane(q, &q->dead_letter_lane);
	queue_free_lane(q, &q->reply_lane);
	queue_free_lane(q, &q->forward_lane);
}

void queue_release_lanes(struct queue *q) {
	assert(q->state == QUEUE_STOPPED);
	queue_free_lanes(q);
}

int queue_new(sd_event *event, struct config *tree, const struct config_queue *config, struct broker *broker,
	      struct publisher *publisher, struct executor *executor, struct dispatcher *dispatcher,
	      const struct queue_callbacks *callbacks, void *userdata, struct queue **ret) {
	CLEANUP(queue_free) struct queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->event = event;
	q->tree = config_ref(tree);
	q->config = config;
	q->broker = broker;
	q->publisher = publisher;
	q->dispatcher = dispatcher;
	q->callbacks = callbacks;
	q->userdata = userdata;
	q->state = QUEUE_STARTING;
	q->retry_lane = q->dead_letter_lane = q->reply_lane = q->forward_lane = LANE_NONE;
	pause_init(&q->pause);
	r = queue_work_init(q);
	if (r == 0)
		r = program_new(executor, config, &q->program);
	if (r == 0)
		r = pool_new(event, q->program, &queue_work_pool_callbacks, q, &q->pool);
	if (r == 0)
		r = results_init(&q->results, &config->results);
	if (r == 0)
		r = sd_event_add_time(event, &q->probe_timer, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC, on_probe_timer, q);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_OFF);
	r = queue_add_lanes(q);
	if (r == 0)
		r = queue_reply_init(q);
	if (r == 0)
		r = broker_add_consumer(broker, tree, config, &consumer_callbacks, q, &q->consumer);
	if (r < 0) {
		queue_free_lanes(q);
		return r;
	}
	*ret = TAKE(q);
	return 0;
}

struct queue *queue_free(struct queue *q) {
	if (!q)
		return NULL;
	q->consumer = consumer_free(q->consumer);
	queue_work_clear(q);
	queue_reply_clear(q);
	q->pool = pool_free(q->pool);
	q->program = program_free(q->program);
	results_clear(&q->results);
	sd_event_source_disable_unref(q->probe_timer);
	free(q->reason);
	free(q->probe_reason);
	free(q->copy_trouble);
	config_unref(q->tree);
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
	queue_work_return_waiting(q, "the daemon stops");
	queue_work_requeue_held(q);
	pool_close(q->pool);
	queue_check_stopped(q);
}

void queue_stop_handlers(struct queue *q, bool now) {
	queue_work_stop_handlers(q, now);
}

void queue_look(const struct queue *q, struct queue_view *ret) {
	/* Workers that are to leave are awaited like handlers. */
	unsigned leaving = q->state == QUEUE_STOPPING ? pool_leaving(q->pool) : 0;

	*ret = (struct queue_view){.state = q->state,
				   .reason = q->reason,
				   .attempted = q->attempted,
				   .consumed = q->consumed,
				   .copy_trouble = q->copy_trouble,
				   .waiting = q->n[DELIVERY_WAITING] + q->n[DELIVERY_ATTACHED],
				   .worker_trouble = pool_trouble(q->pool),
				   .running = q->n[DELIVERY_RUNNING] + leaving,
				   .publishing = q->n[DELIVERY_PUBLISHING],
				   .answering = q->n_answering,
				   .held = q->n[DELIVERY_HELD],
				   .counters = q->counters};
}

const struct config_queue *queue_config(const struct queue *q) {
	return q->config;
}

const char *queue_state_to_string(enum queue_state s) {
	return queue_state_names[s];
}

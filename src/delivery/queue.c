/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"

#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)
/* Until it is tried again to get a number for a consumer. */
#define NUMBER_MIN_USEC USEC_PER_SEC
#define NUMBER_MAX_USEC USEC_PER_MINUTE

static const char *const queue_state_names[] = {
	[QUEUE_STARTING] = "starting", [QUEUE_CONSUMING] = "consuming", [QUEUE_DEGRADED] = "degraded",
	[QUEUE_PAUSED] = "paused",     [QUEUE_PROBING] = "probing",	[QUEUE_STOPPING] = "stopping",
	[QUEUE_STOPPED] = "stopped",
};

struct log_field queue_field(const struct queue *q) {
	return log_string("AMQP_QUEUE", q->config->name);
}

void queue_changed(struct queue *q) {
	q->callbacks->changed(q, q->userdata);
}

bool queue_is_taking(const struct queue *q) {
	return q->state != QUEUE_PAUSED && q->state != QUEUE_STOPPING && q->state != QUEUE_STOPPED;
}

const char *queue_why_not_taking(const struct queue *q) {
	return q->state == QUEUE_PAUSED ? "the queue is paused" : q->stop_reason;
}

void queue_set_state(struct queue *q, enum queue_state state, const char *reason) {
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

static const struct consumer_callbacks consumer_callbacks;

/* -ENOBUFS, -ENOMEM: there can be no consumer for now. -ENOTCONN. */
static int need_consumer(struct queue *q) {
	return q->consumer ? 0 : broker_add_consumer(q->broker, q->tree, q->config, &consumer_callbacks, q, &q->consumer);
}

/* With a consumer, which is added now if there is none. Errors as above. */
static int ask(struct queue *q) {
	int r = need_consumer(q);

	return r < 0 ? r : consumer_consume(q->consumer, q->prefetch);
}

static void ask_later(struct queue *q, uint64_t delay_usec) {
	sd_event_source_set_time(q->number_timer, clock_add_usec(clock_now_usec(), delay_usec));
	sd_event_source_set_enabled(q->number_timer, SD_EVENT_ONESHOT);
}

int queue_consume(struct queue *q, unsigned prefetch) {
	int r;

	q->prefetch = prefetch;
	r = ask(q);
	if (r == -ENOBUFS || r == -ENOMEM) {
		ask_later(q, 0);
	} else if (r < 0) {
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", strerror(-r))),
			  "queue=%s cannot ask the broker thread to consume: %s", q->config->name, strerror(-r));
		return r;
	}
	q->wanted = true;
	return 0;
}

void queue_cancel(struct queue *q) {
	int r;

	if (!q->wanted)
		return;
	q->wanted = false;
	sd_event_source_set_enabled(q->number_timer, SD_EVENT_OFF);
	if (!q->consumer)
		return;
	r = consumer_cancel(q->consumer);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", strerror(-r))),
			  "queue=%s cannot ask the broker thread to cancel: %s", q->config->name, strerror(-r));
	else
		q->cancels++;
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
		log_event(LOG_EVENT_QUEUE_DEGRADED, priority, LOG_FIELDS(queue_field(q), log_string("AMQP_REASON", reason)),
			  "queue=%s degraded: %s%s", q->config->name, reason, again);
	else if (retry_usec)
		log_debug("queue=%s still degraded: %s%s", q->config->name, reason, again);
	/* A queue that probes goes on probing when messages come again: that they do not is its reason meanwhile. */
	queue_set_state(q, q->state == QUEUE_PROBING ? QUEUE_PROBING : QUEUE_DEGRADED, reason);
}

/* A consumer of which the broker has no channel is of no use, and keeps its number from others. What it had delivered
 * on an earlier connection is known to be lost. */
static void queue_lacks_number(struct queue *q, const char *reason) {
	uint64_t delay = backoff_next_usec(&q->number_backoff, queue_random());

	q->consumer = consumer_free(q->consumer);
	q->depth.known = false;
	q->cancels = 0;
	ask_later(q, delay);
	queue_degrade(q, LOG_WARNING, reason, delay);
}

static int on_number_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct queue *q = userdata;
	int r = ask(q);
	char reason[96];

	(void)snprintf(reason, sizeof(reason), "all %d channels of a connection are in use", BROKER_CONSUMERS_MAX);
	if (r < 0)
		queue_lacks_number(q, r == -ENOBUFS ? reason : strerror(-r));
	return 0;
}

static void on_consumer_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	struct queue *q = userdata;

	q->flowing = state == CONSUMER_CONSUMING;
	if (report->no_number && q->wanted) {
		queue_lacks_number(q, report->reason);
		return;
	}
	switch (state) {
	case CONSUMER_CONSUMING:
		backoff_reset(&q->number_backoff);
		if (q->state == QUEUE_STARTING || q->state == QUEUE_DEGRADED) {
			log_event(LOG_EVENT_QUEUE_CONSUMING, LOG_INFO, LOG_FIELDS(queue_field(q)), "queue=%s consuming",
				  q->config->name);
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

static void on_depth(const struct queue_depth *depth, void *userdata) {
	struct queue *q = userdata;

	/* Whoever wants to know looks: nobody is woken up for a number. */
	q->depth = *depth;
}

static const struct consumer_callbacks consumer_callbacks = {
	.message = queue_work_on_message,
	.state = on_consumer_state,
	.lost = queue_lost_on_lost,
	.unsettled = queue_lost_on_unsettled,
	.cancelled = on_cancelled,
	.depth = on_depth,
};

/* --- life ------------------------------------------------------------------------------------------------------ */

static void queue_add_lanes(struct queue *q) {
	if (!q->publisher)
		return;
	q->retry_lane = publisher_add_lane(q->publisher);
	q->dead_letter_lane = publisher_add_lane(q->publisher);
	if (q->config->reply.present)
		q->reply_lane = publisher_add_lane(q->publisher);
	if (q->config->forward.present)
		q->forward_lane = publisher_add_lane(q->publisher);
}

static void queue_free_lane(struct queue *q, uint32_t *lane) {
	if (*lane != LANE_NONE)
		publisher_free_lane(q->publisher, *lane);
	*lane = LANE_NONE;
}

void queue_release_lanes(struct queue *q) {
	assert(q->state == QUEUE_STOPPED);
	queue_free_lane(q, &q->retry_lane);
	queue_free_lane(q, &q->dead_letter_lane);
	queue_free_lane(q, &q->reply_lane);
	queue_free_lane(q, &q->forward_lane);
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
	backoff_init(&q->number_backoff, NUMBER_MIN_USEC, NUMBER_MAX_USEC);
	r = queue_work_init(q);
	if (r == 0)
		r = program_new(executor, config, &q->program);
	if (r == 0)
		r = pool_new(event, q->program, &queue_work_pool_callbacks, q, &q->pool);
	if (r == 0)
		r = results_init(&q->results, &config->results);
	if (r == 0)
		r = queue_reply_init(q);
	if (r == 0)
		r = sd_event_add_time(event, &q->probe_timer, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC,
				      queue_pause_on_timer, q);
	if (r >= 0)
		r = sd_event_add_time(event, &q->number_timer, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC,
				      on_number_timer, q);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(q->number_timer, SD_EVENT_OFF);
	/* Last: nothing can fail any more, and they need not be given back. */
	queue_add_lanes(q);
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
	sd_event_source_disable_unref(q->number_timer);
	free(q->reason);
	free(q->probe_reason);
	free(q->copy_trouble);
	failure_clear(&q->last_failure);
	config_unref(q->tree);
	free(q);
	return NULL;
}

int queue_start(struct queue *q) {
	q->begun = true;
	/* That its broker is down it may have been told already. */
	if (queue_is_taking(q) && !q->wanted)
		return queue_consume(q, q->config->prefetch);
	/* By an operator, who wants to know all the same how deep it is; if that cannot be known, it is no failure. */
	if (q->state == QUEUE_PAUSED)
		(void)need_consumer(q);
	return 0;
}

void queue_occupy(struct queue *q, unsigned slots) {
	bool fewer = slots < q->occupied;

	q->occupied = slots;
	if (fewer)
		queue_work_start(q);
}

void queue_counters_add(struct queue_counters *to, const struct queue_counters *from) {
	to->delivered += from->delivered;
	to->acked += from->acked;
	to->requeued += from->requeued;
	to->retried += from->retried;
	to->rejected += from->rejected;
	to->replied += from->replied;
	to->replies_unroutable += from->replies_unroutable;
	to->forwarded += from->forwarded;
	to->copies_failed += from->copies_failed;
	to->reused += from->reused;
	to->returned += from->returned;
	to->lost += from->lost;
}

void queue_inherit(struct queue *q, const struct queue_view *from) {
	queue_counters_add(&q->counters, &from->counters);
	statistics_add(&q->statistics, from->statistics);
	if (from->last_failure)
		failure_inherit(&q->last_failure, from->last_failure);
}

void queue_stop(struct queue *q, const char *why) {
	if (q->state == QUEUE_STOPPING || q->state == QUEUE_STOPPED)
		return;
	q->stop_reason = why;
	sd_event_source_set_enabled(q->probe_timer, SD_EVENT_OFF);
	queue_cancel(q);
	queue_set_state(q, QUEUE_STOPPING, NULL);
	queue_work_return_waiting(q, why);
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
				   .cause = q->cause,
				   .by_operator = q->state == QUEUE_PAUSED && q->cause == PAUSE_OPERATOR,
				   .cancelled = (q->state == QUEUE_STOPPING || q->state == QUEUE_STOPPED) && q->cancels == 0,
				   .copy_trouble = q->copy_trouble,
				   .waiting = q->n[DELIVERY_WAITING] + q->n[DELIVERY_ATTACHED],
				   .worker_trouble = pool_trouble(q->pool),
				   .running = q->n[DELIVERY_RUNNING] + leaving,
				   .publishing = q->n[DELIVERY_PUBLISHING],
				   .answering = q->n_answering,
				   .held = q->n[DELIVERY_HELD],
				   .depth = q->depth,
				   .unacknowledged = queue_count_unsettled(q),
				   .failures = q->failures,
				   .oldest_usec = queue_oldest_usec(q),
				   .counters = q->counters,
				   .statistics = &q->statistics,
				   .last_failure = q->last_failure.time_usec ? &q->last_failure : NULL};
}

const struct config_queue *queue_config(const struct queue *q) {
	return q->config;
}

const char *queue_state_to_string(enum queue_state s) {
	return queue_state_names[s];
}

/* SPDX-License-Identifier: MIT */
/* Inside of a queue, shared by its parts and nobody else: queue.c decides whether messages come (consuming, degraded, stopping),
 * queue_pause.c whether they are wanted, queue_work.c what happens to those that came (waiting, running, held, settled), queue_publish.c
 * has something published on their behalf, which queue_copy.c (retries, dead letters) and queue_reply.c (replies, forwarded output)
 * make; queue_refuse.c sees to those that no handler can get, queue_lost.c to those whose channel is gone; queue_statistics.c counts. */
#pragma once

#include "base/backoff.h"
#include "base/log.h"
#include "broker/publisher.h"
#include "delivery/copy.h"
#include "delivery/delivery.h"
#include "delivery/pause.h"
#include "delivery/queue.h"
#include "delivery/rate.h"
#include "delivery/record.h"
#include "delivery/results.h"
#include "message/template.h"

#define LANE_NONE UINT32_MAX

struct queue {
	sd_event *event;			 /* borrowed */
	struct config *tree;			 /* a reference */
	const struct config_queue *config;	 /* a part of it */
	struct broker *broker;			 /* borrowed */
	struct publisher *publisher;		 /* borrowed; NULL: nothing is ever published for this queue */
	struct program *program;		 /* owned */
	struct pool *pool;			 /* owned */
	struct dispatcher *dispatcher;		 /* borrowed */
	struct consumer *consumer;		 /* owned; NULL: not needed yet, or there is no number for one */
	const struct queue_callbacks *callbacks; /* borrowed */
	void *userdata;

	enum queue_state state;
	char *reason;	 /* owned; while DEGRADED, PAUSED or PROBING */
	char *probe_reason; /* owned; of PROBING, while its broker is there */
	bool attempted;	 /* has consumed, or its first attempt has failed */
	bool consumed;	 /* has consumed */
	bool begun;	 /* queue_start was called */
	bool wanted;	 /* the consumer was told to consume, or is to be when there is one */
	unsigned prefetch; /* what it was told, or is to be */
	bool flowing;	 /* it consumes, by what the broker room has told last */
	struct queue_depth depth; /* by what the broker room has told last */
	unsigned cancels; /* told to cancel, not yet confirmed */
	const char *stop_reason; /* borrowed; while STOPPING or STOPPED */
	unsigned occupied; /* handlers of the same queue that run elsewhere */

	sd_event_source *number_timer; /* owned; armed while a consumer is wanted and there is none */
	struct backoff number_backoff;

	struct dispatcher_entry entry;
	/* By state; owned. Of those that are held, the one that is due first is at the front. */
	struct list deliveries[DELIVERY_DONE];
	unsigned n[DELIVERY_DONE];
	struct list arrivals; /* all of them, in the order in which they came */
	struct queue_counters counters;
	struct statistics statistics;
	struct failure last_failure;

	sd_event_source *held_timer;  /* owned; armed while something is held */
	struct rate rate;	      /* of starts */
	sd_event_source *rate_timer;  /* owned; armed once something has to wait for its turn by the rate */
	sd_event_source *probe_timer; /* owned; armed while PAUSED */
	struct pause pause;
	enum pause_cause cause; /* of PAUSED and PROBING */
	unsigned n_probes;	/* running deliveries that are probes */
	unsigned failures;	/* of handlers, in a row */

	uint32_t retry_lane; /* of the publisher, if there is one; this and the other lanes LANE_NONE: none */
	uint32_t dead_letter_lane;
	uint32_t reply_lane;   /* if reply is configured */
	uint32_t forward_lane; /* if forward is configured */
	struct template forward_exchange;
	struct template forward_routing_key;
	char *copy_trouble; /* owned; why the last copy, reply or forwarded output failed; NULL: it did not */
	unsigned copy_failures; /* of these, in a row */
	unsigned n_answering;	/* PUBLISHING deliveries whose errands are not their copies: those may follow */
	struct results results;
	unsigned n_lost; /* deliveries that are RUNNING or PUBLISHING and lost */
};

/* --- queue.c ----------------------------------------------------------------------------------------------------- */

/* AMQP_QUEUE= */
struct log_field queue_field(const struct queue *q);

/* Tells the manager that something it may show has changed. */
void queue_changed(struct queue *q);

/* The only way from state to state. The reason is copied. */
void queue_set_state(struct queue *q, enum queue_state state, const char *reason);

/* Asks the broker thread for messages, and for no more of them. -ENOTCONN, logged. If there is no number for a consumer, it is asked
 * later; what comes of that is told from the event loop. */
int queue_consume(struct queue *q, unsigned prefetch);
void queue_cancel(struct queue *q);

/* True while messages that arrive are handled. */
bool queue_is_taking(const struct queue *q);

/* Why messages that arrive, or were not tried after all, go back. */
const char *queue_why_not_taking(const struct queue *q);

/* STOPPING with nothing left becomes STOPPED. */
void queue_check_stopped(struct queue *q);

/* A random number for delays. */
uint32_t queue_random(void);

/* --- queue_pause.c ----------------------------------------------------------------------------------------------- */

/* The handler could not be executed: cancels and pauses. What is in hand is the caller's to return, afterwards: what is
 * returned before the broker has seen the cancel comes straight back. For a queue that keeps its consumer: to keep. */
void queue_pause(struct queue *q, const struct spawn_error *error);

/* True if the broker would delete the queue with its messages when we, its last consumer, cancel (auto_delete): then a pause
 * does not cancel, and what is in hand waits unacknowledged. */
bool queue_keeps_consumer(const struct queue *q);

/* The message of a PROBING queue was started: its handler can be executed. */
void queue_probe_started(struct queue *q, struct delivery *d);

/* A handler has ended (d->result): counts failures in a row, pauses the queue when there are too many, lets it go on when its
 * probe has succeeded. To be called before the message is settled. */
void queue_handler_ended(struct queue *q, struct delivery *d);

/* Of queue.probe_timer: it is time to look again. */
int queue_pause_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* --- queue_work.c ------------------------------------------------------------------------------------------------ */

/* Prepares the lists and the timer. An errno of sd-event. */
int queue_work_init(struct queue *q);
/* Frees every delivery; their handlers are killed. */
void queue_work_clear(struct queue *q);

/* To be told of by the workers. */
extern const struct pool_callbacks queue_work_pool_callbacks;

/* The only way from state to state: keeps lists and counts. */
void queue_work_move(struct queue *q, struct delivery *d, enum delivery_state state);

/* The common fields of a log line. */
struct record_input queue_work_describe(const struct queue *q, const struct delivery *d, const char *decision);

/* Settles and frees the delivery; the log has its line already. */
void queue_work_settle(struct queue *q, struct delivery *d, enum verdict verdict);

/* How long the message would be held if it were requeued now. */
uint64_t queue_work_hold_usec(const struct queue *q, const struct delivery *d);
/* Holds the delivery for so long, then requeues it. */
void queue_work_hold(struct queue *q, struct delivery *d, uint64_t delay_usec);

/* Carries out d->outcome, after what has to be published before it. */
void queue_work_decide(struct queue *q, struct delivery *d);

/* Its worker had gone before it read anything of it: it waits for another one, before the others. */
void queue_work_put_back(struct queue *q, struct delivery *d);

/* Starts what waits, as far as there are slots. */
void queue_work_start(struct queue *q);
/* Every waiting message goes back untried; `reason` is logged. */
void queue_work_return_waiting(struct queue *q, const char *reason);
/* Every held message is requeued now. */
void queue_work_requeue_held(struct queue *q);
void queue_work_stop_handlers(struct queue *q, bool now);
/* When the first held message is due, or none is held any more. */
void queue_work_arm_held(struct queue *q);

/* consumer_callbacks.message */
void queue_work_on_message(struct message *m, void *userdata);

/* --- queue_statistics.c ------------------------------------------------------------------------------------------ */

void queue_count_pause(struct queue *q, enum pause_cause cause);
/* The handling of this message starts. */
void queue_count_start(struct queue *q, const struct message *m);
/* The handling of a message has ended (d->result, d->outcome). */
void queue_count_end(struct queue *q, const struct delivery *d);
/* No handler could be started, for this message (NULL: for none) at first. */
void queue_note_start_failure(struct queue *q, const struct message *m, const char *what);
/* Logs what becomes of a message (report_message), which is the queue's last failure. */
void queue_report_failure(struct queue *q, const struct record_input *in);
/* Deliveries in hand that can still be settled. */
unsigned queue_count_unsettled(const struct queue *q);
/* When the oldest of them came; monotonic; 0: there is none. */
uint64_t queue_oldest_usec(const struct queue *q);

/* --- queue_refuse.c ---------------------------------------------------------------------------------------------- */

/* No handler can get the message, for this reason: outcomes.on_too_large says what becomes of it. */
void queue_refuse(struct queue *q, struct delivery *d, const char *reason);
/* Likewise, a message without its body. */
void queue_refuse_body(struct queue *q, struct delivery *d);

/* --- queue_publish.c --------------------------------------------------------------------------------------------- */

/* The delivery is PUBLISHING from now on, with no errand yet; those of an earlier step are forgotten. */
void queue_publish_begin(struct queue *q, struct delivery *d);

/* Publishes p, which is ready but for the callback, as an errand of the delivery. Takes ownership. NULL, or without the message or a
 * name: there was no memory for it. `error`: 0, or -errno if it could not be made ready; then the errand has failed for that. The
 * message of an ERRAND_COPY is the delivery's own. */
void queue_publish_add(struct queue *q, struct delivery *d, enum errand_kind kind, struct publication *p, int error);

/* After the last one: once all are done it is decided what follows. Maybe at once, and then d may be gone. */
void queue_publish_wait(struct queue *q, struct delivery *d);

/* --- queue_copy.c ------------------------------------------------------------------------------------------------ */

/* Publishes a copy of the message to the delay queue of this delay, and acknowledges the message when that is confirmed. */
void queue_copy_retry(struct queue *q, struct delivery *d, uint64_t delay_usec);
/* Likewise, to the dead letters. */
void queue_copy_dead_letter(struct queue *q, struct delivery *d);

/* Why a message fails; without the host. */
struct copy_reason queue_copy_explain(const struct queue *q, const struct delivery *d);

/* --- queue_reply.c ----------------------------------------------------------------------------------------------- */

/* Prepares the templates. -ENOMEM; -EINVAL: not what the configuration's check lets through. */
int queue_reply_init(struct queue *q);
void queue_reply_clear(struct queue *q);

/* Whether what the handler wrote is to be published for this message. */
bool queue_reply_wanted(const struct queue *q, const struct delivery *d);

/* Publishes it, as reply, to an exchange, or both; queue_work_decide follows. False: nothing is under way, because there is nothing
 * to publish, or because it cannot be published, and then d->outcome says what comes of that. */
bool queue_reply_publish(struct queue *q, struct delivery *d);

/* Tells the requester that the message is rejected; queue_work_decide follows. False: nobody wants to know. */
bool queue_reply_error(struct queue *q, struct delivery *d);

/* --- queue_lost.c ------------------------------------------------------------------------------------------------ */

/* The delivery, RUNNING or PUBLISHING, can be settled no more. Harmless if that is known. */
void queue_lost_mark(struct queue *q, struct delivery *d);

/* How a delivery ends that can be settled no more. */
enum lost_end {
	LOST_HANDLED, /* nothing is left to be done for the message */
	LOST_FAILED,  /* what was published for it has failed (copy_trouble): it is to be tried again */
	LOST_OPEN,    /* d->outcome is still to be carried out */
	LOST_UNTRIED, /* nobody has looked at the message */
};

/* Passes on to its heir how it ended, or keeps it, or only tells it. Frees d. */
void queue_lost_end(struct queue *q, struct delivery *d, enum lost_end end);

/* Its handler has ended (d->outcome): ends it, after what is to be published for it. */
void queue_lost_decide(struct queue *q, struct delivery *d);

/* The same message as one whose result is kept or still to come: settles it, or attaches it. False: it is not. */
bool queue_lost_claim(struct queue *q, struct delivery *d);

/* consumer_callbacks.lost, .unsettled */
void queue_lost_on_lost(uint64_t epoch, void *userdata);
void queue_lost_on_unsettled(struct message *m, void *userdata);

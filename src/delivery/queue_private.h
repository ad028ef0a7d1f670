/* SPDX-License-Identifier: MIT */
/* Inside of a queue, shared by its two halves and nobody else: queue.c decides whether messages come (consuming, paused,
 * stopping), queue_work.c what happens to those that came (waiting, running, held, settled). */
#pragma once

#include "delivery/delivery.h"
#include "delivery/pause.h"
#include "delivery/queue.h"

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
	char *reason;	 /* owned; while DEGRADED or PAUSED, and while PROBING without messages */
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

/* --- queue.c ----------------------------------------------------------------------------------------------------- */

/* Tells the manager that something it may show has changed. */
void queue_changed(struct queue *q);

/* True while messages that arrive are handled. */
bool queue_is_taking(const struct queue *q);

/* The handler could not be executed: cancels and pauses. What is in hand is the caller's to return, afterwards: what is
 * returned before the broker has seen the cancel comes straight back. For a queue that keeps its consumer: to keep. */
void queue_pause(struct queue *q, const struct spawn_error *error);

/* True if the broker would delete the queue with its messages when we, its last consumer, cancel (auto_delete): then a pause
 * does not cancel, and what is in hand waits unacknowledged. */
bool queue_keeps_consumer(const struct queue *q);

/* The message of a PROBING queue was started: its handler works. */
void queue_resume(struct queue *q);

/* STOPPING with nothing left becomes STOPPED. */
void queue_check_stopped(struct queue *q);

/* --- queue_work.c ------------------------------------------------------------------------------------------------ */

/* Prepares the lists and the timer. An errno of sd-event. */
int queue_work_init(struct queue *q);
/* Frees every delivery; their handlers are killed. */
void queue_work_clear(struct queue *q);

/* Starts what waits, as far as there are slots. */
void queue_work_start(struct queue *q);
/* Every waiting message goes back untried; `reason` is logged. */
void queue_work_return_waiting(struct queue *q, const char *reason);
/* Every held message is requeued now. */
void queue_work_requeue_held(struct queue *q);
void queue_work_stop_handlers(struct queue *q, bool now);

/* consumer_callbacks */
void queue_work_on_message(struct message *m, void *userdata);
void queue_work_on_lost(uint64_t epoch, void *userdata);
void queue_work_on_unsettled(struct message *m, void *userdata);

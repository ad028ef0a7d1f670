/* SPDX-License-Identifier: MIT */
/* One configured queue at work: it admits messages, has their handlers run, decides what becomes of them and hands them back.
 * Everything happens on the main thread, from the event loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "broker/broker.h"
#include "broker/publisher.h"
#include "config/config.h"
#include "delivery/dispatcher.h"
#include "delivery/statistics.h"
#include "handler/run.h"

enum queue_state {
	QUEUE_STARTING,	 /* the first attempt to consume is under way */
	QUEUE_CONSUMING, /* messages come */
	QUEUE_DEGRADED,	 /* no messages come, for a reason outside (broker down, queue missing, no channel left ...); it is tried again */
	QUEUE_PAUSED,	 /* we take no messages, because the handler cannot be executed (looked at again after a growing delay), has
			    failed too often in a row (until the cooldown is over), or an operator wants it so */
	QUEUE_PROBING,	 /* messages are taken one by one until one was started, or, after failures, handled with success */
	QUEUE_STOPPING,	 /* takes nothing new; handlers that run are awaited */
	QUEUE_STOPPED,	 /* nothing in hand, nothing will come */
};

/* Since the start; monotonic. */
struct queue_counters {
	uint64_t delivered; /* messages received */
	uint64_t acked;
	uint64_t requeued; /* after a failed handler, or a failed copy */
	uint64_t retried;  /* copies in delay queues */
	uint64_t rejected; /* copies in the dead letters, and those left to the broker's dead-letter policy */
	uint64_t replied;  /* replies, those that say why a message is rejected among them, that were confirmed */
	uint64_t replies_unroutable; /* that nobody was there to get */
	uint64_t forwarded; /* what handlers wrote, confirmed */
	uint64_t copies_failed; /* copies, replies and what was to be forwarded, if it was not confirmed, or returned */
	uint64_t reused;   /* acknowledged without another run, because a run for an earlier delivery had succeeded; part of acked */
	uint64_t returned; /* untried */
	uint64_t lost;	   /* could not be settled: the channel was gone; the broker delivers them again */
};

void queue_counters_add(struct queue_counters *to, const struct queue_counters *from);

struct queue;

struct queue_callbacks {
	/* State, reason or counters changed. */
	void (*changed)(struct queue *q, void *userdata);
};

/* A queue that does nothing yet. Keeps a reference to `tree`, of which `config` is a part. Everything else that is passed is
 * borrowed and outlives it, but for the publisher (NULL if config_queue_publishes is false), which may be freed before.
 * -ENOMEM, an errno of sd-event or of getrandom(2). */
int queue_new(sd_event *event, struct config *tree, const struct config_queue *config, struct broker *broker,
	      struct publisher *publisher, struct executor *executor, struct dispatcher *dispatcher,
	      const struct queue_callbacks *callbacks, void *userdata, struct queue **ret);

/* Gives its lanes back to the publisher; for a queue in QUEUE_STOPPED, before queue_free, while the publisher is still there. */
void queue_release_lanes(struct queue *q);

/* Handlers that still run are killed, messages in hand are freed unsettled: for the end, after queue_stop, and for errors.
 * NULL-safe, returns NULL. */
struct queue *queue_free(struct queue *q);
DEFINE_CLEANUP(struct queue *, queue_free);

/* Begins to consume; a queue that is paused by queue_order_pause, when it is resumed. Only then it needs one of the broker's channels;
 * if none is left, it is degraded, and tries again after a growing delay. 0, or -ENOTCONN once the broker has been stopped. */
int queue_start(struct queue *q);

/* So many handlers of the same queue run elsewhere, of an earlier configuration: they count against its concurrency. None at first. */
void queue_occupy(struct queue *q, unsigned slots);

struct queue_view;

/* What such a one, or one of before, has counted goes on being counted here; the later failure is the last one. */
void queue_inherit(struct queue *q, const struct queue_view *from);

/* An operator's: takes no messages until queue_order_resume; untried ones go back at once, handlers that run may end. No effect on a
 * queue that stops. */
void queue_order_pause(struct queue *q);
/* Ends that; what is paused for another reason tries a message now instead of later. No effect on a queue that is not paused. */
void queue_order_resume(struct queue *q);

/* The broker cannot be reached (for STATUS and readiness; the broker room reconnects). */
void queue_broker_down(struct queue *q, const char *reason);

/* Stops consuming, gives untried messages back at once, requeues held ones at once, lets running handlers end. Reaches
 * QUEUE_STOPPED when the last one has been settled and the broker has confirmed the cancel. `why`: for the log, why messages go back
 * untried; borrowed. */
void queue_stop(struct queue *q, const char *why);

/* Stops the handlers that run: SIGTERM, grace, SIGKILL (now = false), or SIGKILL at once. Their messages are requeued. */
void queue_stop_handlers(struct queue *q, bool now);

/* What others may see of a queue. */
struct queue_view {
	enum queue_state state;
	const char *reason; /* why no messages come, NULL if they may; borrowed until the next event */
	bool attempted;	    /* has consumed, or its first attempt has failed */
	bool consumed;	    /* has consumed */
	enum pause_cause cause; /* of PAUSED and PROBING */
	bool by_operator;   /* PAUSED: because an operator wants it so */
	bool cancelled;	    /* STOPPING, STOPPED: nothing of it consumes at the broker any more */
	const char *copy_trouble; /* why the last copy, reply or forwarded output failed, NULL if it did not; likewise borrowed */
	const char *worker_trouble; /* why workers are started with a delay, NULL if they are not; likewise */
	unsigned waiting;   /* messages by what happens to them */
	unsigned running;   /* and, of a queue that stops, workers without a message that have not ended yet */
	unsigned publishing;
	unsigned answering; /* of these, for which a copy may still have to be published */
	unsigned held;
	unsigned unacknowledged; /* messages in hand that can still be settled */
	unsigned failures;  /* of handlers, in a row */
	uint64_t oldest_usec; /* when the oldest message in hand came; monotonic; 0: there is none */
	struct queue_depth depth; /* of the queue at the broker */
	struct queue_counters counters;
	const struct statistics *statistics; /* borrowed until the next event */
	const struct failure *last_failure;  /* likewise; NULL: there was none */
};

void queue_look(const struct queue *q, struct queue_view *ret);

const struct config_queue *queue_config(const struct queue *q);

const char *queue_state_to_string(enum queue_state s);

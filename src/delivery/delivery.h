/* SPDX-License-Identifier: MIT */
/* One message in our hands: from its delivery until it is settled, or cannot be settled any more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "config/config.h"
#include "delivery/results.h"
#include "delivery/tail.h"
#include "handler/run.h"
#include "message/message.h"

enum delivery_state {
	DELIVERY_WAITING,    /* admitted; waits for a handler slot */
	DELIVERY_RUNNING,    /* its handler runs */
	DELIVERY_ATTACHED,   /* the same message as an earlier, lost delivery, whose handler runs or whose copy is under way: waits for that */
	DELIVERY_PUBLISHING, /* its copy is under way; acknowledged once that is confirmed */
	DELIVERY_HELD,	     /* failed; kept unacknowledged until due_usec, then requeued */
	DELIVERY_DONE,	     /* settled, or its channel is gone: about to be freed */
};

/* Owned by its queue, on the list of its state. */
struct delivery {
	struct list node;
	struct queue *queue;	 /* borrowed: the owner */
	struct message *message; /* owned until it is handed back to the broker room; PUBLISHING: the publication's,
				    and NULL after that if a stuck thread keeps it */
	struct run *run;	 /* owned; while RUNNING */
	enum delivery_state state;
	uint64_t epoch;	   /* of the message */
	unsigned attempt;  /* 0: unknown */
	bool lost;	   /* its channel is gone: the result of its handler can settle nothing */
	bool probe;	   /* RUNNING: the one message that a queue lets through after the breaker's cooldown */
	bool uncounted;	   /* its probe has failed, which says nothing of the message: a retry does not count this attempt */
	uint64_t due_usec; /* HELD: when it is requeued; monotonic */
	struct tail tail;  /* the last lines that its handler wrote to stderr */
	struct delivery *heir; /* borrowed; the ATTACHED delivery that gets the result of this one, which is lost; or NULL */
	struct delivery *elder; /* borrowed; ATTACHED: the other way round */
	struct run_result result; /* after RUNNING */
	char *note; /* owned; for the log: why it is not what the way the handler ended would lead to; NULL: nothing, or no memory */
	/* PUBLISHING: */
	enum outcome outcome;	/* RETRY or REJECT */
	uint64_t delay_usec;	/* RETRY: in the delay queue */
	char *copy;		/* owned; where the copy goes, for the log; NULL if there was no memory */
	/* In any state, once it was asked for: */
	bool has_fingerprint;
	struct fingerprint fingerprint; /* of the message as it was delivered */
};

/* A WAITING delivery on no list. Takes the message only on success. -ENOMEM. */
int delivery_new(struct queue *queue, struct message *message, struct delivery **ret);

/* Frees the delivery, its message and its run (which is killed if it still runs), and parts it from its heir or elder. NULL-safe. */
struct delivery *delivery_free(struct delivery *d);

/* Makes `heir` wait for the result of `elder`. */
void delivery_attach(struct delivery *heir, struct delivery *elder);

/* Adds to d->note. */
void delivery_note(struct delivery *d, const char *format, ...) PRINTF_LIKE(2, 3);

/* The end of an elder's handler: its heir gets the result and what the handler wrote. Returns the heir, now nobody's. */
struct delivery *delivery_inherit(struct delivery *elder);

/* Changes the state and moves the delivery to the end of `list`, that state's list of its queue (NULL: to none). */
void delivery_set_state(struct delivery *d, enum delivery_state state, struct list *list);

const char *delivery_state_to_string(enum delivery_state s);

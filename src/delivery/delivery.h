/* SPDX-License-Identifier: MIT */
/* One message in our hands: from its delivery until it is settled, or cannot be settled any more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "broker/publisher.h"
#include "config/config.h"
#include "delivery/results.h"
#include "delivery/tail.h"
#include "handler/task.h"
#include "message/message.h"

enum delivery_state {
	DELIVERY_WAITING,    /* admitted; waits for a handler slot */
	DELIVERY_RUNNING,    /* its handler runs */
	DELIVERY_ATTACHED,   /* the same message as an earlier, lost delivery, whose handler runs or whose errands are under way: waits for that */
	DELIVERY_PUBLISHING, /* its errands are under way; what becomes of it is decided once they are done */
	DELIVERY_HELD,	     /* failed; kept unacknowledged until due_usec, then requeued */
	DELIVERY_DONE,	     /* settled, or its channel is gone: about to be freed */
};

enum errand_kind {
	ERRAND_COPY,	/* the message itself, to a delay queue or to the dead letters */
	ERRAND_REPLY,	/* what its handler wrote to stdout, to its reply_to */
	ERRAND_FORWARD, /* the same, to an exchange */
	ERRAND_ERROR,	/* that it is rejected, to its reply_to */
};

/* Something that is published on behalf of a delivery, before the delivery is settled. */
struct errand {
	struct delivery *delivery; /* borrowed: the owner */
	enum errand_kind kind;
	char *target; /* owned; where it goes, for the log; NULL if there was no memory */
	bool blind;   /* the broker returns it whether somebody gets it or not: that it was returned says nothing */
	/* Once it is done: */
	enum publish_result result;
	char *reason; /* owned; why it is not CONFIRMED; NULL if there is nothing to say, or was no memory */
};

/* A reply and what is forwarded: nothing else goes out side by side. */
#define ERRANDS_MAX 2

/* Owned by its queue, on the list of its state. */
struct delivery {
	struct list node;
	struct list arrival;	 /* of its queue: all deliveries */
	struct queue *queue;	 /* borrowed: the owner */
	struct message *message; /* owned until it is handed back to the broker room; while a copy is under way the publication's,
				    and NULL after that if a stuck thread keeps it */
	struct task *task;	 /* owned; while RUNNING */
	enum delivery_state state;
	uint64_t epoch;	   /* of the message */
	uint64_t received_usec; /* likewise */
	unsigned attempt;  /* 0: unknown */
	bool lost;	   /* its channel is gone: the result of its handler can settle nothing */
	bool probe;	   /* RUNNING: the one message that a queue lets through after the breaker's cooldown */
	bool uncounted;	   /* its probe has failed, which says nothing of the message: a retry does not count this attempt */
	bool refused;	   /* no handler can get it: there is no result, and this is no attempt */
	uint64_t due_usec; /* HELD: when it is requeued; monotonic */
	struct tail tail;  /* the last lines that its handler wrote to stderr */
	struct delivery *heir; /* borrowed; the ATTACHED delivery that gets the result of this one, which is lost; or NULL */
	struct delivery *elder; /* borrowed; ATTACHED: the other way round */
	struct run_result result; /* after RUNNING */
	char *said;		  /* owned; what a worker gave as reason: result.answer.reason; or NULL */
	char *note; /* owned; for the log: why it is not what the way the handler ended would lead to; NULL: nothing, or no memory */
	enum outcome outcome;	/* likewise; what is being carried out */
	struct message *output; /* owned; what the handler wrote to stdout, if it is to be published and was not yet; or NULL */
	bool answered;		/* what is to be published beside a copy was, as far as somebody gets it */
	/* PUBLISHING, and after that: */
	struct errand errands[ERRANDS_MAX]; /* n_errands of them: the last that were begun */
	unsigned n_errands;
	unsigned n_under_way; /* of these */
	uint64_t delay_usec;  /* outcome RETRY: in the delay queue */
	/* In any state, once it was asked for: */
	bool has_fingerprint;
	struct fingerprint fingerprint; /* of the message as it was delivered */
};

/* A WAITING delivery on no list. Takes the message only on success. -ENOMEM. */
int delivery_new(struct queue *queue, struct message *message, struct delivery **ret);

/* Frees the delivery, its message and its task (whose process is killed if it still has the message), and parts it from its heir or elder. NULL-safe. */
struct delivery *delivery_free(struct delivery *d);

/* Makes `heir` wait for the result of `elder`. */
void delivery_attach(struct delivery *heir, struct delivery *elder);

/* The handler has ended: keeps the result. */
void delivery_set_result(struct delivery *d, const struct run_result *result);

/* How its handler has ended; NULL: none has got it. */
const struct run_result *delivery_result(const struct delivery *d);

/* Forgets the errands that are done. */
void delivery_clear_errands(struct delivery *d);

/* Adds to d->note. */
void delivery_note(struct delivery *d, const char *format, ...) PRINTF_LIKE(2, 3);

/* The end of an elder: its heir gets the result, what the handler wrote, and what was decided. Returns the heir, now nobody's. */
struct delivery *delivery_inherit(struct delivery *elder);

/* Changes the state and moves the delivery to the end of `list`, that state's list of its queue (NULL: to none). */
void delivery_set_state(struct delivery *d, enum delivery_state state, struct list *list);

const char *delivery_state_to_string(enum delivery_state s);

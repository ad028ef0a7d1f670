/* SPDX-License-Identifier: MIT */
/* One message in our hands: from its delivery until it is settled, or cannot be settled any more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "handler/run.h"
#include "message/message.h"

enum delivery_state {
	DELIVERY_WAITING, /* admitted; waits for a handler slot */
	DELIVERY_RUNNING, /* its handler runs */
	DELIVERY_HELD,	  /* failed; kept unacknowledged until due_usec, then requeued */
	DELIVERY_DONE,	  /* settled, or its channel is gone: about to be freed */
};

/* How much of the handler's last line of stderr is kept for the log. */
#define DELIVERY_COMPLAINT_MAX 256

/* Owned by its queue, on the list of its state. */
struct delivery {
	struct list node;
	struct queue *queue;	 /* borrowed: the owner */
	struct message *message; /* owned until it is handed back to the broker room */
	struct run *run;	 /* owned; while RUNNING */
	enum delivery_state state;
	unsigned attempt;  /* 0: unknown */
	bool lost;	   /* its channel is gone: the result of its handler can settle nothing */
	uint64_t due_usec; /* HELD: when it is requeued; monotonic */
	char *complaint;   /* owned; the beginning of the last line that its handler wrote to stderr, raw; NULL if none */
};

/* A WAITING delivery on no list. Takes the message only on success. -ENOMEM. */
int delivery_new(struct queue *queue, struct message *message, struct delivery **ret);

/* Frees the delivery, its message and its run (which is killed if it still runs). NULL-safe. */
struct delivery *delivery_free(struct delivery *d);

/* Remembers a line of stderr as the last one so far; empty ones do not count. Without memory the one before stays. */
void delivery_set_complaint(struct delivery *d, const char *text, size_t len);

/* Changes the state and moves the delivery to the end of `list`, that state's list of its queue (NULL: to none). */
void delivery_set_state(struct delivery *d, enum delivery_state state, struct list *list);

const char *delivery_state_to_string(enum delivery_state s);

/* SPDX-License-Identifier: MIT */
/* A publication on its way through the thread: what of it crosses, while the publication itself stays with the main
 * thread, so that the main thread can answer for it even if the thread is stuck. Private to this room. */
#pragma once

#include <stdint.h>
#include "base/list.h"
#include "broker/link.h"
#include "broker/outbox.h"
#include "broker/publisher.h"

/* Travels as ITEM_JOB to the thread and as ITEM_DONE back; owned by whoever has it. */
struct job {
	struct mailbox_item item;
	struct publication *publication; /* the main thread's, which alone looks at it */

	/* As in struct publication. */
	uint32_t lane;
	struct message *message;
	char *exchange;
	char *routing_key;
	uint64_t delay_usec;
	enum config_queue_type delay_type;
	char *delay_target;
	enum publish_result result;
	char *reason;

	/* The thread's. */
	struct list node;
	uint64_t send_usec;	/* it fails if it was not sent by then */
	uint64_t answer_usec;	/* once it is sent: when to give up its confirm; while it is being sent: when it is stuck */
	uint64_t tag;		/* of the confirm */
	uint64_t offset;	/* of the body that was sent */
};

/* Empty. -ENOMEM. */
int job_new(struct job **ret);
struct job *job_free(struct job *j);

/* The main thread: moves what is to be published from the publication into its job, and back with the result. */
void job_load(struct job *j, struct publication *p);
void job_unload(struct job *j, struct publication *p);

/* The thread: gives it back. Takes ownership. */
void job_finish(struct job *j, struct outbox *o, enum publish_result result, const char *format, ...) PRINTF_LIKE(4, 5);

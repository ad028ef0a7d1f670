/* SPDX-License-Identifier: MIT */
/* A message as it came from the broker: where from, with which properties, and its body. Travels between threads
 * through mailboxes, from the broker's thread to the main thread and, to be settled, back: one object, one owner at any time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/macro.h"
#include "base/mailbox.h"
#include "message/field.h"

/* Bodies up to this many bytes are kept on the heap (and fit a pipe), larger ones in a memory file as long as memory files take
 * up less than half of the descriptors that the process may have, and on the heap beyond that. */
#define BODY_HEAP_MAX 65536

/* basic properties (AMQP 0-9-1, 1.8.1), each absent or present. */
struct properties {
	struct text content_type;
	struct text content_encoding;
	struct text correlation_id;
	struct text reply_to;
	struct text expiration;
	struct text message_id;
	struct text type;
	struct text user_id;
	struct text app_id;
	struct text cluster_id;
	struct table headers;
	uint64_t timestamp; /* seconds since 1970 */
	uint8_t delivery_mode;
	uint8_t priority;
	bool has_headers;
	bool has_timestamp;
	bool has_delivery_mode;
	bool has_priority;
};

/* What becomes of a message at the broker. */
enum verdict {
	VERDICT_NONE,	 /* not decided yet */
	VERDICT_ACK,	 /* basic.ack */
	VERDICT_REQUEUE, /* basic.reject with requeue: a handler has failed, a quorum queue counts it */
	VERDICT_RETURN,	 /* basic.nack with requeue: never tried */
	VERDICT_REJECT,	 /* basic.reject without requeue: the broker's dead-letter policy decides */
};

enum body_state {
	BODY_COMPLETE,	 /* in body or body_fd (or still arriving there) */
	BODY_TOO_LARGE,	 /* over limits.max_message_size */
	BODY_UNSTORABLE, /* memory, descriptors, ...: see body_error; what came before it may be missing too */
};

struct message {
	struct mailbox_item item; /* for the mailboxes; `kind` is the broker room's */

	/* Where it came from; what settling it needs. */
	uint32_t consumer; /* id of the consumer, see broker/broker.h */
	uint64_t epoch;	   /* the opening of that consumer's channel that delivered it: see broker/broker.h */
	uint64_t delivery_tag;
	enum verdict verdict;

	bool redelivered;
	struct text exchange;
	struct text routing_key;
	struct text consumer_tag;
	struct properties properties;

	uint64_t body_size;
	uint64_t body_filled; /* how much of it message_append_body has stored */
	enum body_state body_state; /* unless complete, the body was dropped as it arrived: body and body_fd are empty */
	int body_error;	    /* BODY_UNSTORABLE: the errno, positive */
	char *body;	    /* owned, followed by a NUL; NULL if empty, dropped or in body_fd */
	int body_fd;	    /* owned; memory file of body_size bytes, sealed against every change, offset unspecified; or -1 */
	uint64_t received_usec; /* when the last frame arrived; monotonic */
};

/* An empty message (body_fd is -1). -ENOMEM. */
int message_new(struct message **ret);
struct message *message_free(struct message *m);
DEFINE_CLEANUP(struct message *, message_free);

/* Sets body_size and prepares room for a body of `size` bytes: heap or memory file. Call once, before
 * message_append_body. -ENOMEM, or an errno of memfd_create(2). */
int message_reserve_body(struct message *m, uint64_t size);

/* Adds the next piece. -EMSGSIZE: more than was reserved. -errno of write(2) (for example -ENOSPC). */
int message_append_body(struct message *m, const void *data, size_t len);

/* After the last piece: seals the memory file. -errno of fcntl(2). */
int message_finish_body(struct message *m);

/* Gives m, which has none yet, the complete body of another message; a memory file is shared, not copied. -ENOMEM, an errno of fcntl(2) or
 * memfd_create(2). */
int message_copy_body(struct message *m, const struct message *from);

/* A memory file for a body, writable until message_finish_body; or none (*ret is -1) when descriptors are scarce, and the body is better
 * kept on the heap. The caller's. -errno of memfd_create(2). */
int message_memory_file(int *ret);

/* Frees what there is of the body, which is never to be handed out: the message goes on without it. body_size is left as it is.
 * `error`: for BODY_UNSTORABLE, the errno; else 0. */
void message_drop_body(struct message *m, enum body_state state, int error);

/* Headers of ours, on the copies that we publish. */
#define HEADER_OURS "x-execd-"
#define HEADER_ATTEMPTS HEADER_OURS "attempts" /* how often a handler was run for the message, without success */
#define HEADER_QUEUE HEADER_OURS "queue"	       /* where that was: dead letters that are worked on are new to their queue */

/* Which attempt to handle it in this queue this is: by our own header, if it carries it and HEADER_QUEUE names no other
 * queue; else 1 if it is not redelivered; else x-delivery-count + 1 (quorum queues); else 0: unknown. */
unsigned message_attempt(const struct message *m, const char *queue);

const char *verdict_to_string(enum verdict v);

/* SPDX-License-Identifier: MIT */
#include "broker/declarer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/error.h"
#include "broker/random.h"
#include "broker/request.h"

#define STEP_USEC (30 * USEC_PER_SEC)
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (10 * USEC_PER_SEC)
/* For so long a queue is taken to be there; the broker removes an unused one after much longer. */
#define KNOWN_USEC (5 * USEC_PER_MINUTE)
/* For so long one that was refused is not asked for again. */
#define REFUSED_USEC USEC_PER_SEC
/* So many are remembered. */
#define QUEUES_MAX 1024

enum delay_queue_state {
	DELAY_QUEUE_WANTED,  /* to be declared */
	DELAY_QUEUE_KNOWN,   /* declared, until until_usec */
	DELAY_QUEUE_REFUSED, /* not to be had, until until_usec: `reason` */
};

/* Owned by its declarer. */
struct delay_queue {
	struct list node;
	char *name;
	uint64_t delay_usec;
	enum config_queue_type type;
	char *target;
	enum delay_queue_state state;
	uint64_t until_usec;
	char *reason;
};

static const char *const state_names[] = {
	[DECLARER_CLOSED] = "closed",
	[DECLARER_OPENING] = "channel.open",
	[DECLARER_DECLARING] = "queue.declare",
	[DECLARER_CLOSING] = "channel.close",
	[DECLARER_OPEN] = "open",
};

const char *declarer_state_to_string(enum declarer_state s) {
	return (size_t)s < ARRAY_SIZE(state_names) ? state_names[s] : "unknown";
}

static bool step_is_legal(enum declarer_state from, enum declarer_state to) {
	switch (to) {
	case DECLARER_CLOSED:
		return true; /* the channel or the connection can end at any time */
	case DECLARER_OPENING:
		return from == DECLARER_CLOSED;
	case DECLARER_DECLARING:
		return from == DECLARER_OPEN;
	case DECLARER_CLOSING:
		return from != DECLARER_CLOSED && from != DECLARER_CLOSING;
	case DECLARER_OPEN:
		return from == DECLARER_OPENING || from == DECLARER_DECLARING;
	}
	return false;
}

static void declarer_set_state(struct declarer *d, enum declarer_state state, uint64_t now) {
	assert(step_is_legal(d->state, state));
	d->state = state;
	d->deadline_usec = state == DECLARER_CLOSED || state == DECLARER_OPEN ? USEC_INFINITY : now + STEP_USEC;
	if (state != DECLARER_DECLARING)
		d->current = NULL;
}

void declarer_init(struct declarer *d, struct connection *connection, unsigned number) {
	*d = (struct declarer){.connection = connection, .number = number, .deadline_usec = USEC_INFINITY};
	list_init(&d->queues);
	backoff_init(&d->backoff, RETRY_MIN_USEC, RETRY_MAX_USEC);
}

static void remove_queue(struct declarer *d, struct delay_queue *q) {
	list_remove(&q->node);
	d->n_queues--;
	free(q->name);
	free(q->target);
	free(q->reason);
	free(q);
}

void declarer_clear(struct declarer *d) {
	d->current = NULL;
	LIST_FOREACH(q, &d->queues, struct delay_queue, node)
		remove_queue(d, q);
}

void declarer_down(struct declarer *d) {
	declarer_clear(d);
	declarer_set_state(d, DECLARER_CLOSED, 0);
	d->retry_usec = 0;
}

static struct delay_queue *find_queue(const struct declarer *d, const char *name) {
	LIST_FOREACH(q, &d->queues, struct delay_queue, node)
		if (strcmp(q->name, name) == 0)
			return q;
	return NULL;
}

/* Makes room for one more: what is wanted is never dropped, but that is one for each lane at most. */
static void drop_oldest(struct declarer *d) {
	LIST_FOREACH(q, &d->queues, struct delay_queue, node) {
		if (q->state != DELAY_QUEUE_WANTED) {
			remove_queue(d, q);
			return;
		}
	}
}

static int want_queue(struct declarer *d, const struct job *j) {
	struct delay_queue *q;

	if (d->n_queues >= QUEUES_MAX)
		drop_oldest(d);
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	list_init(&q->node);
	q->name = strdup(j->routing_key);
	q->target = strdup(j->delay_target);
	q->delay_usec = j->delay_usec;
	q->type = j->delay_type;
	list_append(&d->queues, &q->node);
	d->n_queues++;
	if (!q->name || !q->target) {
		remove_queue(d, q);
		return -ENOMEM;
	}
	return 0;
}

int declarer_require(struct declarer *d, const struct job *j, uint64_t now, const char **ret_reason) {
	struct delay_queue *q = find_queue(d, j->routing_key);

	if (!q)
		return want_queue(d, j);
	if (q->state != DELAY_QUEUE_WANTED && now >= q->until_usec)
		q->state = DELAY_QUEUE_WANTED;
	switch (q->state) {
	case DELAY_QUEUE_KNOWN:
		return 1;
	case DELAY_QUEUE_REFUSED:
		*ret_reason = q->reason ? q->reason : "out of memory";
		return -ECANCELED;
	case DELAY_QUEUE_WANTED:
		break;
	}
	return 0;
}

void declarer_forget(struct declarer *d, const char *name) {
	struct delay_queue *q = find_queue(d, name);

	if (q && q->state == DELAY_QUEUE_KNOWN)
		remove_queue(d, q);
}

void declarer_renew(struct declarer *d) {
	LIST_FOREACH(q, &d->queues, struct delay_queue, node)
		if (q->state == DELAY_QUEUE_KNOWN)
			q->state = DELAY_QUEUE_WANTED;
}

/* What is being declared is not to be had for now. */
static void refuse(struct declarer *d, const char *reason, uint64_t now) {
	struct delay_queue *q = d->current;

	if (!q)
		return;
	free(q->reason);
	q->reason = strdup(reason);
	q->state = DELAY_QUEUE_REFUSED;
	q->until_usec = now + REFUSED_USEC;
}

static void delay_retry(struct declarer *d, uint64_t now) {
	d->retry_usec = now + backoff_next_usec(&d->backoff, random_u32());
}

static int handle_close(struct declarer *d, const amqp_channel_close_t *close, uint64_t now) {
	char reason[REASON_MAX];

	if (d->state == DECLARER_CLOSED)
		return 0;
	if (d->state != DECLARER_CLOSING) {
		error_from_close(close->reply_code, &close->reply_text, reason, sizeof(reason));
		/* Otherwise nothing of ours was the reason, and nothing is known that would keep it from happening
		 * again. */
		if (!d->current)
			delay_retry(d, now);
		refuse(d, reason, now);
		declarer_set_state(d, DECLARER_CLOSED, now);
	}
	return request_channel_close_ok(d->connection, (uint16_t)d->number);
}

static int unexpected(struct declarer *d, amqp_method_number_t id) {
	return connection_fail(d->connection, "the broker sent method 0x%08x in state %s of declaring queues", id,
			       declarer_state_to_string(d->state));
}

int declarer_frame(struct declarer *d, const amqp_frame_t *frame, uint64_t now) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;

	if (id == AMQP_CHANNEL_CLOSE_METHOD)
		return handle_close(d, frame->payload.method.decoded, now);
	if (d->state == DECLARER_CLOSED || (d->state == DECLARER_CLOSING && id != AMQP_CHANNEL_CLOSE_OK_METHOD))
		return 0;
	switch (id) {
	case AMQP_CHANNEL_OPEN_OK_METHOD:
		if (d->state != DECLARER_OPENING)
			return unexpected(d, id);
		declarer_set_state(d, DECLARER_OPEN, now);
		return 0;
	case AMQP_QUEUE_DECLARE_OK_METHOD:
		if (d->state != DECLARER_DECLARING)
			return unexpected(d, id);
		d->current->state = DELAY_QUEUE_KNOWN;
		d->current->until_usec = now + KNOWN_USEC;
		backoff_reset(&d->backoff);
		declarer_set_state(d, DECLARER_OPEN, now);
		return 0;
	case AMQP_CHANNEL_CLOSE_OK_METHOD:
		if (d->state != DECLARER_CLOSING)
			return unexpected(d, id);
		declarer_set_state(d, DECLARER_CLOSED, now);
		return 0;
	case AMQP_CHANNEL_FLOW_METHOD:
		return request_channel_flow_ok(d->connection, (uint16_t)d->number,
					       ((const amqp_channel_flow_t *)frame->payload.method.decoded)->active);
	default:
		return unexpected(d, id);
	}
}

static struct delay_queue *next_wanted(const struct declarer *d) {
	LIST_FOREACH(q, &d->queues, struct delay_queue, node)
		if (q->state == DELAY_QUEUE_WANTED)
			return q;
	return NULL;
}

/* The answer did not come: whatever there is on the channel is given up. */
static int time_out(struct declarer *d, uint64_t now) {
	char reason[REASON_MAX];

	(void)snprintf(reason, sizeof(reason), "the broker did not answer %s within %u seconds",
		       declarer_state_to_string(d->state), (unsigned)(STEP_USEC / USEC_PER_SEC));
	if (d->state == DECLARER_CLOSING)
		return connection_fail(d->connection, "%s", reason);
	refuse(d, reason, now);
	delay_retry(d, now);
	declarer_set_state(d, DECLARER_CLOSING, now);
	return request_channel_close(d->connection, (uint16_t)d->number);
}

static int declare(struct declarer *d, struct delay_queue *q, uint64_t now) {
	int r = request_delay_queue(d->connection, (uint16_t)d->number, q->name, q->delay_usec, q->type, q->target);

	if (r < 0 && r != -EMSGSIZE)
		return r;
	declarer_set_state(d, DECLARER_DECLARING, now);
	d->current = q;
	if (r == 0)
		return 0;
	/* Nothing was sent. */
	refuse(d, d->connection->reason, now);
	declarer_set_state(d, DECLARER_OPEN, now);
	return 0;
}

int declarer_work(struct declarer *d, uint64_t now) {
	struct delay_queue *q;

	if (now >= d->deadline_usec)
		return time_out(d, now);
	q = next_wanted(d);
	if (!q)
		return 0;
	if (d->state == DECLARER_OPEN)
		return declare(d, q, now);
	if (d->state == DECLARER_CLOSED && now >= d->retry_usec) {
		int r = request_channel_open(d->connection, (uint16_t)d->number);

		if (r == 0)
			declarer_set_state(d, DECLARER_OPENING, now);
		return r;
	}
	return 0;
}

uint64_t declarer_next_usec(const struct declarer *d) {
	if (d->deadline_usec != USEC_INFINITY)
		return d->deadline_usec;
	return d->state == DECLARER_CLOSED && next_wanted(d) ? d->retry_usec : USEC_INFINITY;
}

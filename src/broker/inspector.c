/* SPDX-License-Identifier: MIT */
#include "broker/inspector.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "broker/request.h"

#define STEP_USEC (30 * USEC_PER_SEC)
/* So many questions follow each other, each after the answer to the one before: a wake-up for each of them would be as
 * many again, and all at once could keep a broker with thousands of queues busy. */
#define BURST_MAX 16U
/* The least time between the beginnings of two bursts, and what the interval is at least. */
#define BURST_GAP_USEC (10 * USEC_PER_MSEC)
#define INTERVAL_MIN_USEC (100 * USEC_PER_MSEC)
/* After so long at most, what is new is asked: enough to be declared before. */
#define SOON_USEC USEC_PER_SEC
/* That no more questions are asked has to be told for each queue; if the main thread is late: again after so long. */
#define TELL_AGAIN_USEC (20 * USEC_PER_MSEC)
/* A queue that is refused again and again is left out for at most so many turns. */
#define SKIP_MAX 7U

static const char *const state_names[] = {
	[INSPECTOR_CLOSED] = "closed",
	[INSPECTOR_OPENING] = "channel.open",
	[INSPECTOR_ASKING] = "queue.declare",
	[INSPECTOR_CLOSING] = "channel.close",
	[INSPECTOR_OPEN] = "open",
};

const char *inspector_state_to_string(enum inspector_state s) {
	return (size_t)s < ARRAY_SIZE(state_names) ? state_names[s] : "unknown";
}

static bool step_is_legal(enum inspector_state from, enum inspector_state to) {
	switch (to) {
	case INSPECTOR_CLOSED:
		return true; /* the channel or the connection can end at any time */
	case INSPECTOR_OPENING:
		return from == INSPECTOR_CLOSED;
	case INSPECTOR_ASKING:
		return from == INSPECTOR_OPENING || from == INSPECTOR_OPEN;
	case INSPECTOR_CLOSING:
		return from != INSPECTOR_CLOSED && from != INSPECTOR_CLOSING;
	case INSPECTOR_OPEN:
		return from == INSPECTOR_OPENING || from == INSPECTOR_ASKING;
	}
	return false;
}

static void inspector_set_state(struct inspector *i, enum inspector_state state, uint64_t now) {
	bool awaits = state == INSPECTOR_OPENING || state == INSPECTOR_ASKING;

	assert(step_is_legal(i->state, state));
	i->state = state;
	i->deadline_usec = awaits ? now + STEP_USEC : USEC_INFINITY;
	if (!awaits)
		i->current = NULL;
}

void question_init(struct question *q, struct seat *seat) {
	*q = (struct question){.seat = seat};
	list_init(&q->node);
}

void inspector_init(struct inspector *i, struct connection *connection, struct outbox *outbox) {
	*i = (struct inspector){.connection = connection,
				.outbox = outbox,
				.burst_usec = USEC_INFINITY,
				.deadline_usec = USEC_INFINITY};
	list_init(&i->questions);
}

/* --- when ----------------------------------------------------------------------------------------------------------
 */

static void begin_soon(struct inspector *i, uint64_t now) {
	uint64_t usec = now + (i->interval_usec < SOON_USEC ? i->interval_usec : SOON_USEC);

	if (usec < i->burst_usec)
		i->burst_usec = usec;
}

static void begin_anew(struct inspector *i, uint64_t now) {
	i->burst = 0;
	i->burst_usec = USEC_INFINITY;
	begin_soon(i, now);
}

void inspector_up(struct inspector *i, uint64_t now) {
	begin_anew(i, now);
}

/* RabbitMQ ends the whole connection (530) if the channel is one more than its user may have. Whoever closes connections
 * for another reason, an operator for example, does not mean the channel. */
static void check_barred(struct inspector *i) {
	struct event e = {.type = EVENT_NO_DEPTHS};

	if (i->state != INSPECTOR_OPENING || i->connection->close_code != AMQP_NOT_ALLOWED)
		return;
	i->barred = true;
	(void)snprintf(e.reason, sizeof(e.reason),
		       "it has closed the connection when asked for a channel more: %.1000s", i->connection->reason);
	outbox_post_event(i->outbox, &e);
}

void inspector_down(struct inspector *i) {
	check_barred(i);
	inspector_set_state(i, INSPECTOR_CLOSED, 0);
	LIST_FOREACH (q, &i->questions, struct question, node) {
		/* The main thread finds out by itself. */
		q->told = (struct queue_depth){0};
		q->refusals = 0;
		q->skip = 0;
	}
}

void inspector_set_interval(struct inspector *i, uint64_t usec, uint64_t now) {
	if (usec > 0 && usec < INTERVAL_MIN_USEC)
		usec = INTERVAL_MIN_USEC;
	if (usec == i->interval_usec)
		return;
	i->interval_usec = usec;
	i->barred = false;
	begin_anew(i, now);
}

static void put_first(struct inspector *i, struct question *q) {
	list_remove(&q->node);
	list_insert_before(i->questions.next, &q->node);
}

void inspector_add(struct inspector *i, struct question *q, uint64_t now) {
	put_first(i, q);
	i->n_questions++;
	begin_soon(i, now);
}

void inspector_remove(struct inspector *i, struct question *q) {
	if (!list_is_linked(&q->node))
		return;
	list_remove(&q->node);
	i->n_questions--;
	/* Its answer may still come. */
	if (i->current == q)
		i->current = NULL;
}

void inspector_hurry(struct inspector *i, struct question *q, uint64_t now) {
	put_first(i, q);
	q->skip = 0;
	begin_soon(i, now);
}

/* --- answers -------------------------------------------------------------------------------------------------------
 */

/* Tells the main thread, if that is news to it and it has taken what it was told last. Otherwise the next answer is
 * told: nothing waits for this. */
static bool tell(struct inspector *i, struct question *q, const struct queue_depth *depth) {
	struct depth_post *post = &q->seat->depth;

	if (q->told.known == depth->known && (!depth->known || (q->told.messages_ready == depth->messages_ready &&
								q->told.consumers == depth->consumers)))
		return true;
	if (!outbox_is_empty(i->outbox) || atomic_load(&post->posted))
		return false;
	post->depth = *depth;
	atomic_store(&post->posted, true);
	(void)seat_ref(q->seat);
	if (mailbox_post(i->connection->link->to_main, &post->item) < 0) {
		atomic_store(&post->posted, false);
		(void)seat_unref(q->seat);
		return false;
	}
	q->told = *depth;
	return true;
}

/* Nothing is known any more. True if all of that is told. */
static bool tell_nothing(struct inspector *i) {
	bool all = true;

	LIST_FOREACH (q, &i->questions, struct question, node)
		all &= tell(i, q, &(struct queue_depth){0});
	return all;
}

/* The broker does not say how deep the queue is. */
static void refuse(struct inspector *i) {
	struct question *q = i->current;

	if (!q || !tell(i, q, &(struct queue_depth){0}))
		return;
	q->skip = (1U << q->refusals) - 1;
	if (q->skip < SKIP_MAX)
		q->refusals++;
}

static void handle_answer(struct inspector *i, const amqp_queue_declare_ok_t *ok) {
	struct question *q = i->current;

	if (!q)
		return;
	q->refusals = 0;
	(void)tell(i, q,
		   &(struct queue_depth){
			   .known = true, .messages_ready = ok->message_count, .consumers = ok->consumer_count});
}

static int handle_close(struct inspector *i, uint64_t now) {
	/* Both sides close at once: each answers the other, and our answer is still to come. */
	if (i->state != INSPECTOR_CLOSING) {
		/* If it was for no question, the next one may have the same end: not at once. */
		if (i->state == INSPECTOR_ASKING)
			refuse(i);
		else
			i->burst = 0;
		inspector_set_state(i, INSPECTOR_CLOSED, now);
	}
	return request_channel_close_ok(i->connection, (uint16_t)i->number);
}

/* Whatever is on its way is void; the broker may take its time. */
static int close_channel(struct inspector *i, uint64_t now) {
	i->burst = 0;
	inspector_set_state(i, INSPECTOR_CLOSING, now);
	return request_channel_close(i->connection, (uint16_t)i->number);
}

bool inspector_has(const struct inspector *i, unsigned number) {
	return i->state != INSPECTOR_CLOSED && i->number == number;
}

int inspector_yield(struct inspector *i, uint64_t now) {
	return i->state == INSPECTOR_CLOSED || i->state == INSPECTOR_CLOSING ? 0 : close_channel(i, now);
}

/* --- questions -----------------------------------------------------------------------------------------------------
 */

static int ask(struct inspector *i, struct question *q, uint64_t now) {
	int r = request_depth(i->connection, (uint16_t)i->number, q->seat->queue->name);

	if (r < 0 && r != -EMSGSIZE)
		return r;
	inspector_set_state(i, INSPECTOR_ASKING, now);
	i->current = q;
	if (r == 0)
		return 0;
	/* Nothing was sent. */
	refuse(i);
	inspector_set_state(i, INSPECTOR_OPEN, now);
	return 0;
}

static int handle_open(struct inspector *i, uint64_t now) {
	if (i->current)
		return ask(i, i->current, now);
	inspector_set_state(i, INSPECTOR_OPEN, now);
	return 0;
}

int inspector_frame(struct inspector *i, const amqp_frame_t *frame, uint64_t now) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;

	if (id == AMQP_CHANNEL_CLOSE_METHOD)
		return handle_close(i, now);
	if (i->state == INSPECTOR_CLOSING) {
		if (id == AMQP_CHANNEL_CLOSE_OK_METHOD)
			inspector_set_state(i, INSPECTOR_CLOSED, now);
		return 0;
	}
	if (id == AMQP_CHANNEL_OPEN_OK_METHOD && i->state == INSPECTOR_OPENING)
		return handle_open(i, now);
	if (id == AMQP_QUEUE_DECLARE_OK_METHOD && i->state == INSPECTOR_ASKING) {
		handle_answer(i, frame->payload.method.decoded);
		inspector_set_state(i, INSPECTOR_OPEN, now);
		return 0;
	}
	if (id == AMQP_CHANNEL_FLOW_METHOD)
		return request_channel_flow_ok(i->connection, (uint16_t)i->number,
					       ((const amqp_channel_flow_t *)frame->payload.method.decoded)->active);
	return connection_fail(i->connection, "the broker sent method 0x%08x in state %s of asking for queues", id,
			       inspector_state_to_string(i->state));
}

/* The next one of the burst; NULL: it is over. */
static struct question *next_question(struct inspector *i) {
	while (i->burst > 0 && i->n_questions > 0) {
		struct question *q = LIST_FIRST(&i->questions, struct question, node);

		i->burst--;
		list_remove(&q->node);
		list_append(&i->questions, &q->node);
		if (q->skip == 0)
			return q;
		q->skip--;
	}
	i->burst = 0;
	return NULL;
}

static void begin_burst(struct inspector *i, uint64_t now) {
	uint64_t gap;

	i->burst = i->n_questions < BURST_MAX ? i->n_questions : BURST_MAX;
	gap = i->interval_usec * i->burst / i->n_questions;
	i->burst_usec = now + (gap > BURST_GAP_USEC ? gap : BURST_GAP_USEC);
}

static bool is_idle(const struct inspector *i) {
	return (i->state == INSPECTOR_CLOSED || i->state == INSPECTOR_OPEN) && i->interval_usec > 0 &&
	       i->n_questions > 0 && !i->barred;
}

bool inspector_wants_channel(const struct inspector *i, uint64_t now) {
	return is_idle(i) && i->state == INSPECTOR_CLOSED && (i->burst > 0 || now >= i->burst_usec);
}

static int open_channel(struct inspector *i, struct question *q, unsigned number, uint64_t now) {
	struct event e = {.type = EVENT_NO_DEPTHS};
	int r;

	if (number == 0) {
		(void)snprintf(e.reason, sizeof(e.reason),
			       "the broker allows %u channels on a connection, and all are in use",
			       i->connection->channel_max);
		if (!i->told_none)
			outbox_post_event(i->outbox, &e);
		i->told_none = true;
		i->burst = 0;
		(void)tell_nothing(i);
		return 0;
	}
	i->told_none = false;
	i->number = number;
	r = request_channel_open(i->connection, (uint16_t)number);
	if (r < 0)
		return r;
	inspector_set_state(i, INSPECTOR_OPENING, now);
	i->current = q;
	return 0;
}

int inspector_work(struct inspector *i, unsigned spare, uint64_t now) {
	struct question *q;

	if (now >= i->deadline_usec) {
		refuse(i);
		(void)tell_nothing(i);
		return close_channel(i, now);
	}
	if (i->interval_usec == 0 && now >= i->burst_usec)
		i->burst_usec = tell_nothing(i) ? USEC_INFINITY : now + TELL_AGAIN_USEC;
	if (!is_idle(i))
		return 0;
	if (i->burst == 0 && now >= i->burst_usec)
		begin_burst(i, now);
	q = next_question(i);
	if (!q)
		return 0;
	return i->state == INSPECTOR_CLOSED ? open_channel(i, q, spare, now) : ask(i, q, now);
}

uint64_t inspector_next_usec(const struct inspector *i) {
	if (i->deadline_usec != USEC_INFINITY)
		return i->deadline_usec;
	if (i->interval_usec == 0)
		return i->burst_usec;
	if (!is_idle(i))
		return USEC_INFINITY;
	return i->burst > 0 ? 0 : i->burst_usec;
}

void inspector_postpone(struct inspector *i, uint64_t usec) {
	i->deadline_usec = clock_add_usec(i->deadline_usec, usec);
}

/* SPDX-License-Identifier: MIT */
#include "broker/channel.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/error.h"
#include "broker/random.h"
#include "broker/request.h"

#define STEP_USEC (30 * USEC_PER_SEC)
#define RETRY_MIN_USEC USEC_PER_SEC
#define RETRY_MAX_USEC USEC_PER_MINUTE
/* After consuming for this long, the next failure is a new one and not the same again. */
#define STABLE_USEC (10 * USEC_PER_SEC)

static const char *const state_names[] = {
	[CHANNEL_CLOSED] = "closed",
	[CHANNEL_OPENING] = "channel.open",
	[CHANNEL_EXCHANGE] = "exchange.declare",
	[CHANNEL_QUEUE] = "queue.declare",
	[CHANNEL_BIND] = "queue.bind",
	[CHANNEL_QOS] = "basic.qos",
	[CHANNEL_CONSUME] = "basic.consume",
	[CHANNEL_CONSUMING] = "consuming",
	[CHANNEL_CANCELLING] = "basic.cancel",
	[CHANNEL_OPEN] = "open",
	[CHANNEL_CLOSING] = "channel.close",
};

const char *channel_state_to_string(enum channel_state s) {
	if ((size_t)s >= ARRAY_SIZE(state_names))
		return "unknown";
	return state_names[s];
}

/* The answer that each state awaits; 0: none. */
static amqp_method_number_t awaited(enum channel_state s) {
	static const amqp_method_number_t answers[] = {
		[CHANNEL_OPENING] = AMQP_CHANNEL_OPEN_OK_METHOD,
		[CHANNEL_EXCHANGE] = AMQP_EXCHANGE_DECLARE_OK_METHOD,
		[CHANNEL_QUEUE] = AMQP_QUEUE_DECLARE_OK_METHOD,
		[CHANNEL_BIND] = AMQP_QUEUE_BIND_OK_METHOD,
		[CHANNEL_QOS] = AMQP_BASIC_QOS_OK_METHOD,
		[CHANNEL_CONSUME] = AMQP_BASIC_CONSUME_OK_METHOD,
		[CHANNEL_CANCELLING] = AMQP_BASIC_CANCEL_OK_METHOD,
		[CHANNEL_CLOSING] = AMQP_CHANNEL_CLOSE_OK_METHOD,
	};

	return answers[s];
}

/* The steps that exist. */
static bool step_is_legal(enum channel_state from, enum channel_state to) {
	switch (to) {
	case CHANNEL_CLOSED:
		return true; /* the channel or the connection can end at any time */
	case CHANNEL_OPENING:
		return from == CHANNEL_CLOSED;
	case CHANNEL_EXCHANGE:
		return from == CHANNEL_OPENING || from == CHANNEL_EXCHANGE || from == CHANNEL_OPEN;
	case CHANNEL_QUEUE:
		return from == CHANNEL_OPENING || from == CHANNEL_EXCHANGE || from == CHANNEL_OPEN;
	case CHANNEL_BIND:
		return from == CHANNEL_QUEUE || from == CHANNEL_BIND;
	case CHANNEL_QOS:
		return from == CHANNEL_QUEUE || from == CHANNEL_BIND || from == CHANNEL_OPEN;
	case CHANNEL_CONSUME:
		return from == CHANNEL_QOS;
	case CHANNEL_CONSUMING:
		return from == CHANNEL_CONSUME;
	case CHANNEL_CANCELLING:
		return from == CHANNEL_CONSUMING;
	case CHANNEL_OPEN:
		return from != CHANNEL_CLOSED && from != CHANNEL_CLOSING && from != CHANNEL_CONSUME;
	case CHANNEL_CLOSING:
		return from != CHANNEL_CLOSED && from != CHANNEL_CLOSING;
	}
	return false;
}

static void channel_set_state(struct channel *c, enum channel_state state, uint64_t now) {
	assert(step_is_legal(c->state, state));
	assert(settler_is_flushed(&c->settler));
	c->state = state;
	c->deadline_usec = awaited(state) ? now + STEP_USEC : USEC_INFINITY;
}

int channel_new(struct seat *seat, struct channel **ret) {
	struct channel *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	list_init(&c->node);
	c->add.item.kind = ITEM_COMMAND;
	c->add.type = COMMAND_ADD;
	c->seat = seat_ref(seat);
	c->queue = seat->queue;
	c->consumer = seat->consumer;
	c->number = seat->consumer + 1;
	c->deadline_usec = USEC_INFINITY;
	c->retry_usec = USEC_INFINITY;
	backoff_init(&c->backoff, RETRY_MIN_USEC, RETRY_MAX_USEC);
	question_init(&c->question, seat);
	assembler_init(&c->assembler, seat->config->max_message_size);
	settler_init(&c->settler, NULL, NULL, (uint16_t)c->number);
	*ret = c;
	return 0;
}

struct channel *channel_free(struct channel *c) {
	if (c) {
		assembler_reset(&c->assembler);
		settler_clear(&c->settler);
		seat_unref(c->seat);
		free(c);
	}
	return NULL;
}

void channel_join(struct channel *c, struct connection *connection, struct outbox *outbox) {
	c->connection = connection;
	c->outbox = outbox;
	settler_init(&c->settler, connection, outbox, (uint16_t)c->number);
}

static void report(struct channel *c, enum consumer_state state, const char *reason, uint64_t retry_usec) {
	struct event e = {
		.type = EVENT_CONSUMER_STATE,
		.consumer = c->consumer,
		.consumer_state = state,
		.retry_usec = retry_usec,
		.no_number = state == CONSUMER_FAILED && c->number > c->connection->channel_max,
	};

	(void)snprintf(e.reason, sizeof(e.reason), "%s", reason ? reason : "");
	outbox_post_event(c->outbox, &e);
}

/* One for each: the main thread counts them. */
static void finish_cancels(struct channel *c) {
	for (; c->cancels_owed > 0; c->cancels_owed--)
		outbox_post_event(c->outbox, &(struct event){.type = EVENT_CANCELLED, .consumer = c->consumer});
}

/* No message of this epoch comes any more, none can be settled. */
static void end_epoch(struct channel *c) {
	assembler_reset(&c->assembler);
	c->topology_done = false;
	if (!c->lost_owed)
		return;
	c->lost_owed = false;
	outbox_post_event(c->outbox, &(struct event){.type = EVENT_LOST, .consumer = c->consumer, .epoch = c->epoch});
}

/* Reports the failure and sets the time of the next attempt, or, if nothing is wanted any more, that all is quiet. */
static void fail(struct channel *c, const char *reason, uint64_t now) {
	uint64_t delay;

	if (c->wanted) {
		if (c->consuming_since_usec && now - c->consuming_since_usec >= STABLE_USEC)
			backoff_reset(&c->backoff);
		delay = backoff_next_usec(&c->backoff, random_u32());
		c->retry_usec = now + delay;
		report(c, CONSUMER_FAILED, reason, delay);
	} else {
		c->retry_usec = USEC_INFINITY;
		report(c, CONSUMER_IDLE, reason, 0);
	}
	c->consuming_since_usec = 0;
	finish_cancels(c);
}

/* Fails from our side: the channel is closed, and opened again later. */
static int abandon(struct channel *c, const char *reason, uint64_t now) {
	end_epoch(c);
	channel_set_state(c, CHANNEL_CLOSING, now);
	fail(c, reason, now);
	return request_channel_close(c->connection, (uint16_t)c->number);
}

/* After a request: on to the state that awaits its answer, unless it could not be sent. */
static int requested(struct channel *c, int r, enum channel_state state, uint64_t now) {
	char reason[REASON_MAX];

	if (r == -EMSGSIZE) {
		(void)snprintf(reason, sizeof(reason), "%s", c->connection->reason);
		return abandon(c, reason, now);
	}
	if (r < 0)
		return r;
	channel_set_state(c, state, now);
	return 0;
}

static int go_qos(struct channel *c, uint64_t now) {
	c->topology_done = true;
	return requested(c, request_qos(c->connection, (uint16_t)c->number, c->prefetch), CHANNEL_QOS, now);
}

static int go_bind(struct channel *c, uint64_t now) {
	while (c->binding < c->queue->n_bindings) {
		const struct config_binding *b = &c->queue->bindings[c->binding];

		/* Every queue is bound to the default exchange by its name, and to bind it there is an error. */
		if (b->exchange[0] && b->routing_keys[c->key]) {
			const char *key = b->routing_keys[c->key++];

			return requested(c, request_bind(c->connection, (uint16_t)c->number, c->queue, b, key),
					 CHANNEL_BIND, now);
		}
		c->binding++;
		c->key = 0;
	}
	return go_qos(c, now);
}

static int go_queue(struct channel *c, uint64_t now) {
	return requested(c, request_queue(c->connection, (uint16_t)c->number, c->queue), CHANNEL_QUEUE, now);
}

static int go_exchange(struct channel *c, uint64_t now) {
	while (c->binding < c->queue->n_bindings) {
		const struct config_binding *b = &c->queue->bindings[c->binding++];

		if (b->exchange[0])
			return requested(c, request_exchange(c->connection, (uint16_t)c->number, b), CHANNEL_EXCHANGE,
					 now);
	}
	return go_queue(c, now);
}

static int go_consume(struct channel *c, uint64_t now) {
	c->lost_owed = true;
	return requested(c, request_consume(c->connection, (uint16_t)c->number, c->queue), CHANNEL_CONSUME, now);
}

static int go_cancel(struct channel *c, uint64_t now) {
	return requested(c, request_cancel(c->connection, (uint16_t)c->number, c->consumer_tag), CHANNEL_CANCELLING,
			 now);
}

/* On an open channel that does not consume. */
static int start_consuming(struct channel *c, uint64_t now) {
	c->retry_usec = USEC_INFINITY;
	if (c->topology_done)
		return go_qos(c, now);
	c->binding = 0;
	return go_exchange(c, now);
}

static int open_channel(struct channel *c, uint64_t now) {
	const char *long_name = request_too_long(c->queue);
	char reason[REASON_MAX];

	c->retry_usec = USEC_INFINITY;
	if (long_name || c->number > c->connection->channel_max) {
		if (long_name)
			(void)snprintf(reason, sizeof(reason), "%s is longer than 255 bytes", long_name);
		else
			(void)snprintf(reason, sizeof(reason),
				       "the broker allows %u channels on a connection, and all are in use",
				       c->connection->channel_max);
		/* No attempt of ours changes that; a new connection may. */
		report(c, CONSUMER_FAILED, reason, 0);
		return 0;
	}
	c->epoch++;
	settler_begin(&c->settler);
	c->topology_done = false;
	return requested(c, request_channel_open(c->connection, (uint16_t)c->number), CHANNEL_OPENING, now);
}

int channel_up(struct channel *c, uint64_t now) {
	return c->wanted ? open_channel(c, now) : 0;
}

void channel_down(struct channel *c, const char *reason) {
	bool was_open = c->state != CHANNEL_CLOSED;

	end_epoch(c);
	channel_set_state(c, CHANNEL_CLOSED, 0);
	c->retry_usec = USEC_INFINITY;
	c->consuming_since_usec = 0;
	if (was_open || c->wanted)
		report(c, CONSUMER_IDLE, reason, 0);
	finish_cancels(c);
}

int channel_consume(struct channel *c, unsigned prefetch, uint64_t now) {
	c->wanted = true;
	c->prefetch = prefetch;
	/* In every other state the answer that is awaited, or the time of the next attempt, leads on to consuming. */
	if (!c->connection->up || c->retry_usec != USEC_INFINITY)
		return 0;
	if (c->state == CHANNEL_CLOSED)
		return open_channel(c, now);
	if (c->state == CHANNEL_OPEN)
		return start_consuming(c, now);
	return 0;
}

int channel_cancel(struct channel *c, uint64_t now) {
	c->wanted = false;
	c->cancels_owed++;
	c->retry_usec = USEC_INFINITY;
	if (c->state == CHANNEL_CONSUMING)
		return go_cancel(c, now);
	if (c->state == CHANNEL_CLOSED || c->state == CHANNEL_OPEN || c->state == CHANNEL_CLOSING) {
		report(c, CONSUMER_IDLE, NULL, 0);
		finish_cancels(c);
	}
	/* Else at the next answer. */
	return 0;
}

int channel_settle(struct channel *c, struct message *m) {
	if (m->epoch != c->epoch || c->state == CHANNEL_CLOSED || c->state == CHANNEL_CLOSING) {
		outbox_post_message(c->outbox, m, ITEM_UNSETTLED);
		return 0;
	}
	return settler_settle(&c->settler, m);
}

int channel_flush(struct channel *c) {
	return settler_flush(&c->settler);
}

int channel_remove(struct channel *c, uint64_t now) {
	int r = channel_flush(c);

	c->removed = true;
	c->wanted = false;
	c->retry_usec = USEC_INFINITY;
	/* If nothing can be sent any more, the connection goes, and the channel with it. */
	if (r < 0 || c->state == CHANNEL_CLOSED || c->state == CHANNEL_CLOSING)
		return r;
	end_epoch(c);
	channel_set_state(c, CHANNEL_CLOSING, now);
	return request_channel_close(c->connection, (uint16_t)c->number);
}

bool channel_is_over(const struct channel *c) {
	return c->removed && c->state == CHANNEL_CLOSED;
}

static int handle_close(struct channel *c, const amqp_channel_close_t *close, uint64_t now) {
	char reason[REASON_MAX];

	if (c->state == CHANNEL_CLOSED)
		return 0;
	/* Both sides close at once: each answers the other, and our answer is still to come. */
	if (c->state != CHANNEL_CLOSING) {
		error_from_close(close->reply_code, &close->reply_text, reason, sizeof(reason));
		end_epoch(c);
		channel_set_state(c, CHANNEL_CLOSED, now);
		fail(c, reason, now);
	}
	return request_channel_close_ok(c->connection, (uint16_t)c->number);
}

/* The broker ends the consumer, not the channel: what was delivered can still be settled, so the channel stays, and the
 * topology is gone through again on it. A cancel-ok would make RabbitMQ close the connection. */
static void handle_cancel(struct channel *c, const amqp_basic_cancel_t *cancel, uint64_t now) {
	if (c->state != CHANNEL_CONSUMING || cancel->consumer_tag.len != strlen(c->consumer_tag) ||
	    memcmp(cancel->consumer_tag.bytes, c->consumer_tag, cancel->consumer_tag.len) != 0)
		return;
	channel_set_state(c, CHANNEL_OPEN, now);
	c->topology_done = false;
	fail(c, error_from_cancel(), now);
}

static int handle_consume_ok(struct channel *c, const amqp_basic_consume_ok_t *ok, uint64_t now) {
	if (ok->consumer_tag.len >= sizeof(c->consumer_tag))
		return connection_fail(c->connection, "the broker sent a consumer tag that is too long");
	memcpy(c->consumer_tag, ok->consumer_tag.bytes, ok->consumer_tag.len);
	c->consumer_tag[ok->consumer_tag.len] = '\0';
	c->consuming_since_usec = now;
	channel_set_state(c, CHANNEL_CONSUMING, now);
	if (c->cancels_owed > 0)
		return go_cancel(c, now);
	report(c, CONSUMER_CONSUMING, NULL, 0);
	return 0;
}

/* The awaited answer has come. */
static int handle_answer(struct channel *c, const amqp_frame_t *frame, uint64_t now) {
	enum channel_state done = c->state;

	if (done == CHANNEL_CONSUME)
		return handle_consume_ok(c, frame->payload.method.decoded, now);
	if (done == CHANNEL_CLOSING) {
		channel_set_state(c, CHANNEL_CLOSED, now);
		return c->wanted && c->retry_usec == USEC_INFINITY ? open_channel(c, now) : 0;
	}
	/* A boundary at which nothing is being consumed: the place to end, or to begin again (with another prefetch, maybe). */
	if (done == CHANNEL_CANCELLING || c->cancels_owed > 0 || !c->wanted) {
		channel_set_state(c, CHANNEL_OPEN, now);
		report(c, CONSUMER_IDLE, NULL, 0);
	}
	finish_cancels(c);
	if (c->state == CHANNEL_OPEN)
		return c->wanted ? start_consuming(c, now) : 0;
	switch (done) {
	case CHANNEL_OPENING:
		c->binding = 0;
		return go_exchange(c, now);
	case CHANNEL_EXCHANGE:
		return go_exchange(c, now);
	case CHANNEL_QUEUE:
		c->binding = 0;
		c->key = 0;
		return go_bind(c, now);
	case CHANNEL_BIND:
		return go_bind(c, now);
	default:
		assert(done == CHANNEL_QOS);
		return go_consume(c, now);
	}
}

static int handle_content(struct channel *c, const amqp_frame_t *frame, uint64_t now) {
	CLEANUP(message_free) struct message *m = NULL;
	const char *reason = NULL;
	int r = assembler_feed(&c->assembler, frame, now, &m, &reason);

	if (r == -EPROTO)
		return connection_fail(c->connection, "%s", reason);
	if (r < 0)
		return connection_fail(c->connection, "%s: %s", reason, strerror(-r));
	if (!m)
		return 0;
	r = settler_deliver(&c->settler, m->delivery_tag);
	if (r == -EPROTO)
		return connection_fail(c->connection, "the broker sent delivery tag %" PRIu64 " out of turn",
				       m->delivery_tag);
	if (r < 0)
		return connection_fail(c->connection, "%s", strerror(-r));
	m->consumer = c->consumer;
	m->epoch = c->epoch;
	outbox_post_message(c->outbox, TAKE(m), ITEM_MESSAGE);
	return 0;
}

int channel_frame(struct channel *c, const amqp_frame_t *frame, uint64_t now) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;

	if (id == AMQP_CHANNEL_CLOSE_METHOD)
		return handle_close(c, frame->payload.method.decoded, now);
	if (c->state == CHANNEL_CLOSED || (c->state == CHANNEL_CLOSING && id != AMQP_CHANNEL_CLOSE_OK_METHOD))
		return 0;
	if (!id || id == AMQP_BASIC_DELIVER_METHOD || c->assembler.state != ASSEMBLER_IDLE)
		return handle_content(c, frame, now);
	if (id == awaited(c->state))
		return handle_answer(c, frame, now);
	if (id == AMQP_BASIC_CANCEL_METHOD) {
		handle_cancel(c, frame->payload.method.decoded, now);
		return 0;
	}
	if (id == AMQP_CHANNEL_FLOW_METHOD) {
		const amqp_channel_flow_t *flow = frame->payload.method.decoded;

		return request_channel_flow_ok(c->connection, (uint16_t)c->number, flow->active);
	}
	return connection_fail(c->connection, "the broker sent method 0x%08x in state %s", id,
			       channel_state_to_string(c->state));
}

uint64_t channel_next_usec(const struct channel *c) {
	/* In CLOSING the next attempt waits for the answer. */
	if (c->deadline_usec != USEC_INFINITY)
		return c->deadline_usec;
	return c->retry_usec;
}

void channel_postpone(struct channel *c, uint64_t usec) {
	c->deadline_usec = clock_add_usec(c->deadline_usec, usec);
}

int channel_tick(struct channel *c, uint64_t now) {
	char reason[REASON_MAX];

	if (now < channel_next_usec(c))
		return 0;
	if (c->deadline_usec == USEC_INFINITY)
		return c->state == CHANNEL_OPEN ? start_consuming(c, now) : open_channel(c, now);
	(void)snprintf(reason, sizeof(reason), "the broker did not answer %s within %u seconds",
		       channel_state_to_string(c->state), (unsigned)(STEP_USEC / USEC_PER_SEC));
	if (c->state == CHANNEL_CLOSING)
		return connection_fail(c->connection, "%s", reason);
	return abandon(c, reason, now);
}

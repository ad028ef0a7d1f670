/* SPDX-License-Identifier: MIT */
/* A session's channels: requests and their answers, messages taken and settled. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "broker/error.h"
#include "broker/request.h"
#include "ctl/session_private.h"

/* What RabbitMQ takes at most, in any version. */
#define MESSAGE_MAX (UINT64_C(512) * 1024 * 1024)
#define SHORT_STRING_MAX 255

/* --- what comes -------------------------------------------------------------------------------------------------- */

static void forget_arrived(struct session_channel *c) {
	LIST_FOREACH (a, &c->arrived, struct arrival, node) {
		list_remove(&a->node);
		message_free(a->message);
		free(a);
	}
	c->got = message_free(c->got);
	assembler_reset(&c->assembler);
}

void session_channel_free(struct session_channel *c) {
	if (!c)
		return;
	session_publish_end(c, 0, "the channel was closed before the broker confirmed it");
	forget_arrived(c);
	free(c);
}

void session_channel_down(struct session_channel *c, const char *reason) {
	if (c->phase == CHANNEL_OF_SESSION_CLOSED)
		return;
	c->phase = CHANNEL_OF_SESSION_CLOSED;
	(void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
	session_publish_end(c, 0, reason);
	forget_arrived(c);
}

static int on_close(struct session_channel *c, const amqp_channel_close_t *close) {
	bool ours = c->phase == CHANNEL_OF_SESSION_CLOSING;

	if (c->phase == CHANNEL_OF_SESSION_CLOSED)
		return 0;
	/* Both sides close at once: each answers the other, and our answer is still to come. */
	if (!ours) {
		c->close_code = close->reply_code;
		error_format_text(&close->reply_text, c->close_text, sizeof(c->close_text));
		error_from_close(close->reply_code, &close->reply_text, c->reason, sizeof(c->reason));
		c->phase = CHANNEL_OF_SESSION_CLOSED;
		/* Whoever is called back may want to know. */
		(void)session_channel_usable(c);
		session_publish_end(c, c->close_code, c->reason);
		forget_arrived(c);
	}
	return request_channel_close_ok(&c->session->connection, c->number);
}

static int add_arrival(struct session_channel *c, struct message *m) {
	struct arrival *a = malloc(sizeof(*a));

	if (!a) {
		message_free(m);
		return connection_fail(&c->session->connection, "out of memory");
	}
	a->message = m;
	list_append(&c->arrived, &a->node);
	return 0;
}

static int assemble(struct session_channel *c, const amqp_frame_t *frame) {
	struct connection *connection = &c->session->connection;
	const char *why = NULL;
	struct message *m = NULL;

	if (assembler_feed(&c->assembler, frame, clock_now_usec(), &m, &why) < 0)
		return connection_fail(connection, "%s", why);
	if (!m)
		return 0;
	if (!c->getting)
		return add_arrival(c, m);
	message_free(c->got);
	c->got = m;
	c->answer = AMQP_BASIC_GET_OK_METHOD;
	return 0;
}

/* The assembler knows basic.deliver, which says the same but for a number. */
static int on_get_ok(struct session_channel *c, const amqp_frame_t *frame) {
	const amqp_basic_get_ok_t *ok = frame->payload.method.decoded;
	amqp_basic_deliver_t deliver = {
		.consumer_tag = amqp_empty_bytes,
		.delivery_tag = ok->delivery_tag,
		.redelivered = ok->redelivered,
		.exchange = ok->exchange,
		.routing_key = ok->routing_key,
	};
	amqp_frame_t f = *frame;

	f.payload.method.id = AMQP_BASIC_DELIVER_METHOD;
	f.payload.method.decoded = &deliver;
	c->getting = true;
	c->left = ok->message_count;
	return assemble(c, &f);
}

static int on_content(struct session_channel *c, const amqp_frame_t *frame) {
	if (c->returned.state == RETURN_NONE)
		return assemble(c, frame);
	if (session_publish_content(c, frame) == 0)
		return 0;
	return connection_fail(&c->session->connection, "the broker sent a frame out of place");
}

static int on_method(struct session_channel *c, const amqp_frame_t *frame) {
	const void *m = frame->payload.method.decoded;

	switch (frame->payload.method.id) {
	case AMQP_BASIC_DELIVER_METHOD:
		c->getting = false;
		return assemble(c, frame);
	case AMQP_BASIC_GET_OK_METHOD:
		return on_get_ok(c, frame);
	case AMQP_BASIC_ACK_METHOD:
		session_publish_answer(c, ((const amqp_basic_ack_t *)m)->delivery_tag,
				       ((const amqp_basic_ack_t *)m)->multiple, true);
		return 0;
	case AMQP_BASIC_NACK_METHOD:
		session_publish_answer(c, ((const amqp_basic_nack_t *)m)->delivery_tag,
				       ((const amqp_basic_nack_t *)m)->multiple, false);
		return 0;
	case AMQP_BASIC_RETURN_METHOD:
		session_publish_return(c, m);
		return 0;
	case AMQP_BASIC_CANCEL_METHOD:
		c->cancelled = true;
		return 0;
	case AMQP_CHANNEL_FLOW_METHOD:
		c->held = !((const amqp_channel_flow_t *)m)->active;
		return request_channel_flow_ok(&c->session->connection, c->number, !c->held);
	case AMQP_QUEUE_DECLARE_OK_METHOD:
		c->counts.messages = ((const amqp_queue_declare_ok_t *)m)->message_count;
		c->counts.consumers = ((const amqp_queue_declare_ok_t *)m)->consumer_count;
		break;
	default:
		break;
	}
	c->answer = frame->payload.method.id;
	return 0;
}

int session_channel_frame(struct session_channel *c, const amqp_frame_t *frame) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;

	if (id == AMQP_CHANNEL_CLOSE_METHOD)
		return on_close(c, frame->payload.method.decoded);
	if (c->phase == CHANNEL_OF_SESSION_CLOSED)
		return 0;
	if (c->phase == CHANNEL_OF_SESSION_CLOSING) {
		c->answer = id == AMQP_CHANNEL_CLOSE_OK_METHOD ? id : c->answer;
		return 0;
	}
	return id ? on_method(c, frame) : on_content(c, frame);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

int session_channel_usable(struct session_channel *c) {
	struct session *s = c->session;

	/* A channel that was never open has no reason of its own: then it is still the session's. */
	if (!s->connection.up)
		return c->reason[0] ? session_fail(s, -ECONNABORTED, EX_UNAVAILABLE, "%s", c->reason) : -ECONNABORTED;
	if (c->phase != CHANNEL_OF_SESSION_CLOSED)
		return 0;
	s->close_code = c->close_code;
	(void)snprintf(s->close_text, sizeof(s->close_text), "%s", c->close_text);
	return session_fail(s, -EREMOTEIO, c->close_code == AMQP_ACCESS_REFUSED ? EX_NOPERM : EXIT_FAILURE, "%s",
			    c->reason);
}

bool session_channel_is_open(const struct session_channel *c) {
	return c->phase == CHANNEL_OF_SESSION_OPEN;
}

/* Before a request. */
static int begin(struct session_channel *c) {
	int r;

	if (session_interrupted(c->session))
		return session_fail(c->session, -EINTR, EXIT_FAILURE, "interrupted");
	r = session_channel_usable(c);
	c->answer = 0;
	return r;
}

/* After it was sent with the result `r`, until one of its answers has come. Only the second signal ends that: the
 * answer that would come afterwards is not to be taken for another one's. */
static int await(struct session_channel *c, int r, amqp_method_number_t answer, amqp_method_number_t other) {
	struct session *s = c->session;
	uint64_t deadline = clock_add_usec(clock_now_usec(), SESSION_ANSWER_USEC);

	r = session_sent(s, r);
	while (r >= 0 && c->phase != CHANNEL_OF_SESSION_CLOSED && c->answer != answer && (!other || c->answer != other))
		r = session_poll(s, -1, false, 1, deadline);
	if (r >= 0)
		return c->phase == CHANNEL_OF_SESSION_CLOSED ? session_channel_usable(c) : 0;
	if (r == -ETIMEDOUT)
		(void)session_fail(s, r, EX_TEMPFAIL, "the broker did not answer within %u seconds%s%s",
				   (unsigned)(SESSION_ANSWER_USEC / USEC_PER_SEC),
				   s->blocked ? "; it takes no publications for now: " : "",
				   s->blocked ? s->blocked_reason : "");
	if (r == -ETIMEDOUT || r == -EINTR)
		session_channel_down(c, s->reason);
	return r;
}

static int too_long(struct session *s, const char *what) {
	return session_fail(s, -EMSGSIZE, EXIT_FAILURE, "the name of the %s is longer than 255 bytes", what);
}

int session_channel_open(struct session *s, struct session_channel **ret) {
	struct session_channel *c;
	size_t i = 0;
	int r;

	while (i < SESSION_CHANNELS_MAX && s->channels[i])
		i++;
	if (i == SESSION_CHANNELS_MAX || i >= s->connection.channel_max)
		return session_fail(s, -EMFILE, EXIT_FAILURE, "too many channels are open");
	c = calloc(1, sizeof(*c));
	if (!c)
		return session_fail(s, -ENOMEM, EXIT_FAILURE, "out of memory");
	c->session = s;
	c->number = (uint16_t)(i + 1);
	assembler_init(&c->assembler, MESSAGE_MAX);
	list_init(&c->arrived);
	session_publish_init(c);
	s->channels[i] = c;
	r = begin(c);
	if (r == 0)
		r = await(c, request_channel_open(&s->connection, c->number), AMQP_CHANNEL_OPEN_OK_METHOD, 0);
	if (r < 0) {
		s->channels[i] = NULL;
		session_channel_free(c);
		return r;
	}
	c->phase = CHANNEL_OF_SESSION_OPEN;
	*ret = c;
	return 0;
}

int session_channel_close(struct session_channel *c) {
	struct session *s = c->session;
	int r = 0;

	if (s->connection.up && c->phase == CHANNEL_OF_SESSION_OPEN) {
		session_publish_end(c, 0, "the channel was closed before the broker confirmed it");
		c->phase = CHANNEL_OF_SESSION_CLOSING;
		c->answer = 0;
		r = await(c, request_channel_close(&s->connection, c->number), AMQP_CHANNEL_CLOSE_OK_METHOD, 0);
		/* Its number cannot be used again, and nothing is known of what it had sent. */
		if (r < 0 && s->connection.up) {
			(void)connection_fail(&s->connection, "a channel could not be closed");
			r = session_lost(s);
		}
	}
	s->channels[c->number - 1] = NULL;
	session_channel_free(c);
	return r;
}

/* --- what there is ----------------------------------------------------------------------------------------------- */

static int await_queue(struct session_channel *c, int sent, struct session_counts *ret) {
	int r = await(c, sent, AMQP_QUEUE_DECLARE_OK_METHOD, 0);

	if (r == 0 && ret)
		*ret = c->counts;
	return r;
}

int session_queue_check(struct session_channel *c, const char *queue, struct session_counts *ret) {
	const struct config_queue q = {.name = (char *)queue};
	int r = begin(c);

	if (r < 0)
		return r;
	if (strlen(queue) > SHORT_STRING_MAX)
		return too_long(c->session, "queue");
	return await_queue(c, request_queue(&c->session->connection, c->number, &q), ret);
}

int session_queue_declare(struct session_channel *c, const struct config_queue *queue, struct session_counts *ret) {
	int r = begin(c);

	if (r < 0)
		return r;
	if (strlen(queue->name) > SHORT_STRING_MAX)
		return too_long(c->session, "queue");
	return await_queue(c, request_queue(&c->session->connection, c->number, queue), ret);
}

int session_exchange_declare(struct session_channel *c, const struct config_binding *binding) {
	int r = begin(c);

	if (r < 0)
		return r;
	if (strlen(binding->exchange) > SHORT_STRING_MAX)
		return too_long(c->session, "exchange");
	return await(c, request_exchange(&c->session->connection, c->number, binding), AMQP_EXCHANGE_DECLARE_OK_METHOD,
		     0);
}

int session_exchange_check(struct session_channel *c, const char *exchange) {
	const struct config_binding b = {.exchange = (char *)exchange};

	return session_exchange_declare(c, &b);
}

/* --- taking messages --------------------------------------------------------------------------------------------- */

int session_get(struct session_channel *c, const char *queue, struct message **ret, uint64_t *ret_left) {
	amqp_basic_get_t get = {.queue = amqp_cstring_bytes(queue)};
	int r = begin(c);

	if (r < 0)
		return r;
	if (strlen(queue) > SHORT_STRING_MAX)
		return too_long(c->session, "queue");
	r = await(c, connection_send(&c->session->connection, c->number, AMQP_BASIC_GET_METHOD, &get),
		  AMQP_BASIC_GET_OK_METHOD, AMQP_BASIC_GET_EMPTY_METHOD);
	if (r < 0 || c->answer == AMQP_BASIC_GET_EMPTY_METHOD)
		return r;
	*ret = TAKE(c->got);
	*ret_left = c->left;
	return 1;
}

int session_consume(struct session_channel *c, const char *queue, uint16_t prefetch, bool exclusive) {
	const struct config_queue q = {.name = (char *)queue, .exclusive = exclusive};
	int r = begin(c);

	if (r < 0)
		return r;
	if (strlen(queue) > SHORT_STRING_MAX)
		return too_long(c->session, "queue");
	r = await(c, request_qos(&c->session->connection, c->number, prefetch), AMQP_BASIC_QOS_OK_METHOD, 0);
	if (r < 0)
		return r;
	c->answer = 0;
	return await(c, request_consume(&c->session->connection, c->number, &q), AMQP_BASIC_CONSUME_OK_METHOD, 0);
}

int session_receive(struct session_channel *c, uint64_t deadline_usec, struct message **ret) {
	int r = session_channel_usable(c);

	while (r >= 0 && list_is_empty(&c->arrived)) {
		if (c->cancelled)
			return session_fail(c->session, -ECANCELED, EXIT_FAILURE, "%s", error_from_cancel());
		r = session_poll(c->session, -1, false, 0, deadline_usec);
		if (r >= 0)
			r = session_channel_usable(c);
	}
	if (r < 0)
		return r;
	{
		struct arrival *a = LIST_FIRST(&c->arrived, struct arrival, node);

		list_remove(&a->node);
		*ret = a->message;
		free(a);
	}
	return 0;
}

int session_ack(struct session_channel *c, uint64_t tag, bool multiple) {
	int r = session_channel_usable(c);

	return r < 0 ? r : session_sent(c->session, request_ack(&c->session->connection, c->number, tag, multiple));
}

int session_nack(struct session_channel *c, uint64_t tag, bool multiple, bool requeue) {
	amqp_basic_nack_t nack = {.delivery_tag = tag, .multiple = multiple, .requeue = requeue};
	int r = session_channel_usable(c);

	return r < 0 ? r
		     : session_sent(c->session,
				    connection_send(&c->session->connection, c->number, AMQP_BASIC_NACK_METHOD, &nack));
}

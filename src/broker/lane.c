/* SPDX-License-Identifier: MIT */
#include "broker/lane.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "broker/content.h"
#include "broker/error.h"
#include "broker/random.h"
#include "broker/request.h"

#define STEP_USEC (30 * USEC_PER_SEC)
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (10 * USEC_PER_SEC)
/* What is sent before the thread gets back to reading: frames, of CONTENT_PIECE at most but for headers. */
#define FRAMES_PER_TURN 64

static const char *const state_names[] = {
	[LANE_CLOSED] = "closed",
	[LANE_OPENING] = "channel.open",
	[LANE_CONFIRM] = "confirm.select",
	[LANE_CLOSING] = "channel.close",
	[LANE_READY] = "ready",
};

const char *lane_state_to_string(enum lane_state s) {
	return (size_t)s < ARRAY_SIZE(state_names) ? state_names[s] : "unknown";
}

static bool step_is_legal(enum lane_state from, enum lane_state to) {
	switch (to) {
	case LANE_CLOSED:
		return true; /* the channel or the connection can end at any time */
	case LANE_OPENING:
		return from == LANE_CLOSED;
	case LANE_CONFIRM:
		return from == LANE_OPENING;
	case LANE_READY:
		return from == LANE_CONFIRM;
	case LANE_CLOSING:
		return from == LANE_OPENING || from == LANE_CONFIRM || from == LANE_READY;
	}
	return false;
}

static void lane_set_state(struct lane *l, enum lane_state state, uint64_t now) {
	assert(step_is_legal(l->state, state));
	l->state = state;
	l->deadline_usec = state == LANE_CLOSED || state == LANE_READY ? USEC_INFINITY : now + STEP_USEC;
	l->wants_write = false;
}

void lane_init(struct lane *l, struct connection *connection, struct outbox *outbox, struct declarer *declarer,
	       unsigned number, uint64_t timeout_usec) {
	*l = (struct lane){
		.connection = connection,
		.outbox = outbox,
		.declarer = declarer,
		.timeout_usec = timeout_usec,
		.number = number,
		.deadline_usec = USEC_INFINITY,
	};
	list_init(&l->waiting);
	list_init(&l->sent);
	backoff_init(&l->backoff, RETRY_MIN_USEC, RETRY_MAX_USEC);
}

void lane_clear(struct lane *l) {
	struct list *lists[] = {&l->waiting, &l->sent};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		LIST_FOREACH(j, lists[i], struct job, node) {
			list_remove(&j->node);
			job_free(j);
		}
	}
	l->sending = job_free(l->sending);
}

void lane_publish(struct lane *l, struct job *j, uint64_t now) {
	j->send_usec = clock_add_usec(now, l->timeout_usec);
	list_append(&l->waiting, &j->node);
}

#define finish(l, j, ...)                                                                                              \
	do {                                                                                                           \
		list_remove(&(j)->node);                                                                               \
		job_finish((j), (l)->outbox, __VA_ARGS__);                                                             \
	} while (0)

void lane_stop(struct lane *l) {
	LIST_FOREACH(j, &l->waiting, struct job, node)
		finish(l, j, PUBLISH_FAILED, "it was not sent before the daemon stopped");
}

/* Nothing of what was sent waits for an answer. */
static bool is_answered(const struct lane *l) {
	return !l->sending && list_is_empty(&l->sent);
}

bool lane_is_quiet(const struct lane *l) {
	return is_answered(l) && list_is_empty(&l->waiting);
}

static size_t count_sent(const struct lane *l) {
	size_t n = l->sending ? 1 : 0;

	for (const struct list *node = l->sent.next; node != &l->sent; node = node->next)
		n++;
	return n;
}

/* Nobody can have a message of which the end was not sent, so it can be sent again. It was the first of those that
 * waited. */
static void put_back(struct lane *l) {
	struct job *j = TAKE(l->sending);

	if (!j)
		return;
	j->offset = 0;
	list_insert_before(l->waiting.next, &j->node);
}

/* A new channel begins to count anew. */
static void forget_channel(struct lane *l) {
	l->tag = 0;
	l->given_up = 0;
	l->held = false;
	l->refused = false;
	l->returned.state = RETURNED_NONE;
}

void lane_down(struct lane *l, const char *reason) {
	LIST_FOREACH(j, &l->sent, struct job, node)
		finish(l, j, PUBLISH_UNCONFIRMED, "the connection was lost before the broker confirmed it: %s", reason);
	put_back(l);
	forget_channel(l);
	lane_set_state(l, LANE_CLOSED, 0);
	l->retry_usec = 0;
	l->reason[0] = '\0';
}

/* The broker has closed the channel because of something that was published on it. What of that it had taken before is
 * unknown, unless there was only the one that it refused. */
static void fail_sent(struct lane *l, uint16_t code, const char *reason) {
	bool soft = code == AMQP_ACCESS_REFUSED || code == AMQP_NOT_FOUND || code == AMQP_PRECONDITION_FAILED;
	size_t n = count_sent(l);

	if (n == 1 && l->given_up == 0 && soft) {
		struct job *j = l->sending ? TAKE(l->sending) : LIST_FIRST(&l->sent, struct job, node);

		finish(l, j, PUBLISH_FAILED, "%s", reason);
		return;
	}
	LIST_FOREACH(j, &l->sent, struct job, node) {
		if (n == 1 && l->given_up == 0)
			finish(l, j, PUBLISH_UNCONFIRMED, "the broker closed the channel instead of confirming it: %s",
			       reason);
		else
			finish(l, j, PUBLISH_UNCONFIRMED,
			       "the broker closed the channel before it confirmed this or another message: %s", reason);
	}
	put_back(l);
}

/* The channel is not to be used for now. */
static void retry_later(struct lane *l, const char *reason, uint64_t now) {
	(void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
	l->retry_usec = now + backoff_next_usec(&l->backoff, random_u32());
}

static int handle_close(struct lane *l, const amqp_channel_close_t *close, uint64_t now) {
	char reason[REASON_MAX];

	if (l->state == LANE_CLOSED)
		return 0;
	/* Both sides close at once: each answers the other, and our answer is still to come. */
	if (l->state != LANE_CLOSING) {
		error_from_close(close->reply_code, &close->reply_text, reason, sizeof(reason));
		fail_sent(l, close->reply_code, reason);
		forget_channel(l);
		lane_set_state(l, LANE_CLOSED, now);
		retry_later(l, reason, now);
	}
	return request_channel_close_ok(l->connection, (uint16_t)l->number);
}

/* basic.ack and basic.nack. One that comes after its job was given up is for nobody. */
static int handle_answer(struct lane *l, uint64_t tag, bool multiple, bool taken) {
	if (tag > l->tag)
		return connection_fail(l->connection, "the broker answered for a message that was not published");
	LIST_FOREACH(j, &l->sent, struct job, node) {
		if (j->tag > tag && tag != 0)
			break;
		if (!multiple && j->tag != tag)
			continue;
		if (taken) {
			finish(l, j, PUBLISH_CONFIRMED, "%s", "");
			continue;
		}
		finish(l, j, PUBLISH_REFUSED,
		       "a queue is full, or the broker failed internally (basic.nack)");
		l->refused = true;
	}
	backoff_reset(&l->backoff);
	return 0;
}

static void copy_short(char *to, const amqp_bytes_t *from) {
	memcpy(to, from->bytes, from->len);
	to[from->len] = '\0';
}

static int handle_return(struct lane *l, const amqp_basic_return_t *m) {
	struct returned *r = &l->returned;

	if (m->exchange.len >= sizeof(r->exchange) || m->routing_key.len >= sizeof(r->routing_key))
		return connection_fail(l->connection, "the broker returned a message with names that are too long");
	copy_short(r->exchange, &m->exchange);
	copy_short(r->routing_key, &m->routing_key);
	error_format_text(&m->reply_text, r->reason, sizeof(r->reason));
	r->state = RETURNED_HEADER;
	return 0;
}

static bool is_returned(const struct lane *l, const struct job *j, const amqp_basic_properties_t *p) {
	const struct text *id = &j->message->properties.message_id;
	bool has_id = p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG;

	if (strcmp(j->exchange, l->returned.exchange) != 0 || strcmp(j->routing_key, l->returned.routing_key) != 0)
		return false;
	if (!id->data || !has_id)
		return !id->data && !has_id;
	return id->len == p->message_id.len && memcmp(id->data, p->message_id.bytes, id->len) == 0;
}

/* basic.return does not say which publication it is about, and the confirms of others may come before that of the one
 * that is meant. So every one that it could be about is taken to be returned: one too many is published twice, one too
 * few would be lost. */
static void finish_returned(struct lane *l, const amqp_basic_properties_t *p) {
	LIST_FOREACH(j, &l->sent, struct job, node) {
		if (!is_returned(l, j, p))
			continue;
		if (j->delay_usec)
			declarer_forget(l->declarer, j->routing_key);
		finish(l, j, PUBLISH_RETURNED, "no queue would get it (%s)",
		       l->returned.reason);
	}
}

/* The frames of what is returned, which is dropped as it comes. */
static int handle_content(struct lane *l, const amqp_frame_t *frame) {
	struct returned *r = &l->returned;

	if (frame->frame_type == AMQP_FRAME_HEADER && r->state == RETURNED_HEADER) {
		if (frame->payload.properties.class_id != AMQP_BASIC_CLASS)
			return connection_fail(l->connection, "the broker sent a header of another class than basic");
		finish_returned(l, frame->payload.properties.decoded);
		r->left = frame->payload.properties.body_size;
		r->state = r->left > 0 ? RETURNED_BODY : RETURNED_NONE;
		return 0;
	}
	if (frame->frame_type == AMQP_FRAME_BODY && r->state == RETURNED_BODY &&
	    frame->payload.body_fragment.len <= r->left) {
		r->left -= frame->payload.body_fragment.len;
		r->state = r->left > 0 ? RETURNED_BODY : RETURNED_NONE;
		return 0;
	}
	return connection_fail(l->connection, "the broker sent a frame out of place");
}

static int unexpected(struct lane *l, amqp_method_number_t id) {
	return connection_fail(l->connection, "the broker sent method 0x%08x in state %s of publishing", id,
			       lane_state_to_string(l->state));
}

/* What belongs to the opening and closing of the channel. */
static int handle_step(struct lane *l, amqp_method_number_t id, uint64_t now) {
	int r;

	if (id == AMQP_CHANNEL_OPEN_OK_METHOD && l->state == LANE_OPENING) {
		r = request_confirm(l->connection, (uint16_t)l->number);
		if (r == 0)
			lane_set_state(l, LANE_CONFIRM, now);
		return r;
	}
	if (id == AMQP_CONFIRM_SELECT_OK_METHOD && l->state == LANE_CONFIRM) {
		lane_set_state(l, LANE_READY, now);
		return 0;
	}
	if (id == AMQP_CHANNEL_CLOSE_OK_METHOD && l->state == LANE_CLOSING) {
		lane_set_state(l, LANE_CLOSED, now);
		return 0;
	}
	return unexpected(l, id);
}

int lane_frame(struct lane *l, const amqp_frame_t *frame, uint64_t now) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;

	if (id == AMQP_CHANNEL_CLOSE_METHOD)
		return handle_close(l, frame->payload.method.decoded, now);
	if (l->state == LANE_CLOSED || (l->state == LANE_CLOSING && id != AMQP_CHANNEL_CLOSE_OK_METHOD))
		return 0;
	if (!id || l->returned.state != RETURNED_NONE)
		return handle_content(l, frame);
	if (id == AMQP_CHANNEL_FLOW_METHOD) {
		const amqp_channel_flow_t *flow = frame->payload.method.decoded;

		l->held = !flow->active;
		/* Room alone is of no use now, and there may be plenty. */
		l->wants_write = l->wants_write && !l->held;
		return request_channel_flow_ok(l->connection, (uint16_t)l->number, flow->active);
	}
	if (l->state != LANE_READY)
		return handle_step(l, id, now);
	if (id == AMQP_BASIC_ACK_METHOD) {
		const amqp_basic_ack_t *ack = frame->payload.method.decoded;

		return handle_answer(l, ack->delivery_tag, ack->multiple, true);
	}
	if (id == AMQP_BASIC_NACK_METHOD) {
		const amqp_basic_nack_t *nack = frame->payload.method.decoded;

		return handle_answer(l, nack->delivery_tag, nack->multiple, false);
	}
	if (id == AMQP_BASIC_RETURN_METHOD)
		return handle_return(l, frame->payload.method.decoded);
	return unexpected(l, id);
}

/* Why a job was not sent in time. */
static void fail_unsent(struct lane *l, struct job *j) {
	const char *reason = "the broker took too long for those before it";
	double seconds = (double)l->timeout_usec / (double)USEC_PER_SEC;

	if (!l->connection->up)
		reason = l->connection->reason[0] ? l->connection->reason : "there is no connection";
	else if (l->state != LANE_READY)
		reason = l->reason[0] ? l->reason : "the broker has not opened the channel";
	else if (j->delay_usec)
		reason = "the delay queue is not declared yet, or the broker took too long for those before it";
	finish(l, j, PUBLISH_FAILED, "it could not be sent within %g seconds: %s", seconds, reason);
}

static int expire_step(struct lane *l, uint64_t now) {
	char reason[REASON_MAX];

	(void)snprintf(reason, sizeof(reason), "the broker did not answer %s within %u seconds",
		       lane_state_to_string(l->state), (unsigned)(STEP_USEC / USEC_PER_SEC));
	if (l->state == LANE_CLOSING)
		return connection_fail(l->connection, "%s", reason);
	lane_set_state(l, LANE_CLOSING, now);
	retry_later(l, reason, now);
	return request_channel_close(l->connection, (uint16_t)l->number);
}

int lane_expire(struct lane *l, uint64_t now) {
	double seconds = (double)l->timeout_usec / (double)USEC_PER_SEC;

	LIST_FOREACH(j, &l->waiting, struct job, node) {
		if (now < j->send_usec)
			break;
		fail_unsent(l, j);
	}
	LIST_FOREACH(j, &l->sent, struct job, node) {
		if (now < j->answer_usec)
			break;
		l->given_up++;
		finish(l, j, PUBLISH_UNCONFIRMED, "the broker has not confirmed it within %g seconds", seconds);
	}
	if (l->sending && now >= l->sending->answer_usec)
		return connection_fail(l->connection, "the broker took nothing of a message for %g seconds", seconds);
	return now >= l->deadline_usec ? expire_step(l, now) : 0;
}

/* Whether a frame can be sent without waiting for the broker to read what was sent before. */
static bool can_write(const struct lane *l) {
	struct pollfd p = {.fd = connection_fd(l->connection), .events = POLLOUT};

	return poll(&p, 1, 0) > 0;
}

/* The next job that can be sent; those that never can be fail. NULL: none, for now. */
static struct job *next_job(struct lane *l, uint64_t now) {
	LIST_FOREACH(j, &l->waiting, struct job, node) {
		char text[256];
		const char *reason = text;
		int r = content_check(l->connection, j, text, sizeof(text));

		if (r < 0) {
			finish(l, j, PUBLISH_FAILED, "it cannot be published: %s", reason);
			continue;
		}
		if (!j->delay_usec)
			return j;
		r = declarer_require(l->declarer, j, now, &reason);
		if (r == 1)
			return j;
		if (r == 0)
			return NULL;
		finish(l, j, PUBLISH_FAILED, "its delay queue cannot be declared: %s",
		       r == -ECANCELED ? reason : strerror(-r));
	}
	return NULL;
}

/* Once the last frame is on its way the broker may have the message. */
static void note_progress(struct lane *l, struct job *j, uint64_t now) {
	j->answer_usec = clock_add_usec(now, l->timeout_usec);
	if (content_left(j) > 0) {
		l->sending = j;
		return;
	}
	l->sending = NULL;
	j->tag = ++l->tag;
	list_append(&l->sent, &j->node);
}

static int begin(struct lane *l, struct job *j, uint64_t now) {
	list_remove(&j->node);
	/* Before it is sent: if the last frame fails, nobody knows how much of it was seen. */
	note_progress(l, j, now);
	return content_begin(l->connection, (uint16_t)l->number, j);
}

static int go_on(struct lane *l, uint64_t now) {
	struct job *j = l->sending;
	int r = content_continue(l->connection, (uint16_t)l->number, j);

	note_progress(l, j, now);
	return r;
}

static int send_jobs(struct lane *l, uint64_t now) {
	l->wants_write = false;
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		struct job *j = l->sending || l->refused ? NULL : next_job(l, now);
		int r;

		if (!j && !l->sending)
			return 0;
		if (!can_write(l)) {
			l->wants_write = true;
			return 0;
		}
		r = j ? begin(l, j, now) : go_on(l, now);
		if (r < 0)
			return r;
	}
	return 1;
}

static int open_channel(struct lane *l, uint64_t now) {
	int r;

	if (l->number > l->connection->channel_max) {
		LIST_FOREACH(j, &l->waiting, struct job, node)
			finish(l, j, PUBLISH_FAILED,
			       "the broker allows %u channels on a connection, and this needs number %u",
			       l->connection->channel_max, l->number);
		return 0;
	}
	r = request_channel_open(l->connection, (uint16_t)l->number);
	if (r == 0)
		lane_set_state(l, LANE_OPENING, now);
	return r;
}

/* RabbitMQ (3.10) refuses everything on a channel that has begun to publish to a quorum queue while its leader was dead and no
 * other was elected, for as long as the channel lives. */
static int renew_channel(struct lane *l, uint64_t now) {
	forget_channel(l);
	lane_set_state(l, LANE_CLOSING, now);
	return request_channel_close(l->connection, (uint16_t)l->number);
}

int lane_work(struct lane *l, uint64_t now) {
	int r = lane_expire(l, now);

	if (r < 0)
		return r;
	if (l->state == LANE_READY && l->refused && is_answered(l))
		return renew_channel(l, now);
	if (l->state == LANE_CLOSED && !list_is_empty(&l->waiting) && now >= l->retry_usec)
		return open_channel(l, now);
	return l->state == LANE_READY && !l->held ? send_jobs(l, now) : 0;
}

uint64_t lane_next_usec(const struct lane *l) {
	const struct job *waiting = LIST_FIRST(&l->waiting, struct job, node);
	const struct job *sent = LIST_FIRST(&l->sent, struct job, node);
	uint64_t next = l->deadline_usec;

	if (waiting && waiting->send_usec < next)
		next = waiting->send_usec;
	if (sent && sent->answer_usec < next)
		next = sent->answer_usec;
	if (l->sending && l->sending->answer_usec < next)
		next = l->sending->answer_usec;
	if (waiting && l->connection->up && l->state == LANE_CLOSED && l->retry_usec < next)
		next = l->retry_usec;
	return next;
}

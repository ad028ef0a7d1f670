/* SPDX-License-Identifier: MIT */
/* A session's publications: numbered, many at a time, each with its own answer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "broker/content.h"
#include "broker/request.h"
#include "ctl/session_private.h"

#define NO_ROUTE "no queue would get it"

static const char *const result_names[] = {
	[SESSION_CONFIRMED] = "confirmed", [SESSION_RETURNED] = "returned", [SESSION_NACKED] = "nacked",
	[SESSION_REFUSED] = "refused",     [SESSION_UNKNOWN] = "unknown",
};

const char *session_result_to_string(enum session_result r) {
	return (size_t)r < ARRAY_SIZE(result_names) ? result_names[r] : "?";
}

uint64_t session_published(const struct session_channel *c) {
	return c->published;
}

size_t session_in_flight(const struct session_channel *c) {
	return c->n_sent;
}

void session_publish_init(struct session_channel *c) {
	list_init(&c->sent);
}

int session_confirm(struct session_channel *c, session_settled *settled, void *userdata) {
	struct session *s = c->session;
	uint64_t deadline = clock_add_usec(clock_now_usec(), SESSION_ANSWER_USEC);
	int r = session_channel_usable(c);

	if (r < 0)
		return r;
	c->settled = settled;
	c->userdata = userdata;
	c->answer = 0;
	r = session_sent(s, request_confirm(&s->connection, c->number));
	while (r >= 0 && c->answer != AMQP_CONFIRM_SELECT_OK_METHOD) {
		r = session_poll(s, -1, false, 0, deadline);
		if (r >= 0)
			r = session_channel_usable(c);
	}
	return r < 0 ? r : 0;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void finish(struct session_channel *c, struct sent *p, enum session_result result, const char *reason) {
	list_remove(&p->node);
	c->n_sent--;
	if (c->settled)
		c->settled(p->number, result, reason, c->userdata);
	free(p);
}

static void mark_returned(struct session_channel *c, uint64_t digest) {
	LIST_FOREACH (p, &c->sent, struct sent, node) {
		if (p->digest == digest && !p->returned) {
			p->returned = true;
			return;
		}
	}
}

static void answer(struct session_channel *c, struct sent *p, bool taken) {
	if (taken && p->returned) {
		finish(c, p, SESSION_RETURNED, NO_ROUTE);
	} else if (taken) {
		finish(c, p, SESSION_CONFIRMED, "");
	} else {
		/* What is returned is never refused as well: it was another one of the same content. */
		if (p->returned)
			mark_returned(c, p->digest);
		finish(c, p, SESSION_NACKED, "a queue is full, or the broker failed internally (basic.nack)");
	}
}

void session_publish_answer(struct session_channel *c, uint64_t tag, bool multiple, bool taken) {
	LIST_FOREACH (p, &c->sent, struct sent, node) {
		if (p->number > tag && tag != 0)
			break;
		if (multiple || p->number == tag)
			answer(c, p, taken);
	}
}

void session_publish_end(struct session_channel *c, unsigned close_code, const char *reason) {
	bool soft = close_code == AMQP_ACCESS_REFUSED || close_code == AMQP_NOT_FOUND ||
		    close_code == AMQP_PRECONDITION_FAILED;
	bool single = c->n_sent == 1;

	c->returned.state = RETURN_NONE;
	/* Of several ones it is not known which the broker has meant, and those before that may have been taken. What
	 * was returned was neither. */
	LIST_FOREACH (p, &c->sent, struct sent, node) {
		if (p->returned)
			finish(c, p, SESSION_RETURNED, NO_ROUTE);
		else
			finish(c, p, single && soft ? SESSION_REFUSED : SESSION_UNKNOWN, reason);
	}
}

/* --- returned messages ------------------------------------------------------------------------------------------- */

/* basic.return does not say which publication it is about. What comes back is compared with what was sent: by a hash of
 * all that tells messages apart (FNV-1a: against chance, not against somebody who wants two of them to be alike) but
 * the headers, which the broker may write in another way. An exchange may look at these: so of those that are alike but
 * for them, only one is on its way at a time. Of several that are alike in all of it, the broker returns the first one
 * first, and if it was not that one, nobody can tell. */
#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t digest_bytes(uint64_t digest, const void *data, size_t len) {
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		digest = (digest ^ p[i]) * FNV_PRIME;
	return digest;
}

static uint64_t digest_text(uint64_t digest, const void *data, size_t len) {
	uint64_t size = data ? len + 1 : 0;

	digest = digest_bytes(digest, &size, sizeof(size));
	return digest_bytes(digest, data, data ? len : 0);
}

static uint64_t digest_body(uint64_t digest, const struct message *m) {
	char buf[65536];
	off_t offset = 0;
	ssize_t n;

	if (m->body_fd < 0)
		return digest_bytes(digest, m->body, m->body ? (size_t)m->body_size : 0);
	while ((n = pread(m->body_fd, buf, sizeof(buf), offset)) > 0) {
		digest = digest_bytes(digest, buf, (size_t)n);
		offset += n;
	}
	return digest;
}

static uint64_t digest_message(const char *exchange, const char *routing_key, const struct message *m) {
	const struct properties *p = &m->properties;
	uint64_t digest = FNV_START;

	digest = digest_text(digest, exchange, strlen(exchange));
	digest = digest_text(digest, routing_key, strlen(routing_key));
	digest = digest_text(digest, p->message_id.data, p->message_id.len);
	digest = digest_text(digest, p->correlation_id.data, p->correlation_id.len);
	return digest_body(digest, m);
}

/* 0: there are none. */
static int digest_headers(const struct table *headers, uint64_t *ret) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	*ret = 0;
	for (size_t i = 0; i < headers->n; i++) {
		const struct field *f = &headers->fields[i];

		strbuf_append(&b, f->name.data, f->name.len);
		strbuf_printf(&b, "%c%d=", '\0', (int)f->kind);
		if (field_format(f, &b) < 0)
			return -ENOMEM;
		strbuf_append_char(&b, '\0');
	}
	if (b.failed)
		return -ENOMEM;
	if (headers->n > 0)
		*ret = digest_text(FNV_START, b.data, b.len);
	return 0;
}

/* Most have the same headers, or none. */
static bool may_have_twins(struct session_channel *c, const struct sent *new) {
	if (c->n_sent == 0) {
		c->headers = new->headers;
		c->mixed = false;
	}
	c->mixed |= new->headers != c->headers;
	return c->mixed;
}

/* Until none is on its way that could be taken for this one if it is returned; for the time of `patience_usec` after
 * each answer. */
static int await_twins(struct session_channel *c, const struct sent *new, uint64_t patience_usec) {
	uint64_t deadline = clock_add_usec(clock_now_usec(), patience_usec);

	while (may_have_twins(c, new)) {
		size_t before = c->n_sent;
		bool found = false;
		int r;

		LIST_FOREACH (p, &c->sent, struct sent, node)
			found |= p->digest == new->digest && p->headers != new->headers;
		if (!found)
			break;
		r = session_poll(c->session, -1, false, 0, deadline);
		if (r >= 0)
			r = session_channel_usable(c);
		if (r < 0)
			return r;
		if (c->n_sent < before)
			deadline = clock_add_usec(clock_now_usec(), patience_usec);
	}
	return 0;
}

void session_publish_return(struct session_channel *c, const amqp_basic_return_t *m) {
	struct returned *r = &c->returned;

	r->digest = digest_text(FNV_START, m->exchange.len ? m->exchange.bytes : "", m->exchange.len);
	r->digest = digest_text(r->digest, m->routing_key.len ? m->routing_key.bytes : "", m->routing_key.len);
	r->state = RETURN_HEADER;
}

static uint64_t digest_property(uint64_t digest, const amqp_basic_properties_t *p, amqp_flags_t flag,
				const amqp_bytes_t *value) {
	if (!(p->_flags & flag))
		return digest_text(digest, NULL, 0);
	return digest_text(digest, value->len ? value->bytes : "", value->len);
}

int session_publish_content(struct session_channel *c, const amqp_frame_t *frame) {
	struct returned *r = &c->returned;

	if (frame->frame_type == AMQP_FRAME_HEADER && r->state == RETURN_HEADER &&
	    frame->payload.properties.class_id == AMQP_BASIC_CLASS) {
		const amqp_basic_properties_t *p = frame->payload.properties.decoded;

		r->digest = digest_property(r->digest, p, AMQP_BASIC_MESSAGE_ID_FLAG, &p->message_id);
		r->digest = digest_property(r->digest, p, AMQP_BASIC_CORRELATION_ID_FLAG, &p->correlation_id);
		r->left = frame->payload.properties.body_size;
		r->state = RETURN_BODY;
	} else if (frame->frame_type == AMQP_FRAME_BODY && r->state == RETURN_BODY &&
		   frame->payload.body_fragment.len <= r->left) {
		r->digest =
			digest_bytes(r->digest, frame->payload.body_fragment.bytes, frame->payload.body_fragment.len);
		r->left -= frame->payload.body_fragment.len;
	} else {
		return -EPROTO;
	}
	if (r->left == 0) {
		r->state = RETURN_NONE;
		mark_returned(c, r->digest);
	}
	return 0;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

/* Until a frame can be sent without waiting. What is begun is brought to its end as far as the socket takes it: only a
 * second signal counts then. */
static int await_room(struct session_channel *c, bool begun, uint64_t deadline_usec) {
	struct session *s = c->session;

	for (;;) {
		bool ready = begun || (!s->blocked && !c->held);
		int flags = session_poll(s, -1, ready, begun ? 1 : 0, deadline_usec), r = flags;

		if (r == -ETIMEDOUT && s->blocked)
			return session_fail(s, r, EX_TEMPFAIL, "the broker takes no publications for now: %s",
					    s->blocked_reason);
		if (r < 0)
			return r;
		r = session_channel_usable(c);
		if (r < 0)
			return r;
		if (flags & SESSION_WRITABLE && (begun || (!s->blocked && !c->held)))
			return 0;
	}
}

/* The rest of the body. Once the last piece of it was handed over the broker may have the message. */
static int send_body(struct session_channel *c, struct job *j, struct sent **p, uint64_t patience_usec) {
	struct session *s = c->session;

	while (content_left(j) > 0) {
		int r = await_room(c, true, clock_add_usec(clock_now_usec(), patience_usec));

		if (r == -ETIMEDOUT || r == -EINTR) {
			(void)connection_fail(&s->connection, "given up in the middle of a message: %s", s->reason);
			(void)session_lost(s);
			s->exit_status = r == -ETIMEDOUT ? EX_TEMPFAIL : EXIT_FAILURE;
			return -ECONNABORTED;
		}
		if (r < 0)
			return r;
		if (content_left(j) <= CONTENT_PIECE) {
			(*p)->number = ++c->published;
			list_append(&c->sent, &TAKE(*p)->node);
			c->n_sent++;
		}
		r = content_continue(&s->connection, c->number, j);
		if (r < 0)
			return session_lost(s);
	}
	return 0;
}

int session_publish(struct session_channel *c, const char *exchange, const char *routing_key, const struct message *m,
		    uint64_t deadline_usec, uint64_t *ret_number) {
	struct session *s = c->session;
	struct job j = {
		.message = (struct message *)m, .exchange = (char *)exchange, .routing_key = (char *)routing_key};
	CLEANUP(free) struct sent *p = NULL;
	uint64_t number = c->published + 1, now = clock_now_usec();
	uint64_t patience = deadline_usec == USEC_INFINITY ? USEC_INFINITY
			    : deadline_usec > now          ? deadline_usec - now
							   : 0;
	int r = session_channel_usable(c);

	if (r == 0)
		r = content_check(&s->connection, &j, s->reason, sizeof(s->reason));
	if (r < 0) {
		s->exit_status = r == -EMSGSIZE ? EXIT_FAILURE : s->exit_status;
		return r;
	}
	p = calloc(1, sizeof(*p));
	if (!p || digest_headers(&m->properties.headers, &p->headers) < 0)
		return session_fail(s, -ENOMEM, EXIT_FAILURE, "out of memory");
	p->digest = digest_message(exchange, routing_key, m);
	r = await_twins(c, p, patience);
	if (r == 0)
		r = await_room(c, false, clock_add_usec(clock_now_usec(), patience));
	if (r < 0)
		return r;
	if (m->body_size == 0) {
		p->number = ++c->published;
		list_append(&c->sent, &TAKE(p)->node);
		c->n_sent++;
	}
	r = content_begin(&s->connection, c->number, &j);
	r = r < 0 ? session_lost(s) : send_body(c, &j, &p, patience);
	/* It is among those that were called back for. */
	if (r < 0 && c->published < number)
		return r;
	*ret_number = number;
	return 0;
}

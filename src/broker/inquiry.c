/* SPDX-License-Identifier: MIT */
#include "broker/inquiry.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "broker/connection.h"
#include "broker/error.h"
#include "broker/inquiry_private.h"
#include "broker/request.h"
#include "broker/wait.h"

#define MAILBOX_LIMIT 1
#define CLOSE_USEC (2 * USEC_PER_SEC)
#define TEXT_MAX 256

struct inquiry {
	const struct config_broker *broker; /* borrowed */
	char name[300];                     /* by which the broker lists the connection */
	struct link *link;                  /* owned; nobody else has it */
	struct connection connection;
	bool open;   /* the channel is */
	bool broken; /* for good: no question is worth another wait */
	bool blocked;
	char blocked_reason[TEXT_MAX];
	char product[TEXT_MAX], version[TEXT_MAX];
};

static int nobody_wakes(void *userdata) {
	(void)userdata;
	return 0;
}

static void copy_property(const struct inquiry *i, const char *name, char *buf, size_t size) {
	const amqp_table_t *t = amqp_get_server_properties(i->connection.state);

	buf[0] = '\0';
	for (int n = 0; t && n < t->num_entries; n++) {
		const amqp_table_entry_t *e = &t->entries[n];

		if (e->value.kind == AMQP_FIELD_KIND_UTF8 && e->key.len == strlen(name) &&
		    memcmp(e->key.bytes, name, e->key.len) == 0)
			error_format_text(&e->value.value.bytes, buf, size);
	}
}

static int set_reason(struct inquiry_answer *a, const char *reason) {
	(void)snprintf(a->reason, sizeof(a->reason), "%s", reason);
	return -ENOTCONN;
}

/* Connects, if that has not been done or the broker has closed the connection over the last question. */
static int connect_if_needed(struct inquiry *i, struct inquiry_answer *a) {
	struct connection *c = &i->connection;

	if (c->up)
		return 0;
	connection_drop(c);
	i->open = false;
	c->reason[0] = '\0';
	if (connection_open(c, -1, nobody_wakes, NULL) < 0) {
		i->broken = true;
		a->code = c->close_code;
		return set_reason(a, c->reason[0] ? c->reason : "it cannot be reached");
	}
	copy_property(i, "product", i->product, sizeof(i->product));
	copy_property(i, "version", i->version, sizeof(i->version));
	return 0;
}

int inquiry_open(const struct config_broker *broker, size_t address, struct inquiry **ret,
		 struct inquiry_answer *ret_why) {
	CLEANUP(inquiry_free) struct inquiry *i = calloc(1, sizeof(*i));
	char host[256] = "";
	int r;

	*ret_why = (struct inquiry_answer){0};
	r = i ? link_new(MAILBOX_LIMIT, &i->link) : -ENOMEM;
	if (r < 0) {
		(void)set_reason(ret_why, strerror(-r));
		return r;
	}
	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(i->name, sizeof(i->name), "amqp-execctl check (%s)", host);
	i->broker = broker;
	connection_init(&i->connection, i->link, broker, false);
	i->connection.name = i->name;
	i->connection.address = address;
	if (connect_if_needed(i, ret_why) < 0)
		return ret_why->code == AMQP_ACCESS_REFUSED || ret_why->code == AMQP_NOT_ALLOWED ? -EACCES
												 : -ECONNREFUSED;
	*ret = TAKE(i);
	return 0;
}

struct inquiry *inquiry_free(struct inquiry *i) {
	if (i && i->link) {
		if (i->connection.up)
			connection_close(&i->connection, clock_now_usec() + CLOSE_USEC);
		connection_clear(&i->connection);
		(void)link_unref(i->link);
	}
	free(i);
	return NULL;
}

struct inquiry_facts inquiry_facts(const struct inquiry *i) {
	return (struct inquiry_facts){
		.product = i->product,
		.version = i->version,
		.channel_max = i->connection.channel_max,
		.frame_max = i->connection.frame_max,
		.heartbeat = i->connection.heartbeat,
	};
}

bool inquiry_is_broken(const struct inquiry *i) {
	return i->broken;
}

const char *inquiry_blocked(const struct inquiry *i) {
	return i->blocked ? i->blocked_reason : NULL;
}

struct connection *inquiry_connection(struct inquiry *i) {
	return &i->connection;
}

/* The broker ends the channel: that is its answer. */
static int channel_closed(struct inquiry *i, const amqp_channel_close_t *m, struct inquiry_answer *a) {
	a->code = m->reply_code;
	error_from_close(m->reply_code, &m->reply_text, a->reason, sizeof(a->reason));
	i->open = false;
	return request_channel_close_ok(&i->connection, INQUIRY_CHANNEL) < 0 ? set_reason(a, i->connection.reason) : 1;
}

/* Likewise the connection, which the next question opens anew. */
static int connection_closed(struct inquiry *i, const amqp_connection_close_t *m, struct inquiry_answer *a) {
	amqp_connection_close_ok_t ok = {0};

	a->code = m->reply_code;
	error_from_close(m->reply_code, &m->reply_text, a->reason, sizeof(a->reason));
	(void)connection_send(&i->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
	connection_drop(&i->connection);
	i->open = false;
	return 1;
}

static void take_blocked(struct inquiry *i, const amqp_frame_t *frame) {
	const amqp_connection_blocked_t *m = frame->payload.method.decoded;

	i->blocked = frame->payload.method.id == AMQP_CONNECTION_BLOCKED_METHOD;
	if (i->blocked)
		error_format_text(&m->reason, i->blocked_reason, sizeof(i->blocked_reason));
}

/* 1: it was the answer; 0: it was not; -errno. */
static int take_frame(struct inquiry *i, const amqp_frame_t *frame, amqp_method_number_t expected,
		      struct inquiry_answer *a) {
	const amqp_method_t *method = &frame->payload.method;

	if (frame->frame_type != AMQP_FRAME_METHOD)
		return 0;
	switch (method->id) {
	case AMQP_CHANNEL_CLOSE_METHOD:
		return channel_closed(i, method->decoded, a);
	case AMQP_CONNECTION_CLOSE_METHOD:
		return connection_closed(i, method->decoded, a);
	case AMQP_CONNECTION_BLOCKED_METHOD:
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		take_blocked(i, frame);
		return 0;
	default:
		break;
	}
	if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
		const amqp_queue_declare_ok_t *ok = method->decoded;

		a->messages = ok->message_count;
		a->consumers = ok->consumer_count;
	}
	return method->id == expected;
}

/* Why nothing more can be asked. */
static void set_broken(struct inquiry *i, struct inquiry_answer *a, const char *reason) {
	i->broken = true;
	if (i->blocked)
		(void)snprintf(a->reason, sizeof(a->reason), "the broker takes no publications for now: %s",
			       i->blocked_reason);
	else
		(void)set_reason(a, reason);
}

static int timed_out(struct inquiry *i, struct inquiry_answer *a) {
	set_broken(i, a, "the broker did not answer in time");
	connection_drop(&i->connection);
	i->open = false;
	return -ETIMEDOUT;
}

int inquiry_await(struct inquiry *i, amqp_method_number_t expected, struct inquiry_answer *a) {
	const uint64_t deadline = clock_add_usec(clock_now_usec(), i->broker->connect_timeout_usec);
	struct connection *c = &i->connection;

	for (;;) {
		amqp_frame_t frame;
		uint64_t now;
		int r = connection_read(c, &frame);

		if (r > 0) {
			r = take_frame(i, &frame, expected, a);
			if (c->state)
				connection_release(c, &frame);
			if (r != 0)
				return r < 0 ? r : 0;
			continue;
		}
		if (r < 0) {
			i->open = false;
			i->broken = true;
			return set_reason(a, c->reason);
		}
		now = clock_now_usec();
		/* Nothing comes of waiting for who has said that he does not listen. */
		if (now >= deadline || i->blocked)
			return timed_out(i, a);
		if (!connection_has_buffered(c)) {
			struct pollfd p = {.fd = connection_fd(c), .events = POLLIN};

			(void)poll(&p, 1, wait_msec(deadline, now));
		}
	}
}

int inquiry_begin(struct inquiry *i, bool by_refusal, struct inquiry_answer *a) {
	int r;

	*a = (struct inquiry_answer){0};
	if (i->broken) {
		set_broken(i, a, "the connection was lost before");
		return -ENOTCONN;
	}
	r = connect_if_needed(i, a);
	if (r < 0)
		return r;
	if (by_refusal && strcmp(i->product, "RabbitMQ") != 0) {
		(void)set_reason(a, "only RabbitMQ can be asked that without a change");
		return -ENOTSUP;
	}
	if (i->open)
		return 0;
	r = request_channel_open(&i->connection, INQUIRY_CHANNEL);
	if (r < 0)
		return set_reason(a, i->connection.reason);
	r = inquiry_await(i, AMQP_CHANNEL_OPEN_OK_METHOD, a);
	if (r < 0 || a->code)
		return r < 0 ? r : -ENOTCONN;
	i->open = true;
	return 0;
}

int inquiry_finish(struct inquiry *i, int sent, amqp_method_number_t expected, struct inquiry_answer *a) {
	if (sent < 0) {
		(void)set_reason(a, i->connection.reason);
		return sent == -EMSGSIZE ? sent : -ENOTCONN;
	}
	return inquiry_await(i, expected, a);
}

/* A broker that does what it should have refused must not go on with it: what it sends goes back when the connection
 * ends.
 */
int inquiry_finish_refused(struct inquiry *i, int sent, amqp_method_number_t unexpected, const char *trap,
			   struct inquiry_answer *a) {
	int r = inquiry_finish(i, sent, unexpected, a);

	if (r == 0 && a->code == 0) {
		connection_drop(&i->connection);
		i->open = false;
		(void)set_reason(a, "the broker took a request that it should have refused");
		return -EPROTO;
	}
	if (r == 0 && a->code == AMQP_PRECONDITION_FAILED && strstr(a->reason, trap)) {
		a->code = 0;
		a->reason[0] = '\0';
	}
	return r;
}

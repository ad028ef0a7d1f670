/* SPDX-License-Identifier: MIT */
/* Asks a broker whether things are there and allowed, one question after the other, without a thread, and so that
 * nothing is changed by it: no message is taken or published, nothing is declared, bound or deleted. What AMQP has no
 * question for is asked by a request that the broker refuses in any case, but for another reason where it is allowed;
 * that is known of RabbitMQ, so that nobody else is asked in this way.
 *
 * All functions but inquiry_open and inquiry_free return 0 with an answer, which may be "no"; -ENOTSUP: this broker is
 * not asked this; -ENOTCONN: there is no connection (any more); -ETIMEDOUT: no answer came in time, and the connection
 * was dropped; -EPROTO: the broker took what it should have refused; -EMSGSIZE: it cannot be expressed in AMQP. With
 * all of them the answer's reason says why. */
#pragma once

#include "base/macro.h"
#include "config/config.h"
#include <stdbool.h>
#include <stdint.h>

#define INQUIRY_REASON_MAX 1280

struct inquiry;

struct inquiry_answer {
	unsigned code;      /* 0: yes; else what the broker closed the channel or the connection with: 403, 404, ... */
	uint64_t messages;  /* inquiry_queue: that wait */
	uint64_t consumers; /* likewise */
	char reason[INQUIRY_REASON_MAX]; /* why not, on one printable line */
};

/* What is known of a connection. All borrowed. */
struct inquiry_facts {
	const char *product; /* "" if the broker does not say, escaped */
	const char *version;
	unsigned channel_max; /* negotiated */
	unsigned frame_max;
	unsigned heartbeat; /* seconds; 0: none */
};

/* Connects to one of the broker's addresses (borrowed, all of it) and logs in. 0; -ENOMEM; -ECONNREFUSED: it cannot be
 * reached, or does not speak to us; -EACCES: login or virtual host refused. The reason is in *ret_why then. */
int inquiry_open(const struct config_broker *broker, size_t address, struct inquiry **ret,
		 struct inquiry_answer *ret_why);

/* Closes the connection. NULL-safe, returns NULL. */
struct inquiry *inquiry_free(struct inquiry *i);
DEFINE_CLEANUP(struct inquiry *, inquiry_free);

struct inquiry_facts inquiry_facts(const struct inquiry *i);

/* Whether there is a queue or an exchange of that name. Needs no permission. */
int inquiry_queue(struct inquiry *i, const char *queue, struct inquiry_answer *ret);
int inquiry_exchange(struct inquiry *i, const char *exchange, struct inquiry_answer *ret);

/* Whether what exists is declared as configured, and the user may declare it. Only after the question whether it
 * exists: it would be made. */
int inquiry_same_queue(struct inquiry *i, const struct config_queue *q, struct inquiry_answer *ret);
int inquiry_same_exchange(struct inquiry *i, const struct config_binding *b, struct inquiry_answer *ret);

/* A queue in which messages wait for the next attempt: see struct publication. */
struct inquiry_delay {
	const char *name;
	uint64_t delay_usec;
	enum config_queue_type type;
	const char *target;
};
int inquiry_same_delay(struct inquiry *i, const struct inquiry_delay *d, struct inquiry_answer *ret);

/* Whether the user may declare what does not exist, and the broker knows the type. */
int inquiry_may_declare_queue(struct inquiry *i, const struct config_queue *q, struct inquiry_answer *ret);
int inquiry_may_declare_exchange(struct inquiry *i, const struct config_binding *b, struct inquiry_answer *ret);
int inquiry_may_declare_delay(struct inquiry *i, const struct inquiry_delay *d, struct inquiry_answer *ret);

/* Whether the user may consume the queue, which exists. */
int inquiry_may_consume(struct inquiry *i, const char *queue, struct inquiry_answer *ret);

/* Whether the user may bind the queue so; neither need exist. */
int inquiry_may_bind(struct inquiry *i, const char *queue, const struct config_binding *b, const char *routing_key,
		     struct inquiry_answer *ret);

/* Whether the user may publish to the exchange, which exists. RabbitMQ stops to read from who has published while a
 * resource alarm lasts: best asked on a connection of its own. */
int inquiry_may_publish(struct inquiry *i, const char *exchange, const char *routing_key, struct inquiry_answer *ret);

/* The connection was lost, or no answer came: nothing more can be asked. */
bool inquiry_is_broken(const struct inquiry *i);

/* What the broker says of why it takes no publications for now (connection.blocked); NULL: it has not said so. */
const char *inquiry_blocked(const struct inquiry *i);

/* SPDX-License-Identifier: MIT */
/* The publishing connection of a broker, as the main thread sees it: a second connection with a thread of its own, so that
 * a broker that stops reading what is published (connection.blocked) does not stop acknowledgements. Every publication is
 * mandatory and confirmed: it is done when the broker has confirmed it and has not returned it, or when it has become clear
 * that this will not happen. Every function here is called on the main thread, every callback runs on it, from the event
 * loop, never from inside a function of this header. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/list.h"
#include "base/macro.h"
#include "broker/broker.h"
#include "config/config.h"
#include "message/message.h"

/* Lanes of a publisher: RabbitMQ's default channel_max (2047), as each has a channel, without the one on which delay
 * queues are declared. Where the broker allows fewer channels, lanes share those that there are. */
#define PUBLISHER_LANES_MAX 2046

struct publisher;

enum publish_result {
	PUBLISH_CONFIRMED,   /* the broker has taken responsibility for it, in a queue at least */
	PUBLISH_RETURNED,    /* no queue is bound there (basic.return): it is nowhere */
	PUBLISH_REFUSED,     /* basic.nack: a queue is full and refuses, or the broker failed internally */
	PUBLISH_FAILED,	     /* it is nowhere: no connection in time, stopping, no such exchange, too large a header ... */
	PUBLISH_UNCONFIRMED, /* it was sent, but no answer came, or the channel or connection was lost: it may be there or not */
};

/* What is to be published, and what became of it. Owned by the publisher from publisher_publish until `done`. */
struct publication {
	struct list node; /* the publisher's */
	struct job *job;  /* the broker room's; owned, NULL while the thread has it */

	uint32_t lane;		 /* of publisher_add_lane */
	struct message *message; /* owned; its properties and its body are what is published. body_state must be BODY_COMPLETE. */
	char *exchange;		 /* owned; "": the default exchange */
	char *routing_key;	 /* owned */
	/* If delay_usec is not 0: routing_key is the name of a delay queue (exchange ""), which is declared before it is
	 * published to: durable, of this type, with a TTL of delay_usec (whole milliseconds), dead-lettering to the queue
	 * `delay_target` through the default exchange. A classic one expires some time after it was last used and is empty of
	 * what was published by us. A quorum one dead-letters at least once, is led by the node that leads the fewest at
	 * first, and stays. */
	uint64_t delay_usec;
	enum config_queue_type delay_type;
	char *delay_target; /* owned */

	enum publish_result result;
	char *reason; /* owned; why it is not CONFIRMED, one printable line without secrets; NULL if confirmed or no memory */
	/* Called once, on the main thread, before BROKER_STOPPED at the latest; takes ownership. Message, exchange and
	 * keys are there again, but for those that a thread keeps which did not end in time (UNCONFIRMED): then they are
	 * NULL. Not called any more after publisher_free. */
	void (*done)(struct publication *p, void *userdata);
	void *userdata;
};

/* Empty, without a message. -ENOMEM. */
int publication_new(struct publication **ret);
/* Frees the message, too. NULL-safe, returns NULL. */
struct publication *publication_free(struct publication *p);
DEFINE_CLEANUP(struct publication *, publication_free);

struct publisher_callbacks {
	/* BROKER_UP, BROKER_WAITING ...: as for struct broker_callbacks. */
	void (*state)(struct publisher *p, enum broker_state state, const struct broker_report *report, void *userdata);
	/* connection.blocked (true, with the broker's reason) and connection.unblocked. Publications wait meanwhile, for
	 * as long as it takes. May be NULL. */
	void (*blocked)(struct publisher *p, bool blocked, const char *reason, void *userdata);
};

/* Makes the publisher of a broker and its thread, which begins to connect at once. Keeps a reference to `config`, of which
 * `broker` is a part. -ENOMEM, -EAGAIN (no thread). */
int publisher_new(sd_event *event, struct config *config, const struct config_broker *broker,
		  const struct publisher_callbacks *callbacks, void *userdata, struct publisher **ret);

/* Ends the thread at once, if publisher_stop has not, and frees everything, publications under way too. Otherwise as
 * broker_free. */
struct publisher *publisher_free(struct publisher *p);
DEFINE_CLEANUP(struct publisher *, publisher_free);

/* A lane is a channel of its own: what closes it (an exchange that does not exist, no permission) fails the
 * publications of that lane alone. The lowest number that is free, from 0; if none is, the one with the fewest users,
 * which share it: then what closes the channel fails the publications under way of all of them, and what is returned or
 * slow is so for all of them. */
uint32_t publisher_add_lane(struct publisher *p);

/* Gives a lane back, on which the caller has nothing to be published: without another user its number is somebody
 * else's next. Its channel is not closed for that. */
void publisher_free_lane(struct publisher *p, uint32_t lane);

/* Begins to publish. While there is no connection it waits for one, for confirm_timeout (or longer by what is left of an
 * attempt to connect, which is not interrupted for it); while the connection is blocked it waits for as long as that takes;
 * once sent it waits for its confirm for confirm_timeout (not counting time that is blocked). 0: the publisher's, `done`
 * will tell. -ENOTCONN: after publisher_stop; -ENOBUFS: the thread is stuck and its mailbox full; on failure the
 * publication remains the caller's, and `done` is not called. */
int publisher_publish(struct publisher *p, struct publication *pub);

/* Takes nothing more: what has been posted is still sent and waited for, until timeout_usec at the latest; without a
 * connection, or while it is blocked, what has not been sent fails at once. When all is `done` the connection is closed:
 * ends in BROKER_STOPPED. Called again: only the time changes. -errno of
 * sd_event_add_time_relative(3). */
int publisher_stop(struct publisher *p, uint64_t timeout_usec);

/* As broker_overdue_usec. */
uint64_t publisher_overdue_usec(struct publisher *p, uint64_t now_usec);

const char *publish_result_to_string(enum publish_result r);

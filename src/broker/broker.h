/* SPDX-License-Identifier: MIT */
/* A broker connection as the main thread sees it. Behind it one thread owns the rabbitmq-c connection; the two talk
 * through two mailboxes. Every function here is called on the main thread, every callback runs on it, from the event loop,
 * never from inside a function of this header.
 *
 * A consumer is one queue on one channel. What is wanted of it (consume or not) is set here and kept by the thread
 * through every reconnect. Each time its channel is opened it gets a new *epoch*, a number that never returns in the life of
 * the consumer; a message carries the epoch that delivered it and can only be settled while that epoch is current.
 *
 * Consumers come and go while the connection is up, down or being closed, and disturb no other one.
 *
 * After BROKER_STOPPED nothing of a consumer has an effect any more: its functions return -ENOTCONN, and no callback comes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/macro.h"
#include "config/config.h"
#include "message/message.h"

/* Consumers of a broker at a time, with those that were freed and whose channels are not closed yet: RabbitMQ's default
 * channel_max, as each has a channel. One whose channel's number is above what the broker allows is CONSUMER_FAILED,
 * with no_number. */
#define BROKER_CONSUMERS_MAX 2047

struct broker;
struct consumer;

enum broker_state {
	BROKER_CONNECTING, /* resolving, connecting, logging in */
	BROKER_UP,	   /* logged in */
	BROKER_WAITING,	   /* the last attempt failed or the connection was lost; tries again after a delay */
	BROKER_STOPPED,	   /* broker_stop is done: everything posted before it was sent (or could not be) */
};

enum consumer_state {
	CONSUMER_IDLE,	    /* not consuming: not wanted, or not connected */
	CONSUMER_CONSUMING, /* basic.consume-ok received */
	CONSUMER_FAILED,    /* its queue is missing, declared differently, deleted, refused ...; tries again after a delay */
};

/* What kind of failure made a connection wait for its next attempt. */
enum broker_failure {
	BROKER_FAILURE_UNREACHABLE, /* its name could not be resolved, or nobody answered there in time */
	BROKER_FAILURE_TLS,	    /* no TLS connection could be made: a certificate, a key, the versions ... */
	BROKER_FAILURE_LOGIN,	    /* the broker refused the login or the virtual host, or the handshake broke */
	BROKER_FAILURE_CLOSED,	    /* the broker, or its operator, closed the connection (connection.close) */
	BROKER_FAILURE_HEARTBEAT,   /* nothing came from the broker for two heartbeats */
	BROKER_FAILURE_LOST,	    /* the connection ended or broke without a word */
	BROKER_FAILURE_STUCK,	    /* its thread made no progress and was freed by a shutdown of the socket */
	BROKER_FAILURE_OTHER,	    /* a violation of the protocol, no memory ... */
};
#define BROKER_FAILURES (BROKER_FAILURE_OTHER + 1)

/* What the broker says of a queue, and said last. */
struct queue_depth {
	bool known; /* false: it has not been asked yet, or could not answer; the rest says nothing then */
	uint64_t messages_ready; /* that no consumer has */
	uint64_t consumers;
};

/* Why a state was entered. */
struct broker_report {
	const char *reason;  /* one printable line without secrets; NULL if there is nothing to say. Borrowed for the call. */
	uint64_t retry_usec; /* WAITING, FAILED: the delay before the next attempt; else 0 */
	/* Of a connection: which of the broker's addresses this is about; the first one before anything was tried. */
	const struct config_address *address;
	bool refused; /* WAITING: the broker refused the login */
	enum broker_failure failure; /* WAITING: what kind of failure the reason is */
	/* FAILED: the broker allows fewer channels on this connection than the number of the consumer's. No attempt of
	 * this consumer will be better before the next connection; another one takes the lowest number that is free by
	 * then. */
	bool no_number;
};

struct broker_callbacks {
	void (*state)(struct broker *b, enum broker_state state, const struct broker_report *report, void *userdata);
	/* connection.blocked (true, with the broker's reason) and connection.unblocked. May be NULL. */
	void (*blocked)(struct broker *b, bool blocked, const char *reason, void *userdata);
	/* There is no channel on which to ask how deep queues are: all are in use, which is told again only after there was one; or the
	 * broker has closed the connection for it, and it is not asked again before the interval changes. May be NULL. */
	void (*no_depths)(struct broker *b, const char *reason, void *userdata);
};

struct consumer_callbacks {
	/* A message was delivered. Takes ownership; it must come back by consumer_settle, or message_free when its epoch ended. */
	void (*message)(struct message *m, void *userdata);
	/* The consumer's state changed, or was reported again with another reason. */
	void (*state)(enum consumer_state state, const struct broker_report *report, void *userdata);
	/* The channel of this epoch is gone: the broker delivers again every message of it that was not settled, and settling
	 * one is pointless. Comes after all of its messages. */
	void (*lost)(uint64_t epoch, void *userdata);
	/* A settlement reached the thread after its epoch had ended and was dropped. Takes ownership of the message. */
	void (*unsettled)(struct message *m, void *userdata);
	/* consumer_cancel is done: the broker has confirmed it, or the channel is gone; no further message comes until
	 * consumer_consume. Once for each consumer_cancel. */
	void (*cancelled)(void *userdata);
	/* What the broker says of the queue is different from what it said last. Asked from time to time, whether the consumer consumes or
	 * not; unknown at first, and again when the queue cannot be asked or the connection is gone. May be NULL. */
	void (*depth)(const struct queue_depth *depth, void *userdata);
};

/* Makes a broker and its thread, which begins to connect at once. Keeps a reference to `config`, of which `broker` is a part,
 * until it is freed. -ENOMEM, -EAGAIN (no thread). */
int broker_new(sd_event *event, struct config *config, const struct config_broker *broker,
	       const struct broker_callbacks *callbacks, void *userdata, struct broker **ret);

/* Ends the thread at once, if broker_stop has not, and frees everything, the consumers too. Waits for the thread for at
 * most two seconds, or for a moment if broker_stop has waited already and in vain; a thread stuck in name resolution
 * beyond that is left behind and cleans up after itself. May be called from a callback: then it is the last one.
 * NULL-safe, returns NULL. */
struct broker *broker_free(struct broker *b);
DEFINE_CLEANUP(struct broker *, broker_free);

const struct config_broker *broker_config(const struct broker *b);

/* How often the broker is asked how deep each consumer's queue is, from now on; at first as the configuration says
 * (monitor.queue_interval). 0: never. Cannot fail. */
void broker_set_queue_interval(struct broker *b, uint64_t usec);

/* Adds a consumer for the queue; idle until consumer_consume. `queue` is a part of `config`, which may be another
 * configuration than the broker's, and to which a reference is kept until consumer_free, and until the thread has let
 * go of it. max_message_size is that configuration's. Its channel has the lowest number that is free. -ENOMEM;
 * -ENOBUFS: more than BROKER_CONSUMERS_MAX; -ENOTCONN: after BROKER_STOPPED. */
int broker_add_consumer(struct broker *b, struct config *config, const struct config_queue *queue,
			const struct consumer_callbacks *callbacks, void *userdata, struct consumer **ret);

/* Ends the consumer: no callback of it comes any more. What was settled before is still sent, then its channel is closed, and the
 * broker delivers the rest again: messages of it that the caller has are freed with message_free. Consumers that are not freed
 * are with their broker, which must still be there. May be called from any callback. NULL-safe, returns NULL. */
struct consumer *consumer_free(struct consumer *c);

/* Wants messages: declares or checks the topology, then consumes with this prefetch (1 to 65535), now and after each
 * reconnect. -ENOTCONN: after BROKER_STOPPED; nothing else can fail. Consuming already with another prefetch: cancel first. */
int consumer_consume(struct consumer *c, unsigned prefetch);

/* Wants no more messages. What was delivered can still be settled. Ends in the callback `cancelled`. -ENOTCONN: after
 * BROKER_STOPPED; nothing else can fail. */
int consumer_cancel(struct consumer *c);

/* Hands the message back to be settled with `verdict`, and takes ownership whatever it returns. Order is kept, also with
 * respect to consumer_cancel: what is returned after a cancel is not redelivered to this consumer. -ENOBUFS: the
 * mailbox is full because the thread is stuck: the message was freed, the connection is being shut down, the broker will deliver it
 * again. -ENOTCONN: after BROKER_STOPPED; likewise freed. */
int consumer_settle(struct consumer *c, struct message *m, enum verdict verdict);

/* Closes the connection in an orderly way once everything posted before has been sent: ends in BROKER_STOPPED, at the
 * latest after timeout_usec. Called again: only the time changes. -errno of sd_event_add_time_relative(3). */
int broker_stop(struct broker *b, uint64_t timeout_usec);

/* 0 while the thread is idle or within the deadline of what it is doing; otherwise for how long it has been overdue. A
 * first call that finds it overdue shuts the socket down to free it. For the watchdog. */
uint64_t broker_overdue_usec(struct broker *b, uint64_t now_usec);

const char *broker_state_to_string(enum broker_state s);
/* "unreachable", "tls", "login", "closed", "heartbeat", "lost", "stuck", "other" */
const char *broker_failure_to_string(enum broker_failure f);
const char *consumer_state_to_string(enum consumer_state s);

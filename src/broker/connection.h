/* SPDX-License-Identifier: MIT */
/* The thread's rabbitmq-c connection: dialling, TLS, login, one frame in, one method out, close. Whoever gets a negative
 * result from here drops the connection; why is in `reason`. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "broker/amqp_library.h"
#include "broker/dial.h"
#include "broker/link.h"
#include "broker/tls.h"

struct connection {
	struct link *link;		    /* borrowed */
	const struct config_broker *broker; /* borrowed */
	const char *name;		    /* borrowed: how the broker lists it; NULL: as configured, or the daemon's */
	bool publisher;			    /* the broker's second connection: its name says so */
	size_t address;			    /* index of the one in use or tried last */
	size_t tried;			    /* failures in a row, since one worked or the thread was told to back off */
	uint64_t up_usec;		    /* when the login that `up` tells of was complete */
	amqp_connection_state_t state;	    /* owned; NULL: not connected */
	struct tls tls;			    /* of `state`, if its address has TLS */
	int watch_error;		    /* -errno of the attempt to publish the socket in the link, while connecting */
	amqp_pool_t pool;		    /* scratch memory for what is sent; emptied by each send */
	unsigned channel_max;		    /* negotiated; at least 1 */
	unsigned frame_max;		    /* negotiated: the largest frame, in bytes, that we may send */
	unsigned heartbeat;		    /* negotiated, seconds; 0: none */
	uint64_t sent_usec;		    /* when connection_keep_alive last sent something */
	bool up;			    /* logged in, and nothing has failed since */
	bool login_refused;		    /* an address tried since the last wait refused the login */
	bool refused;			    /* the address tried last did */
	uint16_t close_code;		    /* of the connection.close that ended the last login, or, where a session noted it, the connection; 0: there was none */
	enum broker_failure failure;	    /* what kind of failure it was that ended the connection, or the attempt */
	char reason[REASON_MAX];	    /* why the last call failed */
};

/* publisher: whether this is the one that the broker's messages are published on. */
void connection_init(struct connection *c, struct link *link, const struct config_broker *broker, bool publisher);
void connection_clear(struct connection *c);

/* Resolves, connects, logs in. `wake` as in struct dial. */
int connection_open(struct connection *c, int wake_fd, int (*wake)(void *), void *userdata);

/* The address in use, or tried last; at first the one to be tried first. Borrowed from the configuration. */
const struct config_address *connection_address(const struct connection *c);

/* After connection_open has failed, or the connection was lost: goes on to the broker's next address. True: all of them
 * have been tried since one worked or since the last true, or there is one only: it is time to wait. False: the next
 * one can be tried at once. A connection that was lost within seconds does not count as one that worked. */
bool connection_next_address(struct connection *c);

/* Drops the connection without a word. */
void connection_drop(struct connection *c);

/* Says goodbye and waits for the broker's answer until the deadline, so that everything sent before was processed;
 * then drops. */
void connection_close(struct connection *c, uint64_t deadline_usec);

/* Reads one frame if there is one: 1 and *frame, valid until connection_release; 0: none now. Serves heartbeats. */
int connection_read(struct connection *c, amqp_frame_t *frame);
void connection_release(struct connection *c, const amqp_frame_t *frame);

/* True if the next frame may already be in memory, where poll(2) does not see it. */
bool connection_has_buffered(const struct connection *c);

int connection_fd(const struct connection *c);

/* Sends a method. -EMSGSIZE: it cannot be expressed (`reason` says why), nothing was sent, and the connection is as good as
 * before. -ECONNABORTED at once if the connection is not up. */
int connection_send(struct connection *c, uint16_t channel, amqp_method_number_t id, void *method);

/* Sends a heartbeat if one is due, for the time in which nothing is read. */
int connection_keep_alive(struct connection *c, uint64_t now_usec);

/* The connection is not up any more, for this reason; returns -ECONNABORTED. BROKER_FAILURE_OTHER; or of this kind. */
int connection_fail(struct connection *c, const char *format, ...) PRINTF_LIKE(2, 3);
int connection_fail_as(struct connection *c, enum broker_failure failure, const char *format, ...) PRINTF_LIKE(3, 4);

/* SPDX-License-Identifier: MIT */
/* What the files of a session share. */
#pragma once

#include "base/list.h"
#include "broker/assembler.h"
#include "broker/connection.h"
#include "ctl/session.h"

struct session {
	struct config *config;              /* a reference */
	const struct config_broker *broker; /* a part of it */
	struct link *link;                  /* a reference: the connection's, with nobody at its other end */
	struct connection connection;
	char *name;                                             /* owned: how the broker lists the connection */
	char *where;                                            /* owned: session_where */
	struct session_channel *channels[SESSION_CHANNELS_MAX]; /* owned: number n + 1; NULL: not in use */
	unsigned signals;                                       /* so many were seen, and are ignored */
	bool blocked;
	char blocked_reason[REASON_MAX];
	void (*blocked_changed)(void *userdata); /* NULL: nobody wants to know */
	void *blocked_userdata;
	char reason[REASON_MAX];
	unsigned close_code;
	char close_text[REASON_MAX];
	int exit_status;
};

enum channel_phase {
	CHANNEL_OF_SESSION_OPENING,
	CHANNEL_OF_SESSION_OPEN,
	CHANNEL_OF_SESSION_CLOSING, /* by us: whatever comes before the answer is void */
	CHANNEL_OF_SESSION_CLOSED,  /* by the broker, or with the connection */
};

/* A message that was sent to us. */
struct arrival {
	struct list node;
	struct message *message; /* owned */
};

/* A publication without an answer. */
struct sent {
	struct list node;
	uint64_t number;
	uint64_t digest;  /* of what the broker returns of it, when it does, as far as we can compare that */
	uint64_t headers; /* likewise of its headers, which we cannot */
	bool returned;
};

/* What the broker returns, while its frames come. */
struct returned {
	enum { RETURN_NONE, RETURN_HEADER, RETURN_BODY } state;
	uint64_t digest;
	uint64_t left;
};

/* Owned by its session. */
struct session_channel {
	struct session *session;
	uint16_t number;
	enum channel_phase phase;
	char reason[REASON_MAX]; /* CHANNEL_OF_SESSION_CLOSED: why, with the two below */
	char close_text[REASON_MAX];
	unsigned close_code;

	amqp_method_number_t answer;  /* the last one that came, since a request was sent; 0: none */
	struct session_counts counts; /* that it brought */
	uint64_t left;

	struct assembler assembler;
	bool getting;        /* what is being assembled is the answer to basic.get */
	struct message *got; /* owned: it is complete */
	struct list arrived; /* struct arrival, owned */
	bool cancelled;

	session_settled *settled; /* NULL: no confirms */
	void *userdata;
	uint64_t published;
	struct list sent; /* struct sent, owned, in the order of their numbers */
	size_t n_sent;
	uint64_t headers; /* of the first of them, since there were none; and whether there were others since */
	bool mixed;
	struct returned returned;
	bool held; /* channel.flow */
};

enum { SESSION_CAME = 1, SESSION_READABLE = 2, SESSION_WRITABLE = 4 };

/* Waits as session_wait, also until something can be sent. So many signals do not end it. Positive: some of the flags.
 */
int session_poll(struct session *s, int fd, bool want_write, unsigned signals, uint64_t deadline_usec);

/* Notes why a call fails; returns `r`. */
int session_fail(struct session *s, int r, int exit_status, const char *format, ...) PRINTF_LIKE(4, 5);

/* The connection has failed: ends everything on it. Returns -ECONNABORTED. */
int session_lost(struct session *s);

/* The result of the broker room's functions as one of ours. */
int session_sent(struct session *s, int r);

bool session_interrupted(const struct session *s);

/* A frame of the channel. A negative result: the connection has failed. (session_channel.c) */
int session_channel_frame(struct session_channel *c, const amqp_frame_t *frame);
/* The connection is lost. */
void session_channel_down(struct session_channel *c, const char *reason);
/* Whether the channel can be used: 0, or -EREMOTEIO or -ECONNABORTED, noted. */
int session_channel_usable(struct session_channel *c);
void session_channel_free(struct session_channel *c);

/* The part of it that is about publishing. (session_publish.c) */
void session_publish_init(struct session_channel *c);
void session_publish_answer(struct session_channel *c, uint64_t tag, bool multiple, bool taken);
void session_publish_return(struct session_channel *c, const amqp_basic_return_t *m);
/* The frames of what is returned. -EPROTO: the frame does not belong here. */
int session_publish_content(struct session_channel *c, const amqp_frame_t *frame);
/* There will be no more answers. */
void session_publish_end(struct session_channel *c, unsigned close_code, const char *reason);

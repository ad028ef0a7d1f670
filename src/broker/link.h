/* SPDX-License-Identifier: MIT */
/* What the main thread and a broker's thread share: two mailboxes, the progress of the thread, and its socket for the
 * case that it must be woken. Counted: the last of the two that lets go frees it. Private to this room. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/mailbox.h"
#include "broker/broker.h"

/* Room for the text of a reason with its NUL: a hint of ours and 255 bytes of the broker, each of which may be escaped to four. */
#define REASON_MAX 1280

/* `kind` of the items in the mailboxes. */
enum item_kind {
	/* to the thread */
	ITEM_SETTLE,  /* struct message */
	ITEM_COMMAND, /* struct command */
	ITEM_JOB,     /* struct job */
	/* to the main thread */
	ITEM_MESSAGE,	/* struct message */
	ITEM_UNSETTLED, /* struct message */
	ITEM_EVENT,	/* struct event */
	ITEM_DONE,	/* struct job */
	ITEM_DEPTH,	/* struct depth_post, of a struct seat, to which it has a reference */
};

enum command_type {
	COMMAND_ADD,	/* a consumer's; part of its struct channel, which it hands over */
	COMMAND_REMOVE, /* a consumer's; part of its struct seat, to which it has a reference */
	COMMAND_WISH,	/* a wish was made; the link's own, never freed */
	COMMAND_STOP,	/* deadline_usec; the link's own, never freed */
};

struct command {
	struct mailbox_item item;
	enum command_type type;
	uint64_t deadline_usec;
};

enum event_type {
	EVENT_BROKER_STATE,   /* broker_state, retry_usec, address, reason */
	EVENT_BLOCKED,        /* blocked, reason */
	EVENT_CONSUMER_STATE, /* consumer, consumer_state, retry_usec, no_number, reason */
	EVENT_LOST,           /* consumer, epoch */
	EVENT_CANCELLED,      /* consumer */
	EVENT_REMOVED,        /* consumer: the thread has let go of it, nothing of it follows */
	EVENT_NO_DEPTHS,      /* reason */
};

struct event {
	struct mailbox_item item;
	enum event_type type;
	uint32_t consumer;
	enum broker_state broker_state;
	enum consumer_state consumer_state;
	bool blocked;
	bool refused; /* BROKER_WAITING: because the login was refused */
	enum broker_failure failure; /* BROKER_WAITING */
	bool no_number; /* CONSUMER_FAILED: because its number is too high */
	uint64_t epoch;
	uint64_t retry_usec;
	const struct config_address *address; /* part of the configuration, to which both sides hold a reference */
	char reason[REASON_MAX]; /* "": none */
};

/* What the main thread wants of a consumer, so far as the thread has not taken it: that needs no memory and no room, and a later
 * wish adds to an earlier one. */
struct wish {
	atomic_bool made;
	unsigned cancels; /* consumer_cancel was called so many times */
	bool consume;	  /* consumer_consume came last */
	unsigned prefetch;
};

struct link {
	atomic_uint refs;
	struct mailbox *to_thread;
	struct mailbox *to_main;
	atomic_bool stop_now;	      /* leave as soon as possible, in no particular order */
	_Atomic uint64_t deadline_usec; /* when what the thread is doing should be over; 0: it waits, for as long as it takes */
	struct command stop;	      /* the main thread's to post, once */
	atomic_bool unstuck;	      /* link_unstick has shut the socket down */
	pthread_mutex_t lock;	      /* guards what follows, and every wish, but for reading `made` */
	pthread_cond_t changed;	      /* exited was set; CLOCK_MONOTONIC */
	struct command wish;	      /* wakes the thread; in the mailbox while wish_posted */
	bool wish_posted;
	uint64_t queue_interval_usec; /* how often the broker is asked how deep a queue is; 0: never */
	bool exited;		      /* the thread touches nothing but this link any more */
	bool logging_in;	      /* the socket is connected, the login not complete */
	int fd;			      /* owned: a duplicate of the socket, which the library may close at any time; or -1 */
};

/* With one reference, and mailboxes for `limit` items each. -ENOMEM, -EMFILE. */
int link_new(size_t limit, struct link **ret);
struct link *link_ref(struct link *l);
/* The last one frees the items left in the mailboxes, too. NULL-safe, returns NULL. */
struct link *link_unref(struct link *l);
DEFINE_CLEANUP(struct link *, link_unref);

/* Frees one item of either mailbox. */
void link_item_free(struct mailbox_item *item);

/* The limit of both mailboxes from now on. */
void link_set_limit(struct link *l, size_t limit);

/* The main thread: makes a wish; prefetch 0: cancel. Cannot fail. */
void link_wish(struct link *l, struct wish *w, unsigned prefetch);
/* The main thread: to consume is not wanted any more, if the thread has not taken that yet. */
void link_withdraw_consume(struct link *l, struct wish *w);
/* The thread: COMMAND_WISH has come out of the mailbox. Wishes are to be taken after this, too. */
void link_wish_received(struct link *l);
/* The thread: takes what was wished; false if nothing was. */
bool link_take_wish(struct link *l, struct wish *w, struct wish *ret);

/* The main thread: as broker_set_queue_interval. */
void link_set_queue_interval(struct link *l, uint64_t usec);
/* The thread. */
uint64_t link_queue_interval(struct link *l);

/* The thread: publishes its socket (-1: none any more) by a duplicate. -errno of fcntl(2). */
int link_set_socket(struct link *l, int fd, bool logging_in);
/* The thread: the login is complete. */
void link_set_logged_in(struct link *l);
/* The main thread: shuts the socket down, which ends whatever the thread waits for in it. only_login: not if the login is
 * complete. */
void link_shutdown(struct link *l, bool only_login);
/* The main thread: the same because the thread makes no progress. */
void link_unstick(struct link *l);
/* The thread: whether that was the end of its connection; begins again with false. */
bool link_was_unstuck(struct link *l);

/* The thread: busy, until the deadline at the latest; idle. */
void link_busy(struct link *l, uint64_t deadline_usec);
/* Busy with a piece of work of a connection with this heartbeat (seconds; 0: none). */
void link_busy_connected(struct link *l, unsigned heartbeat);
void link_idle(struct link *l);

/* The thread's last call before it drops its reference. */
void link_set_exited(struct link *l);
/* The main thread: waits for link_set_exited for at most timeout_usec; whether it came. */
bool link_wait_exited(struct link *l, uint64_t timeout_usec);

/* SPDX-License-Identifier: MIT */
#include "broker/thread.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "broker/error.h"
#include "broker/random.h"
#include "broker/wait.h"

/* Frames read before commands get their turn. */
#define FRAMES_PER_TURN 256
/* How often a full mailbox is tried again. Only then: nothing tells the thread that the main thread has emptied it. */
#define BACKLOG_USEC (20 * USEC_PER_MSEC)
/* A connection that was up for less counts as another failure in a row. */
#define STABLE_USEC (10 * USEC_PER_SEC)
/* librabbitmq decodes nested tables by recursion, and a frame of 128 KiB has room for 26,000 levels, which take between
 * 2 and 4 MiB of stack. What the system gives by default may be less; this is address space, and becomes memory only
 * when such a message comes. */
#define STACK_SIZE (16UL * 1024 * 1024)

/* Owned by the thread itself. */
struct thread {
	struct link *link;     /* a reference */
	struct config *config; /* a reference */
	const struct role *role;
	void *self; /* owned: the role's */
	struct connection connection;
	struct outbox outbox;
	struct backoff backoff;
	bool blocked;  /* by a resource alarm of the broker */
	bool stopping; /* COMMAND_STOP came */
	uint64_t stop_deadline_usec;
	uint64_t backlog_usec; /* the end of the last turn, if it left something in the outbox; else 0 */
};

static struct thread *thread_free(struct thread *t) {
	if (!t)
		return NULL;
	if (t->self)
		t->role->free(t->self);
	connection_clear(&t->connection);
	outbox_clear(&t->outbox);
	config_unref(t->config);
	link_unref(t->link);
	free(t);
	return NULL;
}
DEFINE_CLEANUP(struct thread *, thread_free);

static bool leaving(const struct thread *t) {
	if (atomic_load(&t->link->stop_now))
		return true;
	if (!t->stopping)
		return false;
	return !t->role->unfinished || !t->role->unfinished(t->self) || clock_now_usec() >= t->stop_deadline_usec;
}

static void report(struct thread *t, enum broker_state state, const struct config_address *address, const char *reason,
		   uint64_t retry_usec) {
	struct event e = {
		.type = EVENT_BROKER_STATE,
		.broker_state = state,
		.refused = state == BROKER_WAITING && t->connection.refused,
		.failure = t->connection.failure,
		.retry_usec = retry_usec,
		.address = address,
	};

	(void)snprintf(e.reason, sizeof(e.reason), "%s", reason);
	outbox_post_event(&t->outbox, &e);
}

static void report_blocked(struct thread *t, bool blocked, const amqp_bytes_t *reason) {
	struct event e = {.type = EVENT_BLOCKED, .blocked = blocked};

	if (reason)
		error_format_text(reason, e.reason, sizeof(e.reason));
	t->blocked = blocked;
	if (t->role->blocked)
		t->role->blocked(t->self, blocked, clock_now_usec());
	outbox_post_event(&t->outbox, &e);
}

static void stop(struct thread *t) {
	if (t->role->stop)
		t->role->stop(t->self);
}

/* One item that was posted. */
static int run_item(struct thread *t, struct mailbox_item *item, uint64_t now) {
	if (item == &t->link->stop.item) {
		t->stopping = true;
		t->stop_deadline_usec = t->link->stop.deadline_usec;
		stop(t);
		return 0;
	}
	return t->role->item(t->self, item, now);
}

static int run_items_done(struct thread *t) {
	return t->role->items_done ? t->role->items_done(t->self) : 0;
}

static int run_wishes(struct thread *t, uint64_t now) {
	return t->role->wishes ? t->role->wishes(t->self, now) : 0;
}

/* Carries out everything that was posted. The first failure is returned, after all of it: nothing may be lost. */
static int run_commands(struct thread *t) {
	struct mailbox_item *item = mailbox_take(t->link->to_thread);
	uint64_t now = clock_now_usec();
	int result = run_wishes(t, now);
	int r;

	while (item) {
		struct mailbox_item *next = item->next;

		r = run_item(t, item, now);
		result = result < 0 ? result : r;
		item = next;
	}
	r = run_items_done(t);
	result = result < 0 ? result : r;
	r = run_wishes(t, now);
	return result < 0 ? result : r;
}

/* Frames of the connection as a whole. */
static int handle_connection_frame(struct thread *t, const amqp_frame_t *frame) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;

	if (id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = frame->payload.method.decoded;
		amqp_connection_close_ok_t ok = {0};
		char reason[REASON_MAX];

		error_from_close(close->reply_code, &close->reply_text, reason, sizeof(reason));
		t->connection.close_code = close->reply_code;
		(void)connection_send(&t->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
		return connection_fail_as(&t->connection, BROKER_FAILURE_CLOSED, "%s", reason);
	}
	if (id == AMQP_CONNECTION_BLOCKED_METHOD) {
		report_blocked(t, true, &((const amqp_connection_blocked_t *)frame->payload.method.decoded)->reason);
		return 0;
	}
	if (id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
		report_blocked(t, false, NULL);
		return 0;
	}
	return connection_fail(&t->connection, "the broker sent an unexpected frame (method 0x%08x)", id);
}

/* Reads what there is, up to a bound. 1: there may be more; 0: drained, or the main thread must catch up first. */
static int read_frames(struct thread *t) {
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		amqp_frame_t frame;
		int r;

		if (!outbox_is_empty(&t->outbox))
			return 0;
		r = connection_read(&t->connection, &frame);
		if (r <= 0)
			return r;
		if (frame.channel == 0)
			r = handle_connection_frame(t, &frame);
		else
			r = t->role->frame(t->self, &frame, clock_now_usec());
		connection_release(&t->connection, &frame);
		if (r < 0)
			return r;
	}
	return 1;
}

/* When the loop must turn even if nothing arrives. */
static uint64_t next_turn_usec(const struct thread *t, uint64_t now) {
	uint64_t next = t->connection.heartbeat ? now + t->connection.heartbeat * USEC_PER_SEC / 4 : USEC_INFINITY;
	uint64_t usec = outbox_is_empty(&t->outbox) ? t->role->next_usec(t->self) : now + BACKLOG_USEC;

	if (t->stopping && t->stop_deadline_usec < usec)
		usec = t->stop_deadline_usec;
	return usec < next ? usec : next;
}

/* Sleeps until there is a frame, a command, a deadline, or room for what is to be sent. */
static void wait_for_work(struct thread *t) {
	struct pollfd p[2] = {
		{.fd = mailbox_fd(t->link->to_thread), .events = POLLIN},
		{.fd = connection_fd(&t->connection), .events = POLLIN},
	};
	uint64_t now = clock_now_usec();
	int timeout = wait_msec(next_turn_usec(t, now), now);

	if (t->role->wants_write && t->role->wants_write(t->self))
		p[1].events |= POLLOUT;
	link_idle(t->link);
	/* With a backlog nothing is read or sent, so that what lies in the socket must not end the wait. */
	(void)poll(p, outbox_is_empty(&t->outbox) ? 2 : 1, timeout);
}

static int turn(struct thread *t) {
	uint64_t now = clock_now_usec();
	int more, r;

	link_busy_connected(t->link, t->connection.heartbeat);
	/* What the broker has to answer in time may lie unread behind a backlog, for which only the main thread is to
	 * blame: while there is one the role's clocks stand still. */
	if (t->backlog_usec)
		t->role->postpone(t->self, now - t->backlog_usec);
	if (outbox_flush(&t->outbox)) {
		more = read_frames(t);
	} else {
		more = connection_keep_alive(&t->connection, now);
	}
	if (more < 0)
		return more;
	r = run_commands(t);
	now = clock_now_usec();
	if (r == 0 && outbox_is_empty(&t->outbox))
		r = t->role->work(t->self, now);
	if (r < 0)
		return r;
	more |= r;
	t->backlog_usec = outbox_is_empty(&t->outbox) ? 0 : now;
	if (!leaving(t) && !more && (!outbox_is_empty(&t->outbox) || !connection_has_buffered(&t->connection)))
		wait_for_work(t);
	return 0;
}

/* Works with a connection that is up until it fails or all is to end. */
static void serve(struct thread *t) {
	uint64_t start = clock_now_usec();
	int r;

	t->backlog_usec = 0;
	report(t, BROKER_UP, connection_address(&t->connection), "", 0);
	r = t->role->up(t->self, start);
	while (r == 0 && !leaving(t))
		r = turn(t);
	if (r == 0 && t->stopping)
		connection_close(&t->connection, t->stop_deadline_usec);
	if (r == 0)
		(void)connection_fail(&t->connection, "the connection was closed because the daemon stops");
	connection_drop(&t->connection);
	t->role->down(t->self, t->connection.reason, clock_now_usec());
	if (t->blocked)
		report_blocked(t, false, NULL);
	if (clock_now_usec() - start >= STABLE_USEC)
		backoff_reset(&t->backoff);
}

/* While there is no connection. */
static int wake(void *userdata) {
	struct thread *t = userdata;

	(void)run_commands(t);
	if (t->role->idle)
		t->role->idle(t->self, clock_now_usec());
	(void)outbox_flush(&t->outbox);
	return leaving(t) ? -ECANCELED : 0;
}

/* After a failure: on to the next address, at once, or when all of them have failed, after a delay. */
static uint64_t choose_retry(struct thread *t) {
	struct backoff longest;

	if (!connection_next_address(&t->connection))
		return 0;
	/* Another try with the same wrong password helps nobody, and fills the broker's log. */
	backoff_init(&longest, t->backoff.max_usec, t->backoff.max_usec);
	return backoff_next_usec(t->connection.login_refused ? &longest : &t->backoff, random_u32());
}

/* Until the time of the next attempt. */
static void wait_before_retry(struct thread *t) {
	const struct config_address *failed = connection_address(&t->connection);
	uint64_t delay = choose_retry(t);
	uint64_t now = clock_now_usec();
	uint64_t until = now + delay;

	if (link_was_unstuck(t->link))
		t->connection.failure = BROKER_FAILURE_STUCK;
	report(t, BROKER_WAITING, failed, t->connection.reason, delay);
	while (wake(t) == 0 && (now = clock_now_usec()) < until) {
		struct pollfd p = {.fd = mailbox_fd(t->link->to_thread), .events = POLLIN};
		uint64_t next = t->role->idle ? t->role->next_usec(t->self) : USEC_INFINITY;

		if (!outbox_is_empty(&t->outbox) && now + BACKLOG_USEC < next)
			next = now + BACKLOG_USEC;
		link_idle(t->link);
		(void)poll(&p, 1, wait_msec(next < until ? next : until, now));
		link_busy_connected(t->link, 0);
	}
}

/* Hands over what is left. Nobody waits for it once stop_now is set. */
static void finish(struct thread *t) {
	link_busy_connected(t->link, 0);
	/* What was being sent when the connection ended waits again, for nothing. */
	stop(t);
	for (;;) {
		/* What was posted after the stop, or while the connection was closing, goes back. */
		(void)run_commands(t);
		if (outbox_flush(&t->outbox) || atomic_load(&t->link->stop_now))
			break;
		(void)poll(NULL, 0, BACKLOG_USEC / USEC_PER_MSEC);
	}
	report(t, BROKER_STOPPED, connection_address(&t->connection), "", 0);
	while (!outbox_flush(&t->outbox) && !atomic_load(&t->link->stop_now))
		(void)poll(NULL, 0, BACKLOG_USEC / USEC_PER_MSEC);
	link_idle(t->link);
}

static void *thread_main(void *arg) {
	CLEANUP(thread_free) struct thread *t = arg;
	struct link *link = link_ref(t->link);

	while (wake(t) == 0) {
		report(t, BROKER_CONNECTING, connection_address(&t->connection), "", 0);
		if (connection_open(&t->connection, mailbox_fd(link->to_thread), wake, t) == 0)
			serve(t);
		if (!leaving(t))
			wait_before_retry(t);
	}
	finish(t);
	t = thread_free(t);
	link_set_exited(link);
	link_unref(link);
	return NULL;
}

static int thread_new(struct link *link, struct config *config, const struct config_broker *broker,
		      const struct role *role, struct thread **ret) {
	CLEANUP(thread_free) struct thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->link = link_ref(link);
	t->config = config_ref(config);
	t->role = role;
	connection_init(&t->connection, link, broker, role->publisher);
	outbox_init(&t->outbox, link);
	backoff_init(&t->backoff, broker->reconnect_min_usec, broker->reconnect_max_usec);
	r = role->new(&t->connection, &t->outbox, broker, &t->self);
	if (r < 0)
		return r;
	*ret = TAKE(t);
	return 0;
}

int thread_start(struct link *link, struct config *config, const struct config_broker *broker, const struct role *role,
		 pthread_t *ret) {
	CLEANUP(thread_free) struct thread *t = NULL;
	pthread_attr_t attr;
	sigset_t all, before;
	int r = thread_new(link, config, broker, role, &t);

	if (r < 0)
		return r;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, &attr, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		return -r;
	t = NULL; /* the thread's */
	return 0;
}
